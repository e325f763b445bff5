//! The schema: the same on both databases, brought up to date by one process at a time (trust rows S78-80, S86).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use sample_app::app::App;
use sample_app::clock::Clock;
use sample_app::config::Config;
use sample_app::db::Db;
use sample_app::error::Error;
use sqlx::{Connection, Executor, MySqlConnection};
use tempfile::TempDir;

use crate::support::{Program, TestApp, TestDatabase};

/// A database without a single table.
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

    /// Another process that uses it.
    fn open(&self) -> Db {
        open(&self.database.url)
    }
}

impl Drop for Empty {
    fn drop(&mut self) {
        self.database.drop_soon();
    }
}

fn open(url: &str) -> Db {
    let settings = [("DATABASE_URL", url), ("SECRET_KEY_BASE", &"0123456789abcdef".repeat(4))];
    let settings: BTreeMap<_, _> = settings.map(|(name, value)| (name.into(), value.into())).into();
    App::new(Config::load(&settings).unwrap(), Clock::default()).unwrap().db
}

/// File names in a folder of migrations, and table -> columns as the files create them.
fn migrations(folder: &str) -> (BTreeSet<String>, BTreeMap<String, Vec<String>>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
    let mut files = BTreeSet::new();
    let mut tables = BTreeMap::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        files.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
        let sql = std::fs::read_to_string(path).unwrap();
        let mut table = None;
        for line in sql.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                table = Some(rest.trim_end_matches(" (").to_owned());
            } else if line.starts_with(')') {
                table = None;
            } else if let Some((table, column)) =
                line.strip_prefix("ALTER TABLE ").and_then(|rest| rest.split_once(" ADD COLUMN "))
            {
                let column = column.split_whitespace().next().unwrap().to_owned();
                tables.entry(table.to_owned()).or_insert_with(Vec::new).push(column);
            }
            let word = line.split_whitespace().next().unwrap_or_default();
            if let (Some(table), true) = (&table, word.starts_with(|c: char| c.is_ascii_lowercase())) {
                tables.entry(table.clone()).or_insert_with(Vec::new).push(word.to_owned());
            }
        }
    }
    (files, tables)
}

#[test]
fn both_databases_have_the_same_files_tables_and_columns() {
    let (mysql, sqlite) = (migrations("mysql"), migrations("sqlite"));
    assert_eq!(mysql.0, sqlite.0, "files");
    assert_eq!(mysql.1, sqlite.1, "tables and columns, in their order");
    assert_eq!(mysql.1.len(), 9);
    for column in ["sign_in_epoch", "read_through"] {
        assert!(mysql.1["users"].contains(&column.to_owned()), "the files were understood");
    }
}

#[actix_web::test]
async fn the_database_has_the_columns_of_the_files() {
    let app = TestApp::start().await;
    for (table, mut columns) in migrations("mysql").1 {
        let sql = if app.database.is_mysql() {
            format!(
                "SELECT GROUP_CONCAT(column_name ORDER BY column_name) FROM information_schema.columns \
                 WHERE table_schema = DATABASE() AND table_name = '{table}'"
            )
        } else {
            format!(
                "SELECT GROUP_CONCAT(name) FROM (SELECT name FROM pragma_table_info('{table}') ORDER BY name)"
            )
        };
        columns.sort();
        let found = app.database.db_text(&sql).await;
        let mut found: Vec<_> = found.split(',').collect();
        found.sort_unstable();
        assert_eq!(found, columns, "{table}");
    }
}

#[actix_web::test]
async fn mysql_states_character_set_collation_and_microseconds() {
    let app = TestApp::start().await;
    if !app.database.is_mysql_or_says("it has one encoding and no collations to choose") {
        return;
    }
    let tables =
        "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations'";
    let columns = "FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name <> '_sqlx_migrations'";
    let count =
        async |from: &str, and: &str| app.database.db_number(&format!("SELECT COUNT(*) {from} {and}")).await;
    assert_eq!(count(tables, "").await, 9);
    assert_eq!(count(tables, "AND table_collation = 'utf8mb4_unicode_ci' AND engine = 'InnoDB'").await, 9);
    assert!(count(columns, "AND character_set_name IS NOT NULL").await > 10);
    let stated = "AND character_set_name IS NOT NULL AND collation_name NOT IN \
                  ('utf8mb4_unicode_ci', 'utf8mb4_bin', 'ascii_bin')";
    assert_eq!(count(columns, stated).await, 0);
    let times = count(columns, "AND data_type IN ('datetime', 'timestamp', 'date', 'time')").await;
    assert!(times > 10, "{times}");
    assert_eq!(count(columns, "AND data_type = 'datetime' AND datetime_precision = 6").await, times);
    assert_eq!(count(columns, "AND column_name = 'email' AND collation_name <> 'utf8mb4_bin'").await, 0);
}

#[actix_web::test]
async fn foreign_keys_hold() {
    let app = TestApp::start().await;
    let anna = app.db_person("Anna").await;
    let mut conn = app.app.db.conn().await.unwrap();
    let orphan = sample_app::models::mail_token::MailToken::issue(
        &mut conn,
        anna.id + 1,
        sample_app::models::mail_token::Purpose::Activation,
        "nobody@example.com",
        app.app.clock.now(),
    )
    .await;
    assert!(matches!(orphan.err(), Some(Error::NotFound)), "a token of nobody");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM mail_tokens").await, 0);
}

#[actix_web::test]
async fn migrating_twice_changes_nothing() {
    let empty = Empty::create().await;
    assert_eq!(empty.open().pending_migrations().await.unwrap(), 9);
    assert_eq!(empty.open().migrate().await.unwrap(), 9);
    let before = empty.database.db_text(FIRST_MIGRATION).await;
    assert_eq!(empty.open().migrate().await.unwrap(), 0);
    assert_eq!(empty.database.db_text(FIRST_MIGRATION).await, before);
    assert_eq!(empty.open().pending_migrations().await.unwrap(), 0);
}

const FIRST_MIGRATION: &str =
    "SELECT CONCAT(version, ' ', installed_on) FROM _sqlx_migrations ORDER BY version LIMIT 1";

/// Real processes: the lock has to hold between them.
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
        worked += usize::from(said.contains("9 migrations were applied"));
    }
    assert_eq!(worked, 1);
}

/// Somebody who migrates for a while.
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
    assert_eq!(db.migrate().await.unwrap(), 9);
}

/// Longer than a page's statement may take (db/pool.rs): that limit must not end the wait.
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
    assert_eq!(db.migrate().await.unwrap(), 9);
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

#[actix_web::test]
async fn every_character_survives() {
    let app = TestApp::start().await;
    let name = "Åsa 𝒴ou 한국 👩‍👩‍👧";
    let text = "🦀 𠮷野家 नमस्ते שלום \u{1F1E9}\u{1F1EA} e\u{301} ß ﷽ '; DROP TABLE users; -- %s \\ \"";
    let mut conn = app.app.db.conn().await.unwrap();
    let now = app.app.clock.now();
    let parsed = sample_app::models::name::Name::parse(name).unwrap();
    let person = app.db_person("asa").await;
    sample_app::models::user::User::rename(&mut conn, person.id, &parsed, now).await.unwrap();
    drop(conn);
    let mut browser = app.logged_in(&person).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", text);
    browser.submit(form).await.assert_flash("success", "Micropost created!");
    let page = browser.get("/").await;
    assert_eq!(page.one("section.user_info h1"), name);
    assert_eq!(page.one("ol.microposts > li span.content"), text);
    assert_eq!(app.database.db_text("SELECT content FROM microposts").await, text);
}
