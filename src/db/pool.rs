//! The pools: how a connection is made, how long it lives, when it is looked at again. deadpool rather than sqlx's own
//! pool: that one pings at every return without a time-out, and loses its place for good when nothing answers
//! (transact-rs/sqlx issue 4349).

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, PoolError, RecycleError, RecycleResult, Timeouts};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use crate::config::{MySql, SslMode};
use crate::error::{Error, Failure, Result, unusable};
use crate::services::tls;
use crate::thread_local_pool::ThreadLocalPool;

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

/// What the program needs of a session, whatever the server's own settings are. TRADITIONAL makes an error of a value
/// that does not fit, and replaces modes in which other SQL is spoken (ORACLE, ANSI).
///
/// The server itself ends what takes too long: MySQL limits reads (in ms), MariaDB every statement (in s). Each runs only
/// the comment made for it; MariaDB passes over those for MySQL 5.7. A lock is waited for less long than that: otherwise
/// MariaDB calls it a statement that took too long, and that is not tried again as a lost lock is.
const SESSION: &str = "SET SESSION sql_mode = 'TRADITIONAL', innodb_lock_wait_timeout = 2 \
    /*!50708 , max_execution_time = 2500 */ /*M! , max_statement_time = 2.5 */";

/// The least time between two renewals: while there is no successor yet, every write asks for one.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a SQLite file that is busy is opened again.
const SQLITE_OPEN_AGAIN: Duration = Duration::from_millis(10);

/// Makes MySQL connections.
pub struct MySqlConnections {
    options: MySqlConnectOptions,
    renewal: Arc<Renewal>,
    /// Whether the account may do without TLS; found out once.
    may_lack_tls: Arc<AtomicBool>,
}
/// Makes SQLite connections.
pub struct SqliteConnections(SqliteConnectOptions);

/// The moment up to which connections were made that are to be replaced, on all threads.
pub(super) struct Renewal {
    start: Instant,
    /// Microseconds after the start; 0 before the first renewal.
    begun: AtomicU64,
}

/// Connections to MySQL that one thread has at most. More would only wait inside the server instead of here.
pub(super) const MYSQL_PER_THREAD: usize = 4;

/// One pool for each thread that serves.
pub(super) fn mysql(config: &MySql, renewal: &Arc<Renewal>) -> Result<ThreadLocalPool<MySqlConnections>> {
    let mut options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .username(&config.user)
        .password(config.password.expose())
        .database(&config.database)
        .charset("utf8mb4")
        .collation("utf8mb4_unicode_ci")
        .statement_cache_capacity(STATEMENTS)
        // SESSION sets the whole of sql_mode.
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .ssl_mode(match config.ssl_mode {
            SslMode::Disabled => MySqlSslMode::Disabled,
            SslMode::Preferred => MySqlSslMode::Preferred,
            SslMode::Required => MySqlSslMode::Required,
            SslMode::VerifyCa => MySqlSslMode::VerifyCa,
            SslMode::VerifyIdentity => MySqlSslMode::VerifyIdentity,
        })
        .disable_statement_logging();
    if let Some(file) = &config.ca_file {
        // sqlx reads it at each connection, and does not name it.
        tls::certificates(file).map_err(|error| error.about("DATABASE_CA_FILE"))?;
        options = options.ssl_ca(file);
    }
    let asks_for_tls = !matches!(config.ssl_mode, SslMode::Disabled | SslMode::Preferred);
    let may_lack_tls = Arc::new(AtomicBool::new(asks_for_tls || config.password.expose().is_empty()));
    let renewal = renewal.clone();
    ThreadLocalPool::new(move || {
        let connections = MySqlConnections {
            options: options.clone(),
            renewal: renewal.clone(),
            may_lack_tls: may_lack_tls.clone(),
        };
        build(connections, MYSQL_PER_THREAD, Some(CONNECT))
    })
}

/// One pool for all: SQLite works on threads of its own.
pub(super) fn sqlite(path: &Path) -> Result<Pool<SqliteConnections>> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::internal(unusable(folder, "DATABASE_URL", error)))?;
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
    // Opening has its own time-out.
    build(SqliteConnections(options), 2 * cores(), None)
}

