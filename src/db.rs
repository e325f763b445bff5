//! The database: SQLite or MySQL behind one type, one set of queries for both.
//!
//! A model asks for a [`Conn`] and runs its SQL through [`on!`], which writes the same query once per database. Work
//! that belongs together goes through [`Db::transaction`]. Nothing outside this module knows which database there is.

mod conn;
mod migrate;
mod pool;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use conn::{Conn, Link, Outcome};
pub(crate) use conn::{execute, fetch_all, fetch_one, fetch_optional, on, row};
pub use migrate::MIGRATE_LOCK_TIMEOUT;

use crate::config;
use crate::error::{Error, Result};
use crate::per_thread::PerThread;
use crate::services::vitals::Vitals;
use deadpool::Status;
use pool::{MYSQL_A_THREAD, MySqlConnections, Pool, SqliteConnections};

/// How often a transaction is tried when the database undoes it in favour of another one (deadlock, lock wait).
const ATTEMPTS: usize = 3;
/// A connection is there within this time or not at all: with a server that is frozen, every idle one takes a second to
/// be found dead, and nobody waits for all of them.
const CHECKOUT: Duration = Duration::from_millis(2500);

/// The pools of connections. Clones share them.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
    vitals: Vitals,
    address: String,
}

#[derive(Clone)]
enum Backend {
    /// A file. For development and for a single small instance.
    Sqlite(Pool<SqliteConnections>),
    /// MySQL or MariaDB: RDS, Aurora.
    MySql(Arc<PerThread<MySqlConnections>>),
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
                (Backend::MySql(Arc::new(pool::mysql(mysql)?)), mysql.to_string())
            }
        };
        Ok(Db { backend, vitals: Vitals::default(), address })
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Sqlite(_) => "SQLite",
            Backend::MySql(_) => "MySQL",
        }
    }

    /// How it is doing: pings, and whatever was not answered.
    pub fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Where it is, without user and password.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// Asks it something.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<()> {
        let ask = async {
            let mut conn = self.checkout().await?;
            let (_,): (i64,) = fetch_one!(&mut conn, "SELECT 1")?;
            Ok::<(), Error>(())
        };
        self.vitals.watch(ask).await
    }

    /// Takes a connection out of the pool; dropping it gives it back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none is free or can be made in time.
    pub async fn conn(&self) -> Result<Conn> {
        let start = Instant::now();
        let conn = self.checkout().await;
        if let Err(error) = &conn {
            self.vitals.note(start.elapsed(), Some(error));
        }
        conn
    }

    async fn checkout(&self) -> Result<Conn> {
        let checkout = async {
            let link = match &self.backend {
                Backend::Sqlite(pool) => Link::Sqlite(pool.get().await.map_err(Error::unavailable)?),
                Backend::MySql(pools) => Link::MySql(pools.here()?.get().await.map_err(Error::unavailable)?),
            };
            Ok(Conn::new(link))
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

    /// Runs `work` in one transaction: all of it happens or nothing. When the database gives way to another
    /// transaction (MySQL 1213 and 1205), the whole of `work` runs again, three times at most; so `work` must do
    /// nothing but talk to the database.
    ///
    /// # Errors
    /// What `work` answers, or what the database says; nothing is changed then.
    pub async fn transaction<T>(&self, work: impl AsyncFn(&mut Conn) -> Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            let mut conn = self.conn().await?;
            conn.begin().await?;
            let done = match work(&mut conn).await {
                Ok(value) => conn.commit().await.map(|()| value),
                Err(error) => {
                    // A connection that cannot roll back is closed when it is dropped, which rolls back as well.
                    let _ = conn.rollback().await;
                    Err(error)
                }
            };
            match done {
                Err(error) if error.gave_way() && attempt < ATTEMPTS => attempt += 1,
                Err(error) if error.gave_way() => return Err(Error::unavailable(error)),
                done => return done,
            }
        }
    }

    /// Connections in use and the most there can be, as many threads as ask now.
    pub fn in_use(&self) -> (usize, usize) {
        let pools: Vec<Status> = match &self.backend {
            Backend::Sqlite(pool) => vec![pool.status()],
            Backend::MySql(pools) => pools.all().map(Pool::status).collect(),
        };
        let in_use = |pool: &Status| pool.size.saturating_sub(pool.available);
        (pools.iter().map(in_use).sum(), pools.iter().map(|pool| pool.max_size).sum())
    }

    /// The most connections that one thread can hold.
    pub fn most_here(&self) -> usize {
        match &self.backend {
            Backend::Sqlite(pool) => pool.status().max_size,
            Backend::MySql(_) => MYSQL_A_THREAD,
        }
    }
}
