//! The feed equals its definition, however it is stored (src/models/timeline.rs): the posts of the user and of those
//! whom the user follows, newest first.

use futures_util::future::join_all;
use sample_app::models::timeline::FANOUT_ON_READ_FROM;

use crate::support::people::Person;
use crate::support::{Browser, Page, TestApp};

/// A user and their browser.
struct Reader {
    person: Person,
    browser: Browser,
}

async fn readers(app: &TestApp, names: &[&str]) -> Vec<Reader> {
    let mut readers = Vec::new();
    for name in names {
        let person = app.db_person(name).await;
        readers.push(Reader { browser: app.logged_in(&person).await, person });
    }
    readers
}

impl Reader {
    /// The posts on all pages of the feed.
    async fn feed(&mut self) -> Vec<i64> {
        self.browser.walk("/").await.iter().flat_map(Page::microposts).collect()
    }

    async fn follow(&mut self, whom: &Person) {
        let page = self.browser.get(&format!("/users/{}", whom.id)).await;
        self.browser.submit(page.form("Follow")).await.assert_at(200, &format!("/users/{}", whom.id));
    }

    async fn unfollow(&mut self, whom: &Person) {
        let page = self.browser.get(&format!("/users/{}", whom.id)).await;
        self.browser.submit(page.form("Unfollow")).await.assert_at(200, &format!("/users/{}", whom.id));
    }

    async fn post(&mut self, content: &str) {
        let form = self.browser.get("/").await.form("Post").set("micropost[content]", content);
        self.browser.submit(form).await.assert_flash("success", "Micropost created!");
    }
}

/// The feed by definition, read from posts and follows only.
async fn definition(app: &TestApp, reader: &Person) -> Vec<i64> {
    let rows = format!(
        "FROM microposts WHERE user_id = {0} OR user_id IN \
         (SELECT followed_id FROM relationships WHERE follower_id = {0})",
        reader.id
    );
    let sql = if app.database.is_mysql() {
        format!("SELECT COALESCE(GROUP_CONCAT(id ORDER BY created_at DESC, id DESC), '') {rows}")
    } else {
        format!(
            "SELECT COALESCE(GROUP_CONCAT(id), '') FROM (SELECT id {rows} ORDER BY created_at DESC, id DESC)"
        )
    };
    let ids = app.database.db_text(&sql).await;
    ids.split(',').filter(|id| !id.is_empty()).map(|id| id.parse().unwrap()).collect()
}

async fn assert_feeds(app: &TestApp, readers: &mut [Reader], when: &str) {
    for reader in readers {
        let expected = definition(app, &reader.person).await;
        assert_eq!(reader.feed().await, expected, "{} after {when}", reader.person.name);
    }
}

#[actix_web::test]
async fn every_act_leaves_every_feed_as_it_is_defined() {
    let app = TestApp::start().await;
    let mut all = readers(&app, &["anna", "berta", "carla"]).await;
    let admin = app.db_admin("dora").await;
    let people: Vec<_> = all.iter().map(|reader| reader.person.clone()).collect();
    let [anna, berta, carla] = &people[..] else { panic!() };
    // More than one page, with posts of two authors at equal times.
    for n in 0..20 {
        app.db_post(berta, &format!("berta {n}")).await;
        app.db_post(carla, &format!("carla {n}")).await;
    }
    assert_feeds(&app, &mut all, "posts of their own").await;
    all[0].follow(berta).await;
    all[0].follow(carla).await;
    all[2].follow(anna).await;
    assert_eq!(all[0].feed().await.len(), 40);
    assert_feeds(&app, &mut all, "follows").await;
    all[0].post("mine").await;
    all[1].post("hers").await;
    all[1].browser.post_picture("with a picture").await.assert_flash("success", "Micropost created!");
    assert_eq!(all[0].feed().await.len(), 43);
    assert_feeds(&app, &mut all, "posts").await;
    all[0].unfollow(berta).await;
    assert_eq!(all[0].feed().await.len(), 21);
    assert_feeds(&app, &mut all, "an unfollow").await;
    all[1].post("while nobody follows").await;
    all[0].follow(berta).await;
    assert_eq!(all[0].feed().await.len(), 44);
    assert_feeds(&app, &mut all, "a follow again").await;
    let page = all[1].browser.get("/").await;
    all[1].browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    assert_eq!(all[0].feed().await.len(), 43);
    assert_feeds(&app, &mut all, "a deleted post").await;
    app.db_assert_counts().await;

    app.logged_in(&admin).await.delete(&format!("/users/{}", berta.id)).await.assert_redirect("/users");
    all.remove(1);
    assert_eq!(all[0].feed().await.len(), 21);
    app.is_removed(berta).await;
    assert_feeds(&app, &mut all, "a deleted author").await;
    app.db_assert_counts().await;
}

