//! Sessions in a real Redis, and everything that can happen to it: killed, frozen, flushed, read-only, full, with TLS,
//! as a cluster. Nobody is ever logged in by mistake, and no visitor waits longer than one time-out.

use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::support::people::{PASSWORD, Person};
use crate::support::wait::until;
use crate::support::{Browser, Certificates, Proxy, Server, TestApp, redis};

/// An application with its sessions in this Redis, and one user.
async fn app_with(url: &str) -> (TestApp, Person) {
    let app = TestApp::start_with(&[("REDIS_URL", url)]).await;
    let anna = app.db_person("anna").await;
    (app, anna)
}

async fn start() -> (Server, TestApp, Person) {
    let server = redis::start();
    let (app, anna) = app_with(&redis::url(&server)).await;
    (server, app, anna)
}

/// One browser logged in by a session only, one with "remember me".
async fn two_browsers(app: &TestApp, anna: &Person) -> (Browser, Browser) {
    let mut remembered = app.browser();
    remembered.log_in_remembered(&anna.email, PASSWORD).await;
    assert!(remembered.is_logged_in().await);
    (app.logged_in(anna).await, remembered)
}

/// What holds while Redis is unavailable, for whatever reason.
async fn assert_away(app: &TestApp, anna: &Person, session: &mut Browser, remembered: &mut Browser) {
    let start = Instant::now();
    for path in ["/", "/help", "/login", &format!("/users/{}", anna.id), "/static/app.css"] {
        assert_eq!(app.browser().get(path).await.status, 200, "{path} to a stranger");
        assert_eq!(session.get(path).await.status, 200, "{path} with a session");
        assert_eq!(remembered.get(path).await.status, 200, "{path} with a remembered device");
    }
    assert!(!session.is_logged_in().await, "nobody knows whose session it is");
    // A log-in would not work, so the page says what is wrong, and the session is kept for later.
    let page = session.get("/users").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert!(session.session().is_some());
    for _ in 0..3 {
        assert!(remembered.is_logged_in().await, "comes back by itself");
        assert_eq!(remembered.get("/users").await.status, 200);
    }
    let fields = [("session[email]", anna.email.as_str()), ("session[password]", PASSWORD)];
    assert_eq!(app.browser().post("/login", &fields).await.status, 503);
    // About 25 requests, each with its own time-out, would take 8 s.
    assert!(start.elapsed() < Duration::from_secs(6), "everybody waits: {:?}", start.elapsed());
}

/// Waits until the application notices that Redis is back; the target is 2 s.
async fn until_back(app: &TestApp, anna: &Person) {
    let start = Instant::now();
    let fields = [("session[email]", anna.email.as_str()), ("session[password]", PASSWORD)];
    until("Redis is back", async || app.browser().post("/login", &fields).await.status == 303).await;
    println!("back after {:?}", start.elapsed());
}

#[actix_web::test]
async fn instances_share_sessions() {
    let (server, one, anna) = start().await;
    let url = one.database.url.clone();
    let other =
        TestApp::start_with(&[("REDIS_URL", &redis::url(&server)), ("DATABASE_URL", url.as_str())]).await;
    let mut here = one.logged_in(&anna).await;
    let mut there = other.browser();
    there.cookies = here.cookies.clone();
    assert!(there.is_logged_in().await);
    there.delete("/logout").await.assert_redirect("/");
    assert!(!here.is_logged_in().await, "ended on both");

    // Ending all sessions of a user takes effect on both instances.
    let mut here = one.logged_in(&anna).await;
    let mut there = other.logged_in(&anna).await;
    here.delete("/other_sessions").await;
    assert!(!there.is_logged_in().await);
}

