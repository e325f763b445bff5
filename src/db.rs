//! The database: SQLite or MySQL behind one type, one set of queries for both.
//!
//! A model asks for a [`Conn`] and runs its SQL through [`on!`], which writes the same query once per database. Work
//! that belongs together goes through [`Db::transaction`]. Nothing outside this module knows which database there is.

mod conn;
mod migrate;
mod pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use conn::{Conn, ExecResult, Link};
pub(crate) use conn::{execute, fetch_all, fetch_one, fetch_optional, on, row};
pub use migrate::MIGRATE_LOCK_TIMEOUT;
pub use pool::NeedsTls;

use crate::config;
use crate::error::{Error, Result};
use crate::telemetry::call_stats::CallStats;
use crate::thread_local_pool::ThreadLocalPool;
use deadpool::Status;
use pool::{MYSQL_PER_THREAD, MySqlConnections, Pool, Renewal, SqliteConnections};

/// A connection is there within this time or not at all: with a server that is frozen, every idle one takes a second to
/// be found dead, and nobody waits for all of them.
const CHECKOUT: Duration = Duration::from_millis(2700);

/// The pools of connections. Clones share them.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    backend: Backend,
    call_stats: CallStats,
    address: String,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it in a process")]
enum Backend {
    /// A file. For development and for a single small instance.
    Sqlite(Pool<SqliteConnections>),
    /// MySQL or MariaDB: RDS, Aurora.
    MySql { pools: ThreadLocalPool<MySqlConnections>, renewal: Arc<Renewal> },
}

impl Db {
    /// Prepares the pool; connections are made when they are asked for, so this succeeds while the database is down.
    ///
    /// # Errors
    /// When the folder of the SQLite file cannot be made, or the runtime refuses the pool's parameters.
    pub fn open(config: &config::Database) -> Result<Db> {
        let (backend, address) = match config {
            config::Database::Sqlite(path) => {
                (Backend::Sqlite(pool::sqlite(path)?), path.display().to_string())
            }
            config::Database::MySql(mysql) => {
                let renewal = Arc::new(Renewal::default());
                let pools = pool::mysql(mysql, &renewal)?;
                (Backend::MySql { pools, renewal }, mysql.to_string())
            }
        };
        Ok(Db(Arc::new(Inner { backend, call_stats: CallStats::default(), address })))
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.0.backend {
            Backend::Sqlite(_) => "SQLite",
            Backend::MySql { .. } => "MySQL",
        }
    }

    /// How it is doing: every statement, and every connection that could not be had.
    pub fn call_stats(&self) -> &CallStats {
        &self.0.call_stats
    }

    /// Where it is, without user and password.
    pub fn address(&self) -> String {
        self.0.address.clone()
    }

    /// Writes to no row: a server that has become a reader, or a file that has, answers questions only.
    ///
    /// # Errors
    /// When it does not answer, or takes no writes.
    pub async fn ping(&self) -> Result<()> {
        execute!(&mut self.conn().await?, "UPDATE jobs SET attempts = attempts WHERE id = 0")?;
        Ok(())
    }

    /// Takes a connection out of the pool; dropping it gives it back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none is free or can be made in time.
    pub async fn conn(&self) -> Result<Conn> {
        let start = Instant::now();
        let conn = self.checkout().await;
        if let Err(error) = &conn {
            self.0.call_stats.note(start.elapsed(), Some(error));
        }
        conn
    }

    async fn checkout(&self) -> Result<Conn> {
        let checkout = async {
            let link = match &self.0.backend {
                Backend::Sqlite(pool) => Link::Sqlite(pool.get().await.map_err(pool::refused)?),
                Backend::MySql { pools, .. } => {
                    Link::MySql(pools.here()?.get().await.map_err(pool::refused)?)
                }
            };
            Ok(Conn::new(self.clone(), link))
        };
        let late = |_| Err(Error::unavailable("there was no connection to the database in time"));
        tokio::time::timeout(CHECKOUT, checkout).await.unwrap_or_else(late)
    }

    /// The same pool, once it has a connection.
    ///
    /// # Errors
    /// As [`conn`](Self::conn).
    pub async fn with_connection(self) -> Result<Db> {
        self.conn().await?;
        Ok(self)
    }

    /// Runs `work` in one transaction: all of it happens or nothing. Where the database gives way to another transaction,
    /// or the connection leads to a server that takes no writes, the whole of `work` runs again (error/failure.rs), as a
    /// single statement does; so `work` must do nothing but talk to the database.
    ///
    /// # Errors
    /// What `work` answers, or what the database says; nothing is changed then.
    pub async fn transaction<T>(&self, work: impl AsyncFn(&mut Conn) -> Result<T>) -> Result<T> {
        let mut attempts = 0;
        loop {
            let mut conn = self.conn().await?;
            let done = match conn.begin().await {
                Ok(()) => work(&mut conn).await,
                Err(error) => Err(error),
            };
            let done = match done {
                Ok(value) => conn.commit().await.map(|()| value),
                Err(error) => {
                    // A connection that cannot roll back is closed when it is dropped, which rolls back as well.
                    let _ = conn.rollback().await;
                    Err(error)
                }
            };
            attempts += 1;
            match done {
                Err(error) if error.failure().is_tried_again_after(attempts) => {}
                done => return done,
            }
        }
    }

    /// Every connection is replaced before its next use: one of them led to a server that takes no writes any more, and a
    /// new one may lead to its successor.
    fn renew_connections(&self) {
        if let Backend::MySql { renewal, .. } = &self.0.backend {
            renewal.begin();
        }
    }

    /// Connections in use and the most there can be, as many threads as ask now.
    pub fn in_use(&self) -> (usize, usize) {
        let pools: Vec<Status> = match &self.0.backend {
            Backend::Sqlite(pool) => vec![pool.status()],
            Backend::MySql { pools, .. } => pools.all().map(Pool::status).collect(),
        };
        let in_use = |pool: &Status| pool.size.saturating_sub(pool.available);
        (pools.iter().map(in_use).sum(), pools.iter().map(|pool| pool.max_size).sum())
    }

    /// The most connections that one thread can hold.
    pub fn most_here(&self) -> usize {
        match &self.0.backend {
            Backend::Sqlite(pool) => pool.status().max_size,
            Backend::MySql { .. } => MYSQL_PER_THREAD,
        }
    }
}
