//! The database: SQLite and MySQL behind one type, with one set of queries for both.
//!
//! A model takes a [`Conn`] and runs its SQL through [`with_backend!`], which expands the same query once per backend. Statements
//! that must succeed or fail together go through [`Db::transaction`]. Models do not know which backend is in use.

mod cluster;
mod conn;
mod migrate;
mod pool;
mod position;
mod query;
mod reader;
mod shortest_wait;
mod sign_in;
mod text_query;
mod transaction;
mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use cluster::Cluster;
pub use conn::{Backend, Conn, ExecResult};
pub use migrate::MIGRATE_LOCK_TIMEOUT;
pub use pool::NeedsTls;
pub use position::Position;
pub(crate) use query::{defer, execute, fetch_all, fetch_one, fetch_optional, row, with_backend};
pub use reader::{MAX_LAG, Reader};
pub(crate) use text_query::TextQuery;
pub use writes::{note_write, observe_writes};

use crate::config;
use crate::error::{Error, Result};
use crate::telemetry::call_stats::CallStats;
use crate::thread_local_pool::ThreadLocalPool;
use conn::ANSWER_TIMEOUT;
use deadpool::Status;
use pool::{MYSQL_PER_THREAD, MySqlConnections, Pool, Renewal, SqliteConnections};
use shortest_wait::ShortestWait;

/// Upper bound for a checkout. Each idle connection to a frozen server takes 1 s to fail its ping; without a bound, one
/// checkout could wait for all of them in turn.
const CHECKOUT_TIMEOUT: Duration = Duration::from_millis(2700);

/// The connection pools. Clones share them.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    backend: Pools,
    call_stats: CallStats,
    shortest_wait: ShortestWait,
    address: String,
    checkout_timeout: Duration,
    answer_timeout: Duration,
    by_proxy: bool,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Pools {
    /// A file, for development and for a single small instance.
    Sqlite(Pool<SqliteConnections>),
    /// MySQL or MariaDB: RDS, Aurora.
    MySql { pools: ThreadLocalPool<MySqlConnections>, renewal: Arc<Renewal> },
}

impl Db {
    /// Prepares the pools. Connections are opened on first use, so this succeeds while the database is down.
    pub fn open(config: &config::Database) -> Result<Db> {
        Db::open_within(config, CHECKOUT_TIMEOUT, ANSWER_TIMEOUT)
    }

    fn open_within(
        config: &config::Database,
        checkout_timeout: Duration,
        answer_timeout: Duration,
    ) -> Result<Db> {
        let (backend, address) = match config {
            config::Database::Sqlite(path) => {
                (Pools::Sqlite(pool::sqlite(path)?), path.display().to_string())
            }
            config::Database::MySql(mysql) => {
                let renewal = Arc::new(Renewal::default());
                let pools = pool::mysql(mysql, &renewal)?;
                (Pools::MySql { pools, renewal }, mysql.to_string())
            }
        };
        let (call_stats, shortest_wait) = (CallStats::default(), ShortestWait::default());
        let by_proxy = matches!(config, config::Database::MySql(mysql) if mysql.by_proxy);
        let inner =
            Inner { backend, call_stats, shortest_wait, address, checkout_timeout, answer_timeout, by_proxy };
        Ok(Db(Arc::new(inner)))
    }

    fn answer_timeout(&self) -> Duration {
        self.0.answer_timeout
    }

    /// Whether a proxy shares server connections between clients (DATABASE_PROXY).
    fn is_by_proxy(&self) -> bool {
        self.0.by_proxy
    }

