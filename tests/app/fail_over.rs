//! Fail-over to a new writer: the database's end point leads to it, while connections to the old one stay open and
//! answer queries, as on Aurora, but every write fails with 1290.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::future::join_all;

use crate::support::database_server::is_mariadb;
use crate::support::people::{PASSWORD, Person};
use crate::support::wait::until;
use crate::support::{Browser, DatabaseServer, Proxy, TestApp};

/// Two writers, the new one being the server under test. Each has the schema and Anna; a switchable end point leads to
/// one of them.
struct Cluster {
    old: DatabaseServer,
    new: TestApp,
    end_point: Proxy,
    app: TestApp,
    anna: Person,
    schema: String,
}

impl Cluster {
    async fn start() -> Option<Cluster> {
        let new = TestApp::start().await;
        if !new.database.is_mysql_or_says("a file has no successor") {
            return None;
        }
        let old = DatabaseServer::start(&new.database, &[]).await;
        let schema = new.database.schema().to_owned();
        // read_only does not apply to root.
        let user =
            format!("CREATE USER {schema} IDENTIFIED BY 'secret'; GRANT ALL ON {schema}.* TO {schema}");
        old.db_execute(&format!("CREATE DATABASE {schema}; {user}")).await;
        new.database.db_execute(&user).await;
        let end_point = Proxy::to(old.address());
        let url = format!("mysql://{schema}:secret@{}/{schema}", end_point.address);
        let app = TestApp::start_unmigrated(&[("DATABASE_URL", &url), ("LIMITS", "off")]).await;
        app.app.db.migrate().await.unwrap();
        let anna = app.db_person("anna").await;
        assert_eq!(new.db_person("anna").await.id, anna.id);
        // Her row is equal on both, as with replication.
        let epoch = format!("UPDATE {schema}.users SET sign_in_epoch = 1");
        old.db_execute(&epoch).await;
        new.database.db_execute(&epoch).await;
        Some(Cluster { old, new, end_point, app, anna, schema })
    }

