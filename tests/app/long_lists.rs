//! Lists of many pages, on those pages that are found by a bookmark (src/services/bookmarks.rs): each row once, whatever
//! happens meanwhile, with the bookmarks in the process, in Redis, in a cluster, or lost.

use std::ops::Range;

use chrono::TimeDelta;
use sample_app::models::micropost::{Content, Micropost};
use sample_app::services::bookmarks::FIRST_WITH_BOOKMARK;

use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, TestApp, redis};

/// Rows of each list: three pages with a bookmark behind those without one, and the last page is not full.
const ROWS: usize = (FIRST_WITH_BOOKMARK as usize + 2) * 30 - 7;
const LAST: u32 = FIRST_WITH_BOOKMARK + 2;

/// A list as the site shows it and as the database has it.
struct List {
    path: String,
    selector: &'static str,
    ids: &'static str,
    /// `DELETE` of the row that the site shows by this id.
    delete: &'static str,
}

/// The long lists; `$` stands for the id of whose they are.
const LISTS: [(&str, &str, &str, &str); 4] = [
    (
        "/users",
        "ul.users > li > a",
        "id ORDER BY id) FROM users WHERE activated_at IS NOT NULL",
        "users WHERE id =",
    ),
    (
        "/users/$",
        "ol.microposts > li",
        "id ORDER BY created_at DESC, id DESC) FROM microposts WHERE user_id = $",
        "microposts WHERE id =",
    ),
    (
        "/users/$/following",
        "ul.users > li > a",
        "followed_id ORDER BY id DESC) FROM relationships WHERE follower_id = $",
        "relationships WHERE followed_id =",
    ),
    (
        "/users/$/followers",
        "ul.users > li > a",
        "follower_id ORDER BY id DESC) FROM relationships WHERE followed_id = $",
        "relationships WHERE follower_id =",
    ),
];

impl List {
    async fn db_ids(&self, app: &TestApp, anna: &Person) -> Vec<i64> {
        let sql = format!("SELECT GROUP_CONCAT({}", self.ids.replace('$', &anna.id.to_string()));
        app.database.db_text(&sql).await.split(',').map(|id| id.parse().unwrap()).collect()
    }

    async fn db_delete(&self, app: &TestApp, ids: &[i64]) {
        for id in ids {
            app.database.db_execute(&format!("DELETE FROM {} {id}", self.delete)).await;
        }
    }

    /// The rows of one page, and whether there is a link to the next.
    async fn page(&self, browser: &mut Browser, number: u32) -> (Vec<i64>, bool) {
        let page = browser.get(&format!("{}?page={number}", self.path)).await;
        assert_eq!(page.status, 200, "{}?page={number}", self.path);
        let names = match self.selector {
            "ol.microposts > li" => page.attrs(self.selector, "id"),
            links => page.attrs(links, "href"),
        };
        let id = |name: String| name.rsplit(['/', '-']).next().unwrap().parse().unwrap();
        (names.into_iter().map(id).collect(), page.has("a[rel=next]"))
    }

    /// The rows of these pages.
    async fn walk(&self, browser: &mut Browser, pages: Range<u32>) -> Vec<i64> {
        let mut seen = Vec::new();
        for number in pages {
            seen.extend(self.page(browser, number).await.0);
        }
        seen
    }
}

fn lists(anna: &Person) -> [List; 4] {
    LISTS.map(|(path, selector, ids, delete)| {
        let path = path.replace('$', &anna.id.to_string());
        List { path, selector, ids, delete }
    })
}

/// Anna, and long lists of everything: people of whom some are not activated, posts of which many are of one moment, and
/// follows in another order than people.
async fn db_long_lists(app: &TestApp) -> (Person, Browser) {
    let anna = app.db_person("anna").await;
    let person = |n| format!("SELECT 'Person {n}' AS name, 'p{n}@example.com' AS email");
    let people: Vec<_> = (1..ROWS + 10).map(person).collect();
    let copy = "password_digest, activated_at, users.created_at, updated_at FROM users,";
    app.database
        .db_execute(&format!(
            "INSERT INTO users (name, email, password_digest, activated_at, created_at, updated_at) \
             SELECT people.name, people.email, {copy} ({}) people",
            people.join(" UNION ALL ")
        ))
        .await;
    let anna_id = anna.id;
    for follow in ["SELECT id, $", "SELECT $, id"] {
        let follow = follow.replace('$', &anna_id.to_string());
        app.database
            .db_execute(&format!(
                "INSERT INTO relationships (follower_id, followed_id, created_at) \
                 {follow}, created_at FROM users WHERE id <> {anna_id} ORDER BY id % 7, id LIMIT {ROWS}"
            ))
            .await;
    }
    app.database.db_execute("UPDATE users SET activated_at = NULL WHERE name LIKE '%9_'").await;
    let now = app.app.clock.now();
    let write = app.app.db.transaction(async |db| {
        for n in 0..ROWS {
            let content = Content::parse(&format!("Post {n}")).unwrap();
            let at = now + TimeDelta::milliseconds((n as i64 * 7 % 10) * 10);
            Micropost::create(db, anna_id, &content, None, at).await?;
        }
        Ok(())
    });
    write.await.unwrap();
    let mut browser = app.browser();
    browser.log_in_remembered(&anna.email, PASSWORD).await;
    (anna, browser)
}

