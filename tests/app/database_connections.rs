//! Connections to the database and their pool: queries and transactions that are cancelled or fail (src/db/conn.rs)
//! and killed connections leave only usable connections behind.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use sample_app::clock::Clock;
use sample_app::db::{Backend, Conn};
use sample_app::error::{Error, Result};
use sample_app::models::micropost::Micropost;
use sample_app::models::user::User;
use sample_app::models::values::page::PageStart;
use sample_app::seeds;

use crate::support::TestApp;

/// An application with the 100 seeded users; the first has the longest feed.
async fn seeded() -> (TestApp, i64) {
    let app = TestApp::start().await;
    assert!(seeds::create(&app.app.db, &Clock::default()).await.unwrap());
    let id = app.database.db_number("SELECT MIN(id) FROM users").await;
    (app, id)
}

/// The server's connection id; SQLite has none.
async fn connection_id(conn: &mut Conn) -> Option<i64> {
    let limit = conn.answer_timeout();
    let answer = match conn.backend_mut().unwrap() {
        Backend::Sqlite(_) => (true, Ok(None)),
        Backend::MySql(object) => {
            let sql = "SELECT CAST(CONNECTION_ID() AS SIGNED)";
            Conn::with_timeout(limit, sqlx::query_scalar(sql).fetch_one(&mut **object)).await
        }
    };
    conn.finish(answer).unwrap()
}

/// Takes all connections of the pool at once and asserts that each returns its own answer. Returns their ids.
pub async fn every_connection_answers(app: &TestApp, user_id: i64) -> Vec<Option<i64>> {
    app.pool_is_whole().await;
    let most = app.app.db.max_per_thread();
    let (mut held, mut ids) = (Vec::new(), Vec::new());
    for n in 0..most {
        let mut conn = app.app.db.conn().await.unwrap_or_else(|error| panic!("{n} of {most}: {error}"));
        let user = User::find(&mut conn, user_id).await.unwrap().unwrap();
        assert_eq!(user.id, user_id, "an answer to somebody else's question");
        ids.push(connection_id(&mut conn).await);
        held.push(conn);
    }
    match app.app.db.conn().await.err() {
        Some(Error::Unavailable(why)) => assert_eq!(why.to_string(), "no connection was free in time"),
        other => panic!("more than {most}: {other:?}"),
    }
    drop(held);
    app.pool_is_whole().await;
    ids
}

#[actix_web::test]
async fn queries_dropped_half_way_cost_no_connection() {
    let (app, id) = seeded().await;
    let user = User::find(&mut app.app.db.conn().await.unwrap(), id).await.unwrap().unwrap();
    for n in 0..400_u64 {
        let work = async {
            let mut db = app.app.db.conn().await?;
            for _ in 0..20 {
                Micropost::feed(&mut db, &user, PageStart::FIRST).await?;
            }
            Ok::<(), Error>(())
        };
        // Cancels at points from "before the connection" to "between two queries", wherever this machine is by then.
        let _ = tokio::time::timeout(Duration::from_micros(n * 37 % 6000), work).await;
    }
    every_connection_answers(&app, id).await;
}

/// A connection with an unread response must not be reused.
#[actix_web::test]
async fn a_connection_that_still_owes_an_answer_is_not_used_again() {
    let (app, id) = seeded().await;
    if !app.database.is_mysql_or_says("it has no question that takes its time") {
        return;
    }
    let before = every_connection_answers(&app, id).await;
    let forgotten = before.iter().map(async |_| {
        let mut conn = app.app.db.conn().await.unwrap();
        let asking = conn.execute_text("SELECT SLEEP(2)");
        assert!(tokio::time::timeout(Duration::from_millis(300), asking).await.is_err());
    });
    futures_util::future::join_all(forgotten).await;
    let after = every_connection_answers(&app, id).await;
    assert!(after.iter().all(|id| !before.contains(id)), "{before:?} and then {after:?}");
}

#[actix_web::test]
async fn transactions_dropped_half_way_are_rolled_back() {
    let (app, id) = seeded().await;
    let before = app.database.db_dump().await;
    for n in 0..100_u64 {
        let work = app.app.db.transaction(async |db| {
            User::activate(db, id, app.app.clock.now() + chrono::TimeDelta::days(1)).await?;
            User::set_admin(db, id + 1, true, app.app.clock.now()).await?;
            std::future::pending::<()>().await;
            Ok(())
        });
        let _ = tokio::time::timeout(Duration::from_micros(500 + n * 53 % 5000), work).await;
    }
    every_connection_answers(&app, id).await;
    assert_eq!(app.database.db_dump().await, before);
}

/// Clients disconnect before the response: the work finishes, and no connection leaks.
#[actix_web::test]
async fn clients_that_go_away_cost_no_connection() {
    let (app, id) = seeded().await;
    let address = app.address;
    for wave in 0..10 {
        let clients: Vec<_> = (0..30)
            .map(|n| {
                std::thread::spawn(move || {
                    let mut client = TcpStream::connect(address).unwrap();
                    let page = format!("GET /users/{id}?page=2 HTTP/1.1\r\nHost: sample.test\r\n\r\n");
                    // Some disconnect after half a request.
                    let cut = if n % 3 == 0 { page.len() / 2 } else { page.len() };
                    client.write_all(&page.as_bytes()[..cut]).unwrap();
                    std::thread::sleep(Duration::from_millis((n * wave) % 17));
                    let _ = client.shutdown(Shutdown::Both);
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        clients.into_iter().for_each(|client| client.join().unwrap());
    }
    every_connection_answers(&app, id).await;
    assert_eq!(app.browser().get(&format!("/users/{id}")).await.status, 200);
}

/// An error in the middle of a transaction undoes its earlier statements.
#[actix_web::test]
async fn an_error_undoes_the_whole_transaction() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    let before = app.database.db_dump().await;
    let failed: Result<()> = app
        .app
        .db
        .transaction(async |db| {
            User::set_admin(db, anna.id, true, app.app.clock.now()).await?;
            db.execute_text("SELECT no_such_column FROM users").await
        })
        .await;
    assert!(matches!(failed, Err(Error::Database(_))));
    assert_eq!(app.database.db_dump().await, before);
    every_connection_answers(&app, anna.id).await;
}

#[actix_web::test]
async fn connections_that_were_killed_are_replaced() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    if !app.database.is_mysql_or_says("nobody can kill a connection to a file") {
        return;
    }
    let path = format!("/users/{}", anna.id);
    let most = app.pool_is_whole().await;
    for idle in [Duration::ZERO, Duration::from_millis(1200)] {
        every_connection_answers(&app, anna.id).await;
        tokio::time::sleep(idle).await;
        let open = app.database.db_sessions().await;
        assert!(open.len() >= most, "{} connections", open.len());
        app.database.db_kill(&open).await;
        let mut statuses = Vec::new();
        while statuses.last() != Some(&200) {
            statuses.push(app.browser().get(&path).await.status);
            assert!(statuses.len() <= most + 1, "{statuses:?}");
        }
        if !idle.is_zero() {
            assert_eq!(statuses, [200], "whoever lay idle is asked first whether they live");
        }
    }
    every_connection_answers(&app, anna.id).await;
}

/// Every handler's future contains this one, and is moved several times.
#[actix_web::test]
async fn what_takes_a_connection_is_small() {
    let app = TestApp::start().await;
    let size = std::mem::size_of_val(&app.app.db.conn());
    assert!(size < 2048, "{size} bytes");
}