#[actix_web::test]
async fn somebody_with_very_many_followers_is_read_through() {
    let app = TestApp::start().await;
    let mut all = readers(&app, &["anna", "berta", "star"]).await;
    let people: Vec<_> = all.iter().map(|reader| reader.person.clone()).collect();
    let [anna, berta, star] = &people[..] else { panic!() };
    all[0].follow(star).await;
    all[0].follow(berta).await;
    for n in 0..20 {
        app.db_post(star, &format!("before {n}")).await;
        app.db_post(berta, &format!("berta {n}")).await;
    }
    let almost =
        format!("UPDATE users SET followers_count = {} WHERE id = {}", FANOUT_ON_READ_FROM - 1, star.id);
    let flags = "SELECT COALESCE(SUM(id), 0) FROM users WHERE";
    let flags = if app.database.is_mysql() {
        flags.replace("SUM(id)", "CAST(SUM(id) AS SIGNED)")
    } else {
        flags.into()
    };
    // One follower below the threshold; the next one reaches it.
    app.database.db_execute(&almost.replace("followers_count = ", "followers_count = -1 + ")).await;
    all[1].follow(star).await;
    assert_eq!(app.database.db_number(&format!("{flags} read_through = TRUE")).await, 0);
    all[1].unfollow(star).await;
    app.database.db_execute(&almost).await;
    all[1].follow(star).await;
    app.app.jobs_wakeup.wake();
    app.database.db_until(&format!("{flags} read_through = TRUE"), star.id).await;
    let both = anna.id + berta.id;
    assert_eq!(app.database.db_number(&format!("{flags} follows_read_through = TRUE")).await, both);
    assert_feeds(&app, &mut all, "the follower that was one too many").await;
    assert_eq!(all[0].feed().await.len(), 40, "what was written before is there once");

    let entries = "SELECT COUNT(*) FROM timeline_entries";
    let before = app.database.db_number(entries).await;
    for n in 0..40 {
        app.db_post(star, &format!("after {n}")).await;
    }
    assert_eq!(app.database.db_number(entries).await, before + 40, "in the author's own feed only");
    all[1].post("in between").await;
    all[2].browser.post_picture("with a picture").await.assert_flash("success", "Micropost created!");
    assert_eq!(all[0].feed().await.len(), 82);
    assert_feeds(&app, &mut all, "posts of somebody read through").await;

    let mut late = readers(&app, &["late"]).await.remove(0);
    late.follow(star).await;
    all.push(late);
    assert_eq!(all[3].feed().await.len(), 61);
    assert_feeds(&app, &mut all, "a follow of somebody read through").await;
    all[0].unfollow(star).await;
    assert_eq!(all[0].feed().await.len(), 21);
    assert_feeds(&app, &mut all, "an unfollow of somebody read through").await;
    // Fan-out on read is permanent: posts since then are in no timeline.
    app.database.db_execute(&format!("UPDATE users SET followers_count = 2 WHERE id = {}", star.id)).await;
    all[2].post("with few followers").await;
    all[0].follow(star).await;
    assert_feeds(&app, &mut all, "a follow again").await;
    let page = all[2].browser.get("/").await;
    all[2].browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    assert_feeds(&app, &mut all, "a deleted post of somebody read through").await;
}

/// A post and a concurrent follow of its author: whichever commits second sees the first.
#[actix_web::test]
async fn posts_and_follows_at_once_leave_exact_feeds() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let mut all = readers(&app, &["anna", "berta", "carla", "dora", "emma"]).await;
    let (anna, berta) = (all[0].person.clone(), all[1].person.clone());
    let star =
        format!("UPDATE users SET followers_count = {} WHERE id = {}", FANOUT_ON_READ_FROM - 2, berta.id);
    for round in 0..6 {
        if round == 3 {
            // From here on the counters are wrong, because there are not that many users: Berta is about to switch to
            // fan-out on read.
            app.db_assert_counts().await;
            app.database.db_execute(&star).await;
        }
        let followed = [anna.id, berta.id].map(|id| id.to_string());
        let posts =
            (0..2).flat_map(|author| vec![all[author].browser.clone(); 3]).map(|mut browser| async move {
                browser.post_until_taken("/microposts", &[("micropost[content]", "now")]).await.status
            });
        let follows = all[2..].iter().flat_map(|reader| {
            followed.iter().map(|id| {
                let mut browser = reader.browser.clone();
                async move { browser.post_until_taken("/relationships", &[("followed_id", id)]).await.status }
            })
        });
        let (posts, follows) = futures_util::future::join(join_all(posts), join_all(follows)).await;
        assert!(posts.into_iter().chain(follows).all(|status| status == 303), "round {round}");
        assert_feeds(&app, &mut all, &format!("round {round}")).await;
        // Every second round ends with nobody following; the others continue with concurrent posts and unfollows.
        if round % 2 == 0 {
            let mut unfollows = Vec::new();
            for reader in &mut all[2..] {
                for id in &followed {
                    let page = reader.browser.get(&format!("/users/{id}")).await;
                    unfollows.push((reader.browser.clone(), page.form("Unfollow")));
                }
            }
            let unfollows = unfollows
                .into_iter()
                .map(|(mut browser, form)| async move { browser.submit_until_taken(form).await.status });
            let posts = [all[0].browser.clone(), all[1].browser.clone()].map(|mut browser| async move {
                browser.post_until_taken("/microposts", &[("micropost[content]", "now")]).await.status
            });
            futures_util::future::join(join_all(unfollows), join_all(posts)).await;
            assert_feeds(&app, &mut all, &format!("the unfollows of round {round}")).await;
        }
    }
    let read_through = format!("SELECT COUNT(*) FROM users WHERE read_through = TRUE AND id = {}", berta.id);
    app.app.jobs_wakeup.wake();
    app.database.db_until(&read_through, 1).await;
    all[1].post("read through").await;
    assert_feeds(&app, &mut all, "a post that is read through").await;
}

