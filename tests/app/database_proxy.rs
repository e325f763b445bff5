//! DATABASE_PROXY: no statement pins a session, so that a proxy can share server connections between clients.

use std::time::{Duration, Instant};

use sample_app::models::user::User;
use sample_app::seeds;

use crate::sql_rules;
use crate::support::app::app_on;
use crate::support::database_server::is_mariadb;
use crate::support::mysql_router::MySqlRouter;
use crate::support::statement_log::StatementLog;
use crate::support::wait::PATIENCE;
use crate::support::{TestApp, TestDatabase};

const BY_PROXY: (&str, &str) = ("DATABASE_PROXY", "true");

/// Longer statements pin, too.
const LONGEST_STATEMENT: usize = 16 * 1024;

/// Text for which RDS Proxy pins a session of MySQL or MariaDB (AWS, "Avoiding pinning an RDS Proxy"): executable
/// comments, user variables, all session variables but a few, locks by name or on tables, temporary tables.
const PINNING: [&str; 13] = [
    "/*!",
    "/*M!",
    ":=",
    "INTO @",
    "GET_LOCK",
    "LOCK TABLES",
    "FLUSH TABLES",
    "TEMPORARY TABLE",
    "SET TRANSACTION",
    "FOUND_ROWS()",
    "ROW_COUNT()",
    "_TIMEOUT",
    "MAX_EXECUTION_TIME",
];

fn pins(statement: &str) -> bool {
    let statement = statement.to_uppercase();
    statement.len() > LONGEST_STATEMENT || PINNING.iter().any(|text| statement.contains(text))
}

/// In the server's log of what clients send.
#[actix_web::test]
async fn the_server_gets_no_statement_that_pins() {
    // Migrations may pin their own connection while they run.
    let Some((app, log)) = StatementLog::start(&[BY_PROXY]).await else { return };
    assert!(seeds::create(&app.app.db, &app.app.clock).await.unwrap());
    app.browser().sign_up("Canary", "canary@example.com", "canary password").await;
    let mut browser = app.browser();
    browser.log_in_remembered("example-1@railstutorial.org", "password").await;
    browser.post("/microposts", &[("micropost[content]", "A text")]).await.assert_redirect("/");
    for page in ["/", "/users", "/users?page=2", "/users/1", "/users/1/following", "/users/1/followers"] {
        assert_eq!(browser.get(page).await.status, 200, "{page}");
    }
    browser.post("/relationships", &[("followed_id", "90")]).await.assert_redirect("/users/90");

    let (queries, others): (Vec<_>, Vec<_>) =
        log.read().await.into_iter().partition(|(command, _)| command == "Query");
    assert!(queries.len() > 500, "{} statements", queries.len());
    let pinning: Vec<_> = queries.iter().filter(|(_, statement)| pins(statement)).collect();
    assert!(pinning.is_empty(), "{pinning:?}");
    let harmless = ["Connect", "Quit", "Ping"];
    assert!(others.iter().all(|(command, _)| harmless.contains(&command.as_str())), "{others:?}");
}

/// Executable comments are allowed in one form, whose marks src/db/text_query.rs removes.
#[test]
fn no_statement_in_the_sources_pins() {
    for path in sql_rules::source("src").into_iter().filter(|path| sql_rules::uses_macros(path)) {
        let text = std::fs::read_to_string(&path).unwrap().replace("/*! ", "");
        let found: Vec<_> = PINNING.iter().filter(|word| text.contains(**word)).collect();
        assert!(found.is_empty(), "{}: {found:?}", path.display());
    }
}

#[actix_web::test]
async fn what_people_type_arrives_as_typed() {
    if !TestApp::start().await.database.is_mysql_or_says("it has no proxy") {
        return;
    }
    let app = TestApp::start_with(&[BY_PROXY]).await;
    let anna = app.db_person("anna").await;
    let mut browser = app.logged_in(&anna).await;
    let typed = r#"'; DROP TABLE users; -- \' \\ " ` ? :a @b %_ /*! x */ \0 X'41' 🦀"#;
    browser.post("/microposts", &[("micropost[content]", typed)]).await.assert_redirect("/");
    assert_eq!(app.database.db_text("SELECT content FROM microposts").await, typed);
    assert_eq!(browser.get("/").await.microposts().len(), 1);
}

/// MySQL Router stands in for RDS Proxy.
#[actix_web::test]
async fn clients_share_a_server_connection() {
    let like = TestApp::start_unmigrated(&[]).await;
    if !like.database.is_mysql_or_says("it has no proxy") || is_mariadb(&like.database).await {
        return;
    }
    for (by_proxy, most) in [("true", 2), ("false", usize::MAX)] {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::create(folder.path()).await;
        app_on(&folder, &database, &[]).db.migrate().await.unwrap();
        let (login, server) = database.url.rsplit_once('@').unwrap();
        let (address, schema) = server.split_once('/').unwrap();
        let router = MySqlRouter::start(address);
        let url = format!("{login}@{}/{schema}", router.server.address);
        let settings =
            [("DATABASE_URL", url.as_str()), ("DATABASE_PROXY", by_proxy), ("DATABASE_SSL_MODE", "required")];
        let app = TestApp::start_on(folder, database, &settings).await;
        let mut clients = Vec::new();
        for _ in 0..app.app.db.max_per_thread() {
            let mut conn = app.app.db.conn().await.unwrap();
            User::find(&mut conn, 1).await.unwrap();
            clients.push(conn);
        }
        for path in ["/users", "/users/1"] {
            app.browser().get(path).await;
        }
        // At rest: the workers' statements, too, have ended.
        let start = Instant::now();
        let mut shared = app.database.db_sessions().await.len();
        while shared > most && start.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(50)).await;
            shared = app.database.db_sessions().await.len();
        }
        eprintln!(
            "DATABASE_PROXY={by_proxy}: {shared} server connections for {} clients",
            app.app.db.in_use().1
        );
        assert!(shared <= most, "{shared}");
        if by_proxy == "false" {
            assert!(shared >= clients.len(), "a prepared statement pins: {shared}");
        }
    }
}
