//! Connection pools: how connections are opened, checked and replaced. They use deadpool, because sqlx's own pool pings
//! without a time-out whenever a connection is returned, and loses a slot for good if nothing answers (transact-rs/sqlx
//! issue 4349).

mod sqlite;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Object, PoolError, RecycleError, RecycleResult, Timeouts};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::{ConnectOptions, Connection, Row};

pub(super) use self::sqlite::{SqliteConnections, sqlite};
use super::sign_in::{Refusal, SignIn};
use crate::config::{MySql, SslMode};
use crate::error::{Error, Result};
use crate::thread_local_pool::{ThreadLocalPool, describe};
use crate::tls;

pub(super) type Pool<M> = deadpool::managed::Pool<M>;

/// A connection is replaced at this age, so that it follows DNS changes (fail-over, a resized instance).
const MAX_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// A connection that was idle for longer is pinged before use.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Prepared statements cached per connection: more than the program has, so that each is prepared once.
const CACHED_STATEMENTS: usize = 256;

/// Session settings, independent of the server's defaults. TRADITIONAL turns values that do not fit into errors, and
/// replaces modes with another SQL dialect (ORACLE, ANSI).
///
/// The server ends slow statements itself: MySQL limits reads (in ms), MariaDB all statements (in s). Each server runs
/// only its own version comment; MariaDB skips those for MySQL 5.7 and later. The lock wait time-out is much shorter:
/// MySQL ends a wait up to two seconds late (measured), and at a statement time-out the statement would not be retried.
const SESSION_SQL: &str = "SET SESSION sql_mode = 'TRADITIONAL', innodb_lock_wait_timeout = 1 \
    /*!50708 , max_execution_time = 2500 */ /*M! , max_statement_time = 2.5 */";
/// The same with DATABASE_PROXY: the only one of these variables that RDS Proxy tracks. The time-outs belong into the
/// proxy's initialization query.
const PROXY_SESSION_SQL: &str = "SET SESSION sql_mode = 'TRADITIONAL'";

/// Minimum time between two renewals: until there is a new primary, every write requests one.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);
/// How long a checkout waits while sign-ins are refused. Shorter than its time-out (db.rs), so that the error names the
/// cause.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(2400);
/// Interval at which it looks for a connection meanwhile.
const REFUSAL_RETRY_INTERVAL: Duration = Duration::from_millis(5);

pub struct MySqlConnections {
    sign_in: Arc<SignIn>,
    /// While sign-ins are refused: the queue for connections, in order of arrival.
    turn: tokio::sync::Mutex<()>,
    session_sql: &'static str,
    renewal: Arc<Renewal>,
    /// Whether the check for accounts that need TLS ([`NeedsTls`]) is done or unnecessary.
    may_lack_tls: Arc<AtomicBool>,
}

/// On all threads, connections that were opened before this moment are to be replaced.
pub(super) struct Renewal {
    start: Instant,
    /// Microseconds after `start`; 0 before the first renewal.
    begun: AtomicU64,
}

/// Maximum number of MySQL connections per thread. With more, queries would only queue in the server instead of here.
pub(super) const MYSQL_PER_THREAD: usize = 4;

/// One pool per worker thread.
pub(super) fn mysql(config: &MySql, renewal: &Arc<Renewal>) -> Result<ThreadLocalPool<MySqlConnections>> {
    let mut options = MySqlConnectOptions::new()
        .host(&config.host)
        .port(config.port)
        .database(&config.database)
        .charset("utf8mb4")
        .collation("utf8mb4_unicode_ci")
        .statement_cache_capacity(CACHED_STATEMENTS)
        // SESSION_SQL sets sql_mode completely.
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
        // Checked here, because sqlx reads the file at each connect and does not name it in errors.
        tls::certificates(file).map_err(|error| error.about("DATABASE_CA_FILE"))?;
        options = options.ssl_ca(file);
    }
    let asks_for_tls = !matches!(config.ssl_mode, SslMode::Disabled | SslMode::Preferred);
    let may_lack_tls = Arc::new(AtomicBool::new(asks_for_tls || config.password.expose().is_empty()));
    let session_sql = if config.by_proxy { PROXY_SESSION_SQL } else { SESSION_SQL };
    let sign_in = SignIn::new(config, options);
    let renewal = renewal.clone();
    ThreadLocalPool::new(move || {
        let connections = MySqlConnections {
            sign_in: sign_in.clone(),
            turn: tokio::sync::Mutex::default(),
            session_sql,
            renewal: renewal.clone(),
            may_lack_tls: may_lack_tls.clone(),
        };
        build(connections, MYSQL_PER_THREAD, Some(CONNECT_TIMEOUT))
    })
}

