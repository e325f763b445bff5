//! Faults of the database: locked tables, slow statements, and a frozen server. Visitors get a 503 in time, and the
//! application recovers by itself.

use std::time::{Duration, Instant};

use sample_app::error::Error;
use sample_app::models::user::User;
use sqlx::Executor;

use crate::database_connections::every_connection_answers;
use crate::support::wait::PATIENCE;
use crate::support::{Browser, Proxy, TestApp, TestDatabase};

/// The server's own time-out ends a slow statement, and the connection stays usable.
#[actix_web::test]
async fn a_page_that_waits_for_a_locked_table_is_told_so() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    if !app.database.is_mysql_or_says("readers never wait there") {
        return;
    }
    let mut other = app.database.db_connect_mysql().await;
    other.execute(sqlx::raw_sql("LOCK TABLES users WRITE")).await.unwrap();
    let start = Instant::now();
    let page = app.browser().get(&format!("/users/{}", anna.id)).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    let took = start.elapsed();
    assert!(took > Duration::from_secs(2), "the limit is 3 seconds, this were {took:?}");
    other.execute(sqlx::raw_sql("UNLOCK TABLES")).await.unwrap();
    assert_eq!(app.browser().get(&format!("/users/{}", anna.id)).await.status, 200);
    every_connection_answers(&app, anna.id).await;
}

#[actix_web::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    if !app.database.is_mysql_or_says("it has no time-out for statements") {
        return;
    }
    let mut conn = app.app.db.conn().await.unwrap();
    let start = Instant::now();
    // The servers report the end differently: MySQL's SLEEP returns, MariaDB's is an error.
    let ended = conn.execute_text("SELECT SLEEP(10) FROM users").await;
    assert!(!matches!(ended, Err(Error::Database(_) | Error::Internal(_))), "{ended:?}");
    let took = start.elapsed();
    // Ended by the server; a client time-out would have closed the connection.
    assert!(took > Duration::from_secs(2), "{took:?}");
    assert_eq!(
        User::find(&mut conn, anna.id).await.unwrap().unwrap().id,
        anna.id,
        "same connection, next question"
    );
}

/// The numbers of successful and failed statements that /stack and the metrics report.
async fn counted(prometheus: &mut Browser) -> [u64; 2] {
    let figures = prometheus.get("/metrics").await.text();
    ["answered", "failed"].map(|result| {
        let name = format!("sample_app_service_calls_total{{service=\"database\",result=\"{result}\"}}");
        figures.lines().find_map(|line| line.strip_prefix(&name)).unwrap().trim().parse().unwrap()
    })
}

#[actix_web::test]
async fn every_statement_counts_and_one_that_is_ended_counts_as_failed() {
    let app = TestApp::start_with(&[("METRICS_LISTEN", "127.0.0.1:0"), ("LIMITS", "off")]).await;
    let anna = app.db_person("anna").await;
    let mut prometheus = Browser::new(app.metrics_address().unwrap());
    let [answered, failed] = counted(&mut prometheus).await;
    app.browser().get(&format!("/users/{}", anna.id)).await;
    let [after, failed_after] = counted(&mut prometheus).await;
    assert!(after >= answered + 2 && failed_after == failed, "the person, the posts");
    if app.database.is_mysql() {
        let mut other = app.database.db_connect_mysql().await;
        other.execute(sqlx::raw_sql("LOCK TABLES users WRITE")).await.unwrap();
        assert_eq!(app.browser().get(&format!("/users/{}", anna.id)).await.status, 503);
        other.execute(sqlx::raw_sql("UNLOCK TABLES")).await.unwrap();
    } else {
        let mut other = app.database.db_connect_sqlite().await;
        other.execute(sqlx::raw_sql("BEGIN IMMEDIATE")).await.unwrap();
        let reset = [("password_reset[email]", anna.email.as_str())];
        assert_eq!(app.browser().post("/password_resets", &reset).await.status, 503);
        other.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    }
    // The profile runs two statements at once, and MySQL locks tables that a foreign key relates to the locked one, too.
    let ended = counted(&mut prometheus).await[1] - failed;
    assert!((1..=2).contains(&ended), "{ended}");
    assert!(app.browser().get("/stack").await.has(".board-services p.error"), "and says why");
}

