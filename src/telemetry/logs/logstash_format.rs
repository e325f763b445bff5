//! Events as lines for Logstash: flat JSON objects, formatted by tracing-logstash.
//!
//! The layer of tracing-logstash unwraps the writer's result, so this writer never fails: it collects one line in
//! memory and sends it to the channel when it is dropped.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::Value;
use tokio::sync::mpsc;
use tracing::Subscriber;
use tracing_logstash::logstash::{LogFieldContributor, LogFieldReceiver, LogstashFormat};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;

use super::Stats;
use super::shipper::THREAD_NAME;
use crate::telemetry::request_id::RequestId;

/// The longest line, in bytes, including the line feed.
pub(super) const MAX_LINE: usize = 16 * 1024;
/// Lengths in bytes to which the texts of a longer line are cut; tried in this order.
const CUTS: [usize; 4] = [2000, 400, 80, 0];

/// A layer that sends every event to `lines` without blocking: if the channel is full, the line is dropped and counted.
pub(super) fn layer<S>(lines: mpsc::Sender<Vec<u8>>, stats: Arc<Stats>) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if hostname.trim().is_empty() { "localhost" } else { hostname.trim() };
    let format = LogstashFormat::default()
        .with_level_value(false)
        .with_constants(vec![("host", host.to_owned()), ("program", env!("CARGO_PKG_NAME").to_owned())])
        .with_field_contributor(Ids {
            run: format!("{:016x}", getrandom::u64().unwrap_or_default()),
            next: AtomicU64::new(0),
        });
    tracing_logstash::Layer::default().event_format(format).with_writer(Channel { lines, stats })
}

/// Adds the ids of the line, the process and the request.
struct Ids {
    /// Random; differs for each process.
    run: String,
    next: AtomicU64,
}

impl LogFieldContributor for Ids {
    fn add_fields<F: LogFieldReceiver>(&self, fields: &mut F) {
        // Identifies the line, so that one that is sent twice can be stored once.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        fields.add_field("line_id", &format_args!("{}-{number}", self.run));
        fields.add_field("pid", &std::process::id());
        if let Some(id) = RequestId::current() {
            fields.add_field("request_id", id.as_str());
        }
    }
}

struct Channel {
    lines: mpsc::Sender<Vec<u8>>,
    stats: Arc<Stats>,
}

impl<'a> MakeWriter<'a> for Channel {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter { channel: self, line: Vec::with_capacity(1000) }
    }
}

struct LineWriter<'a> {
    channel: &'a Channel,
    line: Vec<u8>,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LineWriter<'_> {
    fn drop(&mut self) {
        // Shipping an event of the shipper's own thread would cause the next one, in an endless loop.
        if thread::current().name() == Some(THREAD_NAME) {
            return;
        }
        let line = shorten(std::mem::take(&mut self.line));
        if self.channel.lines.try_send(line).is_err() {
            self.channel.stats.count_dropped(1);
        }
    }
}

/// Cuts the texts of a line that is longer than [`MAX_LINE`]. The line stays a JSON object.
fn shorten(mut line: Vec<u8>) -> Vec<u8> {
    for cut in CUTS {
        if line.len() <= MAX_LINE {
            break;
        }
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(&line) else { break };
        for value in fields.values_mut() {
            if let Value::String(text) = value
                && text.len() > cut
            {
                text.truncate(text.floor_char_boundary(cut));
                text.push('…');
            }
        }
        fields.insert("cut".to_owned(), true.into());
        line = (Value::Object(fields).to_string() + "\n").into_bytes();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn lines_of(speak: impl FnOnce()) -> Vec<Value> {
        let (give, mut take) = mpsc::channel(10);
        let subscriber = tracing_subscriber::registry().with(layer(give, Arc::default()));
        tracing::subscriber::with_default(subscriber, speak);
        let mut lines = Vec::new();
        while let Ok(line) = take.try_recv() {
            let ends = line.iter().position(|byte| *byte == b'\n');
            assert!(line.len() <= MAX_LINE && ends == Some(line.len() - 1));
            lines.push(serde_json::from_slice(&line).unwrap());
        }
        lines
    }

    #[test]
    fn an_event_is_one_flat_object() {
        let id = RequestId::next();
        let lines = lines_of(|| {
            id.sync_scope(|| {
                tracing::warn!(target: "audit", number = 7, part = 0.5, yes = true, none = None::<i64>, "two\nlines");
            });
            tracing::trace!(path = "/users");
        });
        let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
        let mut names: Vec<_> = first.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected = "@timestamp @version host level line_id logger_name message number part pid program request_id \
                        thread_name yes";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
        assert_eq!((&first["level"], &second["level"]), (&"WARN".into(), &"TRACE".into()));
        assert_eq!((&first["message"], &second["message"]), (&"two\nlines".into(), &Value::Null));
        assert_eq!((&first["@version"], &first["program"]), (&"1".into(), &"sample-app".into()));
        assert_eq!(first["pid"], std::process::id());
        let time = first["@timestamp"].as_str().unwrap();
        assert!(time.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
        assert_eq!((&first["logger_name"], &first["request_id"]), (&"audit".into(), &id.as_str().into()));
        assert_eq!((&first["number"], &first["part"], &first["yes"]), (&7.into(), &0.5.into(), &true.into()));
        assert_eq!(second["path"], "/users");
        assert_ne!(first["line_id"], second["line_id"]);
    }

    #[test]
    fn a_long_line_is_cut_and_stays_json() {
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
        assert_eq!((&lines[0]["c"], &lines[0]["cut"]), (&3.into(), &true.into()));
        assert!(lines[0]["message"].as_str().unwrap().starts_with("öö"));
        assert_eq!(lines[1]["message"], "x");
    }

    #[test]
    fn a_line_without_room_is_dropped_and_counted() {
        let (give, _take) = mpsc::channel(1);
        let stats = Arc::<Stats>::default();
        let subscriber = tracing_subscriber::registry().with(layer(give, stats.clone()));
        tracing::subscriber::with_default(subscriber, || (0..5).for_each(|_| tracing::info!("x")));
        assert_eq!(stats.snapshot().dropped, 4);
    }
}
