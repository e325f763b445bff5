//! Removal of a deleted user: invisible after the request, removed by the worker (src/jobs/user_deletion.rs).

use sample_app::db::{Backend, Conn};
use sample_app::error::Result;
use sample_app::models::relationship;
use sample_app::models::timeline;
use sample_app::models::user::User;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::TestApp;
use crate::support::people::{PASSWORD, Person};

/// Keeps the worker from removing a user who is about to be deleted.
async fn keep_worker_from(app: &TestApp, person: &Person) {
    let far = if app.database.is_mysql() { "2037-01-01" } else { "2037-01-01T00:00:00+00:00" };
    app.database
        .db_execute(&format!(
            "INSERT INTO jobs (kind, subject_id, next_attempt_at, created_at) \
             SELECT 'user_deletion', id, '{far}', created_at FROM users WHERE id = {}",
            person.id
        ))
        .await;
}

async fn let_worker_in(app: &TestApp) {
    app.database
        .db_execute("UPDATE jobs SET next_attempt_at = created_at WHERE kind = 'user_deletion'")
        .await;
    app.app.jobs_wakeup.wake();
}

#[actix_web::test]
async fn nobody_sees_a_deleted_person_from_the_request_on() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let (admin, archer) = (app.db_admin("michael").await, app.db_person("archer").await);
    for person in app.db_people(31).await {
        app.db_follow(&person, &archer).await;
        app.db_follow(&archer, &person).await;
        app.db_post(&person, "hello").await;
    }
    let lana = app.db_person("lana").await;
    app.db_follow(&lana, &archer).await;
    app.db_follow(&archer, &lana).await;
    app.db_post(&lana, "goodbye").await;
    let (mut hers, mut remembered) = (app.logged_in(&lana).await, app.browser());
    remembered.log_in_remembered(&lana.email, PASSWORD).await;
    remembered.close();
    app.browser().ask_reset(&lana.email).await;
    let mut his = app.logged_in(&archer).await;
    let follow = his.get(&format!("/users/{}", lana.id)).await.form("Unfollow");
    keep_worker_from(&app, &lana).await;
    app.logged_in(&admin).await.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/users");

    assert!(!hers.is_logged_in().await && !remembered.is_logged_in().await);
    let refused = app.browser().log_in(&lana.email, PASSWORD).await;
    refused.assert_flash("danger", "Invalid email/password combination");
    let profile = format!("/users/{}", lana.id);
    for path in [profile.clone(), format!("{profile}/following"), format!("{profile}/followers")] {
        assert_eq!(his.get(&path).await.status, 404, "{path}");
    }
    assert_eq!(his.post("/relationships", &[("followed_id", &lana.id.to_string())]).await.status, 404);
    assert_eq!(his.submit(follow).await.status, 404, "unfollow");
    // Pages are full, whoever is missing.
    let link = format!("a[href='{profile}']");
    for (list, rows) in [
        ("/".to_owned(), "ol.microposts > li"),
        (format!("/users/{}/following", archer.id), "ul.users > li"),
        (format!("/users/{}/followers", archer.id), "ul.users > li"),
    ] {
        let pages = [his.get(&list).await, his.get(&format!("{list}?page=2")).await];
        assert_eq!(pages.each_ref().map(|page| page.all(rows).len()), [30, 1], "{list}");
        assert!(pages.iter().all(|page| !page.has(&link)), "{list}");
    }
    let read_through = format!("UPDATE users SET follows_read_through = TRUE WHERE id = {}", archer.id);
    app.database.db_execute(&read_through).await;
    assert_eq!(his.get("/").await.all("ol.microposts > li").len(), 30);
    assert!(!his.get("/").await.has(&link));
    for page in 1..=2 {
        assert!(!his.get(&format!("/users?page={page}")).await.has(&link));
    }
    // The address can be used again.
    app.browser().sign_up("Lana", &lana.email, PASSWORD).await;
    let signed_up = format!("SELECT COUNT(*) FROM users WHERE email = '{}'", lana.email);
    assert_eq!(app.database.db_number(&signed_up).await, 1);

    let_worker_in(&app).await;
    app.is_removed(&lana).await;
    app.db_assert_counts().await;
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}

