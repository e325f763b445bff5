//! Concurrency: a transaction that the database rolls back for another is repeated as a whole, what must happen once
//! happens once, and counters are exact.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sample_app::error::Error;
use sample_app::models::micropost::{Content, Micropost};
use sample_app::models::relationship;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection};

use crate::support::TestApp;
use crate::support::people::Person;

/// A statement in another program's transaction.
async fn run(other: &mut MySqlConnection, sql: &str) {
    other.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
}

async fn assert_counts(app: &TestApp, follows: i64) {
    for sql in [
        "SELECT COUNT(*) FROM relationships",
        "SELECT CAST(SUM(followers_count) AS SIGNED) FROM users",
        "SELECT CAST(SUM(following_count) AS SIGNED) FROM users",
    ] {
        let sql = if app.database.is_mysql() { sql.to_owned() } else { sql.replace("SIGNED", "INTEGER") };
        assert_eq!(app.database.db_number(&sql).await, follows, "{sql}");
    }
}

/// Follows through the form of a page, as a browser does. Returns the status.
async fn follow(app: &TestApp, who: &Person, whom: &Person) -> u16 {
    let mut browser = app.logged_in(who).await;
    browser.post("/relationships", &[("followed_id", &whom.id.to_string())]).await.status
}

/// MySQL 1213: the other transaction holds one row and waits for ours. The database rolls back the one with fewer
/// changes, which is ours.
#[actix_web::test]
async fn a_deadlock_is_invisible() {
    let app = TestApp::start().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    if !app.database.is_mysql_or_says("one writer at a time cannot come to a deadlock") {
        return;
    }
    for n in 0..30 {
        app.db_person(&format!("weight{n}")).await;
    }
    let mut other = app.database.db_connect_mysql().await;
    run(&mut other, "BEGIN").await;
    run(&mut other, &format!("UPDATE users SET sign_in_epoch = 7 WHERE id >= {}", berta.id)).await;
    let theirs = async {
        app.database.db_lock_waits(1).await;
        // By now ours holds Anna's row (the lower id first) and waits for Berta's.
        run(&mut other, &format!("UPDATE users SET sign_in_epoch = sign_in_epoch WHERE id = {}", anna.id))
            .await;
        run(&mut other, &format!("UPDATE users SET name = 'Anna again' WHERE id = {}", anna.id)).await;
        run(&mut other, "COMMIT").await;
    };
    let now = app.app.clock.now();
    let (ours, ()) = tokio::join!(relationship::follow(&app.app.db, anna.id, berta.id, now), theirs);
    ours.unwrap();
    assert_counts(&app, 1).await;
    let others = "SELECT COUNT(*) FROM users WHERE sign_in_epoch = 7";
    assert_eq!(app.database.db_number(others).await, 31, "theirs was not undone, so ours was");
    app.pool_is_whole().await;
}

/// MySQL 1205: another program locks the row of Berta, whom Anna is about to follow.
async fn with_a_row_held() -> Option<(TestApp, Person, Person, MySqlConnection)> {
    let app = TestApp::start().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    if !app.database.is_mysql_or_says("database_faults.rs has the same for its lock") {
        return None;
    }
    let mut other = app.database.db_connect_mysql().await;
    run(&mut other, "BEGIN").await;
    run(&mut other, &format!("UPDATE users SET name = 'B' WHERE id = {}", berta.id)).await;
    Some((app, anna, berta, other))
}

#[actix_web::test]
async fn a_lock_that_is_let_go_in_time_is_invisible() {
    let Some((app, anna, berta, mut other)) = with_a_row_held().await else { return };
    let theirs = async {
        // The row is released during the second wait.
        app.database.db_lock_waits(2).await;
        run(&mut other, "COMMIT").await;
    };
    let ours = async { assert_eq!(follow(&app, &anna, &berta).await, 303) };
    tokio::join!(ours, theirs);
    assert_counts(&app, 1).await;
}