fn build<M: Manager>(manager: M, size: usize, create: Option<Duration>) -> Result<Pool<M>> {
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(WAIT), create, recycle: Some(PING) })
        .build()
        .map_err(Error::internal)
}

/// Why there is no connection. What is wrong with the configuration does not pass by itself.
pub(super) fn refused(error: PoolError<sqlx::Error>) -> Error {
    match error {
        PoolError::Backend(error @ sqlx::Error::Configuration(_)) => Error::internal(error),
        PoolError::Backend(error) => Error::unavailable(error),
        other => Error::unavailable(other),
    }
}

/// An account that can sign in only while the server remembers its password: caching_sha2_password without TLS asks for
/// RSA after each restart of the server, and RSA is left out of this program (RUSTSEC-2023-0071).
#[derive(Debug, thiserror::Error)]
#[error("the database user signs in by caching_sha2_password, which needs TLS; {}", NeedsTls::ADVICE)]
pub struct NeedsTls;

impl NeedsTls {
    /// What to do.
    pub const ADVICE: &str = "set DATABASE_SSL_MODE to required, verify_ca or verify_identity, and give the server a \
        certificate if it has none";
}

fn needs_tls() -> sqlx::Error {
    sqlx::Error::Configuration(Box::new(NeedsTls))
}

async fn refuse_without_tls(conn: &mut MySqlConnection) -> sqlx::Result<()> {
    let status = sqlx::raw_sql("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetch_one(&mut *conn).await?;
    if !status.try_get::<String, _>(1)?.is_empty() {
        return Ok(());
    }
    // MariaDB does not have that method. Who may not look at their own account is let in as well.
    match sqlx::raw_sql("SHOW CREATE USER CURRENT_USER()").fetch_one(conn).await {
        Ok(account) if account.try_get::<String, _>(0)?.contains("caching_sha2_password") => Err(needs_tls()),
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

impl Manager for MySqlConnections {
    type Type = MySqlConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<MySqlConnection> {
        rarely(async {
            let mut conn = self.options.connect().await.map_err(|error| match error {
                // sqlx: "RSA auth backend disabled; enable feature `mysql-rsa`".
                sqlx::Error::Configuration(said) if said.to_string().contains("RSA") => needs_tls(),
                other => other,
            })?;
            if !self.may_lack_tls.load(Ordering::Relaxed) {
                refuse_without_tls(&mut conn).await?;
                self.may_lack_tls.store(true, Ordering::Relaxed);
            }
            sqlx::raw_sql(SESSION).execute(&mut conn).await?;
            Ok(conn)
        })
        .await
    }

    async fn recycle(&self, conn: &mut MySqlConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if self.renewal.concerns(metrics.created) {
            return Err(RecycleError::message("the server takes no writes any more"));
        }
        recycle(conn, metrics).await
    }
}

impl SqliteConnections {
    /// A file that cannot be opened, by its path and the setting that names it.
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

    /// The first connection to a new file switches it to WAL, and that answers SQLITE_BUSY at once while others look at
    /// the file: the busy time-out does not count for it (sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY").
    async fn create(&self) -> sqlx::Result<SqliteConnection> {
        rarely(async {
            let start = Instant::now();
            loop {
                match self.0.connect().await {
                    Err(error)
                        if Failure::of(&error) == Failure::Transient && start.elapsed() < SQLITE_BUSY =>
                    {
                        tokio::time::sleep(SQLITE_OPEN_AGAIN).await;
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

impl Default for Renewal {
    fn default() -> Renewal {
        Renewal { start: Instant::now(), begun: AtomicU64::new(0) }
    }
}

impl Renewal {
    /// Connections made up to now are to be replaced.
    pub(super) fn begin(&self) {
        let (now, last) = (self.start.elapsed(), self.begun());
        if last.is_zero() || now.saturating_sub(last) >= RENEWAL_INTERVAL {
            self.begun.store(u64::try_from(now.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    fn begun(&self) -> Duration {
        Duration::from_micros(self.begun.load(Ordering::Relaxed))
    }

    fn concerns(&self, made: Instant) -> bool {
        made.saturating_duration_since(self.start) < self.begun()
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
