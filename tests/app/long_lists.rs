//! Lists of many pages: each row appears once, whatever changes meanwhile, and the last page costs as much as the
//! first.

use std::ops::RangeInclusive;

use chrono::TimeDelta;
use sample_app::db::{Backend, Conn};
use sample_app::models::micropost::{Content, Micropost};
use sample_app::models::person::Person as Listed;
use sample_app::models::relationship;
use sample_app::models::user::User;
use sample_app::models::values::page::{Key, NUMBERED_PAGES, PageStart};

use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, Page, TestApp};

/// Rows per list: seven pages, the last one not full.
const ROWS: usize = 7 * 30 - 7;

/// A list on the site and in the database.
struct List {
    path: String,
    selector: &'static str,
    ids: &'static str,
    /// `DELETE` of the row with the id that the site shows.
    delete: &'static str,
}

/// The long lists; `$` stands for the owner's id.
const LISTS: [(&str, &str, &str, &str); 5] = [
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
        "/",
        "ol.microposts > li",
        "id ORDER BY created_at DESC, id DESC) FROM microposts WHERE user_id = $ OR user_id IN \
         (SELECT followed_id FROM relationships WHERE follower_id = $)",
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

    /// The rows of a page.
    fn rows(&self, page: &Page) -> Vec<i64> {
        let names = match self.selector {
            "ol.microposts > li" => page.attrs(self.selector, "id"),
            links => page.attrs(links, "href"),
        };
        names.into_iter().map(|name| name.rsplit(['/', '-']).next().unwrap().parse().unwrap()).collect()
    }

    async fn walk(&self, browser: &mut Browser) -> Vec<Vec<i64>> {
        browser.walk(&self.path).await.iter().map(|page| self.rows(page)).collect()
    }
}

fn lists(anna: &Person) -> [List; 5] {
    LISTS.map(|(path, selector, ids, delete)| {
        let path = path.replace('$', &anna.id.to_string());
        List { path, selector, ids, delete }
    })
}

/// Anna, and long lists of everything: users, some not activated; posts, of which three or four share a timestamp; and
/// follows in another order than users.
async fn db_long_lists(app: &TestApp) -> (Person, i64, Browser) {
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
    let last = format!("SELECT MAX(followed_id) FROM relationships WHERE follower_id = {anna_id}");
    let other = app.database.db_number(&last).await;
    let write = app.app.db.transaction(async |db| {
        for n in 0..ROWS {
            let content = Content::parse(&format!("Post {n}")).unwrap();
            let at = now + TimeDelta::milliseconds((n as i64 * 11 % 70) * 10);
            Micropost::create(db, anna_id, &content, None, at).await?;
            if n % 5 == 0 {
                Micropost::create(db, other, &content, None, at).await?;
            }
        }
        Ok(())
    });
    write.await.unwrap();
    let mut browser = app.browser();
    browser.log_in_remembered(&anna.email, PASSWORD).await;
    (anna, other, browser)
}

/// From now on Anna's feed merges two sources: her timeline, and this user's posts (fan-out on read).
async fn db_read_through(app: &TestApp, anna: &Person, other: i64) {
    let anna = anna.id;
    for sql in [
        format!("UPDATE users SET read_through = TRUE WHERE id = {other}"),
        format!("UPDATE users SET follows_read_through = TRUE WHERE id = {anna}"),
        format!("DELETE FROM timeline_entries WHERE user_id = {anna} AND author_id = {other}"),
    ] {
        app.database.db_execute(&sql).await;
    }
}

#[actix_web::test]
async fn every_page_has_its_rows() {
    let app = TestApp::start().await;
    let (anna, other, mut browser) = db_long_lists(&app).await;
    for list in lists(&anna) {
        let ids = list.db_ids(&app, &anna).await;
        assert!(ids.len() > ROWS - 30, "{}: {}", list.path, ids.len());
        let pages: Vec<_> = ids.chunks(30).map(<[i64]>::to_vec).collect();
        assert_eq!(list.walk(&mut browser).await, pages, "{}", list.path);
        for number in 1..=NUMBERED_PAGES {
            let page = browser.get(&format!("{}?page={number}", list.path)).await;
            assert_eq!(list.rows(&page), pages[number as usize - 1], "{}?page={number}", list.path);
        }
        let beyond = if list.path == "/users" { Key::from_id(i64::MAX) } else { Key::from_id(0) };
        for far in ["page=4".to_owned(), "page=4294967295".to_owned(), format!("from={beyond}")] {
            let page = browser.get(&format!("{}?{far}", list.path)).await;
            assert_eq!(page.status, 404, "{}?{far}", list.path);
        }
    }
    let [_, _, feed, ..] = lists(&anna);
    let before = feed.walk(&mut browser).await;
    db_read_through(&app, &anna, other).await;
    assert_eq!(feed.walk(&mut browser).await, before);
}

