//! A form that is submitted twice posts once: double clicks, reloads, browsers that retry.

use futures_util::future::join_all;
use sample_app::models::idempotency_key::IdempotencyKey;

use crate::support::page::Form;
use crate::support::posts::png;
use crate::support::wait::wait_for;
use crate::support::{Browser, Page, TestApp, redis};

const POSTS: &str = "SELECT COUNT(*) FROM microposts";

fn key(form: &Form) -> &str {
    &form.fields.iter().find(|(name, _)| name == "idempotency_key").expect("the form has a key").1
}

/// Sends the form from all browsers at the same time.
async fn send_at_once(browsers: &mut [Browser], form: &Form) -> Vec<Page> {
    join_all(browsers.iter_mut().map(|browser| browser.submit_until_taken(form.clone()))).await
}

/// Two instances that share database and sessions, as behind a load balancer.
#[actix_web::test]
async fn two_identical_forms_at_once_on_two_instances_make_one_post() {
    let server = redis::start();
    let redis = redis::url(&server);
    let one = TestApp::start_with(&[("REDIS_URL", &redis)]).await;
    let settings = [("REDIS_URL", redis.as_str()), ("DATABASE_URL", &one.database.url), ("LIMITS", "off")];
    let two = TestApp::start_unmigrated(&settings).await;
    let michael = one.db_person("michael").await;
    let mut browser = one.logged_in(&michael).await;
    let mut on_two = two.browser();
    on_two.cookies = browser.cookies.clone();
    for round in 1..=8 {
        let form = browser.get("/").await.form("Post").set("micropost[content]", &format!("Post {round}"));
        let mut browsers = [browser.clone(), on_two.clone(), browser.clone(), on_two.clone()];
        for page in send_at_once(&mut browsers, &form).await {
            page.assert_redirect("/");
        }
        for browser in &mut browsers {
            browser.get("/").await.assert_flash("success", "Micropost created!");
        }
        assert_eq!(one.database.db_number(POSTS).await, round);
    }
    one.db_assert_counts().await;
}

#[actix_web::test]
async fn a_form_that_is_sent_again_changes_nothing_and_gets_the_same_answer() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", "Once");
    browser.submit(form.clone()).await.assert_flash("success", "Micropost created!");
    let before = app.database.db_dump().await;
    let page = browser.submit(form.clone()).await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(page.all("ol.microposts span.content"), ["Once"]);
    assert_eq!(app.database.db_dump().await, before);

    // The form on the next page has another key.
    let next = page.form("Post").set("micropost[content]", "Once");
    assert_ne!(key(&next), key(&form));
    browser.submit(next).await.assert_at(200, "/");
    assert_eq!(app.database.db_number(POSTS).await, 2);
}

/// Browsers restore a form with its key on "back".
#[actix_web::test]
async fn another_text_or_picture_under_the_same_key_is_another_post() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_person("archer").await);
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", "First");
    browser.submit(form.clone()).await.assert_at(200, "/");
    browser.submit(form.clone().set("micropost[content]", "Second")).await.assert_at(200, "/");
    assert_eq!(app.database.db_number(POSTS).await, 2);
    for (bytes, posts) in [(png(2, 2), 3), (png(3, 3), 4), (png(3, 3), 4)] {
        let form = form.clone().attach("micropost[picture]", "a.png", bytes);
        browser.submit(form).await.assert_flash("success", "Micropost created!");
        assert_eq!(app.database.db_number(POSTS).await, posts);
    }
    let pictures = "SELECT COUNT(*) FROM microposts WHERE picture IS NOT NULL";
    assert_eq!(app.database.db_number(pictures).await, 2);
    // The picture of the repeated form is deleted.
    wait_for(async || match app.stored_pictures() {
        stored if stored.len() == 2 => Ok(()),
        stored => Err(format!("{stored:?}")),
    })
    .await;
    // Keys are per user: the same key in another user's form is a new post.
    app.logged_in(&archer).await.submit(form).await.assert_at(200, "/");
    assert_eq!(app.database.db_number(POSTS).await, 5);
    app.db_assert_counts().await;
}

/// An old page, or a client that is not a browser.
#[actix_web::test]
async fn a_form_without_a_usable_key_is_posted_each_time() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let long = "f".repeat(1000);
    let keys = ["", "x", "0123", &long, "\u{fffd}", "ABCDEF0123456789ABCDEF0123456789"];
    for key in keys {
        let fields = [("micropost[content]", "Hello"), ("idempotency_key", key)];
        for _ in 0..2 {
            browser.post("/microposts", &fields).await.assert_redirect("/");
        }
    }
    browser.post("/microposts", &[("micropost[content]", "Hello")]).await.assert_redirect("/");
    assert_eq!(app.database.db_number(POSTS).await, 13);
    let key = IdempotencyKey::random().unwrap();
    let fields = [("micropost[content]", "Hello"), ("idempotency_key", key.as_str())];
    for _ in 0..2 {
        browser.post("/microposts", &fields).await.assert_redirect("/");
    }
    assert_eq!(app.database.db_number(POSTS).await, 14, "without a picture it may come as a plain form");
}

/// A rejected post was not saved, so it can be sent again with its key.
#[actix_web::test]
async fn a_refused_form_keeps_its_key_and_can_be_sent_again() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", &"x".repeat(141));
    let page = browser.submit(form.clone()).await;
    page.assert_at(422, "/microposts");
    let again = page.form("Post");
    assert_eq!(key(&again), key(&form));
    for _ in 0..2 {
        browser.submit(again.clone().set("micropost[content]", "short")).await.assert_at(200, "/");
    }
    assert_eq!(app.database.db_number(POSTS).await, 1);
}
