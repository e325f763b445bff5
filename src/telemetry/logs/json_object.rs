//! What an event says, as the members of an object of JSON: `"name":value,"name":value`, in the order in which it says it.
//! Written straight into the line: a line is noted for every request.

use std::fmt::Debug;

use serde::Serialize;
use tracing::Event;
use tracing::field::{Field, Visit};

use crate::telemetry::request_id::RequestId;

/// Members under way.
pub(super) struct Members(Vec<u8>);

impl Members {
    /// For a line of this many bytes, more or less.
    pub(super) fn with_capacity(bytes: usize) -> Members {
        Members(Vec::with_capacity(bytes))
    }

    /// Opens an object, as the value of the member `name` or, without a name, as the line itself.
    pub(super) fn open(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.name(name);
        }
        self.0.push(b'{');
    }

    /// Closes the object that was opened last.
    pub(super) fn close(&mut self) {
        self.0.push(b'}');
    }

    /// Adds a member.
    pub(super) fn put(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        self.value(value);
    }

    /// Adds what the event carries, and which request it belongs to; without its message, if `message` is false.
    pub(super) fn put_event(&mut self, event: &Event<'_>, message: bool) {
        event.record(&mut OfEvent { members: self, message });
        if let Some(id) = RequestId::current() {
            self.put("request_id", id.as_str());
        }
    }

    /// The bytes, with the end of the line.
    pub(super) fn into_line(mut self) -> Vec<u8> {
        self.0.push(b'\n');
        self.0
    }

    fn name(&mut self, name: &str) {
        if !matches!(self.0.last(), None | Some(b'{')) {
            self.0.push(b',');
        }
        self.value(name);
        self.0.push(b':');
    }

    fn value(&mut self, value: impl Serialize) {
        // A Vec takes everything, and nothing here has a value that JSON has not.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

struct OfEvent<'a> {
    members: &'a mut Members,
    message: bool,
}

impl OfEvent<'_> {
    fn put(&mut self, field: &Field, value: impl Serialize) {
        if self.message || field.name() != "message" {
            self.members.put(field.name(), value);
        }
    }
}

impl Visit for OfEvent<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}
