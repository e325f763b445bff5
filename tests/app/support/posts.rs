//! What people have: posts, pictures, and each other.

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageFormat};
use sample_app::models::micropost::{Content, Micropost};
use sample_app::models::relationship;

use super::people::Person;
use super::program::PATIENCE;
use super::{Browser, Page, TestApp};

impl TestApp {
    /// A post, written at this moment.
    pub async fn db_post(&self, author: &Person, content: &str) {
        let (content, now) = (Content::parse(content).unwrap(), self.app.clock.now());
        let write =
            self.app.db.transaction(async |db| Micropost::create(db, author.id, &content, None, now).await);
        write.await.unwrap();
    }

    /// One person follows another.
    pub async fn db_follow(&self, follower: &Person, followed: &Person) {
        relationship::follow(&self.app.db, follower.id, followed.id, self.app.clock.now()).await.unwrap();
    }

    /// Many people: "Person 1", "Person 2" ..
    pub async fn db_people(&self, count: usize) -> Vec<Person> {
        let mut people = Vec::new();
        for n in 1..=count {
            people.push(self.db_person(&format!("Person {n}")).await);
        }
        people
    }

    /// Whether the counts that pages show are those of the rows, and timelines those of posts and follows.
    pub async fn db_assert_counts(&self) {
        for (column, rows) in [
            ("microposts_count", "microposts WHERE user_id"),
            ("following_count", "relationships WHERE follower_id"),
            ("followers_count", "relationships WHERE followed_id"),
        ] {
            let wrong = format!(
                "SELECT COUNT(*) FROM users WHERE {column} <> (SELECT COUNT(*) FROM {rows} = users.id)"
            );
            assert_eq!(self.database.db_number(&wrong).await, 0, "{column}");
        }
        let entries = "(SELECT user_id, created_at, micropost_id, author_id FROM timeline_entries)";
        let feeds = "(SELECT follower_id AS user_id, microposts.created_at, microposts.id AS micropost_id, \
                       followed_id AS author_id FROM relationships \
                     JOIN users ON users.id = followed_id AND users.read_through = FALSE \
                     JOIN microposts ON microposts.user_id = followed_id \
                     UNION ALL SELECT user_id, created_at, id, user_id FROM microposts)";
        for (some, others) in [(entries, feeds), (feeds, entries)] {
            let wrong = format!(
                "SELECT COUNT(*) FROM {some} some LEFT JOIN {others} others USING \
                 (user_id, created_at, micropost_id, author_id) WHERE others.user_id IS NULL"
            );
            assert_eq!(self.database.db_number(&wrong).await, 0, "in {some}, but not in {others}");
        }
    }

    /// Names of the pictures that are stored.
    pub fn stored_pictures(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("images")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until these pictures are stored and no others: what nobody needs any more goes a moment later.
    pub async fn stored_pictures_are(&self, pictures: &[&str]) {
        let start = Instant::now();
        while self.stored_pictures() != pictures {
            assert!(start.elapsed() < PATIENCE, "{:?}, not {pictures:?}", self.stored_pictures());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Browser {
    /// Fills in the form for a post, with a small picture.
    pub async fn post_picture(&mut self, text: &str) -> Page {
        let form = self.get("/").await.form("Post").set("micropost[content]", text);
        self.submit(form.attach("micropost[picture]", "kitten.png", png(20, 10))).await
    }
}

impl Page {
    /// Address of the picture of the newest post.
    pub fn newest_picture(&self) -> String {
        self.attrs("ol.microposts > li img.picture", "src").first().unwrap().clone()
    }
}

/// A picture in one colour, as a PNG.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