fn build<M: Manager>(manager: M, size: usize, create: Option<Duration>) -> Result<Pool<M>> {
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts { wait: Some(WAIT_TIMEOUT), create, recycle: Some(PING_TIMEOUT) })
        .build()
        .map_err(Error::internal)
}

/// Checks a MySQL connection out.
pub(super) async fn get(pool: &Pool<MySqlConnections>) -> Result<Object<MySqlConnections>> {
    if pool.manager().sign_in.refusal().is_none() {
        match pool.get().await {
            Err(PoolError::Backend(error)) if Refusal::of(&error).is_some() => {}
            done => return done.map_err(refused),
        }
    }
    rarely(get_in_turn(pool)).await
}

/// The same while sign-ins are refused: waits for an open connection to come back, or for a password that works. A failed
/// attempt leaves the pool at once, where it would take the place of those that use the open connections.
async fn get_in_turn(pool: &Pool<MySqlConnections>) -> Result<Object<MySqlConnections>> {
    let MySqlConnections { sign_in, turn, .. } = pool.manager();
    let get = async {
        let _turn = turn.lock().await;
        loop {
            match pool.get().await {
                Err(PoolError::Backend(error)) if Refusal::of(&error).is_some() => {
                    tokio::time::sleep(REFUSAL_RETRY_INTERVAL).await;
                }
                done => return done.map_err(refused),
            }
        }
    };
    let late = |_| {
        Err(sign_in
            .refusal()
            .map_or_else(|| Error::unavailable("no connection was free"), Error::unavailable))
    };
    tokio::time::timeout(REFUSAL_TIMEOUT, get).await.unwrap_or_else(late)
}

/// The error of a failed checkout. A configuration error is permanent, so it is internal, not `Unavailable`.
pub(super) fn refused(error: PoolError<sqlx::Error>) -> Error {
    match error {
        PoolError::Backend(error @ sqlx::Error::Configuration(_)) => Error::internal(error),
        PoolError::Backend(error) => match Refusal::of(&error) {
            Some(refusal) => Error::unavailable(refusal.clone()),
            None => Error::unavailable(error),
        },
        other => Error::unavailable(describe(&other)),
    }
}

/// An account that can sign in only while the server has its password cached: without TLS, caching_sha2_password needs
/// RSA after each server restart, and this program is built without RSA (RUSTSEC-2023-0071).
#[derive(Debug, thiserror::Error)]
#[error("the database user signs in by caching_sha2_password, which needs TLS; {}", NeedsTls::ADVICE)]
pub struct NeedsTls;

impl NeedsTls {
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
    // MariaDB does not have caching_sha2_password. An account that may not read its own definition passes, too.
    match sqlx::raw_sql("SHOW CREATE USER CURRENT_USER()").fetch_one(conn).await {
        Ok(account) if account.try_get::<String, _>(0)?.contains("caching_sha2_password") => Err(needs_tls()),
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Manager for MySqlConnections {
    type Type = MySqlConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> sqlx::Result<MySqlConnection> {
        rarely(async {
            let mut conn = self.sign_in.connect().await.map_err(|error| match error {
                // sqlx: "RSA auth backend disabled; enable feature `mysql-rsa`".
                sqlx::Error::Configuration(said) if said.to_string().contains("RSA") => needs_tls(),
                other => other,
            })?;
            if !self.may_lack_tls.load(Ordering::Relaxed) {
                refuse_without_tls(&mut conn).await?;
                self.may_lack_tls.store(true, Ordering::Relaxed);
            }
            sqlx::raw_sql(self.session_sql).execute(&mut conn).await?;
            Ok(conn)
        })
        .await
    }

    async fn recycle(&self, conn: &mut MySqlConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if self.renewal.concerns(metrics.created) {
            return Err(RecycleError::message("the server takes no writes any more"));
        }
        // While sign-ins are refused, nothing could take its place.
        if metrics.age() > MAX_LIFETIME && rarely(self.sign_in.is_refused()).await {
            return ping_idle(conn, metrics).await;
        }
        recycle(conn, metrics).await
    }
}

impl Default for Renewal {
    fn default() -> Renewal {
        Renewal { start: Instant::now(), begun: AtomicU64::new(0) }
    }
}

impl Renewal {
    /// Requests that all connections opened up to now are replaced.
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

/// Boxes rare work. Otherwise it adds 13 kB to the future of every handler, which is moved three times.
fn rarely<'a, T>(work: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(work)
}

async fn recycle<C: Connection>(conn: &mut C, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
    if metrics.age() > MAX_LIFETIME {
        return Err(RecycleError::message("old enough to be replaced"));
    }
    ping_idle(conn, metrics).await
}

async fn ping_idle<C: Connection>(conn: &mut C, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
    if metrics.last_used() > TRUSTED_IDLE {
        rarely(conn.ping()).await?;
    }
    Ok(())
}
