//! One connection.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use futures_util::TryFutureExt;
use sqlx::AssertSqlSafe;
use sqlx::mysql::MySqlQueryResult;
use sqlx::sqlite::SqliteQueryResult;

use super::pool::{MySqlConnections, SqliteConnections};
use super::{Db, Reader, TextQuery};
use crate::error::{Error, Failure, Result};

/// Time-out for a statement. Longer than the server's own statement time-out (pool.rs), so it applies only if the
/// server does not answer at all (frozen, or packets are lost). Short enough that a visitor gets an error page within 3
/// s.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_millis(2800);

/// A connection checked out of the pool. If it is dropped during a query or a transaction (client disconnected,
/// time-out), it is closed rather than returned: sqlx cannot resume in the middle of a response (transact-rs/sqlx
/// issues 563 and 4349), and closing also rolls the transaction back.
pub struct Conn {
    db: Db,
    /// Of a connection to a reader: its queries run on the writer if they fail here.
    reader: Option<Reader>,
    backend: Option<Backend>,
    idle: bool,
    in_transaction: bool,
    /// Statements of this transaction that the next one takes along, each with a semicolon.
    deferred: String,
    started_at: Instant,
}

/// The first statement of a transaction on MySQL.
const BEGIN: &str = "BEGIN; ";

/// The pooled connection inside a [`Conn`]; only [`with_backend!`] and db/migrate.rs match on it.
pub enum Backend {
    Sqlite(Object<SqliteConnections>),
    MySql(Object<MySqlConnections>),
}

/// The result of a statement that returns no rows.
#[derive(Clone, Copy)]
pub struct ExecResult {
    /// Number of rows affected.
    pub rows: u64,
    /// Id of the inserted row.
    pub id: i64,
}

impl Conn {
    pub(super) fn new(db: Db, backend: Backend) -> Conn {
        Conn {
            db,
            reader: None,
            backend: Some(backend),
            idle: true,
            in_transaction: false,
            deferred: String::new(),
            started_at: Instant::now(),
        }
    }

    pub(super) fn with_reader(mut self, reader: Reader) -> Conn {
        self.reader = Some(reader);
        self
    }

    /// For [`with_backend!`]: the time-out of a statement.
    #[doc(hidden)]
    pub fn answer_timeout(&self) -> Duration {
        self.db.answer_timeout()
    }

    /// For [`with_backend!`]: the statement, if it goes as text (text_query.rs): with DATABASE_PROXY, or because it takes
    /// deferred statements along. Those before any other statement are sent here.
    pub(crate) async fn as_text(&mut self, query: impl FnOnce() -> TextQuery) -> Result<Option<TextQuery>> {
        if self.db.is_by_proxy() {
            return Ok(Some(query()));
        }
        if self.deferred.is_empty() {
            return Ok(None);
        }
        let query = query();
        if query.has_text() {
            return self.execute_text("").await.map(|()| None);
        }
        Ok(Some(query.after(std::mem::take(&mut self.deferred))))
    }

    /// For [`defer!`]: whether statements can wait for the next one. RDS Proxy gets them one by one, and SQLite is near.
    pub(crate) fn defers(&self) -> bool {
        self.in_transaction && !self.db.is_by_proxy() && matches!(self.backend, Some(Backend::MySql(_)))
    }

    /// For [`defer!`]. Fails for a statement with text, which must be bound.
    pub(crate) fn defer(&mut self, query: TextQuery) -> Result<()> {
        if query.has_text() {
            return Err(Error::internal("a statement with text cannot be deferred"));
        }
        self.deferred += &query.text()?;
        self.deferred += "; ";
        Ok(())
    }

    /// For [`with_backend!`]: the backend, marked as busy until [`finish`](Self::finish). Not for use in a transaction:
    /// what is deferred, BEGIN included, is not sent.
    #[doc(hidden)]
    pub fn backend_mut(&mut self) -> Result<&mut Backend> {
        self.idle = false;
        self.started_at = Instant::now();
        self.backend.as_mut().ok_or_else(|| Error::unavailable("the connection was closed"))
    }

    /// For [`with_backend!`]: runs the query under the time-out. The flag is true if the server answered (a row, or an error of
    /// its own): only then can the connection run another query.
    #[doc(hidden)]
    pub async fn with_timeout<T>(
        limit: Duration,
        query: impl Future<Output = sqlx::Result<T>>,
    ) -> (bool, Result<T>) {
        match tokio::time::timeout(limit, query).await {
            Err(_) => (false, Err(Error::unavailable("the database did not answer in time"))),
            Ok(Ok(value)) => (true, Ok(value)),
            Ok(Err(error)) => {
                let answered = matches!(error, sqlx::Error::Database(_) | sqlx::Error::RowNotFound);
                (answered, Err(error.into()))
            }
        }
    }