#[actix_web::test]
async fn a_busy_sqlite_delays_writers_and_not_readers() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    if app.database.is_mysql() {
        eprintln!("nothing to test on MySQL: it locks rows, not the file");
        return;
    }
    let mut browser = app.logged_in(&anna).await;
    let post = [("micropost[content]", "busy")];
    let mut other = app.database.db_connect_sqlite().await;
    other.execute(sqlx::raw_sql("BEGIN IMMEDIATE")).await.unwrap();
    assert_eq!(browser.get("/").await.status, 200, "readers read on");
    let refused = browser.post("/microposts", &post).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));

    let releasing = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        other.execute(sqlx::raw_sql("ROLLBACK")).await.unwrap();
    };
    let (written, ()) = tokio::join!(browser.post("/microposts", &post), releasing);
    assert_eq!(written.status, 303, "a short wait is invisible");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 1);
    assert_eq!(app.database.db_number("SELECT microposts_count FROM users").await, 1);
    every_connection_answers(&app, anna.id).await;
}

/// An application that reaches its database through a network that can freeze and be slow.
pub async fn behind_a_proxy(settings: &[(&str, &str)]) -> Option<(TestApp, Proxy, i64)> {
    by_proxy("DATABASE_URL", settings).await
}

/// The same for its reader, which is the same server.
pub async fn reader_behind_a_proxy(settings: &[(&str, &str)]) -> Option<(TestApp, Proxy, i64)> {
    by_proxy("DATABASE_READER_URL", settings).await
}

async fn by_proxy(name: &str, settings: &[(&str, &str)]) -> Option<(TestApp, Proxy, i64)> {
    let folder = tempfile::tempdir().unwrap();
    let database = TestDatabase::create(folder.path()).await;
    if !database.is_mysql_or_says("there is no network to a file") {
        return None;
    }
    let server = database.url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned();
    let proxy = Proxy::to(server.clone());
    let url = database.url.replace(&server, &proxy.address.to_string());
    let settings = [settings, &[(name, url.as_str()), ("LIMITS", "off")]].concat();
    let app = TestApp::start_on(folder, database, &settings).await;
    app.app.db.migrate().await.unwrap();
    let anna = app.db_person("anna").await;
    Some((app, proxy, anna.id))
}

/// A connection that waits for a response is given up after ANSWER_TIMEOUT (db/conn.rs).
#[actix_web::test]
async fn a_frozen_server_is_a_503_in_time_and_comes_back_by_itself() {
    let Some((app, proxy, id)) = behind_a_proxy(&[]).await else { return };
    let path = format!("/users/{id}");
    assert_eq!(app.browser().get(&path).await.status, 200);
    for round in 0..3 {
        proxy.freeze();
        // Reads, and writes in a transaction, whose rollback must be given up too.
        let asking = |n| {
            let (mut browser, path) = (app.browser(), path.clone());
            async move {
                let start = Instant::now();
                let answer = async {
                    match n % 2 {
                        0 => browser.get(&path).await,
                        _ => {
                            browser
                                .post("/password_resets", &[("password_reset[email]", "a@b.example")])
                                .await
                        }
                    }
                };
                let page = tokio::time::timeout(PATIENCE, answer).await.expect("no answer at all");
                assert_eq!((page.status, page.header("retry-after")), (503, "5"));
                start.elapsed()
            }
        };
        let took = futures_util::future::join_all((0..12).map(asking)).await;
        let longest = took.into_iter().max().unwrap();
        println!("frozen, round {round}: the slowest 503 of 12 at once took {longest:?}");
        // The requirement is 3 s. Twice that fails only if two waits add up, not because this machine is busy.
        assert!(longest < Duration::from_secs(6), "round {round}: {longest:?}");
        for path in ["/help", "/about", "/static/app.css", "/livez", "/login"] {
            assert_eq!(app.browser().get(path).await.status, 200, "{path} needs no database");
        }
        proxy.thaw();
        app.browser().get_until(&path, |page| page.status == 200).await;
    }
    every_connection_answers(&app, id).await;
}
