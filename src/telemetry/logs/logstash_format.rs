//! One event of tracing as the line that Logstash gets: the names that python-logstash-async uses, so that a pipeline made
//! for that takes ours; what an event carries stands in `extra`.
//!
//! Not the crate tracing-logstash: it only formats, and unwraps what its writer answers, so that a full disk would panic in
//! the middle of a request.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use chrono::{SecondsFormat, Utc};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::Stats;
use super::json_object::Members;
use super::shipper::THREAD;

/// A line is no longer, with its end of line.
pub(super) const LONGEST: usize = 16 * 1024;
/// What is left of each text in a line that is longer, tried one after the other.
const CUTS: [usize; 4] = [2000, 400, 80, 0];

/// Turns every event into a line and gives it to the shipper; never waits.
pub(super) struct Lines {
    give: mpsc::Sender<Vec<u8>>,
    stats: Arc<Stats>,
    host: String,
    /// With a number behind it the name of a line: one that arrives twice can be told.
    run: String,
    number: AtomicU64,
}

impl Lines {
    pub(super) fn new(give: mpsc::Sender<Vec<u8>>, stats: Arc<Stats>) -> Lines {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost".to_owned() } else { host.trim().to_owned() };
        let run = format!("{:016x}", getrandom::u64().unwrap_or_default());
        Lines { give, stats, host, run, number: AtomicU64::new(0) }
    }

    fn line(&self, event: &Event<'_>) -> Vec<u8> {
        let (about, current) = (event.metadata(), thread::current());
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let mut message = Message::default();
        event.record(&mut message);
        let mut line = Members::with_capacity(1000);
        line.open(None);
        line.put("@timestamp", Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true));
        line.put("@version", "1");
        line.put("host", &self.host);
        line.put("level", level(about.level()));
        line.put("logsource", &self.host);
        line.put("message", message.0);
        line.put("pid", std::process::id());
        line.put("program", env!("CARGO_PKG_NAME"));
        line.put("type", "python-logstash");
        line.open(Some("extra"));
        line.put("line_id", format_args!("{}-{number}", self.run));
        line.put("logger_name", about.target());
        line.put("thread_name", current.name());
        // Of two members of one name an event's own counts: a request line's `path` is the visitor's.
        if about.fields().field("line").is_none() {
            line.put("line", about.line());
        }
        if about.fields().field("path").is_none() {
            line.put("path", about.file());
        }
        line.put_event(event, false);
        line.close();
        line.close();
        not_too_long(line.into_line())
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // A line about the shipping of lines would lead to the next one, for ever.
        if thread::current().name() == Some(THREAD) {
            return;
        }
        if self.give.try_send(self.line(event)).is_err() {
            self.stats.count_dropped(1);
        }
    }
}

/// The message of an event, if it has one.
#[derive(Default)]
struct Message(Option<String>);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

/// As Python says it.
fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// Too long, its texts are cut, so that it stays an object of JSON.
fn not_too_long(mut line: Vec<u8>) -> Vec<u8> {
    for cut in CUTS {
        if line.len() <= LONGEST {
            break;
        }
        let Ok(mut object) = serde_json::from_slice::<Value>(&line) else { break };
        if let Some(message) = object.get_mut("message") {
            shorten(message, cut);
        }
        if let Some(extra) = object.get_mut("extra").and_then(Value::as_object_mut) {
            extra.values_mut().for_each(|value| shorten(value, cut));
            extra.insert("cut".to_owned(), true.into());
        }
        line = (object.to_string() + "\n").into_bytes();
    }
    line
}

fn shorten(value: &mut Value, most: usize) {
    if let Value::String(text) = value
        && text.len() > most
    {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::request_id::RequestId;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn lines_of(speak: impl FnOnce()) -> Vec<Value> {
        let (give, mut take) = mpsc::channel(10);
        let layer = Lines::new(give, Arc::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), speak);
        let mut lines = Vec::new();
        while let Ok(line) = take.try_recv() {
            assert!(
                line.len() <= LONGEST && line.iter().position(|byte| *byte == b'\n') == Some(line.len() - 1)
            );
            lines.push(serde_json::from_slice(&line).unwrap());
        }
        lines
    }

    #[test]
    fn has_the_names_that_python_gives() {
        let id = RequestId::next();
        let lines = lines_of(|| {
            id.around_sync(|| {
                tracing::warn!(target: "audit", number = 7, part = 0.5, yes = true, none = None::<i64>, "two\nlines");
            });
            tracing::trace!(path = "/users");
        });
        let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
        let mut names: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = "@timestamp @version extra host level logsource message pid program type"
            .split(' ')
            .collect::<Vec<_>>();
        assert_eq!(names, expected);
        assert_eq!((&first["level"], &second["level"]), (&"WARNING".into(), &"DEBUG".into()));
        assert_eq!((&first["message"], &second["message"]), (&"two\nlines".into(), &Value::Null));
        assert_eq!((&first["@version"], &first["type"]), (&"1".into(), &"python-logstash".into()));
        assert_eq!(first["pid"], std::process::id());
        let time = first["@timestamp"].as_str().unwrap();
        assert!(
            time.len() == 24 && time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok()
        );

        let extra = &first["extra"];
        assert_eq!((&extra["logger_name"], &extra["request_id"]), (&"audit".into(), &id.as_str().into()));
        assert_eq!((&extra["number"], &extra["part"], &extra["yes"]), (&7.into(), &0.5.into(), &true.into()));
        assert!(extra.get("none").is_none() && extra["line"].is_u64() && extra["thread_name"].is_string());
        assert!(extra["path"].as_str().unwrap().ends_with("line.rs"));
        assert_eq!(second["extra"]["path"], "/users");
        assert_ne!(extra["line_id"], second["extra"]["line_id"]);
    }

    #[test]
    fn is_cut_where_it_is_too_long_and_stays_json() {
        let (long, nasty) = ("ö".repeat(20_000), "\u{1}\"\\".repeat(20_000));
        let lines = lines_of(|| {
            tracing::info!(a = long, b = nasty, c = 3, "{long}");
            tracing::info!(
                a = nasty,
                b = nasty,
                c = nasty,
                d = nasty,
                e = nasty,
                f = nasty,
                g = nasty,
                h = nasty,
                i = nasty,
                "x"
            );
        });
        assert_eq!(lines.len(), 2);
        assert_eq!((&lines[0]["extra"]["c"], &lines[0]["extra"]["cut"]), (&3.into(), &true.into()));
        assert!(lines[0]["message"].as_str().unwrap().starts_with("öö"));
        assert_eq!(lines[1]["message"], "x");
    }

    #[test]
    fn is_dropped_and_counted_when_nobody_takes_it() {
        let (give, _take) = mpsc::channel(1);
        let stats = Arc::<Stats>::default();
        let layer = Lines::new(give, stats.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            (0..5).for_each(|_| tracing::info!("x"));
        });
        assert_eq!(stats.snapshot().dropped, 4);
    }
}
