//! Migrating the schema while others use it and while the previous version still runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sample_app::app::App;
use sample_app::clock::Clock;
use sample_app::config::Config;
use sample_app::db::Db;
use sample_app::error::Error;
use sqlx::{Connection, Executor, MySqlConnection};
use tempfile::TempDir;

use crate::support::{Program, TestApp, TestDatabase, database};

/// A database without tables.
struct Empty {
    _folder: TempDir,
    database: TestDatabase,
}

impl Empty {
    async fn create() -> Empty {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        Empty { database, _folder: folder }
    }

    /// Another process that uses the database.
    fn open(&self) -> Db {
        open(&self.database.url)
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        self.database.drop_soon();
    }
}

/// Another process that uses the database at this URL.
pub fn open(url: &str) -> Db {
    let settings = [("DATABASE_URL", url), ("SECRET_KEY_BASE", &"0123456789abcdef".repeat(4))];
    let settings: BTreeMap<_, _> = settings.map(|(name, value)| (name.into(), value.into())).into();
    App::new(Config::load(&settings).unwrap(), Clock::default()).unwrap().db
}

#[actix_web::test]
async fn migrating_twice_changes_nothing() {
    let empty = Empty::create().await;
    assert_eq!(empty.open().pending_migrations().await.unwrap(), database::migrations());
    assert_eq!(empty.open().migrate().await.unwrap(), database::migrations());
    let before = empty.database.db_text(FIRST_MIGRATION).await;
    assert_eq!(empty.open().migrate().await.unwrap(), 0);
    assert_eq!(empty.database.db_text(FIRST_MIGRATION).await, before);
    assert_eq!(empty.open().pending_migrations().await.unwrap(), 0);
}

const FIRST_MIGRATION: &str =
    "SELECT CONCAT(version, ' ', installed_on) FROM _sqlx_migrations ORDER BY version LIMIT 1";