    /// For [`with_backend!`]: records statistics, and closes a connection that cannot be used again.
    #[doc(hidden)]
    pub fn finish<T>(&mut self, (idle, answer): (bool, Result<T>)) -> Result<T> {
        let error = answer.as_ref().err();
        let failure = error.map(Error::failure);
        self.idle = idle && !failure.is_some_and(Failure::ends_connection);
        // A lock conflict does not count as an outage: the database did answer.
        let is_outage = |error: &&Error| matches!(error, Error::Unavailable(_)) && !error.is_lock_conflict();
        self.db.call_stats().record(self.started_at.elapsed(), error.filter(is_outage));
        if failure == Some(Failure::StaleConnection) {
            self.db.renew_connections();
        }
        if !self.idle {
            // Closed at once, so that a ROLLBACK does not wait for the time-out again.
            self.close();
        }
        answer
    }

    /// For [`with_backend!`]: `Ok` if a failed statement is to run again, on this connection or on a new one; otherwise its
    /// error. Statements in a transaction are not repeated singly: `Db::transaction` repeats all of them. Whatever fails on
    /// a reader runs on the writer. Boxed because it is rare.
    #[doc(hidden)]
    pub fn prepare_retry(
        &mut self,
        error: Error,
        attempts: usize,
    ) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            if let Some(reader) = self.reader.take_if(|_| !matches!(error, Error::NotFound)) {
                reader.leave(&error);
                *self = reader.writer().conn().await?;
                return Ok(());
            }
            if self.in_transaction || !error.failure().is_tried_again_after(attempts) {
                return Err(error);
            }
            tokio::time::sleep(error.failure().backoff(attempts)).await;
            if self.backend.is_none() {
                let db = self.db.clone();
                *self = db.conn().await?;
            }
            Ok(())
        })
    }

    fn close(&mut self) {
        match self.backend.take() {
            Some(Backend::Sqlite(object)) => drop(Object::take(object)),
            Some(Backend::MySql(object)) => drop(Object::take(object)),
            None => {}
        }
    }

    /// On MySQL, BEGIN waits for the first statement.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.in_transaction = true;
        if self.defers() {
            self.deferred = BEGIN.into();
            return Ok(());
        }
        // SQLite: take the write lock at once. Upgrading from a read lock later can fail with SQLITE_BUSY.
        let begin = match self.backend {
            Some(Backend::Sqlite(_)) => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        self.execute_text(begin).await
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        if self.deferred != BEGIN {
            self.execute_text("COMMIT").await?;
        }
        self.end_transaction();
        Ok(())
    }

    pub(super) async fn rollback(mut self) -> Result<()> {
        if !std::mem::take(&mut self.deferred).starts_with(BEGIN) {
            self.execute_text("ROLLBACK").await?;
        }
        self.end_transaction();
        Ok(())
    }

    fn end_transaction(&mut self) {
        self.deferred.clear();
        self.in_transaction = false;
    }

    /// Runs a statement that has no values, after the deferred ones.
    pub async fn execute_text(&mut self, sql: &str) -> Result<()> {
        let sql = sqlx::raw_sql(AssertSqlSafe(std::mem::take(&mut self.deferred) + sql));
        let limit = self.answer_timeout();
        let answer = match self.backend_mut()? {
            Backend::Sqlite(object) => {
                Conn::with_timeout(limit, sql.execute(&mut **object).map_ok(|_| ())).await
            }
            Backend::MySql(object) => {
                Conn::with_timeout(limit, sql.execute(&mut **object).map_ok(|_| ())).await
            }
        };
        self.finish(answer)
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if !self.idle || self.in_transaction {
            self.close();
        }
    }
}

impl From<MySqlQueryResult> for ExecResult {
    fn from(result: MySqlQueryResult) -> ExecResult {
        ExecResult { rows: result.rows_affected(), id: result.last_insert_id().cast_signed() }
    }
}

impl From<SqliteQueryResult> for ExecResult {
    fn from(result: SqliteQueryResult) -> ExecResult {
        ExecResult { rows: result.rows_affected(), id: result.last_insert_rowid() }
    }
}
