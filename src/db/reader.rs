//! The read replica: a second pool, and when its queries go to the writer instead.
//!
//! A reader that fails or lags is left: its queries go to the writer until a probe finds that it is well again. Lag is
//! measured by positions (position.rs): the time from taking the writer's position until the reader has reached it.
//! SHOW REPLICA STATUS would need a privilege, and a table of heartbeats a write each second.

use std::fmt::Display;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout;

use super::position::{Position, Source};
use super::query::fetch_one;
use super::{Conn, Db};
use crate::config::{Database, MySql};
use crate::error::{Error, Result};
use crate::telemetry::call_stats::CallStats;

/// A reader that lags more than this is left.
pub const MAX_LAG: Duration = Duration::from_secs(10);
/// How long a request waits for the reader to apply a write before it uses the writer. A replica on AWS usually needs
/// less than that; more would be felt.
const CATCH_UP_TIMEOUT: Duration = Duration::from_millis(200);
/// Shorter than the writer's (db.rs, conn.rs), so that there is time left to use the writer.
const CHECKOUT_TIMEOUT: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Interval between probes, whether the reader is in use or not.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// Stands for a lag that is not known.
const UNKNOWN: u64 = u64::MAX;

/// Before the first probe.
const UNPROBED: u8 = 0;
const IN_USE: u8 = 1;
/// The writer gets all queries.
const LEFT: u8 = 2;

/// The pool of connections to the reader. Clones share it.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    db: Db,
    writer: Db,
    source: OnceLock<Source>,
    /// [`UNPROBED`], [`IN_USE`] or [`LEFT`].
    state: AtomicU8,
    lag_ms: AtomicU64,
}

/// What the probes have found so far.
#[derive(Default)]
struct Probes {
    /// A position that the reader has not reached yet, and when the writer was there.
    awaited: Option<(Position, Instant)>,
    /// How long the reader took to reach the position before.
    last_lag: Option<Duration>,
}

impl Reader {
    /// Prepares the pool without connecting. The reader is not used before [`watch`](Self::watch) has probed it.
    pub fn open(config: &MySql, writer: Db) -> Result<Reader> {
        Ok(Reader(Arc::new(Inner {
            db: Db::open_within(&Database::MySql(config.clone()), CHECKOUT_TIMEOUT, ANSWER_TIMEOUT)?,
            writer,
            source: OnceLock::new(),
            state: AtomicU8::new(UNPROBED),
            lag_ms: AtomicU64::new(UNKNOWN),
        })))
    }

    /// A connection for queries that may be a moment old, but not older than `after`. It leads to the writer if the
    /// reader is not in use or does not get there in time. A query that fails on the reader runs on the writer.
    pub async fn conn(&self, after: Option<&Position>) -> Result<Conn> {
        if self.is_in_use() {
            match self.checked(after).await {
                Ok(Some(conn)) => return Ok(conn.with_reader(self.clone())),
                Ok(None) => {}
                Err(error) => self.leave(&error),
            }
        }
        self.0.writer.conn().await
    }

    async fn checked(&self, after: Option<&Position>) -> Result<Option<Conn>> {
        let mut conn = self.0.db.conn().await?;
        let Some(position) = after else { return Ok(Some(conn)) };
        // If the reader is known to lag, waiting is in vain; it may be there nevertheless.
        let is_close = self.lag().is_none_or(|lag| lag <= CATCH_UP_TIMEOUT);
        let limit = if is_close { CATCH_UP_TIMEOUT } else { Duration::ZERO };
        Ok(position.is_reached(&mut conn, limit).await?.then_some(conn))
    }

    /// Uses the writer until the next successful probe.
    pub(super) fn leave(&self, reason: &impl Display) {
        if self.0.state.swap(LEFT, Ordering::Relaxed) != LEFT {
            tracing::warn!(%reason, "the reader is not used; the writer serves its reads");
            self.0.db.renew_connections();
        }
    }

    pub(super) fn writer(&self) -> &Db {
        &self.0.writer
    }

    /// The writer's current position; `None` if it has none, as on Aurora.
    pub async fn position(&self) -> Result<Option<Position>> {
        let mut conn = self.0.writer.conn().await?;
        let source = match self.0.source.get() {
            Some(source) => *source,
            None => {
                let source = Source::of(&mut conn).await?;
                *self.0.source.get_or_init(|| source)
            }
        };
        Position::current(&mut conn, source).await
    }

