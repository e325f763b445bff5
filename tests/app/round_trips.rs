//! Statements per page. Each is a round trip to the database, about 1 ms on AWS, and they run one after the other.

use crate::support::TestApp;

/// Statements that the application has run so far, including BEGIN and COMMIT.
fn statements(app: &TestApp) -> u64 {
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
        let before = statements(&app);
        let page = browser.post("/relationships", &[("followed_id", &person.id.to_string())]).await;
        page.assert_redirect(&profile);
        follows.push(statements(&app) - before);
        let id = app.database.db_number("SELECT id FROM relationships").await;
        let before = statements(&app);
        browser.delete(&format!("/relationships/{id}")).await.assert_redirect(&profile);
        unfollows.push(statements(&app) - before);
    }
    assert_eq!(
        fewest(&follows),
        8,
        "current user, BEGIN, both counts, INSERT, number of followers, timeline, COMMIT"
    );
    assert_eq!(fewest(&unfollows), 8, "current user, BEGIN, SELECT, both counts, DELETE, timeline, COMMIT");
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
            let before = statements(&app);
            let page = browser.get("/users").await;
            counts.push(statements(&app) - before);
            assert_eq!(page.count(".most-followed li"), 10);
        }
    }
    assert_eq!(fewest(&misses), 3, "current user, page, the ten who are most followed");
    assert_eq!(fewest(&hits), 2, "current user, page");
}
