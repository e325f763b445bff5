//! One event of tracing as the line that Logstash gets: the names that python-logstash-async uses, so that a pipeline made
//! for that takes ours; what an event and its spans carry stands in `extra`.
//!
//! Not the crate tracing-logstash: it only formats, and unwraps what its writer answers, so that a full disk would panic in
//! the middle of a request.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::Stats;
use super::shipper::THREAD;

/// A line is no longer, with its end of line.
pub(super) const LONGEST: usize = 16 * 1024;
/// What is left of each text in a line that is longer, tried one after the other.
const CUTS: [usize; 4] = [2000, 400, 80, 0];

/// Turns every event into a line and gives it to the shipper; never waits.
pub(super) struct Lines {
    give: mpsc::Sender<String>,
    stats: Arc<Stats>,
    host: String,
    /// With a number behind it the name of a line: one that arrives twice can be told.
    run: String,
    number: AtomicU64,
}

impl Lines {
    pub(super) fn new(give: mpsc::Sender<String>, stats: Arc<Stats>) -> Lines {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "localhost".to_owned() } else { host.trim().to_owned() };
        let run = format!("{:016x}", getrandom::u64().unwrap_or_default());
        Lines { give, stats, host, run, number: AtomicU64::new(0) }
    }

    fn line(&self, event: &Event<'_>, outer: Fields) -> String {
        let (about, current) = (event.metadata(), thread::current());
        let mut extra = json!({
            "line_id": format!("{}-{}", self.run, self.number.fetch_add(1, Ordering::Relaxed)),
            "logger_name": about.target(),
            "line": about.line(),
            "path": about.file(),
            "thread_name": current.name(),
        });
        // Of two fields of one name the inner one counts: a request line's `path` is the visitor's.
        let mut own = outer;
        event.record(&mut own);
        let message = own.0.remove("message").unwrap_or_default();
        if let Value::Object(extra) = &mut extra {
            extra.extend(own.0);
        }
        as_line(json!({
            "@timestamp": chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            "@version": "1",
            "host": self.host,
            "level": level(about.level()),
            "logsource": self.host,
            "message": message,
            "pid": std::process::id(),
            "program": env!("CARGO_PKG_NAME"),
            "type": "python-logstash",
            "extra": extra,
        }))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        // A line about the shipping of lines would lead to the next one, for ever.
        if thread::current().name() == Some(THREAD) {
            return;
        }
        let mut outer = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|spans| spans.from_root()) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                outer.0.extend(fields.0.clone());
            }
        }
        if self.give.try_send(self.line(event, outer)).is_err() {
            self.stats.count_dropped(1);
        }
    }
}

/// What an event or a span carries; numbers stay numbers.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
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

/// As Python says it.
fn level(level: &Level) -> &'static str {
    match *level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

/// With its end of line. Too long, its texts are cut, so that it stays an object of JSON.
fn as_line(mut object: Value) -> String {
    let mut line = object.to_string() + "\n";
    for cut in CUTS {
        if line.len() <= LONGEST {
            break;
        }
        if let Some(message) = object.get_mut("message") {
            shorten(message, cut);
        }
        if let Some(extra) = object.get_mut("extra").and_then(Value::as_object_mut) {
            extra.values_mut().for_each(|value| shorten(value, cut));
            extra.insert("cut".to_owned(), true.into());
        }
        line = object.to_string() + "\n";
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
    use tracing_subscriber::layer::SubscriberExt as _;

    fn lines_of(speak: impl FnOnce()) -> Vec<Value> {
        let (give, mut take) = mpsc::channel(10);
        let layer = Lines::new(give, Arc::default());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), speak);
        let mut lines = Vec::new();
        while let Ok(line) = take.try_recv() {
            assert!(line.len() <= LONGEST && line.ends_with('\n') && line.matches('\n').count() == 1);
            lines.push(serde_json::from_str(&line).unwrap());
        }
        lines
    }

    #[test]
    fn has_the_names_that_python_gives() {
        let lines = lines_of(|| {
            let outer =
                tracing::info_span!("outer", request_id = "abc", color = "red", late = tracing::field::Empty);
            outer.record("late", 9);
            let _in_it = outer.enter();
            let _deeper = tracing::info_span!("inner", color = "blue").entered();
            tracing::warn!(target: "audit", number = 7, part = 0.5, yes = true, none = None::<i64>, "two\nlines");
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
        assert_eq!((&extra["logger_name"], &extra["request_id"]), (&"audit".into(), &"abc".into()));
        assert_eq!((&extra["color"], &extra["late"]), (&"blue".into(), &9.into()));
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
