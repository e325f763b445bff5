//! One connection, and the macros that run one query on either backend.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use deadpool::managed::Object;
use futures_util::TryFutureExt;
use sqlx::mysql::MySqlQueryResult;
use sqlx::sqlite::SqliteQueryResult;

use super::pool::{MySqlConnections, SqliteConnections};
use super::{Db, Reader};
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
    started_at: Instant,
}

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

    /// For [`with_backend!`]: whether statements go as text (text_query.rs).
    #[doc(hidden)]
    pub fn is_by_proxy(&self) -> bool {
        self.db.is_by_proxy()
    }

    /// For [`with_backend!`]: the backend, marked as busy until [`finish`](Self::finish).
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

    pub(super) async fn begin(&mut self) -> Result<()> {
        self.in_transaction = true;
        // SQLite: take the write lock at once. Upgrading from a read lock later can fail with SQLITE_BUSY.
        let begin = match self.backend {
            Some(Backend::Sqlite(_)) => "BEGIN IMMEDIATE",
            _ => "BEGIN",
        };
        with_backend!(self, |c| sqlx::raw_sql(begin).execute(c).map_ok(|_| ()))
    }

    pub(super) async fn commit(mut self) -> Result<()> {
        self.end_transaction("COMMIT").await
    }

    pub(super) async fn rollback(mut self) -> Result<()> {
        self.end_transaction("ROLLBACK").await
    }

    async fn end_transaction(&mut self, word: &'static str) -> Result<()> {
        with_backend!(self, |c| sqlx::raw_sql(word).execute(c).map_ok(|_| ()))?;
        self.in_transaction = false;
        Ok(())
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

/// Runs one query on either backend and retries it where `Failure` allows:
/// `with_backend!(db, |c| sqlx::query_as::<_, User>("..").bind(id).fetch_optional(c))`. A second expression takes its place
/// with DATABASE_PROXY (text_query.rs). The macros below are shorthand.
macro_rules! with_backend {
    ($conn:expr, |$c:ident| $query:expr) => {
        $crate::db::with_backend!($conn, |$c| $query, $query)
    };
    ($conn:expr, |$c:ident| $query:expr, $text_query:expr) => {{
        let conn: &mut $crate::db::Conn = $conn;
        let limit = conn.answer_timeout();
        let mut attempts = 0;
        loop {
            let by_proxy = conn.is_by_proxy();
            let answer = match conn.backend_mut()? {
                $crate::db::Backend::Sqlite(object) => {
                    let $c = &mut **object;
                    $crate::db::Conn::with_timeout(limit, $query).await
                }
                $crate::db::Backend::MySql(object) if by_proxy => {
                    let $c = &mut **object;
                    $crate::db::Conn::with_timeout(limit, $text_query).await
                }
                $crate::db::Backend::MySql(object) => {
                    let $c = &mut **object;
                    $crate::db::Conn::with_timeout(limit, $query).await
                }
            };
            attempts += 1;
            match conn.finish(answer) {
                Err(error) => match conn.prepare_retry(error, attempts).await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                answer => break answer,
            }
        }
    }};
}

/// `execute!(db, "UPDATE .. WHERE id = ?", id)` gives an [`ExecResult`].
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {{
        $crate::db::note_write();
        $crate::db::with_backend!(
            $conn,
            |c| futures_util::TryFutureExt::map_ok(
                sqlx::query($sql)$(.bind($value))*.execute(c),
                $crate::db::ExecResult::from
            ),
            $crate::db::TextQuery::new($sql)$(.bind($value))*.execute(c)
        )
    }};
}

/// `fetch_all!(db, "SELECT .. WHERE a > ?", a)` gives a `Vec` of rows.
macro_rules! fetch_all {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_all(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*.fetch_all(c)
        )
    };
}

/// `fetch_optional!(db, "SELECT .. WHERE id = ?", id)` gives the first row, or `None`.
macro_rules! fetch_optional {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_optional(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*.fetch_optional(c)
        )
    };
}

/// `fetch_one!(db, "SELECT COUNT(*) ..")`, for queries that always return a row.
macro_rules! fetch_one {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_one(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*.fetch_one(c)
        )
    };
}

/// Implements `FromRow` by field name for both backends. (sqlx's derive would compile SQLite a second time, for the
/// proc macro.)
macro_rules! row {
    ($row:ident { $($field:ident),+ $(,)? }) => {
        $crate::db::row!(@for sqlx::mysql::MySqlRow, $row { $($field),+ });
        $crate::db::row!(@for sqlx::sqlite::SqliteRow, $row { $($field),+ });
    };
    (@for $db_row:ty, $row:ident { $($field:ident),+ }) => {
        impl sqlx::FromRow<'_, $db_row> for $row {
            fn from_row(row: &$db_row) -> sqlx::Result<Self> {
                use sqlx::Row;
                Ok($row { $($field: row.try_get(stringify!($field))?),+ })
            }
        }
    };
}

pub(crate) use {execute, fetch_all, fetch_one, fetch_optional, row, with_backend};
