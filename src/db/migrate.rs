//! Applies the schema migrations in migrations/, which are embedded in the binary.

use std::time::{Duration, Instant};

use rust_embed::RustEmbed;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqlSafeStr, SqliteConnection};

use super::cluster::Cluster;
use super::{Backend, Db, Pools};
use crate::error::{Error, Result};

/// How long `migrate` waits for a concurrent migration of the same database, and then for tables in use, before it
/// fails.
pub const MIGRATE_LOCK_TIMEOUT: Duration = Duration::from_secs(30);

const RETRY_INTERVAL: Duration = Duration::from_millis(500);

#[derive(RustEmbed)]
#[folder = "migrations"]
#[include = "*.sql"]
struct Files;

impl Db {
    /// Applies pending migrations, one process at a time, and returns how many. Waits for locks for up to
    /// [`MIGRATE_LOCK_TIMEOUT`].
    pub async fn migrate(&self) -> Result<usize> {
        self.migrate_within(MIGRATE_LOCK_TIMEOUT).await
    }

    /// [`migrate`](Self::migrate) with another lock time-out.
    pub async fn migrate_within(&self, patience: Duration) -> Result<usize> {
        let migrator = self.migrator();
        let mut conn = self.conn().await?;
        // `backend_mut` without `finish`: the connection is closed on drop, which also discards its session settings and its
        // lock.
        match conn.backend_mut()? {
            Backend::Sqlite(object) => apply_alone(&migrator, object, patience).await,
            Backend::MySql(object) => {
                let mysql = &mut **object;
                // No statement time-out (pool.rs): it would end long migrations, and GET_LOCK. But while a migration
                // waits for a table lock, all queries of that table queue behind it, so this wait stays below their
                // time-out.
                let limits = "SET SESSION lock_wait_timeout = 2 \
                              /*!50708 , max_execution_time = 0 */ /*M! , max_statement_time = 0 */";
                sqlx::raw_sql(limits).execute(&mut *mysql).await?;
                // sqlx's own lock waits without a time-out. GET_LOCK names are per server, so this one contains the
                // database.
                let lock = "SELECT GET_LOCK(CONCAT('sample_app migrate ', LEFT(DATABASE(), 40)), ?)";
                let locked: Option<i64> = sqlx::query_scalar(lock)
                    .bind(patience.as_secs().cast_signed())
                    .fetch_one(&mut *mysql)
                    .await?;
                if locked != Some(1) {
                    return Err(still("another migration of this database is running", patience));
                }
                if Cluster::of(mysql).await?.is_none() {
                    return apply_to_tables(&migrator, mysql, patience).await;
                }
                lock_cluster(mysql, patience).await?;
                let applied = apply_to_tables(&migrator, mysql, patience).await;
                let unlocked = sqlx::raw_sql("DELETE FROM _migration_lock").execute(mysql).await;
                let applied = applied?;
                unlocked?;
                Ok(applied)
            }
        }
    }

    /// Number of migrations that are not applied yet.
    pub async fn pending_migrations(&self) -> Result<usize> {
        let migrator = self.migrator();
        let mut conn = self.conn().await?;
        match conn.backend_mut()? {
            Backend::Sqlite(object) => pending(&migrator, &mut **object).await,
            Backend::MySql(object) => pending(&migrator, &mut **object).await,
        }
    }

    fn migrator(&self) -> Migrator {
        let folder = match self.0.backend {
            Pools::Sqlite(_) => "sqlite/",
            Pools::MySql { .. } => "mysql/",
        };
        let mut migrator =
            Migrator::with_migrations(Files::iter().filter_map(|file| migration(folder, &file)).collect());
        migrator.set_locking(false);
        // During a deploy an older binary keeps running on a newer schema (expand, then contract later).
        migrator.set_ignore_missing(true);
        migrator
    }
}

/// `mysql/0001_create_users.sql` -> version 1, "create users".
fn migration(folder: &str, file: &str) -> Option<Migration> {
    let (version, description) = file.strip_prefix(folder)?.strip_suffix(".sql")?.split_once('_')?;
    let sql = String::from_utf8(Files::get(file)?.data.into_owned()).ok()?;
    Some(Migration::new(
        version.parse().ok()?,
        description.replace('_', " ").into(),
        MigrationType::Simple,
        AssertSqlSafe(sql).into_sql_str(),
        false,
    ))
}

