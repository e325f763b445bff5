//! The pool of connections to a SQLite file.

use std::path::Path;
use std::time::{Duration, Instant};

use deadpool::managed::{Manager, Metrics, RecycleResult};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};

use super::{CACHED_STATEMENTS, Pool, build, rarely, recycle};
use crate::error::{Error, Failure, Result, unusable};

/// How long SQLite waits for another writer. Shorter than the statement time-out (conn.rs), so that the error names the
/// cause.
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_millis(2500);
/// Pause before a busy SQLite file is opened again.
const SQLITE_OPEN_RETRY_INTERVAL: Duration = Duration::from_millis(10);

pub struct SqliteConnections(SqliteConnectOptions);

/// One pool for all threads: sqlx runs SQLite on threads of its own.
pub(in crate::db) fn sqlite(path: &Path) -> Result<Pool<SqliteConnections>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::internal(unusable(folder, "DATABASE_URL", error)))?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a process crash loses nothing; a power failure may lose the last transactions.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .statement_cache_capacity(CACHED_STATEMENTS)
        .disable_statement_logging();
    // No create time-out: opening a file has its own (see `create`).
    build(SqliteConnections(options), 2 * cores(), None)
}

impl SqliteConnections {
    /// Adds the path and the setting to the error of a file that cannot be opened.
    fn named(&self, error: sqlx::Error) -> sqlx::Error {
        match error.as_database_error().and_then(|e| e.code()) {
            // SQLITE_CANTOPEN, SQLITE_NOTADB
            Some(code) if matches!(code.as_ref(), "14" | "26") => {
                sqlx::Error::Configuration(unusable(self.0.get_filename(), "DATABASE_URL", error).into())
            }
            _ => error,
        }
    }
}

impl Manager for SqliteConnections {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    /// The first connection to a new file switches it to WAL. That returns SQLITE_BUSY_TIMEOUT at once while others use the
    /// file: the busy time-out does not apply to it (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY").
    async fn create(&self) -> sqlx::Result<SqliteConnection> {
        rarely(async {
            let start = Instant::now();
            loop {
                match self.0.connect().await {
                    Err(error)
                        if Failure::of(&error) == Failure::Transient
                            && start.elapsed() < SQLITE_BUSY_TIMEOUT =>
                    {
                        tokio::time::sleep(SQLITE_OPEN_RETRY_INTERVAL).await;
                    }
                    opened => return opened.map_err(|error| self.named(error)),
                }
            }
        })
        .await
    }

    async fn recycle(&self, conn: &mut SqliteConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        recycle(conn, metrics).await
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}
