//! Round trips to the database per page, about 1 ms each on AWS. On MySQL and MariaDB some statements travel together
//! (db/query.rs). scripts/bench measures for how many a visitor waits, as some run at the same time.

use crate::support::TestApp;

/// How often the application has waited for the database so far, including BEGIN and COMMIT.
fn round_trips(app: &TestApp) -> u64 {
    let (answered, failed) = app.app.db.call_stats().snapshot().totals;
    answered + failed
}

/// The workers run statements, too, every few seconds. So each page is requested several times, and the minimum counts.
fn fewest(counts: &[u64]) -> u64 {
    counts.iter().copied().min().unwrap()
}

#[actix_web::test]
async fn of_a_follow_and_an_unfollow() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    let mut browser = app.logged_in(&anna).await;
    let (mut follows, mut unfollows) = (Vec::new(), Vec::new());
    for person in app.db_people(5).await {
        let profile = format!("/users/{}", person.id);
        let before = round_trips(&app);
        let page = browser.post("/relationships", &[("followed_id", &person.id.to_string())]).await;
        page.assert_redirect(&profile);
        follows.push(round_trips(&app) - before);
        let id = app.database.db_number("SELECT id FROM relationships").await;
        let before = round_trips(&app);
        browser.delete(&format!("/relationships/{id}")).await.assert_redirect(&profile);
        unfollows.push(round_trips(&app) - before);
    }
    let is_mysql = app.database.is_mysql();
    let follow = "current user, BEGIN + both counts, INSERT + number of followers, timeline + COMMIT";
    assert_eq!(fewest(&follows), if is_mysql { 4 } else { 7 }, "{follow}");
    let unfollow = "current user, BEGIN + SELECT, both counts, DELETE, timeline + COMMIT";
    assert_eq!(fewest(&unfollows), if is_mysql { 5 } else { 7 }, "{unfollow}");
}

#[actix_web::test]
async fn of_a_post() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let mut counts = Vec::new();
    for _ in 0..5 {
        let before = round_trips(&app);
        browser.post("/microposts", &[("micropost[content]", "A post")]).await.assert_redirect("/");
        counts.push(round_trips(&app) - before);
    }
    let post = "current user, BEGIN + count, INSERT, timeline + COMMIT";
    assert_eq!(fewest(&counts), if app.database.is_mysql() { 4 } else { 6 }, "{post}");
}

#[actix_web::test]
async fn of_the_pages_that_only_read() {
    let app = TestApp::start().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let mut browser = app.logged_in(&anna).await;
    let profile = format!("/users/{}", berta.id);
    for (path, expected, names) in [
        ("/help".to_owned(), 1, "current user"),
        ("/".to_owned(), 2, "current user, feed"),
        (format!("{profile}/followers"), 3, "current user, user, followers"),
        (profile, 4, "current user, user, posts, follow"),
    ] {
        let mut counts = Vec::new();
        for _ in 0..5 {
            let before = round_trips(&app);
            assert_eq!(browser.get(&path).await.status, 200, "{path}");
            counts.push(round_trips(&app) - before);
        }
        assert_eq!(fewest(&counts), expected, "{path}: {names}");
    }
}

#[actix_web::test]
async fn of_the_list_of_users() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    for person in app.db_people(10).await {
        app.db_follow(&anna, &person).await;
    }
    let mut browser = app.logged_in(&anna).await;
    // Builds the leaderboard, which stays for 10 minutes.
    browser.get("/users").await;
    let (mut misses, mut hits) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        app.app.cache.forget("most_followed").await;
        for counts in [&mut misses, &mut hits] {
            let before = round_trips(&app);
            let page = browser.get("/users").await;
            counts.push(round_trips(&app) - before);
            assert_eq!(page.count(".most-followed li"), 10);
        }
    }
    assert_eq!(fewest(&misses), 3, "current user, page, the ten who are most followed");
    assert_eq!(fewest(&hits), 2, "current user, page");
}
