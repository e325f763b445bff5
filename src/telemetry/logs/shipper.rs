//! Sends lines to Logstash on a separate thread, so that shipping and requests do not delay each other.
//!
//! Reports its own problems to stderr, at most once a minute: log lines about them would be shipped too.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{self, Write as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Stats;
use super::connection::{Connection, Target, slow, wait_for_eof};
use super::queue::Queue;
use crate::config::authority;
use crate::error::unusable;
use crate::telemetry::call_stats::CallStats;

pub(super) const THREAD_NAME: &str = "logstash";
/// Time-out for writing one block.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// After a connection that lasted this long, the next attempt is immediate.
const STABLE_CONNECTION: Duration = Duration::from_secs(10);
/// The longest pause between two attempts, in seconds.
const MAX_PAUSE_SECONDS: f64 = 60.0;
/// Time at shutdown for shipping the remaining lines.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);
const TICK_INTERVAL: Duration = Duration::from_secs(1);
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

pub(super) struct Shipper {
    pub(super) target: Target,
    pub(super) stats: Arc<Stats>,
    pub(super) call_stats: CallStats,
    /// Notified when a health check has reached Logstash: the shipper then retries at once.
    pub(super) retry_now: Arc<Notify>,
    /// True once the program shuts down.
    pub(super) stop: watch::Receiver<bool>,
}

/// The state of a running shipper.
struct Work {
    shipper: Shipper,
    queue: RefCell<Queue>,
    /// Notified of new lines, and when no more will come.
    wakeup: Notify,
    all_taken: Cell<bool>,
    reported_at: Cell<Option<Instant>>,
    reported_dropped: Cell<u64>,
}

impl Shipper {
    /// Ships lines until `stop`, and then the remaining ones for at most [`FLUSH_TIMEOUT`].
    pub(super) async fn run(self, queue: Queue, mut lines: mpsc::Receiver<Vec<u8>>) {
        let mut stop = self.stop.clone();
        let work = Work {
            shipper: self,
            queue: RefCell::new(queue),
            wakeup: Notify::new(),
            all_taken: Cell::new(false),
            reported_at: Cell::new(None),
            reported_dropped: Cell::new(0),
        };
        let deadline = async {
            // An error means that the sender is gone, which also means shutdown.
            let _ = stop.wait_for(|stop| *stop).await;
            sleep(FLUSH_TIMEOUT).await;
        };
        tokio::select! {
            _ = async { tokio::join!(work.take(&mut lines), work.deliver()) } => {}
            () = deadline => {}
        }
        // The lines that are still in the channel.
        work.push(&mut std::iter::from_fn(|| lines.try_recv().ok()).collect());
        let ended = work.queue.borrow_mut().end();
        work.shipper.stats.set_connected(false);
        work.report_end(ended.err());
    }
}

impl Work {
    async fn take(&self, lines: &mut mpsc::Receiver<Vec<u8>>) {
        let (mut stop, mut taken) = (self.shipper.stop.clone(), Vec::new());
        loop {
            tokio::select! {
                count = lines.recv_many(&mut taken, 1000) => {
                    if count == 0 {
                        break;
                    }
                    self.push(&mut taken);
                    self.wakeup.notify_one();
                }
                _ = stop.wait_for(|stop| *stop), if !lines.is_closed() => lines.close(),
            }
        }
        self.all_taken.set(true);
        self.wakeup.notify_one();
    }

    fn push(&self, lines: &mut Vec<Vec<u8>>) {
        let pushed = self.queue.borrow_mut().push(lines.drain(..));
        self.report_disk_error(pushed);
    }

