//! Deleting users, and that at least one admin remains.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};

use crate::support::posts::png;
use crate::support::wait::until;
use crate::support::{Browser, TestApp};

async fn post_with_picture(browser: &mut Browser) {
    let form = browser.get("/").await.form("Post").set("micropost[content]", "Look");
    let form = form.attach("micropost[picture]", "kitten.png", png(10, 10));
    browser.submit(form).await.assert_flash("success", "Micropost created!");
}

#[actix_web::test]
async fn it_needs_a_log_in() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.browser().delete(&format!("/users/{}", michael.id)).await.assert_redirect("/login");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
}

#[actix_web::test]
async fn it_needs_an_admin() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&lana).await;
    for id in [michael.id, lana.id, 999] {
        browser.delete(&format!("/users/{id}")).await.assert_redirect("/");
    }
    assert!(browser.get("/").await.flash().is_none());
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 2);
}

#[actix_web::test]
async fn all_that_is_theirs_goes_with_them() {
    let app = TestApp::start().await;
    let admin = app.db_admin("michael").await;
    let (lana, archer) = (app.db_person("lana").await, app.db_person("archer").await);
    let mut hers = app.logged_in(&lana).await;
    post_with_picture(&mut hers).await;
    app.db_post(&lana, "Without one").await;
    let mut his = app.logged_in(&archer).await;
    post_with_picture(&mut his).await;
    for (follower, followed) in [(&lana, &archer), (&archer, &lana), (&admin, &lana), (&admin, &archer)] {
        app.db_follow(follower, followed).await;
    }
    app.browser().ask_reset(&lana.email).await;
    app.browser().log_in_remembered(&lana.email, crate::support::people::PASSWORD).await;
    assert_eq!(app.stored_pictures().len(), 2);
    let kept = app
        .database
        .db_text("SELECT picture FROM microposts WHERE user_id <> (SELECT id FROM users WHERE name = 'lana')")
        .await;

    let mut browser = app.logged_in(&admin).await;
    let page = browser.get("/users").await;
    assert_eq!(page.all("form[action^='/users/'] button"), ["delete", "delete"]);
    browser.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/users");
    browser.get("/users").await.assert_flash("success", "User deleted: lana");

    app.is_removed(&lana).await;
    for (rows, left) in
        [("users", 2), ("microposts", 1), ("relationships", 1), ("mail_tokens", 0), ("remembered_devices", 0)]
    {
        let count = format!("SELECT COUNT(*) FROM {rows}");
        assert_eq!(app.database.db_number(&count).await, left, "{rows}");
    }
    app.db_assert_counts().await;
    app.stored_pictures_are(&[&kept]).await;
    let page = his.get(&format!("/users/{}", archer.id)).await;
    assert_eq!((page.one("#following"), page.one("#followers")), ("0".into(), "1".into()));
    assert_eq!(browser.get(&format!("/users/{}", lana.id)).await.status, 404);
    assert_eq!(browser.delete(&format!("/users/{}", lana.id)).await.status, 404, "twice");
}

/// Without the wake-up, each deletion but the first would wait for the worker's next poll, 10 s later.
#[actix_web::test]
async fn the_worker_is_woken_and_does_not_wait_for_its_next_poll() {
    let app = TestApp::start().await;
    let admin = app.db_admin("michael").await;
    let mut browser = app.logged_in(&admin).await;
    let mut times = Vec::new();
    for person in app.db_people(4).await {
        let start = Instant::now();
        browser.delete(&format!("/users/{}", person.id)).await.assert_redirect("/users");
        app.is_removed(&person).await;
        times.push(start.elapsed());
    }
    assert!(times[1..].iter().any(|time| *time < Duration::from_secs(5)), "{times:?}");
}

/// Users are deleted while others follow, post and log in: everybody gets a response, and the counters equal the rows.
#[actix_web::test]
async fn deleting_in_the_middle_of_everything_keeps_the_counts() {
    let app = TestApp::start().await;
    let admin = app.db_admin("michael").await;
    let mut deleting = app.logged_in(&admin).await;
    let people = app.db_people(6).await;
    let mut browsers = Vec::new();
    for person in &people {
        browsers.push(app.logged_in(person).await);
    }
    for round in 0..4 {
        let lana = app.db_person(&format!("lana {round}")).await;
        let mut hers = app.logged_in(&lana).await;
        for person in &people[..3] {
            app.db_follow(person, &lana).await;
            app.db_follow(&lana, person).await;
        }
        let id = lana.id.to_string();
        let follows = browsers.iter().map(|browser| {
            let (mut browser, id) = (browser.clone(), id.clone());
            async move { browser.post_until_taken("/relationships", &[("followed_id", &id)]).await.status }
        });
        let her_follows = people.iter().map(|person| {
            let (mut browser, id) = (hers.clone(), person.id.to_string());
            async move { browser.post_until_taken("/relationships", &[("followed_id", &id)]).await.status }
        });
        let path = format!("/users/{id}");
        let (deleted, statuses) = join(
            deleting.post_until_taken(&path, &[("_method", "delete")]),
            join(
                join_all(follows),
                join(
                    join_all(her_follows),
                    hers.post_until_taken("/microposts", &[("micropost[content]", "x")]),
                ),
            ),
        )
        .await;
        deleted.assert_redirect("/users");
        let (follows, (her_follows, post)) = statuses;
        for status in follows.into_iter().chain(her_follows).chain([post.status]) {
            assert!(status == 303 || status == 404, "{status}");
        }
        app.is_removed(&lana).await;
        app.db_assert_counts().await;
    }
}

