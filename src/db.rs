//! The database: SQLite or MySQL behind one type, one set of queries for both.
//!
//! A model asks for a [`Conn`] and runs its SQL through [`on!`], which writes the same query once per database. Work
//! that belongs together goes through [`Db::transaction`]. Nothing outside this module knows which database there is.

mod conn;
mod migrate;
mod pool;

use std::time::Duration;

pub use conn::{Conn, Link, Outcome};
pub(crate) use conn::{execute, fetch_all, fetch_one, fetch_optional, on, row};
pub use migrate::MIGRATE_LOCK_TIMEOUT;

use crate::config;
use crate::error::{Error, Result};
use pool::{MySqlConnections, Pool, SqliteConnections};

/// How often a transaction is tried when the database undoes it in favour of another one (deadlock, lock wait).
const ATTEMPTS: usize = 3;
/// A connection is there within this time or not at all: with a server that is frozen, every idle one takes a second to
/// be found dead, and nobody waits for all of them.
const CHECKOUT: Duration = Duration::from_millis(2500);

/// The pool of connections. Clones share it.
#[derive(Clone)]
pub enum Db {
    /// A file. For development and for a single small instance.
    Sqlite(Pool<SqliteConnections>),
    /// MySQL or MariaDB: RDS, Aurora.
    MySql(Pool<MySqlConnections>),
}

impl Db {
    /// Prepares the pool; connections are made when they are asked for, so this succeeds while the database is down.
    ///
    /// # Errors
    /// When the folder of the SQLite file cannot be made, or the runtime refuses the pool's parameters.
    pub fn open(config: &config::Database) -> Result<Db> {
        match config {
            config::Database::Sqlite(path) => Ok(Db::Sqlite(pool::sqlite(path)?)),
            config::Database::MySql(mysql) => Ok(Db::MySql(pool::mysql(mysql)?)),
        }
    }

    /// Takes a connection out of the pool; dropping it gives it back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when none is free or can be made in time.
    pub async fn conn(&self) -> Result<Conn> {
        let checkout = async {
            let link = match self {
                Db::Sqlite(pool) => Link::Sqlite(pool.get().await.map_err(Error::unavailable)?),
                Db::MySql(pool) => Link::MySql(pool.get().await.map_err(Error::unavailable)?),
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

    /// Connections in use and the most there can be.
    pub fn in_use(&self) -> (usize, usize) {
        let status = match self {
            Db::Sqlite(pool) => pool.status(),
            Db::MySql(pool) => pool.status(),
        };
        (status.size.saturating_sub(status.available), status.max_size)
    }
}
