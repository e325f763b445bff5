//! The way to Redis (ElastiCache): one connection that all requests of a thread share, made and looked after by a pool,
//! and a breaker that keeps everybody from waiting for a server that is away. Knows no keys but its prefix; what it
//! carries belongs to sessions.rs, limits.rs and cache.rs.

mod cluster;

use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Hook, HookError, Metrics, Timeouts};
use deadpool_redis::Manager;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError,
    RedisFuture, RedisResult, ServerErrorKind, TlsCertificates, Value,
};
use thread_local::ThreadLocal;

use self::cluster::Clusters;
use crate::config::Config;
use crate::config::Redis as Setting;
use crate::error::{Error, Result};
use crate::telemetry::call_stats::CallStats;
use crate::thread_local_pool::ThreadLocalPool;

/// In front of every key, so that one server can serve several applications.
pub const PREFIX: &str = "sample_app:";

/// Connecting takes a name lookup and perhaps TLS.
const CONNECT: Duration = Duration::from_secs(1);
/// An answer takes half a millisecond. This is the one time-out that a visitor may have to wait for; shorter, and a machine
/// that is busy for a moment would open the breaker.
const ANSWER: Duration = Duration::from_millis(500);
/// While the breaker is open the server is asked this often whether it is back.
const PROBE: Duration = Duration::from_millis(500);
/// The shared connection is used for so long before the pool checks it again.
const TRUSTED: Duration = Duration::from_secs(1);
/// A connection is replaced at this age, so that a moved end point (fail-over, a resized node) is followed.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// A server or a cluster. Clones share it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    pool: Pool,
    /// The connection that the requests of one thread share, and since when.
    shared: ThreadLocal<Mutex<Option<(Link, Instant)>>>,
    /// Open: everybody is told at once that the server is away, until a probe of our own is answered.
    breaker_open: AtomicBool,
    call_stats: CallStats,
    address: String,
}

enum Pool {
    Single(ThreadLocalPool<Manager>),
    Cluster(ThreadLocalPool<Clusters>),
}

/// A connection that may be used by many at once.
#[derive(Clone)]
enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Redis {
    /// The server that the settings name; none when they name the process itself. Connects to nothing yet.
    ///
    /// # Errors
    /// When the authority's file cannot be read.
    pub fn from_config(config: &Config) -> Result<Option<Redis>> {
        let Setting::Server(url) = &config.redis else { return Ok(None) };
        let root_cert = match &config.redis_ca_file {
            Some(file) => {
                // For its words when it is no such file.
                super::tls::certificates(file).map_err(|error| error.about("REDIS_CA_FILE"))?;
                Some(std::fs::read(file).map_err(Error::internal)?)
            }
            None => None,
        };
        let authority =
            root_cert.map(|root_cert| TlsCertificates { client_tls: None, root_cert: Some(root_cert) });
        let server = url.expose().into_connection_info().map_err(Error::internal)?;
        let pool = if config.redis_cluster {
            let clusters = Clusters::new(server, authority, CONNECT, ANSWER)?;
            Pool::Cluster(ThreadLocalPool::new(move || build(clusters.clone()))?)
        } else {
            let server = match authority {
                Some(authority) => {
                    let client = Client::build_with_tls(server, authority).map_err(Error::internal)?;
                    client.get_connection_info().clone()
                }
                None => server,
            };
            let limits = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECT))
                .set_response_timeout(Some(ANSWER));
            Pool::Single(ThreadLocalPool::new(move || {
                let manager = Manager::new_with_config(server.clone(), limits.clone());
                build(manager.map_err(Error::internal)?)
            })?)
        };
        Ok(Some(Redis(Arc::new(Inner {
            pool,
            shared: ThreadLocal::new(),
            breaker_open: AtomicBool::new(false),
            call_stats: CallStats::default(),
            address: config.redis.to_string(),
        }))))
    }

    /// How it is doing.
    pub fn call_stats(&self) -> &CallStats {
        &self.0.call_stats
    }

    /// Where it is, without user and password.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Asks whether it takes something.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<()> {
        self.run(&probe()).await
    }

    /// Sends commands in one round trip and reads their answers. In a cluster one server has to hold all their keys.
    ///
    /// # Errors
    /// [`Error::Unavailable`], after one time-out at most; at once while the server is known to be away.
    pub async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        if self.0.breaker_open.load(Ordering::Relaxed) {
            return Err(Error::unavailable("Redis is away"));
        }
        let asked = self.0.call_stats.watch(self.ask(commands)).await;
        match asked {
            Err(error) if is_absence(&error) => {
                self.open_breaker(&error);
                Err(Error::unavailable(error))
            }
            // Full (OOM), or an answer of another kind: what was asked failed, the rest goes on.
            Err(error) => Err(Error::unavailable(error)),
            Ok(answer) => Ok(answer),
        }
    }

    /// Once more over a new connection, if this one turned out to be closed or to lead to a replica.
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
            while let Err(error) = inner.call_stats.watch(inner.probe()).await {
                tracing::debug!(%error, "Redis is still away");
                tokio::time::sleep(PROBE).await;
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
            && since.elapsed() < TRUSTED
        {
            return Ok(link);
        }
        let link = self.pool.checked().await?;
        *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some((link.clone(), Instant::now()));
        Ok(link)
    }

    /// By a new connection: an old one may hang for ever.
    async fn probe(&self) -> RedisResult<()> {
        self.drop_links();
        probe().query_async(&mut self.link().await?).await
    }

    fn drop_links(&self) {
        for shared in &self.shared {
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        match &self.pool {
            Pool::Single(pools) => pools.all().for_each(|pool| drop(pool.retain(|_, _| false))),
            Pool::Cluster(pools) => pools.all().for_each(|pool| drop(pool.retain(|_, _| false))),
        }
    }
}

