//! Standard output in production: one JSON object per line. Lines are buffered for a moment and written by a thread, so
//! that requests wait neither for the system nor for the reader of a pipe, and one system call writes many lines.
//!
//! CPU time per line: 6 µs at 5,000 lines a second, 3 µs at 30,000. tracing-subscriber's JSON with tracing-appender's
//! writer takes 12 µs and 8 to 9 µs. The difference is a fifth of the cost of the home page.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::json_object::JsonObject;

/// How long a line is buffered so that others can join it.
const BATCH_TIME: Duration = Duration::from_millis(10);
/// Largest buffer, in bytes. When it is full, because nobody reads stdout, further lines are dropped and counted.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// How long shutdown waits for a reader.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The buffer of lines. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Stdout(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    /// Notified when lines have been added or written.
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    waiting: Vec<u8>,
    being_written: bool,
    finishing: bool,
    dropped: u64,
}

impl Stdout {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(super) fn start(&self) -> io::Result<()> {
        let shared = self.0.clone();
        thread::Builder::new().name("stdout".into()).spawn(move || shared.write()).map(drop)
    }

    /// Waits until everything is written, for at most [`FINISH_TIMEOUT`].
    pub(super) fn finish(&self) {
        let mut lines = self.0.lock();
        lines.finishing = true;
        self.0.changed.notify_all();
        let unwritten = |lines: &mut Lines| !lines.waiting.is_empty() || lines.being_written;
        let _ = self.0.changed.wait_timeout_while(lines, FINISH_TIMEOUT, unwritten);
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.0.lock();
        if lines.waiting.len() + line.len() > MAX_WAITING_BYTES {
            lines.dropped += 1;
            return;
        }
        let is_first = lines.waiting.is_empty();
        lines.waiting.extend_from_slice(line);
        drop(lines);
        if is_first {
            self.0.changed.notify_all();
        }
    }
}

impl Shared {
    /// Ignores poisoning: lines stay whole even after a panic.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) {
        let mut taken = Vec::new();
        loop {
            let idle = |lines: &mut Lines| lines.waiting.is_empty();
            let mut lines =
                self.changed.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            if !lines.finishing {
                let gathering = |lines: &mut Lines| !lines.finishing;
                let gathered = self.changed.wait_timeout_while(lines, BATCH_TIME, gathering);
                lines = gathered.unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut taken, &mut lines.waiting);
            lines.being_written = true;
            let dropped = std::mem::take(&mut lines.dropped);
            drop(lines);
            if dropped > 0 {
                taken.extend(line_of("WARN", |line| {
                    line.put("message", "lines were dropped, because nobody read them here");
                    line.put("lines", dropped);
                    line.put("target", module_path!());
                }));
            }
            // An error means that the reader is gone; there is nobody to report it to.
            let mut stdout = io::stdout().lock();
            let _ = stdout.write_all(&taken).and_then(|()| stdout.flush());
            drop(stdout);
            taken.clear();
            self.lock().being_written = false;
            self.changed.notify_all();
        }
    }
}

impl<S: Subscriber> Layer<S> for Stdout {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        self.push(&line_of(about.level().as_str(), |line| {
            line.put_event(event);
            line.put("target", about.target());
        }));
    }
}

fn line_of(level: &str, fill: impl FnOnce(&mut JsonObject)) -> Vec<u8> {
    let mut line = JsonObject::with_capacity(400);
    line.put("timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
    line.put("level", level);
    fill(&mut line);
    line.into_line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::request_id::RequestId;
    use serde_json::Value;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn speak(stdout: &Stdout, what: impl FnOnce()) {
        tracing::subscriber::with_default(tracing_subscriber::registry().with(stdout.clone()), what);
    }

    #[test]
    fn a_line_says_what_and_where_and_for_which_request() {
        let stdout = Stdout::default();
        let id = RequestId::next();
        speak(&stdout, || {
            tracing::warn!(number = 7, part = 0.5, yes = true, none = None::<i64>, "two\n\"lines\"");
            id.sync_scope(|| tracing::info!(target: "audit", event = "log_in", "audit"));
        });
        let waiting = stdout.0.lock().waiting.clone();
        let lines: Vec<Value> = waiting
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&first["level"], &first["message"]), (&"WARN".into(), &"two\n\"lines\"".into()));
        assert_eq!((&first["number"], &first["part"], &first["yes"]), (&7.into(), &0.5.into(), &true.into()));
        assert!(first.get("none").is_none() && first.get("request_id").is_none());
        assert!(first["target"].as_str().unwrap().ends_with("stdout::tests"));
        let time = first["timestamp"].as_str().unwrap();
        assert!(time.len() == 27 && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert_eq!((&second["target"], &second["request_id"]), (&"audit".into(), &id.as_str().into()));
    }

    #[test]
    fn what_nobody_reads_is_bounded_and_counted() {
        let stdout = Stdout::default();
        let long = "x".repeat(MAX_WAITING_BYTES / 10);
        speak(&stdout, || (0..15).for_each(|_| tracing::info!("{long}")));
        let lines = stdout.0.lock();
        assert!(lines.waiting.len() <= MAX_WAITING_BYTES && lines.waiting.len() > MAX_WAITING_BYTES / 2);
        assert_eq!(lines.dropped as usize, 15 - lines.waiting.split(|byte| *byte == b'\n').count() + 1);
    }
}