/// Reading the store does not allow anybody to log in, and everything in it expires.
#[actix_web::test]
async fn a_session_is_kept_by_its_digest_and_for_its_time() {
    let (server, app, anna) = start().await;
    let mut browser = app.logged_in(&anna).await;
    let keys: Vec<String> = redis::ask(&server, &["KEYS", "sample_app:session:*"]);
    let [key] = keys.as_slice() else { panic!("{keys:?}") };
    assert!(!key.contains(browser.session().unwrap()));
    let _: () = redis::ask(&server, &["EXPIRE", key, "100"]);
    assert!(browser.is_logged_in().await);
    let seconds: i64 = redis::ask(&server, &["TTL", key]);
    assert!((7190..=7200).contains(&seconds), "two hours from each use: {seconds}");
    app.pass(TimeDelta::hours(24));
    assert!(!browser.is_logged_in().await, "a day at most, used or not");
    assert_eq!(redis::ask::<i64>(&server, &["EXISTS", key]), 0);

    // An id that was never issued, and values that were never written, log nobody in.
    let mut browser = app.logged_in(&anna).await;
    let keys: Vec<String> = redis::ask(&server, &["KEYS", "sample_app:session:*"]);
    for nonsense in ["", "1", "1:0", "1:0:x", "{\"user_id\":1}", "\u{0}"] {
        let _: () = redis::ask(&server, &["SET", &keys[0], nonsense]);
        assert!(!browser.clone().is_logged_in().await, "{nonsense}");
    }
    let _: () = redis::ask(&server, &["DEL", &keys[0]]);
    let _: () = redis::ask(&server, &["RPUSH", &keys[0], "a list"]);
    assert!(!browser.is_logged_in().await);
    browser.cookies.insert("session".into(), "0".repeat(64));
    assert!(!browser.is_logged_in().await);
}

#[actix_web::test]
async fn killed() {
    let (mut server, app, anna) = start().await;
    let (mut session, mut remembered) = two_browsers(&app, &anna).await;
    server.kill();
    assert_away(&app, &anna, &mut session, &mut remembered).await;
    server.start_again();
    until_back(&app, &anna).await;
    // The sessions are lost: remembered users come back, others log in again.
    assert_eq!(session.get("/users").await.path, "/login");
    assert!(remembered.is_logged_in().await);
}