impl Pool {
    /// A connection that has just answered, or a new one.
    async fn checked(&self) -> RedisResult<Link> {
        match self {
            Pool::Single(pools) => checked(pools).await.map(Link::Single),
            Pool::Cluster(pools) => checked(pools).await.map(Link::Cluster),
        }
    }
}

async fn checked<M>(pools: &ThreadLocalPool<M>) -> RedisResult<M::Type>
where
    M: deadpool::managed::Manager<Error = RedisError>,
    M::Type: Clone,
{
    let failed = |error: &dyn Display| RedisError::from((ErrorKind::Io, "no connection", error.to_string()));
    let pool = pools.here().map_err(|error| failed(&error))?;
    let connection = pool.get().await.map_err(|error| failed(&error))?;
    Ok((*connection).clone())
}

/// A write: a replica, which takes none, would answer a PING.
fn probe() -> Pipeline {
    let mut probe = redis::pipe();
    probe.set_ex(format!("{PREFIX}probe"), 1, 1).ignore();
    probe
}

fn build<M>(manager: M) -> Result<deadpool::managed::Pool<M>>
where
    M: deadpool::managed::Manager<Error = RedisError> + 'static,
{
    let old = Hook::sync_fn(|_: &mut M::Type, metrics: &Metrics| match metrics.age() > MAX_LIFETIME {
        true => Err(HookError::message("old enough to be replaced")),
        false => Ok(()),
    });
    deadpool::managed::Pool::<M>::builder(manager)
        // The connection is shared; the second one stands in while the first is checked.
        .max_size(2)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(CONNECT), create: Some(CONNECT), recycle: Some(ANSWER) })
        .pre_recycle(old)
        .build()
        .map_err(Error::internal)
}

/// Whether the server as such is away, rather than this one request refused.
fn is_absence(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || error.is_connection_refusal()
        || is_not_ours(error)
}

/// Whether another connection may do better at once. A time-out is not worth another one.
fn is_stale(error: &RedisError) -> bool {
    !error.is_timeout() && (error.is_connection_dropped() || error.is_io_error() || is_not_ours(error))
}

/// A server that is not, or not yet, the one to ask: a primary that became a replica, or one that is starting.
fn is_not_ours(error: &RedisError) -> bool {
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

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Link::Single(connection) => connection.req_packed_command(cmd),
            Link::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Link::Single(connection) => connection.req_packed_commands(cmd, offset, count),
            Link::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Link::Single(connection) => connection.get_db(),
            Link::Cluster(connection) => connection.get_db(),
        }
    }
}