#[actix_web::test]
async fn no_picture_is_left_of_somebody_deleted_while_posting() {
    let app = TestApp::start().await;
    let admin = app.db_admin("michael").await;
    let mut deleting = app.logged_in(&admin).await;
    for round in 0..4 {
        let lana = app.db_person(&format!("lana {round}")).await;
        let mut hers = app.logged_in(&lana).await;
        let mut posts = Vec::new();
        for _ in 0..16 {
            let form = hers.get("/").await.form("Post").set("micropost[content]", "Look");
            let form = form.attach("micropost[picture]", "kitten.png", png(1, 1));
            let mut browser = hers.clone();
            posts.push(async move { browser.submit_until_taken(form).await.status });
        }
        let path = format!("/users/{}", lana.id);
        let delete = async {
            // While posts are being made.
            until("three pictures are stored", async || app.stored_pictures().len() >= 3).await;
            deleting.post_until_taken(&path, &[("_method", "delete")]).await
        };
        let (statuses, deleted) = join(join_all(posts), delete).await;
        deleted.assert_redirect("/users");
        assert!(statuses.iter().all(|status| matches!(status, 303 | 404)), "{statuses:?}");
        app.is_removed(&lana).await;
        app.stored_pictures_are(&[]).await;
    }
}

#[actix_web::test]
async fn the_last_admin_stays() {
    let app = TestApp::start().await;
    let (admin, _) = (app.db_admin("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&admin).await;
    browser.delete(&format!("/users/{}", admin.id)).await.assert_redirect("/users");
    browser.get("/users").await.assert_flash("danger", "The last admin cannot be deleted");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 2);
}

#[actix_web::test]
async fn two_admins_who_delete_each_other_at_once_leave_one() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    for round in 0..20 {
        let first = app.db_admin(&format!("michael {round}")).await;
        let second = app.db_admin(&format!("malory {round}")).await;
        // Admins left from the previous round do not count in this one.
        app.database
            .db_execute(&format!(
                "UPDATE users SET admin = FALSE WHERE id NOT IN ({}, {})",
                first.id, second.id
            ))
            .await;
        let (mut one, mut other) = (app.logged_in(&first).await, app.logged_in(&second).await);
        let (path, other_path) = (format!("/users/{}", second.id), format!("/users/{}", first.id));
        let (a, b) = join(one.delete(&path), other.delete(&other_path)).await;
        assert!(a.status == 303 && b.status == 303, "{} {}", a.status, b.status);
        let left = app.database.db_number("SELECT COUNT(*) FROM users WHERE admin = TRUE").await;
        assert_eq!(left, 1, "round {round}");
    }
}

/// Runs the real program, as an operator does.
async fn command(app: &TestApp, env: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sample-app"));
    command.args(arguments).env_clear().envs([
        ("APP_ENV", env),
        ("APP_URL", "https://sample.example"),
        ("SECRET_KEY_BASE", &"k".repeat(64)),
        ("DATABASE_URL", &app.database.url),
        ("DATA_DIR", app.folder.path().to_str().unwrap()),
        ("REDIS_URL", "memory:"),
        ("IMAGES_URL", &format!("file:{}", app.folder.path().join("images").display())),
        ("SMTP_URL", &format!("file:{}", app.folder.path().join("mail").display())),
    ]);
    // On another thread: the application's workers run on this one and may be in a transaction.
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

#[actix_web::test]
async fn production_begins_without_people_and_gets_its_admin_by_command() {
    let app = TestApp::start().await;
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);
    let refused = command(&app, "production", &["seed"]).await;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("only with --force"), "{said}");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);

    let (lana, archer) = (app.db_person("lana").await, app.db_unactivated("archer").await);
    for unknown in [archer.email.as_str(), "nobody@example.com", "nonsense"] {
        assert!(
            !command(&app, "production", &["admin", "grant", unknown]).await.status.success(),
            "{unknown}"
        );
    }
    let granted = command(&app, "production", &["admin", "grant", "Lana@example.com"]).await;
    assert!(granted.status.success(), "{granted:?}");
    let admins = "SELECT COUNT(*) FROM users WHERE admin = TRUE";
    assert_eq!(app.database.db_number(admins).await, 1);
    let revoked = command(&app, "production", &["admin", "revoke", &lana.email]).await;
    assert!(!revoked.status.success(), "the last one stays");
    assert_eq!(app.database.db_number(admins).await, 1);
}