/// Real processes, because the lock must hold between processes.
#[actix_web::test]
async fn of_many_migrations_at_once_one_works_and_the_others_wait() {
    let program = Program::development().await;
    let started: Vec<_> = (0..6)
        .map(|_| {
            let mut command = program.command();
            command.arg("migrate").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut worked = 0;
    for child in started {
        let output = child.wait_with_output().unwrap();
        let (said, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{complaint}");
        assert!(said.starts_with("The database is up to date"), "{said}");
        worked += usize::from(said.contains(&format!("{} migrations applied", database::migrations())));
    }
    assert_eq!(worked, 1);
}

/// The first connection to a new SQLite file switches it to WAL, and SQLite's busy time-out does not apply to that.
#[actix_web::test]
async fn all_that_open_a_new_database_at_once_succeed() {
    let empty = Empty::create().await;
    // A server takes a while for each sign-in over TLS, and none may wait for more than 2.7 s.
    let count = if empty.database.is_mysql() { 10 } else { 50 };
    let starts: Vec<_> = (0..count).map(|_| empty.open()).collect();
    let opened = futures_util::future::join_all(starts.iter().map(|db| db.conn())).await;
    for opened in opened {
        drop(opened.unwrap());
    }
    let migrated = futures_util::future::join_all(starts.iter().map(|db| db.migrate())).await;
    assert_eq!(
        migrated.into_iter().map(|applied| applied.unwrap()).filter(|applied| *applied > 0).count(),
        1
    );
}

/// Another migration that holds the lock for a while.
enum Holder {
    MySql(MySqlConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl Holder {
    async fn of(database: &TestDatabase) -> Holder {
        if database.is_mysql() {
            let mut conn = database.db_connect_mysql().await;
            let lock = "SELECT GET_LOCK(CONCAT('sample_app migrate ', LEFT(DATABASE(), 40)), 0)";
            let locked: Option<i64> = sqlx::query_scalar(lock).fetch_one(&mut conn).await.unwrap();
            assert_eq!(locked, Some(1));
            Holder::MySql(conn)
        } else {
            let mut conn = database.db_connect_sqlite().await;
            conn.execute(sqlx::raw_sql("BEGIN IMMEDIATE")).await.unwrap();
            Holder::Sqlite(conn)
        }
    }

    async fn let_go(self) {
        match self {
            Holder::MySql(conn) => conn.close().await.unwrap(),
            Holder::Sqlite(conn) => conn.close().await.unwrap(),
        }
    }
}

#[actix_web::test]
async fn migrating_gives_up_on_another_that_does_not_end() {
    let empty = Empty::create().await;
    let db = empty.open();
    db.pending_migrations().await.unwrap();
    let holder = Holder::of(&empty.database).await;
    let start = Instant::now();
    let refused = db.migrate_within(Duration::from_secs(1)).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(900));
    let said = refused.to_string();
    assert!(matches!(refused, Error::Unavailable(_)) && said.contains("more than 1 seconds"), "{said}");
    assert!(said.contains("then run migrate again"), "{said}");
    holder.let_go().await;
    assert_eq!(db.migrate().await.unwrap(), database::migrations());
}

/// Longer than a page's statement may take (db/pool.rs): that time-out must not end the wait.
#[actix_web::test]
async fn migrating_waits_for_another_longer_than_a_page_would() {
    let empty = Empty::create().await;
    let db = empty.open();
    db.pending_migrations().await.unwrap();
    let holder = Holder::of(&empty.database).await;
    let wait = Duration::from_millis(5500);
    let letting_go = actix_web::rt::spawn(async move {
        tokio::time::sleep(wait).await;
        holder.let_go().await;
    });
    let start = Instant::now();
    assert_eq!(db.migrate().await.unwrap(), database::migrations());
    assert!(start.elapsed() >= wait, "it waited");
    letting_go.await.unwrap();
}

#[actix_web::test]
async fn a_database_that_is_not_there_is_named_by_its_fault() {
    let program = Program::development().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = program.set("DATABASE_URL", &format!("mysql://me:secret-word@{nobody}/sample_app"));
    let said = program.fail(&["migrate"]);
    assert!(said.contains("the database cannot be used now"), "{said}");
    assert!(said.contains("Connection refused") && !said.contains("secret-word"), "{said}");
}

/// On MySQL, DDL waits for every transaction that used the table, and all later queries wait behind the DDL. On SQLite,
/// readers block nobody.
#[actix_web::test]
async fn a_table_in_use_ends_the_migration_before_it_began() {
    let empty = Empty::create().await;
    let db = empty.open();
    db.migrate().await.unwrap();
    let on_table = if empty.database.is_mysql() { " ON users" } else { "" };
    for undo in [
        "DROP TABLE timeline_entries",
        &format!("DROP INDEX index_users_on_read_through{on_table}"),
        "ALTER TABLE users DROP COLUMN read_through",
        "ALTER TABLE users DROP COLUMN follows_read_through",
        "DELETE FROM _sqlx_migrations WHERE version = 10",
    ] {
        empty.database.db_execute(undo).await;
    }
    let look = sqlx::raw_sql("SELECT COUNT(*) FROM users");
    if !empty.database.is_mysql() {
        let mut reader = empty.database.db_connect_sqlite().await;
        reader.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
        reader.execute(look).await.unwrap();
        assert_eq!(db.migrate_within(Duration::from_secs(1)).await.unwrap(), 1);
        return;
    }
    let mut reader = empty.database.db_connect_mysql().await;
    reader.execute(sqlx::raw_sql("BEGIN")).await.unwrap();
    reader.execute(look).await.unwrap();
    let refused = db.migrate_within(Duration::from_secs(1)).await.unwrap_err();
    let said = refused.to_string();
    assert!(
        matches!(refused, Error::Unavailable(_)) && said.contains("uses a table of this database"),
        "{said}"
    );
    assert!(said.contains("run migrate again. Nothing was changed"), "{said}");
    reader.close().await.unwrap();
    assert_eq!(db.migrate().await.unwrap(), 1, "it had not begun");
}

/// A future version changes the schema under a version that does not know the change.
#[actix_web::test]
async fn the_version_before_runs_on_a_newer_schema() {
    let app = TestApp::start().await;
    let checksum = if app.database.is_mysql() { "X'00'" } else { "x'00'" };
    for newer in [
        "CREATE TABLE likes (user_id BIGINT NOT NULL, micropost_id BIGINT NOT NULL)",
        "ALTER TABLE users ADD COLUMN nickname VARCHAR(50)",
        "ALTER TABLE microposts ADD COLUMN likes_count BIGINT NOT NULL DEFAULT 0",
        "ALTER TABLE timeline_entries ADD COLUMN seen BOOLEAN NOT NULL DEFAULT FALSE",
        &format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'create likes', TRUE, {checksum}, 1)"
        ),
    ] {
        app.database.db_execute(newer).await;
    }
    assert_eq!(app.app.db.pending_migrations().await.unwrap(), 0);
    assert_eq!(app.app.db.migrate().await.unwrap(), 0);
    let anna = app.db_person("Anna").await;
    let mut browser = app.logged_in(&anna).await;
    let form = browser.get("/").await.form("Post");
    let page = browser.submit(form.set("micropost[content]", "On the schema of tomorrow")).await;
    page.assert_flash("success", "Micropost created!");
    assert!(browser.get("/").await.text().contains("On the schema of tomorrow"));
}