    async fn deliver(&self) {
        let mut pauses = Pauses::default();
        let mut stop = self.shipper.stop.clone();
        loop {
            // An error means that the sender is gone.
            let is_last = *stop.borrow() || stop.has_changed().is_err();
            let start = Instant::now();
            let connected = self.shipper.target.connect().await;
            self.shipper.call_stats.record(start.elapsed(), connected.as_ref().err());
            let error = match connected {
                Ok(connection) => {
                    self.shipper.stats.set_connected(true);
                    self.queue.borrow_mut().connected();
                    let begin = Instant::now();
                    let served = self.serve(connection).await;
                    self.shipper.stats.set_connected(false);
                    let Err(error) = served else { return };
                    self.queue.borrow_mut().take_back();
                    if begin.elapsed() >= STABLE_CONNECTION {
                        pauses = Pauses::default();
                        continue;
                    }
                    error
                }
                Err(error) => error,
            };
            let kept = self.queue.borrow_mut().disconnected();
            self.report_error(&error);
            self.report_disk_error(kept);
            if is_last {
                return;
            }
            tokio::select! {
                () = sleep(pauses.next()) => {}
                () = self.shipper.retry_now.notified() => {}
                // One last attempt at once.
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Writes lines until the connection breaks. Returns `Ok` at shutdown, when everything is delivered.
    async fn serve(&self, connection: Connection) -> io::Result<()> {
        let (reading, mut writing) = tokio::io::split(connection);
        let mut end = pin!(wait_for_eof(reading));
        let mut adopted = Instant::now();
        loop {
            self.queue.borrow_mut().ack();
            if adopted.elapsed() >= REPORT_INTERVAL {
                self.queue.borrow_mut().adopt();
                adopted = Instant::now();
            }
            let next = self.queue.borrow_mut().next();
            let Some(block) = next else {
                if self.all_taken.get() {
                    return self.close_gracefully(writing, end).await;
                }
                tokio::select! {
                    error = &mut end => {
                        self.shipper.call_stats.record(Duration::ZERO, Some(&error));
                        return Err(error);
                    }
                    () = self.wakeup.notified() => {}
                    () = sleep(TICK_INTERVAL) => {}
                }
                continue;
            };
            let start = Instant::now();
            let write = async {
                writing.write_all(&block.bytes).await?;
                writing.flush().await
            };
            let written = tokio::select! {
                // Checks for the end first, so that nothing more is written to a dead connection.
                biased;
                error = &mut end => Err(error),
                written = timeout(WRITE_TIMEOUT, write) => {
                    written.unwrap_or_else(|_| Err(slow("it accepted no data", WRITE_TIMEOUT)))
                }
            };
            self.shipper.call_stats.record(start.elapsed(), written.as_ref().err());
            written?;
            self.shipper.stats.count_shipped(block.lines);
        }
    }

    /// Shuts down the sending side and waits until the peer closes too: then it has read everything.
    async fn close_gracefully(
        &self,
        mut writing: WriteHalf<Connection>,
        end: Pin<&mut impl Future<Output = io::Error>>,
    ) -> io::Result<()> {
        writing.shutdown().await?;
        let error = end.await;
        if error.kind() != io::ErrorKind::UnexpectedEof {
            return Err(error);
        }
        self.queue.borrow_mut().ack_all();
        Ok(())
    }

    fn report_disk_error(&self, outcome: io::Result<()>) {
        if let Err(error) = outcome {
            self.report_error(&unusable(self.queue.borrow().folder(), "DATA_DIR", error));
        }
    }

    fn report_error(&self, error: &dyn Display) {
        if self.reported_at.get().is_some_and(|at| at.elapsed() < REPORT_INTERVAL) {
            return;
        }
        self.reported_at.set(Some(Instant::now()));
        let now = self.shipper.stats.snapshot();
        self.reported_dropped.set(now.dropped);
        say(format_args!(
            "problem with {}: {error}; retrying; lines on disk: {}, dropped since the start: {}",
            authority(&self.shipper.target.host, self.shipper.target.port),
            now.spooled_lines,
            now.dropped
        ));
    }

    fn report_end(&self, error: Option<io::Error>) {
        let now = self.shipper.stats.snapshot();
        if now.dropped > self.reported_dropped.get() {
            let why = error.map(|error| format!(" ({error})")).unwrap_or_default();
            say(format_args!("lines dropped since the start: {}{why}", now.dropped));
        }
    }
}

/// Unlike `eprintln!`, does not panic if stderr is closed.
fn say(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "Logstash: {text}.");
}

/// Pauses between attempts: exponential back-off with jitter, so that instances do not reconnect all at once.
struct Pauses(f64);

impl Default for Pauses {
    fn default() -> Pauses {
        Pauses(1.0)
    }
}

impl Pauses {
    fn next(&mut self) -> Duration {
        let longest = (self.0 * 2.0).min(MAX_PAUSE_SECONDS);
        let random = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        let pause = self.0 + random * (longest - self.0);
        // The longest pauses are spread over 30 to 60 s.
        self.0 = longest.min(MAX_PAUSE_SECONDS / 2.0);
        Duration::from_secs_f64(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_1_to_60_seconds_and_differ() {
        let mut pauses = Pauses::default();
        let all: Vec<_> = (0..200).map(|_| pauses.next().as_secs_f64()).collect();
        assert!((1.0..=2.0).contains(&all[0]) && (2.0..=4.0).contains(&all[1]), "{all:?}");
        assert!(all[10..].iter().all(|pause| (30.0..=60.0).contains(pause)), "{all:?}");
        let spread = all[10..].iter().fold(0.0_f64, |most, pause| most.max((pause - all[10]).abs()));
        assert!(spread > 10.0, "{all:?}");
    }
}