/// Longer than one DELETE removes.
#[actix_web::test]
async fn a_long_feed_ends_with_its_reader() {
    let app = TestApp::start().await;
    let (admin, lana) = (app.db_admin("michael").await, app.db_person("lana").await);
    app.db_post(&admin, "once").await;
    let (number, numbers) = app.database.four_digits();
    for half in ["2020-01-01 00:00:00.00", "2021-01-01 00:00:00.00"] {
        let time = if app.database.is_mysql() {
            format!("CONCAT('{half}', {number})")
        } else {
            format!("'{half}' || {number} || '+00:00'")
        };
        app.database
            .db_execute(&format!(
                "INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
                 SELECT {}, {time}, microposts.id, user_id FROM microposts, {numbers}",
                lana.id
            ))
            .await;
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM timeline_entries").await, 20_001);
    app.logged_in(&admin).await.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/users");
    app.is_removed(&lana).await;
    app.db_assert_counts().await;
}

/// A database of the previous version: the migration determines who is read by fan-out on read and fills all timelines.
#[actix_web::test]
async fn the_migration_writes_the_feeds_of_what_is_there() {
    let app = TestApp::start().await;
    let mut all = readers(&app, &["anna", "berta", "star"]).await;
    let people: Vec<_> = all.iter().map(|reader| reader.person.clone()).collect();
    let [anna, berta, star] = &people[..] else { panic!() };
    let (crowd, (number, numbers)) = (FANOUT_ON_READ_FROM - 1, app.database.four_digits());
    for sql in [
        format!(
            "INSERT INTO users (name, email, password_digest, activated_at, following_count, created_at, updated_at) \
             SELECT 'Crowd', {number}, 'x', users.created_at, 1, users.created_at, users.created_at \
             FROM users, {numbers} WHERE users.id = {} LIMIT {crowd}",
            star.id
        ),
        format!(
            "INSERT INTO relationships (follower_id, followed_id, created_at) \
             SELECT id, {}, created_at FROM users WHERE name = 'Crowd'",
            star.id
        ),
        format!("UPDATE users SET followers_count = {crowd} WHERE id = {}", star.id),
    ] {
        app.database.db_execute(&sql).await;
    }
    all[0].follow(star).await;
    app.app.jobs_wakeup.wake();
    app.database.db_until("SELECT COUNT(*) FROM jobs WHERE kind = 'fanout_on_read'", 0).await;
    all[0].follow(berta).await;
    for (author, content) in [(anna, "mine"), (berta, "hers"), (star, "of the star"), (berta, "again")] {
        app.db_post(author, content).await;
    }
    app.db_assert_counts().await;
    let before = app.database.db_dump().await;
    let of_mysql = [
        "ALTER TABLE users DROP INDEX index_users_on_read_through",
        "ALTER TABLE users DROP COLUMN read_through, DROP COLUMN follows_read_through",
    ];
    let of_sqlite = [
        "DROP INDEX index_users_on_read_through",
        "ALTER TABLE users DROP COLUMN read_through; ALTER TABLE users DROP COLUMN follows_read_through",
    ];
    for sql in if app.database.is_mysql() { of_mysql } else { of_sqlite } {
        app.database.db_execute(sql).await;
    }
    app.database.db_execute("DROP TABLE timeline_entries").await;
    app.database.db_execute("DELETE FROM _sqlx_migrations WHERE version = 10").await;
    assert_eq!(app.app.db.migrate().await.unwrap(), 1);
    let after = app.database.db_dump().await;
    assert!(after == before, "the same as if it had always been there");
    assert_feeds(&app, &mut all, "the migration").await;
    assert_eq!(all[0].feed().await.len(), 4);
}
