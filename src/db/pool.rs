//! The pools: how a connection is made, how long it lives, when it is looked at again. deadpool rather than sqlx's own
//! pool: that one pings at every return without a time-out, and loses its place for good when nothing answers
//! (transact-rs/sqlx issue 4349).

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult, Timeouts};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use crate::config::{MySql, SslMode};
use crate::error::{Error, Result};
use crate::per_thread::PerThread;

pub(super) type Pool<M> = deadpool::managed::Pool<M>;

/// A connection is replaced at this age, so that a moved end point (fail-over, a resized instance) is followed.
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A connection that lay idle this long is asked whether it still lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const WAIT: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(1);
/// SQLite waits this long for another writer; shorter than the wait for any answer (conn.rs), so the page can say why.
const SQLITE_BUSY: Duration = Duration::from_millis(2500);
/// Prepared statements kept a connection; evicting one writes without a reply, which sqlx 0.9 delays by 40 ms.
const STATEMENTS: usize = 256;

/// The server itself ends what takes too long: MySQL limits reads (in ms), MariaDB every statement (in s). Each runs only
/// the comment made for it; MariaDB passes over those for MySQL 5.7. A lock is waited for less long than that: otherwise
/// MariaDB calls it a statement that took too long, and that is not tried again as a lost lock is.
const LIMITS: &str = "SET SESSION innodb_lock_wait_timeout = 2 \
    /*!50708 , max_execution_time = 2500 */ /*M! , max_statement_time = 2.5 */";

/// Makes MySQL connections.
pub struct MySqlConnections(MySqlConnectOptions);
/// Makes SQLite connections.
pub struct SqliteConnections(SqliteConnectOptions);

/// Connections to MySQL that one thread has at most. More would only wait inside the server instead of here.
pub(super) const MYSQL_A_THREAD: usize = 4;

/// One pool for each thread that serves.
pub(super) fn mysql(config: &MySql) -> Result<PerThread<MySqlConnections>> {
    let mut options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(config.password.expose())
        .database(&config.database)
        .charset("utf8mb4")
        .collation("utf8mb4_unicode_ci")
        .statement_cache_capacity(STATEMENTS)
        .ssl_mode(match config.ssl_mode {
            SslMode::Disabled => MySqlSslMode::Disabled,
            SslMode::Preferred => MySqlSslMode::Preferred,
            SslMode::Required => MySqlSslMode::Required,
            SslMode::VerifyCa => MySqlSslMode::VerifyCa,
            SslMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    if let Some(file) = &config.ca_file {
        options = options.ssl_ca(file);
    }
    PerThread::new(move || build(MySqlConnections(options.clone()), MYSQL_A_THREAD))
}

/// One pool for all: SQLite works on threads of its own.
pub(super) fn sqlite(path: &Path) -> Result<Pool<SqliteConnections>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::internal)?;
    }
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode a crash of the process loses nothing; a crash of the machine may lose the last moments.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(SQLITE_BUSY)
        .statement_cache_capacity(STATEMENTS)
        .disable_statement_logging();
    build(SqliteConnections(options), 2 * cores())
}

fn build<M: Manager>(manager: M, size: usize) -> Result<Pool<M>> {
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(WAIT), create: Some(CONNECT), recycle: Some(PING) })
        .build()
        .map_err(Error::internal)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

impl Manager for MySqlConnections {
    type Type = MySqlConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<MySqlConnection> {
        rarely(async {
            let mut conn = self.0.connect().await?;
            sqlx::raw_sql(LIMITS).execute(&mut conn).await?;
            Ok(conn)
        })
        .await
    }

    async fn recycle(&self, conn: &mut MySqlConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        recycle(conn, metrics).await
    }
}

impl Manager for SqliteConnections {
    type Type = SqliteConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<SqliteConnection> {
        rarely(self.0.connect()).await
    }

    async fn recycle(&self, conn: &mut SqliteConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        recycle(conn, metrics).await
    }
}

/// What is not done for most requests, on the heap: the future of every handler would have room for it, 13 kB, and is moved
/// three times on its way.
fn rarely<'a, T>(work: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(work)
}

async fn recycle<C: Connection>(conn: &mut C, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
    if metrics.age() > MAX_LIFETIME {
        return Err(RecycleError::message("old enough to be replaced"));
    }
    if metrics.last_used() > TRUSTED_IDLE {
        rarely(conn.ping()).await?;
    }
    Ok(())
}