/// The session itself cannot be deleted; all other parts of a log-out happen.
#[actix_web::test]
async fn logging_out_works_while_the_sessions_are_away() {
    let (mut server, app, anna) = start().await;
    let (session, remembered) = two_browsers(&app, &anna).await;
    server.kill();
    for mut browser in [session, remembered] {
        let page = browser.delete("/logout").await;
        page.assert_redirect("/");
        assert!(browser.session().is_none() && !browser.cookies.contains_key("remember_me"));
        let (kind, message) = browser.get("/").await.flash().unwrap();
        assert_eq!(kind, "warning");
        assert!(message.starts_with("You are logged out in this browser, but"), "{message}");
        assert!(!browser.is_logged_in().await);
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}

#[actix_web::test]
async fn frozen() {
    let (server, app, anna) = start().await;
    let (mut session, mut remembered) = two_browsers(&app, &anna).await;
    server.freeze();
    assert_away(&app, &anna, &mut session, &mut remembered).await;
    server.thaw();
    until_back(&app, &anna).await;
    assert!(session.is_logged_in().await, "the same session as before");
    assert!(remembered.is_logged_in().await);
}

#[actix_web::test]
async fn flushed() {
    let (server, app, anna) = start().await;
    let (mut session, mut remembered) = two_browsers(&app, &anna).await;
    let _: () = redis::ask(&server, &["FLUSHALL"]);
    assert_eq!(session.get("/users").await.path, "/login");
    assert!(remembered.is_logged_in().await);
    session.log_in(&anna.email, PASSWORD).await;
    assert!(session.is_logged_in().await);
}

/// A primary that became a replica: its connections stay open, and PING succeeds.
#[actix_web::test]
async fn read_only() {
    let (server, app, anna) = start().await;
    let (mut session, mut remembered) = two_browsers(&app, &anna).await;
    let primary = redis::start();
    let port = primary.address.port().to_string();
    let _: () = redis::ask(&server, &["REPLICAOF", "127.0.0.1", &port]);
    assert_away(&app, &anna, &mut session, &mut remembered).await;
    let _: () = redis::ask(&server, &["REPLICAOF", "NO", "ONE"]);
    until_back(&app, &anna).await;
    assert!(remembered.is_logged_in().await);
}

#[actix_web::test]
async fn full() {
    let (server, app, anna) = start().await;
    let (mut session, mut remembered) = two_browsers(&app, &anna).await;
    let _: () = redis::ask(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    let fields = [("session[email]", anna.email.as_str()), ("session[password]", PASSWORD)];
    assert_eq!(app.browser().post("/login", &fields).await.status, 503);
    assert!(session.is_logged_in().await, "what it has it still tells");
    remembered.close();
    assert!(remembered.is_logged_in().await, "by the device");
    let _: () = redis::ask(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    until_back(&app, &anna).await;
}

/// After a fail-over the end point's name leads to another server: the old one goes away, another answers at its
/// address.
#[actix_web::test]
async fn another_server_at_the_same_address() {
    let (mut server, app, anna) = start().await;
    let mut remembered = app.browser();
    remembered.log_in_remembered(&anna.email, PASSWORD).await;
    for _ in 0..3 {
        server.start_again();
        // Its connection is closed, and the next one works: visitors notice nothing.
        until_back(&app, &anna).await;
        assert!(remembered.is_logged_in().await);
    }
}

#[actix_web::test]
async fn only_a_certificate_that_can_be_verified_will_do() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(&folder.path().join("right"));
    let wrong = Certificates::create(&folder.path().join("wrong"));
    let server = redis::start_with_tls(&certificates);
    let port = server.address.port();
    let logs_in = async |url: &str, ca: Option<&str>| {
        let settings = [("REDIS_URL", url), ("REDIS_CA_FILE", ca.unwrap_or_default())];
        let app = TestApp::start_with(&settings).await;
        let anna = app.db_person("anna").await;
        let fields = [("session[email]", anna.email.as_str()), ("session[password]", PASSWORD)];
        app.browser().post("/login", &fields).await.status
    };
    let (right, wrong) = (certificates.ca.to_str(), wrong.ca.to_str());
    let url = format!("rediss://app:secret@localhost:{port}");
    assert_eq!(logs_in(&url, right).await, 303);
    assert_eq!(logs_in(&url, wrong).await, 503, "signed by somebody else");
    assert_eq!(logs_in(&url, None).await, 503, "signed by nobody whom the system knows");
    let by_number = format!("rediss://app:secret@127.0.0.2:{port}");
    assert_eq!(logs_in(&by_number, right).await, 503, "made out to another name");
    assert_eq!(
        logs_in(&format!("redis://app:secret@localhost:{port}"), None).await,
        503,
        "never in plain text"
    );
    assert_eq!(logs_in(&format!("rediss://app:wrong@localhost:{port}"), right).await, 503, "wrong password");
    assert_eq!(logs_in(&format!("rediss://localhost:{port}"), right).await, 503, "no password");
}

#[actix_web::test]
async fn a_cluster() {
    let nodes = redis::start_cluster();
    let settings = [("REDIS_URL", redis::url(&nodes[0])), ("REDIS_CLUSTER", "true".into())];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let app = TestApp::start_with(&settings).await;
    // Each key is in its own slot, over all nodes.
    for n in 0..12 {
        let person = app.db_person(&format!("person{n}")).await;
        let mut browser = app.logged_in(&person).await;
        assert!(browser.is_logged_in().await);
        if n % 2 == 0 {
            browser.delete("/logout").await;
            assert!(!browser.is_logged_in().await);
        }
    }
    let sessions =
        nodes.iter().map(|node| redis::ask::<Vec<String>>(node, &["KEYS", "sample_app:session:*"]).len());
    let sessions: Vec<_> = sessions.collect();
    assert_eq!(sessions.iter().sum::<usize>(), 6);
    assert!(sessions.iter().all(|count| *count < 6), "spread over the nodes: {sessions:?}");
}

/// Redis freezes during a follow's transaction. The follow then waits for Redis until its time-out, but has returned
/// its database connection by then.
#[actix_web::test]
async fn nobody_holds_a_connection_to_the_database_while_redis_is_asked() {
    let server = redis::start();
    let proxy = Proxy::to(server.address.to_string());
    let app = TestApp::start_with(&[("REDIS_URL", &format!("redis://{}", proxy.address))]).await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let browser = app.logged_in(&anna).await;
    let pause = Duration::from_millis(20);
    // If the machine stalls for as long as that time-out, a round shows nothing and is repeated.
    for _ in 0..5 {
        let lock = app.database.db_hold_row("users", berta.id).await;
        let mut follower = browser.clone();
        let follow = actix_web::rt::spawn(async move {
            follower.post("/relationships", &[("followed_id", &berta.id.to_string())]).await.status
        });
        let (mut waiting, mut free) = (0, 0);
        until("the transaction waits", async || {
            waiting = if app.app.db.in_use().0 > 0 { waiting + 1 } else { 0 };
            waiting == 10
        })
        .await;
        proxy.freeze();
        lock.let_go().await;
        while free < 3 && !follow.is_finished() {
            free = if app.app.db.in_use().0 == 0 { free + 1 } else { 0 };
            tokio::time::sleep(pause).await;
        }
        assert_eq!(follow.await.unwrap(), 303);
        if free == 3 {
            return;
        }
        proxy.thaw();
        app.database.db_execute("DELETE FROM relationships").await;
        until("Redis is back", async || browser.clone().get_only("/users").await.status == 200).await;
    }
    panic!("a connection was in use all the time");
}