#[actix_web::test]
async fn a_lock_that_is_never_let_go_is_a_503_and_nothing_happened() {
    let Some((app, anna, berta, mut other)) = with_a_row_held().await else { return };
    let start = Instant::now();
    let mut browser = app.logged_in(&anna).await;
    let page = browser.post("/relationships", &[("followed_id", &berta.id.to_string())]).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert!(start.elapsed() < Duration::from_secs(15), "three waits at most: {:?}", start.elapsed());
    run(&mut other, "ROLLBACK").await;
    assert_counts(&app, 0).await;
    assert_eq!(browser.post("/relationships", &[("followed_id", &berta.id.to_string())]).await.status, 303);
    assert_counts(&app, 1).await;
    app.pool_is_whole().await;
}

/// The worst answer is "try again later", and no account is created twice.
#[actix_web::test]
async fn of_many_sign_ups_with_one_address_one_account_comes() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let fields = [
        ("user[name]", "Anna"),
        ("user[email]", "anna@example.com"),
        ("user[password]", "correct horse battery"),
        ("user[password_confirmation]", "correct horse battery"),
    ];
    let signing_up = (0..100).map(|_| {
        let mut browser = app.browser();
        async move { browser.post("/users", &fields).await.status }
    });
    let statuses = join_all(signing_up).await;
    assert!(statuses.iter().all(|status| matches!(status, 303 | 503)), "{statuses:?}");
    assert!(statuses.contains(&303), "{statuses:?}");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM mail_tokens").await, 1);
    app.pool_is_whole().await;
}

#[actix_web::test]
async fn many_follows_at_once_leave_exact_counts() {
    let app = TestApp::start().await;
    let mut people = Vec::new();
    for n in 0..10 {
        people.push(app.db_person(&format!("person{n}")).await.id);
    }
    let (db, now) = (&app.app.db, app.app.clock.now());
    // Everybody follows everybody, in both directions at the same time, and some twice.
    let pairs: Vec<_> = people
        .iter()
        .flat_map(|a| people.iter().map(move |b| (*a, *b)))
        .filter(|(a, b)| a != b)
        .flat_map(|pair| [pair, pair])
        .collect();
    let follows = pairs.iter().map(|(a, b)| relationship::follow(db, *a, *b, now));
    let mut refused = 0;
    for followed in join_all(follows).await {
        match followed {
            Ok(_) => {}
            Err(Error::Unavailable(_)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused < pairs.len(), "somebody got through");
    let there = app.database.db_number("SELECT COUNT(*) FROM relationships").await;
    assert_counts(&app, there).await;
    // A retry succeeds: first one after the other, then all in the opposite directions.
    for (a, b) in &pairs {
        relationship::follow(db, *a, *b, now).await.unwrap();
    }
    assert_counts(&app, 90).await;
    app.pool_is_whole().await;
}

/// A hundred concurrent posts and deletions: the author's counter equals the number of posts.
#[actix_web::test]
async fn many_posts_at_once_leave_exact_counts() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    let (db, now) = (&app.app.db, app.app.clock.now());
    let content = Content::parse("again").unwrap();
    let post =
        async || db.transaction(async |db| Micropost::create(db, anna.id, &content, None, now).await).await;
    for _ in 0..20 {
        post().await.unwrap();
    }
    let first = app.database.db_number("SELECT MIN(id) FROM microposts").await;
    let delete = async |id| db.transaction(async |db| Micropost::delete(db, id, anna.id, now).await).await;
    // Each post is deleted twice concurrently; one of the two finds nothing and must not count.
    let deletions = join_all((0..40).map(|n| delete(first + n / 2)));
    let (posted, deleted) = tokio::join!(join_all((0..60).map(|_| post())), deletions);
    assert!(posted.iter().all(|done| matches!(done, Ok(()) | Err(Error::Unavailable(_)))), "{posted:?}");
    let known =
        |done: &Result<_, Error>| matches!(done, Ok(_) | Err(Error::Unavailable(_) | Error::NotFound));
    assert!(deleted.iter().all(known), "{deleted:?}");
    let there = app.database.db_number("SELECT COUNT(*) FROM microposts").await;
    assert_eq!(app.database.db_number("SELECT microposts_count FROM users").await, there);
    let (more, fewer) =
        (posted.iter().filter(|done| done.is_ok()), deleted.iter().filter(|done| done.is_ok()));
    assert_eq!(there, 20 + more.count() as i64 - fewer.count() as i64);
    app.pool_is_whole().await;
}