    /// Whether the writer belongs to an Aurora cluster, as far as [`position`](Self::position) has found.
    pub fn is_aurora(&self) -> bool {
        self.0.source.get() == Some(&Source::Aurora)
    }

    /// Whether the reader's address leads to the writer.
    pub async fn is_the_writer(&self) -> Result<bool> {
        let server = async |db: &Db| -> Result<(String,)> {
            fetch_one!(&mut db.conn().await?, "SELECT CONCAT_WS(' ', @@hostname, @@port, @@server_id)")
        };
        Ok(server(&self.0.db).await? == server(&self.0.writer).await?)
    }

    /// Probes the reader until `stopped` becomes true.
    pub async fn watch(self, mut stopped: watch::Receiver<bool>) {
        let mut probes = Probes::default();
        loop {
            self.probe(&mut probes).await;
            if timeout(PROBE_INTERVAL, stopped.wait_for(|stopped| *stopped)).await.is_ok() {
                return;
            }
        }
    }

    async fn probe(&self, probes: &mut Probes) {
        if probes.awaited.is_none() {
            let start = Instant::now();
            // Without the writer, nothing is written that the reader could lack.
            probes.awaited = self.position().await.ok().flatten().map(|position| (position, start));
        }
        let start = Instant::now();
        let awaited = probes.awaited.as_ref();
        match self.catch_up(awaited.map(|(position, _)| position), CATCH_UP_TIMEOUT).await {
            Ok(is_reached) => {
                let age = awaited.map(|(_, since)| since.elapsed());
                let lag = if is_reached { age } else { age.max(probes.last_lag) };
                if is_reached {
                    (probes.awaited, probes.last_lag) = (None, age);
                }
                let lag_ms = lag.map_or(UNKNOWN, |lag| u64::try_from(lag.as_millis()).unwrap_or(UNKNOWN));
                self.0.lag_ms.store(lag_ms, Ordering::Relaxed);
                match lag.filter(|lag| *lag > MAX_LAG) {
                    None => self.resume(),
                    Some(lag) => {
                        let reason = format!("it is {} s behind the writer", lag.as_secs());
                        self.call_stats().record(start.elapsed(), Some(&reason));
                        self.leave(&reason);
                    }
                }
            }
            Err(error) => self.leave(&error),
        }
    }

    /// Waits up to `limit` until the reader has reached a position; without one, only checks that it answers.
    pub async fn catch_up(&self, position: Option<&Position>, limit: Duration) -> Result<bool> {
        let mut conn = self.0.db.conn().await?;
        match position {
            Some(position) => position.is_reached(&mut conn, limit).await,
            None => {
                let (one,): (i64,) = fetch_one!(&mut conn, "SELECT 1")?;
                Ok(one == 1)
            }
        }
    }

    fn resume(&self) {
        if self.0.state.swap(IN_USE, Ordering::Relaxed) != IN_USE {
            tracing::info!(lag_ms = self.lag().map(|lag| lag.as_millis()), "the reader is used");
        }
    }

    pub fn is_in_use(&self) -> bool {
        self.0.state.load(Ordering::Relaxed) == IN_USE
    }

    /// How far the reader was behind the writer at the last probe; `None` if the writer has no positions.
    pub fn lag(&self) -> Option<Duration> {
        let lag_ms = self.0.lag_ms.load(Ordering::Relaxed);
        (lag_ms != UNKNOWN).then(|| Duration::from_millis(lag_ms))
    }

    /// Connects, for the check of the settings.
    pub async fn with_connection(self) -> Result<Reader> {
        self.0.db.conn().await?;
        Ok(self)
    }

    /// Whether the last probe found the reader well. The probes themselves are in the call statistics.
    pub fn ping(&self) -> Result<()> {
        if self.is_in_use() { Ok(()) } else { Err(Error::unavailable("the reader is not used")) }
    }

    /// Statistics of all statements on the reader and of the probes.
    pub fn call_stats(&self) -> &CallStats {
        self.0.db.call_stats()
    }

    /// The URL, without user and password.
    pub fn address(&self) -> String {
        self.0.db.address()
    }

    /// The shortest wait for a connection, as [`Db::take_shortest_wait`].
    pub fn take_shortest_wait(&self, since: Duration) -> Duration {
        self.0.db.take_shortest_wait(since)
    }

    /// Connections in use, and the maximum for all threads that have a pool so far.
    pub fn connections(&self) -> (usize, usize) {
        self.0.db.in_use()
    }
}
