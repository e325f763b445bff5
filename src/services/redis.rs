//! The Redis client (ElastiCache). All requests of a thread share one multiplexed connection, which a pool opens and
//! checks. A circuit breaker, which the Redis crates lack, keeps requests from waiting for a server that is down. The
//! keys, except for their prefix, are defined in sessions.rs, rate_limits.rs, cache.rs and leaderboard.rs.

mod cluster;
mod pool;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use thread_local::ThreadLocal;

use self::pool::{Link, Pool};
use crate::config::Config;
use crate::config::Redis as Setting;
use crate::error::{Error, Result};
use crate::telemetry::call_stats::CallStats;

/// Prefix of every key, so that several applications can share one server.
pub const PREFIX: &str = "sample_app:";

/// Interval between probes while the breaker is open.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// How long the shared connection is used before the pool checks it again.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// A client for a server or a cluster. Clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    pool: Pool,
    /// The connection that the requests of a thread share, and when the pool last checked it.
    shared: ThreadLocal<Mutex<Option<(Link, Instant)>>>,
    /// While true, requests fail at once. A background probe resets it when the server answers again.
    breaker_open: AtomicBool,
    call_stats: CallStats,
    address: String,
}

impl Redis {
    /// `None` if the settings choose process memory. Does not connect yet.
    ///
    /// # Errors
    /// When the file of REDIS_CA_FILE cannot be read.
    pub fn from_config(config: &Config) -> Result<Option<Redis>> {
        let Setting::Server(url) = &config.redis else { return Ok(None) };
        Ok(Some(Redis(Arc::new(Inner {
            pool: Pool::from_config(config, url.expose())?,
            shared: ThreadLocal::new(),
            breaker_open: AtomicBool::new(false),
            call_stats: CallStats::default(),
            address: config.redis.to_string(),
        }))))
    }

    pub fn call_stats(&self) -> &CallStats {
        &self.0.call_stats
    }

    /// The address, without user name and password.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Health check: writes a key.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the write fails.
    pub async fn ping(&self) -> Result<()> {
        self.run(&probe()).await
    }

    /// Sends commands in one round trip and reads the replies. In a cluster, one node has to hold all their keys.
    ///
    /// # Errors
    /// [`Error::Unavailable`], after one timeout at most, or at once while the breaker is open.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        if self.0.breaker_open.load(Ordering::Relaxed) {
            return Err(Error::unavailable("Redis is away"));
        }
        let asked = self.0.call_stats.observe(self.ask(commands)).await;
        match asked {
            Err(error) if is_unavailable(&error) => {
                self.open_breaker(&error);
                Err(Error::unavailable(error))
            }
            // Only this request failed (out of memory, unexpected reply type); the breaker stays closed.
            Err(error) => Err(Error::unavailable(error)),
            Ok(answer) => Ok(answer),
        }
    }

    /// Retries once on a new connection if the old one is closed or leads to a replica.
    async fn ask<T: FromRedisValue>(&self, commands: &Pipeline) -> RedisResult<T> {
        let mut link = self.0.link().await?;
        match commands.query_async(&mut link).await {
            Err(error) if is_stale(&error) => {
                self.0.drop_links();
                commands.query_async(&mut self.0.link().await?).await
            }
            answer => answer,
        }
    }

    fn open_breaker(&self, error: &RedisError) {
        if self.0.breaker_open.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!(%error, "Redis is away");
        self.0.drop_links();
        let inner = self.0.clone();
        tokio::spawn(async move {
            let start = Instant::now();
            while let Err(error) = inner.call_stats.observe(inner.probe()).await {
                tracing::debug!(%error, "Redis is still away");
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
            inner.breaker_open.store(false, Ordering::Relaxed);
            tracing::info!(seconds = start.elapsed().as_secs_f64(), "Redis is back");
        });
    }
}

impl Inner {
    async fn link(&self) -> RedisResult<Link> {
        let shared = self.shared.get_or_default();
        let known = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((link, since)) = known
            && since.elapsed() < TRUSTED_IDLE
        {
            return Ok(link);
        }
        let link = self.pool.checked().await?;
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some((link.clone(), Instant::now()));
        Ok(link)
    }

    /// Uses a new connection, because an old one may hang for ever.
    async fn probe(&self) -> RedisResult<()> {
        self.drop_links();
        probe().query_async(&mut self.link().await?).await
    }

    fn drop_links(&self) {
        for shared in &self.shared {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.pool.clear();
    }
}

/// A write, because a replica would answer a PING but refuses writes.
fn probe() -> Pipeline {
    let mut probe = redis::pipe();
    probe.set_ex(format!("{PREFIX}probe"), 1, 1).ignore();
    probe
}

/// Whether the server is unavailable, as opposed to refusing this one request.
fn is_unavailable(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || cannot_serve(error)
}

/// Whether an immediate retry on another connection may succeed. Not after a timeout, which would double the wait.
fn is_stale(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error() || cannot_serve(error))
}

/// Whether the server cannot serve requests now: a former primary that became a replica, or a server that is starting.
fn cannot_serve(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(
            ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
        )
    )
}
