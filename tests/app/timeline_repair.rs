//! During a deploy the version before timelines runs on the same schema: its inserts lack timeline entries, and its
//! deletions leave some. Its statements are simulated here.

use crate::support::TestApp;
use crate::support::people::Person;

/// What the previous version did for a post.
async fn old_post(app: &TestApp, author: &Person) {
    app.database
        .db_execute(&format!(
            "INSERT INTO microposts (user_id, content, created_at) SELECT id, 'old', created_at FROM users WHERE id = {}",
            author.id
        ))
        .await;
    let count = format!("UPDATE users SET microposts_count = microposts_count + 1 WHERE id = {}", author.id);
    app.database.db_execute(&count).await;
}

/// What it did for a follow, or with -1 for an unfollow.
async fn old_follow(app: &TestApp, follower: &Person, followed: &Person, by: i64) {
    let (follower, followed) = (follower.id, followed.id);
    let rows = if by > 0 {
        format!(
            "INSERT INTO relationships (follower_id, followed_id, created_at) \
             SELECT {follower}, {followed}, MAX(created_at) FROM microposts"
        )
    } else {
        format!("DELETE FROM relationships WHERE follower_id = {follower} AND followed_id = {followed}")
    };
    for sql in [
        format!("UPDATE users SET following_count = following_count + {by} WHERE id = {follower}"),
        format!("UPDATE users SET followers_count = followers_count + {by} WHERE id = {followed}"),
        rows,
    ] {
        app.database.db_execute(&sql).await;
    }
}

#[actix_web::test]
async fn a_follow_works_on_what_the_version_before_left() {
    let app = TestApp::start().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    app.db_follow(&anna, &berta).await;
    app.db_post(&berta, "left behind").await;
    old_follow(&app, &anna, &berta, -1).await;
    let mut browser = app.logged_in(&anna).await;
    let form = browser.get(&format!("/users/{}", berta.id)).await.form("Follow");
    browser.submit(form).await;
    assert!(browser.get(&format!("/users/{}", berta.id)).await.has("form[action^='/relationships/']"));
    app.db_assert_counts().await;
}

#[actix_web::test]
async fn gaps_are_filled_and_leftovers_go() {
    let app = TestApp::start().await;
    let people = app.db_people(5).await;
    let [anna, berta, carla, dora, gone] = &people[..] else { panic!() };
    for followed in [berta, carla] {
        app.db_follow(anna, followed).await;
        app.db_post(followed, "seen").await;
    }
    app.db_follow(gone, berta).await;
    app.db_post(berta, "seen by two").await;
    app.db_assert_counts().await;
    old_post(&app, berta).await;
    app.db_post(berta, "after the gap").await;
    old_follow(&app, dora, berta, 1).await;
    old_follow(&app, anna, carla, -1).await;
    old_follow(&app, gone, berta, -1).await;
    app.database.db_execute(&format!("DELETE FROM users WHERE id = {}", gone.id)).await;

    app.database.db_execute("UPDATE jobs SET next_attempt_at = created_at").await;
    app.app.jobs_wakeup.wake();
    app.database.db_until("SELECT COUNT(*) FROM jobs WHERE kind = 'timeline_repair'", 0).await;
    app.db_assert_counts().await;
}
