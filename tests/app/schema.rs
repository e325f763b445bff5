//! The schema is the same on both databases.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sample_app::error::Error;

use crate::support::TestApp;

/// The file names in a migrations folder, and each table's columns as the files create them.
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
    let files = i64::try_from(migrations("mysql").1.len()).unwrap();
    assert_eq!(count(tables, "").await, files);
    assert_eq!(
        count(tables, "AND table_collation = 'utf8mb4_unicode_ci' AND engine = 'InnoDB'").await,
        files
    );
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
async fn every_character_survives() {
    let app = TestApp::start().await;
    let name = "Åsa 𝒴ou 한국 👩‍👩‍👧";
    let text = "🦀 𠮷野家 नमस्ते שלום \u{1F1E9}\u{1F1EA} e\u{301} ß ﷽ '; DROP TABLE users; -- %s \\ \"";
    let mut conn = app.app.db.conn().await.unwrap();
    let now = app.app.clock.now();
    let parsed = sample_app::models::values::name::Name::parse(name).unwrap();
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
