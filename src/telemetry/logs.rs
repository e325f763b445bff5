//! Log output: to stdout, as text in development and as one JSON object per line in production; optionally to Logstash.
//!
//! A request never waits for Logstash: it puts its line into a channel. A thread sends lines from the channel to
//! Logstash, or spools them to disk without a connection. Lines that fit into none of these are dropped and counted.

mod connection;
mod json_object;
mod logstash_format;
mod queue;
mod shipper;
mod spool;
mod stdout;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use tokio::sync::{Notify, mpsc, watch};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use self::connection::Target;

use self::queue::Queue;
use self::shipper::{FLUSH_TIMEOUT, Shipper, THREAD_NAME};
use self::spool::Spool;
use self::stdout::Stdout;
use super::call_stats::CallStats;
use crate::config::{AppEnv, Config, authority};
use crate::error::{Error, Result};
use crate::tls;

/// Capacity of the channel to the shipper's thread, in lines.
const CHANNEL_LINES: usize = 10_000;

/// The log outputs of the program. Clones share them.
#[derive(Clone)]
pub struct Logs {
    env: AppEnv,
    filter: String,
    call_stats: CallStats,
    stdout: Stdout,
    logstash: Option<Arc<Logstash>>,
}

struct Logstash {
    target: Target,
    spool: PathBuf,
    max_bytes: u64,
    stats: Arc<Stats>,
    retry_now: Arc<Notify>,
    started: AtomicBool,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
}

/// Counters of the Logstash shipper since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shipping {
    /// Whether there is a connection to Logstash.
    pub connected: bool,
    /// Lines written to a connection; lines sent again count again.
    pub shipped: u64,
    /// Lines waiting in memory.
    pub waiting: u64,
    /// Lines waiting on disk.
    pub spooled_lines: u64,
    /// Size of the spool on disk.
    pub spooled_bytes: u64,
    /// Lines that were lost.
    pub dropped: u64,
}