    /// The product name, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.0.backend {
            Pools::Sqlite(_) => "SQLite",
            Pools::MySql { .. } => "MySQL",
        }
    }

    /// Statistics of all statements and of failed checkouts.
    pub fn call_stats(&self) -> &CallStats {
        &self.0.call_stats
    }

    /// The file path or the URL, without user and password.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Checks that the database accepts writes. The UPDATE matches no row; a SELECT would succeed on a demoted primary
    /// or a read-only file.
    pub async fn ping(&self) -> Result<()> {
        execute!(&mut self.conn().await?, "UPDATE jobs SET attempts = attempts WHERE id = 0")?;
        Ok(())
    }

    /// Checks a connection out of the pool; dropping it returns it. Fails with [`Error::Unavailable`] if no connection
    /// is free or can be opened in time.
    pub async fn conn(&self) -> Result<Conn> {
        let start = Instant::now();
        let (demand, max) = self.demand();
        let conn = self.checkout().await;
        // Opening a connection takes time, too, and says nothing about a queue.
        self.0.shortest_wait.record(if demand >= max { start.elapsed() } else { Duration::ZERO });
        if let Err(error) = &conn {
            self.0.call_stats.record(start.elapsed(), Some(error));
        }
        conn
    }

    /// How many hold or want one of this thread's connections, and how many there may be.
    fn demand(&self) -> (usize, usize) {
        let status = match &self.0.backend {
            Pools::Sqlite(pool) => Some(pool.status()),
            Pools::MySql { pools, .. } => pools.local().ok().map(Pool::status),
        };
        status.map_or((0, 1), |pool| (pool.size.saturating_sub(pool.available) + pool.waiting, pool.max_size))
    }

    /// The shortest wait for a connection on this thread since the last call, which was `since` ago. If nobody got
    /// one and somebody waits, it is at least as long.
    pub fn take_shortest_wait(&self, since: Duration) -> Duration {
        let (demand, max) = self.demand();
        let none = if demand > max { since } else { Duration::ZERO };
        self.0.shortest_wait.take().unwrap_or(none)
    }

    async fn checkout(&self) -> Result<Conn> {
        let checkout = async {
            let link = match &self.0.backend {
                Pools::Sqlite(pool) => Backend::Sqlite(pool.get().await.map_err(pool::refused)?),
                Pools::MySql { pools, .. } => Backend::MySql(pool::get(pools.local()?).await?),
            };
            Ok(Conn::new(self.clone(), link))
        };
        let late = |_| Err(Error::unavailable("there was no connection to the database in time"));
        tokio::time::timeout(self.0.checkout_timeout, checkout).await.unwrap_or_else(late)
    }

    /// Opens a connection now, so that an unusable database is an error here and not at the first query.
    pub async fn with_connection(self) -> Result<Db> {
        self.conn().await?;
        Ok(self)
    }

    /// The cluster with several writers that the server belongs to, if any.
    pub async fn cluster(&self) -> Result<Option<Cluster>> {
        let mut conn = self.conn().await?;
        let limit = conn.answer_timeout();
        let answer = match conn.backend_mut()? {
            Backend::Sqlite(_) => (true, Ok(None)),
            Backend::MySql(object) => Conn::with_timeout(limit, Cluster::of(object)).await,
        };
        conn.finish(answer)
    }

    /// Replaces every MySQL connection before its next use: one of them leads to a server that no longer takes writes,
    /// and a new connection may reach the new primary.
    fn renew_connections(&self) {
        if let Pools::MySql { renewal, .. } = &self.0.backend {
            renewal.begin();
        }
    }

    /// Connections in use, and the maximum for all threads that have a pool so far.
    pub fn in_use(&self) -> (usize, usize) {
        let pools: Vec<Status> = match &self.0.backend {
            Pools::Sqlite(pool) => vec![pool.status()],
            Pools::MySql { pools, .. } => pools.iter().map(Pool::status).collect(),
        };
        let in_use = |pool: &Status| pool.size.saturating_sub(pool.available);
        (pools.iter().map(in_use).sum(), pools.iter().map(|pool| pool.max_size).sum())
    }

    /// Maximum number of connections that one thread can hold.
    pub fn max_per_thread(&self) -> usize {
        match &self.0.backend {
            Pools::Sqlite(pool) => pool.status().max_size,
            Pools::MySql { .. } => MYSQL_PER_THREAD,
        }
    }
}