/// Rows before the page, on it and at its start are deleted, and new ones are inserted. With OFFSET, later rows would
/// move to other pages.
#[actix_web::test]
async fn a_walk_is_not_disturbed() {
    let app = TestApp::start().await;
    let (anna, _, mut browser) = db_long_lists(&app).await;
    for list in lists(&anna) {
        let ids = list.db_ids(&app, &anna).await;
        let mut pages = browser.walk(&list.path).await;
        pages.truncate(4);
        let next = pages[3].attrs("a[rel=next]", "href")[0].clone();
        let gone = [ids[1], ids[2], ids[4 * 30], ids[4 * 30 + 5]];
        list.db_delete(&app, &gone).await;
        app.db_post(&anna, "New").await;
        pages.extend(browser.walk(&next).await);
        let seen: Vec<_> = pages.iter().flat_map(|page| list.rows(page)).collect();
        let expected = |id: &&i64| gone[..2].contains(id) || !gone.contains(id);
        assert_eq!(seen, ids.iter().filter(expected).copied().collect::<Vec<_>>(), "{}", list.path);
    }
}

/// Rows that the server has read on this connection, from tables, indexes and sorts.
async fn rows_read(conn: &mut Conn) -> i64 {
    let limit = conn.answer_timeout();
    let answer = match conn.backend_mut().unwrap() {
        Backend::Sqlite(_) => (true, Ok(Vec::new())),
        Backend::MySql(object) => {
            let sql = "SHOW SESSION STATUS LIKE 'Handler_read%'";
            Conn::with_timeout(limit, sqlx::query_as(sql).fetch_all(&mut **object)).await
        }
    };
    let counts: Vec<(String, String)> = conn.finish(answer).unwrap();
    counts.iter().map(|(_, count)| count.parse::<i64>().unwrap()).sum()
}

/// The cost of one page in rows read, without the cost of querying that number. Also returns the start of the next
/// page.
macro_rules! cost {
    ($conn:ident, $page:expr) => {{
        let asking = {
            let before = rows_read(&mut $conn).await;
            rows_read(&mut $conn).await - before
        };
        let before = rows_read(&mut $conn).await;
        let page = $page.await.unwrap();
        let cost = rows_read(&mut $conn).await - before - asking;
        assert!(!page.rows.is_empty());
        (cost, page.next)
    }};
}

#[actix_web::test]
async fn the_most_followed_are_found_without_reading_everybody() {
    let app = TestApp::start().await;
    if !app.database.is_mysql_or_says("it does not count the rows that it reads") {
        return;
    }
    let last = app.db_people(200).await.pop().unwrap();
    app.database.db_execute("UPDATE users SET followers_count = id, activated_at = created_at").await;
    app.database.db_execute("ANALYZE TABLE users").await;
    let mut conn = app.app.db.conn().await.unwrap();
    let before = rows_read(&mut conn).await;
    let asking = rows_read(&mut conn).await - before;
    let before = rows_read(&mut conn).await;
    let most = User::most_followed(&mut conn, 10).await.unwrap();
    let cost = rows_read(&mut conn).await - before - asking;
    assert_eq!((most.len(), most[0].0), (10, last.id));
    assert!(cost <= 20, "{cost} rows read");
}

#[actix_web::test]
async fn a_page_costs_what_the_first_one_does_at_any_depth() {
    let app = TestApp::start().await;
    if !app.database.is_mysql_or_says("it does not count the rows that it reads") {
        return;
    }
    let (anna, other, _) = db_long_lists(&app).await;
    // Users who are not activated are read and skipped; the clean-up deletes them after 30 days.
    app.database.db_execute("UPDATE users SET activated_at = created_at").await;
    app.database.db_execute("ANALYZE TABLE users, relationships, microposts, timeline_entries").await;
    let mut conn = app.app.db.conn().await.unwrap();
    let user = User::find(&mut conn, anna.id).await.unwrap().unwrap();
    let lists: RangeInclusive<u8> = 0..=5;
    for list in lists {
        if list == 5 {
            db_read_through(&app, &anna, other).await;
        }
        let user = User { follows_read_through: list == 5, ..user.clone() };
        let (mut costs, mut from) = (Vec::new(), PageStart::FIRST);
        loop {
            let (cost, next): (i64, Option<Key>) = match list {
                0 => cost!(conn, Listed::page(&mut conn, from)),
                1 => cost!(conn, relationship::following(&mut conn, user.id, from)),
                2 => cost!(conn, relationship::followers(&mut conn, user.id, from)),
                3 => cost!(conn, Micropost::written_by(&mut conn, user.id, from)),
                _ => cost!(conn, Micropost::feed(&mut conn, &user, from)),
            };
            costs.push(cost);
            let Some(key) = next else { break };
            from = PageStart::At(key);
        }
        println!("list {list}: rows read by each page: {costs:?}");
        assert!(costs.len() >= 6, "{costs:?}");
        let most = costs.iter().max().unwrap();
        assert!(*most as f64 <= 1.2 * costs[0] as f64, "list {list}: {costs:?}");
    }
}