    async fn new_address(&self) -> String {
        self.new.database.url.split('@').nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    /// The state of the old writer after a promotion.
    async fn demote_the_old_one(&self) {
        let sql = match is_mariadb(&self.new.database).await {
            true => "SET GLOBAL read_only = 1",
            false => "SET GLOBAL super_read_only = 1",
        };
        self.old.db_execute(sql).await;
    }

    async fn connections_to_the_old_one(&self) -> i64 {
        let ours =
            format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{}'", self.schema);
        self.old.db_number(&ours).await
    }

    async fn posts_on_the_new_one(&self) -> i64 {
        self.new.database.db_number("SELECT COUNT(*) FROM microposts").await
    }

    /// The statuses of `number` concurrent posts.
    async fn post(&self, browser: &Browser, number: usize) -> Vec<u16> {
        let post = |n: usize| {
            let mut browser = browser.clone();
            async move { browser.post("/microposts", &[("micropost[content]", &format!("{n}"))]).await.status }
        };
        join_all((0..number).map(post)).await
    }
}

#[actix_web::test]
async fn the_first_write_after_a_fail_over_finds_the_new_writer() {
    let Some(cluster) = Cluster::start().await else { return };
    let app = &cluster.app;
    let mut browser = app.logged_in(&cluster.anna).await;
    // The maximum number of idle connections, on all threads.
    assert!(cluster.post(&browser, 40).await.iter().all(|status| *status == 303));
    assert!(cluster.connections_to_the_old_one().await > 1);

    cluster.demote_the_old_one().await;
    cluster.end_point.lead_to(cluster.new_address().await);
    // One transaction, and one statement outside a transaction.
    let mut other = app.browser();
    let (posted, remembered) =
        tokio::join!(cluster.post(&browser, 8), other.log_in_remembered(&cluster.anna.email, PASSWORD));
    assert_eq!(posted, [303; 8]);
    assert_eq!(remembered.status, 200);
    assert_eq!(cluster.posts_on_the_new_one().await, 8, "each once");
    assert_eq!(browser.get("/").await.microposts().len(), 8, "and readers see them");

    // No new writer yet: reads work, and writes get 503 with Retry-After.
    cluster.end_point.lead_to(cluster.old.address());
    let mut ours = cluster.new.database.db_sessions().await;
    ours.retain(|session| session.user == cluster.schema);
    cluster.new.database.db_kill(&ours).await;
    browser.get_until("/", |page| page.status == 200).await;
    let refused = browser.post("/microposts", &[("micropost[content]", "too early")]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!(browser.get("/").await.status, 200);
    let told = browser.get("/readyz").await.text();
    assert!(told.contains(r#""database":"down""#), "{told}");

    cluster.end_point.lead_to(cluster.new_address().await);
    let start = Instant::now();
    until("a write works", async || cluster.post(&browser, 1).await == [303]).await;
    println!("the first write after the successor can be reached: {:?}", start.elapsed());
    assert_eq!(cluster.posts_on_the_new_one().await, 9);
    app.pool_is_whole().await;
}

/// The old writer refuses its COMMIT, or a read that takes locks. Both times nothing was written, and all of it runs again.
#[actix_web::test]
async fn a_transaction_open_during_the_demotion_runs_again_on_the_new_writer() {
    for then in [None, Some("SELECT id FROM users FOR UPDATE")] {
        let Some(cluster) = Cluster::start().await else { return };
        let attempts = AtomicUsize::new(0);
        let work = cluster.app.app.db.transaction(async |db| {
            db.execute_text("UPDATE users SET sign_in_epoch = sign_in_epoch + 1").await?;
            if attempts.fetch_add(1, Ordering::SeqCst) == 0 {
                cluster.demote_the_old_one().await;
                cluster.end_point.lead_to(cluster.new_address().await);
            }
            match then {
                Some(sql) => db.execute_text(sql).await,
                None => Ok(()),
            }
        });
        work.await.unwrap();
        assert_eq!(attempts.load(Ordering::SeqCst), 2);
        let epoch = "SELECT sign_in_epoch FROM users";
        assert_eq!(cluster.new.database.db_number(epoch).await, 2, "{then:?}");
        let old = epoch.replace("users", &format!("{}.users", cluster.schema));
        assert_eq!(cluster.old.db_number(&old).await, 1, "{then:?}");
    }
}

/// SQL modes with another dialect, and innodb_snapshot_isolation, in which a transaction cannot change a row that
/// another has changed since it was read: error 1020, a lock conflict like any other.
#[actix_web::test]
async fn the_settings_of_the_server_do_not_matter() {
    let shared = TestApp::start().await;
    if !shared.database.is_mysql_or_says("it has no such settings") || !is_mariadb(&shared.database).await {
        return;
    }
    let options = ["--sql-mode=ORACLE", "--innodb-snapshot-isolation=ON"];
    let server = DatabaseServer::start(&shared.database, &options).await;
    server.db_execute("CREATE DATABASE test").await;
    let url = format!("{}/test", server.url);
    let app = TestApp::start_unmigrated(&[("DATABASE_URL", &url)]).await;
    app.app.db.migrate().await.unwrap();
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let mut browser = app.logged_in(&anna).await;
    let follows =
        "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'UPDATE users SET follow%'";
    let mut other = <sqlx::MySqlConnection as sqlx::Connection>::connect(&url).await.unwrap();
    let change = format!("START TRANSACTION; UPDATE users SET name = 'B' WHERE id = {}", berta.id);
    sqlx::Executor::execute(&mut other, sqlx::raw_sql(sqlx::AssertSqlSafe(change))).await.unwrap();
    let theirs = async {
        until("the follow waits", async || server.db_number(follows).await > 0).await;
        sqlx::Executor::execute(&mut other, "COMMIT").await.unwrap();
    };
    let follow = [("followed_id", berta.id.to_string())];
    let follow = follow.each_ref().map(|(name, id)| (*name, id.as_str()));
    let (page, ()) = tokio::join!(browser.post("/relationships", &follow), theirs);
    assert_eq!(page.status, 303);
    assert_eq!(server.db_number("SELECT followers_count FROM test.users WHERE name = 'B'").await, 1);
}

/// Every temporary error, once and permanently, from a statement in a transaction (the counter of a post) and from one
/// outside (an admin lifts an address's mail suppression). What can be retried is retried, and nothing is a 500.
#[actix_web::test]
async fn no_error_that_passes_is_a_fault() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    if !app.database.is_mysql_or_says("its errors have no such numbers") {
        return;
    }
    let mut browser = app.logged_in(&app.db_admin("anna").await).await;
    app.database
        .db_execute(
            "INSERT INTO suppressions (email, reason, created_at) VALUES ('a@example.com', 'bounced', '2026-01-01'); \
             CREATE TABLE failures (number INT, times INT) ENGINE = MyISAM; INSERT INTO failures VALUES (0, 0)",
        )
        .await;
    for table in ["users", "suppressions"] {
        let trigger = format!(
            "CREATE TRIGGER fail_{table} BEFORE UPDATE ON {table} FOR EACH ROW BEGIN \
             DECLARE n INT; SELECT number INTO n FROM failures WHERE times > 0; \
             IF n IS NOT NULL THEN UPDATE failures SET times = times - 1; \
             SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = n, MESSAGE_TEXT = 'test'; END IF; END"
        );
        app.database.db_execute(&trigger).await;
    }
    let id = app.database.db_number("SELECT id FROM suppressions").await;
    let (address, again) = (format!("/admin/suppressions/{id}"), "UPDATE suppressions SET lifted_at = NULL");
    // Lock conflicts get eight attempts, lock wait time-outs three, errors that another server may not have two, all others one.
    let conflicts = [1213, 1020, 3101, 1412, 1615].map(|number| (number, 7));
    let stale = [1290, 1792, 1836, 1047, 3032, 3797, 4031].map(|number| (number, 1));
    let transient = [1317, 3024, 1969, 1040, 1053, 1158, 1159, 1160, 1161, 1180, 1927, 2013, 3100]
        .map(|number| (number, 0));
    for (number, hidden) in conflicts.into_iter().chain([(1205, 2)]).chain(stale).chain(transient) {
        for (times, expected) in [(hidden, 303), (hidden + 1, 503)] {
            for path in ["/microposts", &address] {
                app.database.db_execute(&format!("UPDATE failures SET times = 0; {again}")).await;
                app.database
                    .db_execute(&format!("UPDATE failures SET number = {number}, times = {times}"))
                    .await;
                let page = match path {
                    "/microposts" => browser.post(path, &[("micropost[content]", "text")]).await,
                    _ => browser.delete(path).await,
                };
                assert_eq!(page.status, expected, "{number}, {times} times, at {path}");
                let left = app.database.db_number("SELECT times FROM failures").await;
                assert_eq!(left, 0, "{number}, {times} times, at {path}");
            }
        }
    }
    app.database.db_execute("UPDATE failures SET times = 0").await;
    app.pool_is_whole().await;
}
