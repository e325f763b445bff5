//! One event as a JSON object on one line, with its fields in order. Serializes directly into the line, because every
//! request logs one.

use std::fmt::Debug;

use serde::Serialize;
use tracing::Event;
use tracing::field::{Field, Visit};

use crate::telemetry::request_id::RequestId;

/// An object without its closing brace yet.
pub(super) struct JsonObject(Vec<u8>);

impl JsonObject {
    pub(super) fn with_capacity(bytes: usize) -> JsonObject {
        let mut line = Vec::with_capacity(bytes);
        line.push(b'{');
        JsonObject(line)
    }

    pub(super) fn put(&mut self, name: &str, value: impl Serialize) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.write(name);
        self.0.push(b':');
        self.write(value);
    }

    /// Adds the event's fields and, during a request, its id.
    pub(super) fn put_event(&mut self, event: &Event<'_>) {
        event.record(self);
        if let Some(id) = RequestId::current() {
            self.put("request_id", id.as_str());
        }
    }

    /// Closes the object and ends the line.
    pub(super) fn into_line(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    fn write(&mut self, value: impl Serialize) {
        // Writing to a Vec cannot fail, and JSON can express every field value.
        let _ = serde_json::to_writer(&mut self.0, &value);
    }
}

impl Visit for JsonObject {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field.name(), format!("{value:?}"));
    }
}