#[derive(Default)]
struct Stats {
    connected: AtomicBool,
    shipped: AtomicU64,
    waiting: AtomicU64,
    spooled_lines: AtomicU64,
    spooled_bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Logs {
    /// Connects to nothing and logs nothing until [`start`](Self::start).
    ///
    /// # Errors
    /// If LOGSTASH_CA_FILE cannot be used.
    pub fn new(config: &Config) -> Result<Logs> {
        let logstash = match &config.logstash {
            None => None,
            Some(to) => Some(Arc::new(Logstash {
                target: Target {
                    host: to.host.clone(),
                    port: to.port,
                    tls: to
                        .tls
                        .then(|| tls::client(config.logstash_ca_file.as_deref()))
                        .transpose()
                        .map_err(|error| error.about("LOGSTASH_CA_FILE"))?,
                },
                spool: config.data_dir.join("logstash-spool"),
                max_bytes: u64::from(config.logstash_spool_mb) * 1_000_000,
                stats: Arc::default(),
                retry_now: Arc::default(),
                started: AtomicBool::new(false),
                stop: watch::Sender::new(false),
                ended: watch::Sender::new(false),
            })),
        };
        Ok(Logs {
            env: config.env,
            filter: config.log.clone(),
            call_stats: CallStats::default(),
            stdout: Stdout::default(),
            logstash,
        })
    }

    /// Starts logging. Only the first call in a process has an effect.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub fn start(&self) -> Result<()> {
        let (give, take) = mpsc::channel(CHANNEL_LINES);
        let mut layers = vec![self.stdout()?];
        if let Some(logstash) = &self.logstash {
            layers.push(logstash_format::layer(give, logstash.stats.clone()).boxed());
        }
        // actix_server's messages about its workers are noise by default; LOG can enable them. A request that cannot be
        // parsed is its sender's error and has its own log line (web/middleware/request_log.rs).
        let quiet = "actix_server=warn,actix_http::h1::dispatcher=off";
        let filter = EnvFilter::builder().parse_lossy(format!("{quiet},{}", self.filter));
        if tracing_subscriber::registry().with(layers).with(filter).try_init().is_err() {
            return Ok(());
        }
        // The panic message may quote user input; the location is enough to find the cause.
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(location, "panic");
        }));
        match &self.logstash {
            Some(logstash) => logstash.start(take, self.call_stats.clone()),
            None => Ok(()),
        }
    }

    /// Writes and ships the remaining lines, for a limited time. The rest stays on disk until the next start.
    pub async fn finish(&self) {
        self.stdout.finish();
        if let Some(logstash) = &self.logstash
            && logstash.started.load(Ordering::Relaxed)
        {
            logstash.stop.send_replace(true);
            // A hanging disk must not prevent the process from ending.
            let mut ended = logstash.ended.subscribe();
            let _ = tokio::time::timeout(FLUSH_TIMEOUT * 2, ended.wait_for(|ended| *ended)).await;
        }
    }

    /// Name of the log destination.
    pub fn kind(&self) -> &'static str {
        if self.logstash.is_some() { "Logstash" } else { "standard output" }
    }

    /// Statistics of the connections and writes to Logstash.
    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// URL of Logstash, or "standard output".
    pub fn address(&self) -> String {
        let Some(logstash) = &self.logstash else { return "standard output".to_owned() };
        let Target { host, port, tls } = &logstash.target;
        let scheme = if tls.is_some() { "tls" } else { "tcp" };
        format!("{scheme}://{}", authority(host, *port))
    }

    /// Counters of the shipper; `None` without Logstash.
    pub fn shipping(&self) -> Option<Shipping> {
        self.logstash.as_ref().map(|logstash| logstash.stats.snapshot())
    }

    /// Checks that Logstash is reachable: there is a connection, or a new one succeeds.
    pub async fn ping(&self) -> Result<()> {
        let Some(logstash) = &self.logstash else { return Ok(()) };
        if logstash.stats.snapshot().connected {
            return Ok(());
        }
        self.call_stats.observe(logstash.target.connect()).await.map_err(Error::internal)?;
        // Ends the shipper's pause between attempts, which can be long.
        logstash.retry_now.notify_waiters();
        Ok(())
    }

    fn stdout(&self) -> Result<Box<dyn Layer<Registry> + Send + Sync>> {
        match self.env {
            // Unbuffered: a developer sees each line at once, and Ctrl-C loses none.
            AppEnv::Development => {
                let readable = fmt::layer().with_ansi(std::io::stdout().is_terminal());
                Ok(readable.with_target(false).compact().boxed())
            }
            AppEnv::Production => {
                self.stdout.start().map_err(Error::internal)?;
                Ok(self.stdout.clone().boxed())
            }
        }
    }
}

impl Logstash {
    fn start(self: &Arc<Self>, take: mpsc::Receiver<Vec<u8>>, call_stats: CallStats) -> Result<()> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        let this = self.clone();
        let work = move || {
            let shipper = Shipper {
                target: this.target.clone(),
                stats: this.stats.clone(),
                call_stats,
                retry_now: this.retry_now.clone(),
                stop: this.stop.subscribe(),
            };
            let spool = Spool::new(this.spool.clone(), this.max_bytes, this.stats.clone());
            let queue = Queue::new(spool, this.stats.clone());
            runtime.block_on(shipper.run(queue, take));
            // Does not wait for a hanging DNS look-up.
            runtime.shutdown_background();
            this.ended.send_replace(true);
        };
        thread::Builder::new().name(THREAD_NAME.into()).spawn(work).map_err(Error::internal)?;
        self.started.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Stats {
    fn snapshot(&self) -> Shipping {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Shipping {
            connected: self.connected.load(Ordering::Relaxed),
            shipped: read(&self.shipped),
            waiting: read(&self.waiting),
            spooled_lines: read(&self.spooled_lines),
            spooled_bytes: read(&self.spooled_bytes),
            dropped: read(&self.dropped),
        }
    }

    fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    fn count_shipped(&self, lines: u64) {
        self.shipped.fetch_add(lines, Ordering::Relaxed);
    }

    fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn set_waiting(&self, lines: u64) {
        self.waiting.store(lines, Ordering::Relaxed);
    }

    fn set_spooled(&self, lines: u64, bytes: u64) {
        self.spooled_lines.store(lines, Ordering::Relaxed);
        self.spooled_bytes.store(bytes, Ordering::Relaxed);
    }
}