#[actix_web::test]
async fn every_page_has_its_rows_however_it_is_reached() {
    let app = TestApp::start().await;
    let (anna, mut browser) = db_long_lists(&app).await;
    for list in lists(&anna) {
        let ids = list.db_ids(&app, &anna).await;
        assert!(ids.len() > 30 * (LAST as usize - 1) && ids.len() < 30 * LAST as usize, "{}", ids.len());
        let pages: Vec<_> = ids.chunks(30).collect();
        // Typed, from the back, so that no page knows where it begins; then by "Next"; then once more.
        for number in (1..=LAST).rev().chain(1..=LAST).chain(1..=LAST) {
            let (rows, has_next) = list.page(&mut browser, number).await;
            assert_eq!(rows, pages[number as usize - 1], "{}?page={number}", list.path);
            assert_eq!(has_next, number < LAST, "{}?page={number}", list.path);
        }
        for far in [LAST + 1, LAST + 2, u32::MAX] {
            assert_eq!(browser.get(&format!("{}?page={far}", list.path)).await.status, 404, "{far}");
        }
    }
}

/// Rows go in front of the page, on it and at its very beginning, and new ones come: by counting, those behind would move
/// to other pages.
async fn assert_a_walk_is_not_disturbed(app: &TestApp) {
    let (anna, mut browser) = db_long_lists(app).await;
    let at = FIRST_WITH_BOOKMARK;
    for list in lists(&anna) {
        let ids = list.db_ids(app, &anna).await;
        let next_begins = at as usize * 30;
        let mut seen = list.walk(&mut browser, 1..at + 1).await;
        let gone = [ids[1], ids[2], ids[next_begins], ids[next_begins + 5]];
        list.db_delete(app, &gone).await;
        app.db_post(&anna, "New").await;
        seen.extend(list.walk(&mut browser, at + 1..LAST + 1).await);
        let expected = |id: &&i64| gone[..2].contains(id) || !gone.contains(id);
        assert_eq!(seen, ids.iter().filter(expected).copied().collect::<Vec<_>>(), "{}", list.path);
        // Whoever goes through them again meets the same rows.
        assert!(seen.ends_with(&list.walk(&mut browser, at + 1..LAST + 1).await), "{}", list.path);
    }
}

#[actix_web::test]
async fn a_walk_is_not_disturbed() {
    assert_a_walk_is_not_disturbed(&TestApp::start().await).await;
}

#[actix_web::test]
async fn a_walk_is_not_disturbed_with_redis() {
    let server = redis::start();
    let app = TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await;
    assert_a_walk_is_not_disturbed(&app).await;
    let kept = redis::ask::<Vec<String>>(&server, &["KEYS", "sample_app:cache:page:*"]);
    // Each page that has a bookmark, and none of those that have none.
    assert_eq!(kept.len(), LISTS.len() * 3, "{kept:?}");
    for key in kept {
        let seconds: i64 = redis::ask(&server, &["TTL", &key]);
        assert!((1..=60).contains(&seconds), "{key}: {seconds}");
    }
}

#[actix_web::test]
async fn a_walk_is_not_disturbed_with_a_cluster() {
    let nodes = redis::start_cluster();
    let url = redis::url(&nodes[0]);
    let app = TestApp::start_with(&[("REDIS_URL", &url), ("REDIS_CLUSTER", "true")]).await;
    assert_a_walk_is_not_disturbed(&app).await;
}

#[actix_web::test]
async fn a_walk_goes_on_without_redis() {
    let mut server = redis::start();
    let app = TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await;
    let (anna, mut browser) = db_long_lists(&app).await;
    for list in lists(&anna) {
        assert_eq!(list.walk(&mut browser, LAST - 1..LAST).await.len(), 30);
    }
    server.kill();
    for list in lists(&anna) {
        let ids = list.db_ids(&app, &anna).await;
        assert_eq!(list.walk(&mut browser, 1..LAST + 1).await, ids, "{}", list.path);
    }
}

/// A bookmark leads behind what is left, but by counting there are enough rows.
#[actix_web::test]
async fn a_page_that_the_list_has_is_found() {
    let app = TestApp::start().await;
    let (anna, mut browser) = db_long_lists(&app).await;
    let [_, posts, ..] = lists(&anna);
    let ids = posts.db_ids(&app, &anna).await;
    let last = posts.walk(&mut browser, LAST..LAST + 1).await;
    posts.db_delete(&app, &last).await;
    assert_eq!(browser.get(&format!("{}?page={LAST}", posts.path)).await.status, 404);
    for n in 0..last.len() {
        app.db_post(&anna, &format!("New {n}")).await;
    }
    let rows = posts.walk(&mut browser, LAST..LAST + 1).await;
    assert_eq!(rows, ids[ids.len() - 2 * last.len()..ids.len() - last.len()]);
}
