//! "Most followed" beside the list of users: correct after every follow, with and without Redis, and whatever happens
//! to Redis.

use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, TestApp, redis};

async fn most_followed(browser: &mut Browser) -> Vec<String> {
    browser.get("/users").await.all(".most-followed li")
}

async fn follow(browser: &mut Browser, person: &Person) {
    browser.post("/relationships", &[("followed_id", &person.id.to_string())]).await;
}

/// Anna's browser, after Anna followed Berta and Clara, and Dora followed Clara.
async fn with_followers(app: &TestApp) -> (Browser, Person, Person, Person) {
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let (clara, dora) = (app.db_person("clara").await, app.db_person("dora").await);
    let (mut annas, mut doras) = (app.logged_in(&anna).await, app.logged_in(&dora).await);
    assert_eq!(most_followed(&mut annas).await, Vec::<String>::new());
    follow(&mut annas, &berta).await;
    assert_eq!(most_followed(&mut annas).await, ["berta 1 follower"]);
    follow(&mut annas, &clara).await;
    follow(&mut doras, &clara).await;
    assert_eq!(most_followed(&mut annas).await, ["clara 2 followers", "berta 1 follower"]);
    (annas, berta, clara, dora)
}

/// Unfollows, renames and deletions appear on the next page.
async fn assert_follows_what_happens(app: &TestApp) {
    let (mut annas, berta, clara, _) = with_followers(app).await;
    let form = annas.get(&format!("/users/{}", berta.id)).await.form("Unfollow");
    annas.submit(form).await;
    assert_eq!(most_followed(&mut annas).await, ["clara 2 followers"]);
    follow(&mut annas, &berta).await;
    let mut bertas = app.logged_in(&berta).await;
    let form = bertas.get(&format!("/users/{}/edit", berta.id)).await.form("Save changes");
    bertas.submit(form.set("user[name]", "Berta B")).await;
    assert_eq!(most_followed(&mut annas).await, ["clara 2 followers", "Berta B 1 follower"]);
    let mut admin = app.logged_in(&app.db_admin("admin").await).await;
    admin.delete(&format!("/users/{}", clara.id)).await;
    assert_eq!(most_followed(&mut annas).await, ["Berta B 1 follower"]);
    assert_eq!(annas.get("/users").await.attrs(".most-followed a", "href"), [format!("/users/{}", berta.id)]);
}

#[actix_web::test]
async fn in_the_process() {
    assert_follows_what_happens(&TestApp::start().await).await;
}

#[actix_web::test]
async fn in_redis() {
    let server = redis::start();
    assert_follows_what_happens(&TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await).await;
    for key in redis::ask::<Vec<String>>(&server, &["KEYS", "*"]) {
        let seconds: i64 = redis::ask(&server, &["TTL", &key]);
        assert!(key.starts_with("sample_app:") && seconds > 0, "{key}: {seconds}");
    }
}

/// Lost data is rebuilt from the database, the source of truth.
#[actix_web::test]
async fn flushed_and_killed() {
    let mut server = redis::start();
    let app = TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await;
    let (mut annas, berta, _, dora) = with_followers(&app).await;
    let expected = ["clara 2 followers", "berta 1 follower"];
    let _: () = redis::ask(
        &server,
        &["DEL", "sample_app:leaderboard:most_followed", "sample_app:cache:most_followed"],
    );
    assert_eq!(most_followed(&mut annas).await, expected);
    let ranking: Vec<i64> =
        redis::ask(&server, &["ZREVRANGE", "sample_app:leaderboard:most_followed", "0", "0"]);
    assert_ne!(ranking, [berta.id]);
    // While Redis is away, from the database and process memory.
    let mut remembered = app.browser();
    remembered.log_in_remembered("anna@example.com", PASSWORD).await;
    server.kill();
    for _ in 0..3 {
        assert_eq!(most_followed(&mut remembered).await, expected);
    }
    follow(&mut remembered, &dora).await;
    assert_eq!(
        most_followed(&mut remembered).await,
        ["clara 2 followers", "dora 1 follower", "berta 1 follower"]
    );
}