/// SQLite has no named locks, so one transaction around all migrations holds the write lock.
async fn apply_alone(migrator: &Migrator, conn: &mut SqliteConnection, patience: Duration) -> Result<usize> {
    let wait = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", patience.as_millis()));
    sqlx::raw_sql(wait).execute(&mut *conn).await?;
    let mut alone = conn.begin_with("BEGIN IMMEDIATE").await.map_err(|error| match error.into() {
        Error::Unavailable(_) => still("something else writes to this database", patience),
        other => other,
    })?;
    let applied = apply(migrator, &mut *alone).await?;
    alone.commit().await?;
    Ok(applied)
}

/// GET_LOCK holds on one node of a cluster. Between nodes, the committed row of this table is the lock: of several nodes that
/// insert it, one succeeds. If the process dies, it stays, and the error says so.
async fn lock_cluster(conn: &mut MySqlConnection, patience: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let error = match sqlx::raw_sql("INSERT INTO _migration_lock VALUES (1)").execute(&mut *conn).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing_table(&error) => {
                let create =
                    "CREATE TABLE IF NOT EXISTS _migration_lock (id INT PRIMARY KEY) ENGINE = InnoDB";
                match sqlx::raw_sql(create).execute(&mut *conn).await {
                    Ok(_) => continue,
                    Err(error) => Error::from(error),
                }
            }
            Err(error) => Error::from(error),
        };
        if !error.is_lock_conflict() && !error.is_unique_violation() {
            return Err(error);
        }
        if start.elapsed() >= patience {
            let what = "another migration runs on this cluster (if not: DELETE FROM _migration_lock)";
            return Err(still(what, patience));
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

async fn apply_to_tables(
    migrator: &Migrator,
    conn: &mut MySqlConnection,
    patience: Duration,
) -> Result<usize> {
    if pending(migrator, conn).await? > 0 {
        wait_for_tables(conn, patience).await?;
    }
    apply(migrator, conn).await
}

/// Waits until no transaction uses any of the tables, in short attempts with pauses in which page queries can run. A
/// migration that met such a transaction would stop half-way: in MySQL each DDL statement commits implicitly.
async fn wait_for_tables(conn: &mut MySqlConnection, patience: Duration) -> Result<()> {
    let tables = "SELECT CONVERT(table_name USING utf8mb4) FROM information_schema.tables \
                  WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut *conn).await?;
    if tables.is_empty() {
        return Ok(());
    }
    let tables = tables.iter().map(|table| format!("`{table}` WRITE")).collect::<Vec<_>>().join(", ");
    let lock = format!("LOCK TABLES {tables}");
    let start = Instant::now();
    loop {
        match sqlx::raw_sql(AssertSqlSafe(lock.clone())).execute(&mut *conn).await.map_err(Error::from) {
            Ok(_) => break,
            Err(error) if !error.is_lock_conflict() => return Err(error),
            Err(_) if start.elapsed() >= patience => {
                return Err(still("a transaction that does not end uses a table of this database", patience));
            }
            Err(_) => tokio::time::sleep(RETRY_INTERVAL).await,
        }
    }
    sqlx::raw_sql("UNLOCK TABLES").execute(conn).await?;
    Ok(())
}

fn still(what: &str, patience: Duration) -> Error {
    Error::unavailable(format!(
        "{what}, and has for more than {} seconds; let it finish, or end it (on MySQL SHOW PROCESSLIST names the \
         connections), then run migrate again. Nothing was changed",
        patience.as_secs()
    ))
}

async fn apply<C: Migrate>(migrator: &Migrator, conn: &mut C) -> Result<usize> {
    let before = pending(migrator, conn).await?;
    migrator.run_direct(None, conn, false).await.map_err(explain)?;
    Ok(before)
}

/// Read-only: on a database that was never migrated, the table of applied migrations does not exist yet.
async fn pending<C: Migrate>(migrator: &Migrator, conn: &mut C) -> Result<usize> {
    let applied = match conn.list_applied_migrations(&migrator.table_name).await {
        Err(MigrateError::Execute(error)) if is_missing_table(&error) => Vec::new(),
        applied => applied.map_err(explain)?,
    };
    Ok(migrator.iter().filter(|m| applied.iter().all(|a| a.version != m.version)).count())
}

/// MySQL reports this by number, SQLite only by message.
fn is_missing_table(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else { return false };
    match error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        Some(mysql) => mysql.number() == 1146,
        None => error.message().starts_with("no such table"),
    }
}

fn explain(error: MigrateError) -> Error {
    match error {
        MigrateError::Dirty(version) => Error::internal(format!(
            "migration {version} stopped half-way in an earlier run; put right by hand what it left, delete its row \
             from _sqlx_migrations and run migrate again"
        )),
        other => Error::internal(other),
    }
}