/// After a restart MySQL 5.7 continues from the greatest existing id, so the id of the last user, if deleted, is
/// assigned again.
#[actix_web::test]
async fn a_session_does_not_count_for_somebody_who_gets_the_id_later() {
    let app = TestApp::start().await;
    let (admin, lana) = (app.db_admin("michael").await, app.db_person("lana").await);
    let mut hers = app.logged_in(&lana).await;
    app.logged_in(&admin).await.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/users");
    app.is_removed(&lana).await;
    let forget = match app.database.is_mysql() {
        true => format!("ALTER TABLE users AUTO_INCREMENT = {}", lana.id),
        false => format!("UPDATE sqlite_sequence SET seq = {} WHERE name = 'users'", lana.id - 1),
    };
    app.database.db_execute(&forget).await;
    let heir = app.db_person("heir").await;
    assert_eq!(heir.id, lana.id);
    assert!(!hers.is_logged_in().await);
}

/// Number of row locks of this connection's transaction.
async fn rows_locked(app: &TestApp, db: &mut Conn) -> Result<i64> {
    let Backend::MySql(object) = db.backend_mut()? else { panic!() };
    let (session,): (u64,) = sqlx::query_as("SELECT CONNECTION_ID()").fetch_one(&mut **object).await.unwrap();
    let locked = app.database.db_row_locks(session as i64).await;
    db.finish((true, Ok(locked)))
}

#[actix_web::test]
async fn deleting_somebody_locks_only_what_it_changes() {
    let app = TestApp::start().await;
    if !app.database.is_mysql_or_says("a writer locks all of it, for the time of one transaction") {
        return;
    }
    app.database.db_crowd(1000).await;
    let lana = app.db_person("lana").await;
    for n in 0..50 {
        let other = app.database.db_number(&format!("SELECT id FROM users WHERE email = '{n:04}'")).await;
        let now = app.app.clock.now();
        relationship::follow(&app.app.db, lana.id, other, now).await.unwrap();
        relationship::follow(&app.app.db, other, lana.id, now).await.unwrap();
    }
    // The last row of each transaction, locked by another connection until the locks are counted.
    let mut holders = Vec::new();
    for end in ["follower_id", "followed_id"] {
        let mut holder = app.database.db_connect_mysql().await;
        let last = format!("SELECT MAX(id) FROM relationships WHERE {end} = {}", lana.id);
        let last = app.database.db_number(&last).await;
        let hold = format!("BEGIN; SELECT * FROM relationships WHERE id = {last} FOR UPDATE");
        holder.execute(sqlx::raw_sql(AssertSqlSafe(hold))).await.unwrap();
        holders.push(holder);
    }
    let now = app.app.clock.now();
    let marking = app.app.db.transaction(async |db| {
        assert!(User::delete(db, lana.id, now).await?);
        rows_locked(&app, db).await
    });
    let mut locked = marking.await.unwrap();
    app.app.jobs_wakeup.wake();
    for holder in &mut holders {
        locked += app.database.db_lock_waits(1).await;
        holder.execute("ROLLBACK").await.unwrap();
    }
    app.is_removed(&lana).await;
    app.db_assert_counts().await;
    println!("{locked} row locks");
    assert!(locked <= 500, "{locked} row locks for 100 follows");
}

#[actix_web::test]
async fn an_unfollow_locks_only_what_it_removes() {
    let app = TestApp::start().await;
    if !app.database.is_mysql_or_says("a writer locks all of it, for the time of one transaction") {
        return;
    }
    let people = app.db_people(3).await;
    let [anna, berta, carla] = &people[..] else { panic!() };
    let (number, numbers) = app.database.four_digits();
    for (author, posts) in [(berta, 100), (carla, 3000)] {
        app.database
            .db_execute(&format!(
                "INSERT INTO microposts (user_id, content, created_at) \
                 SELECT {}, {number}, CONCAT('2020-01-01 00:00:00.00', {number}) FROM {numbers} ORDER BY {number} LIMIT {posts}",
                author.id
            ))
            .await;
        let entries = "INSERT INTO timeline_entries SELECT {anna}, created_at, id, user_id FROM microposts WHERE user_id = {author}";
        let entries =
            entries.replace("{anna}", &anna.id.to_string()).replace("{author}", &author.id.to_string());
        app.database.db_execute(&entries).await;
    }
    app.database.db_execute("ANALYZE TABLE timeline_entries").await;
    let unfollowing = app.app.db.transaction(async |db| {
        timeline::unfollow(db, anna.id, berta.id).await?;
        // The DELETE is sent along with the next statement.
        relationship::find(db, anna.id, berta.id).await?;
        rows_locked(&app, db).await
    });
    let locked = unfollowing.await.unwrap();
    println!("{locked} row locks");
    let left = format!("SELECT COUNT(*) FROM timeline_entries WHERE user_id = {}", anna.id);
    app.database.db_until(&left, 3000).await;
    assert!(locked <= 300, "{locked} row locks for 100 entries");
}
