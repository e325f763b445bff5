//! Where log lines go: to stdout, readable in development, one JSON object a line in production; and to Logstash besides,
//! if there is one.
//!
//! A request never waits for Logstash: it leaves its line in a channel. A thread takes lines from there to the connection,
//! or to the disk while there is none; what neither takes is dropped and counted.

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
use self::shipper::{FLUSH, Shipper, THREAD};
use self::spool::Spool;
use self::stdout::Stdout;
use super::call_stats::CallStats;
use crate::config::{AppEnv, Config, authority};
use crate::error::{Error, Result};
use crate::tls;

/// Lines that wait for the shipper's thread.
const CHANNEL: usize = 10_000;

/// What the program has to say. Clones share it.
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
    most_bytes: u64,
    stats: Arc<Stats>,
    answers: Arc<Notify>,
    started: AtomicBool,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
}

/// What became of the lines since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shipping {
    /// Whether the connection to Logstash stands.
    pub connected: bool,
    /// Lines written to the connection; those sent again count again.
    pub shipped: u64,
    /// Lines that wait in memory.
    pub waiting: u64,
    /// Lines that wait on disk.
    pub spooled_lines: u64,
    /// Bytes on disk.
    pub spooled_bytes: u64,
    /// Lines that nobody will see.
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
    /// As the settings say. Connects to nothing and says nothing yet.
    ///
    /// # Errors
    /// When the file of authorities cannot be used.
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
                most_bytes: u64::from(config.logstash_spool_mb) * 1_000_000,
                stats: Arc::default(),
                answers: Arc::default(),
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

    /// From now on what the program says goes where it should. Only the first one of a process counts.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(&self) -> Result<()> {
        let (give, take) = mpsc::channel(CHANNEL);
        let mut layers = vec![self.stdout()?];
        if let Some(logstash) = &self.logstash {
            layers.push(logstash_format::layer(give, logstash.stats.clone()).boxed());
        }
        // What the server says of its threads helps nobody at first; LOG may ask for it all the same.
        // A request that cannot be parsed is an error of its sender, and has its own line (web/middleware/request_log.rs).
        let quiet = "actix_server=warn,actix_http::h1::dispatcher=off";
        let filter = EnvFilter::builder().parse_lossy(format!("{quiet},{}", self.filter));
        if tracing_subscriber::registry().with(layers).with(filter).try_init().is_err() {
            return Ok(());
        }
        // A panic's message may quote what a user sent; the place is enough to find it.
        std::panic::set_hook(Box::new(|panic| {
            let location = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(location, "panic");
        }));
        match &self.logstash {
            Some(logstash) => logstash.start(take, self.call_stats.clone()),
            None => Ok(()),
        }
    }

    /// Writes and ships what is left, for a moment; what that is too short for waits on disk for the next start.
    pub async fn finish(&self) {
        self.stdout.finish();
        if let Some(logstash) = &self.logstash
            && logstash.started.load(Ordering::Relaxed)
        {
            logstash.stop.send_replace(true);
            // A disk that does not answer must not keep the process here.
            let mut ended = logstash.ended.subscribe();
            let _ = tokio::time::timeout(FLUSH * 2, ended.wait_for(|ended| *ended)).await;
        }
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        if self.logstash.is_some() { "Logstash" } else { "standard output" }
    }

    /// How Logstash is doing.
    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// Where lines go.
    pub fn address(&self) -> String {
        let Some(logstash) = &self.logstash else { return "standard output".to_owned() };
        let Target { host, port, tls } = &logstash.target;
        let scheme = if tls.is_some() { "tls" } else { "tcp" };
        format!("{scheme}://{}", authority(host, *port))
    }

    /// What became of the lines; nothing where they go to stdout only.
    pub fn shipping(&self) -> Option<Shipping> {
        self.logstash.as_ref().map(|logstash| logstash.stats.snapshot())
    }

    /// Whether Logstash can be reached: the connection stands, or another one can be made.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<()> {
        let Some(logstash) = &self.logstash else { return Ok(()) };
        if logstash.stats.snapshot().connected {
            return Ok(());
        }
        self.call_stats.observe(logstash.target.connect()).await.map_err(Error::internal)?;
        // The shipper may be in the middle of a long pause.
        logstash.answers.notify_waiters();
        Ok(())
    }

    fn stdout(&self) -> Result<Box<dyn Layer<Registry> + Send + Sync>> {
        match self.env {
            // At once: a developer waits for it, and one who presses Ctrl-C has read it.
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
                answers: this.answers.clone(),
                stop: this.stop.subscribe(),
            };
            let spool = Spool::new(this.spool.clone(), this.most_bytes, this.stats.clone());
            let queue = Queue::new(spool, this.stats.clone());
            runtime.block_on(shipper.run(queue, take));
            // Does not wait for a name look-up that hangs.
            runtime.shutdown_background();
            this.ended.send_replace(true);
        };
        thread::Builder::new().name(THREAD.into()).spawn(work).map_err(Error::internal)?;
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
