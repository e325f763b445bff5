//! What users have: posts, pictures and follows.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use sample_app::models::micropost::{Content, Micropost};
use sample_app::models::relationship;

use super::people::Person;
use super::wait::wait_for;
use super::{Browser, Page, TestApp};

impl TestApp {
    /// Inserts a post with the current time.
    pub async fn db_post(&self, author: &Person, content: &str) {
        let (content, now) = (Content::parse(content).unwrap(), self.app.clock.now());
        let write =
            self.app.db.transaction(async |db| Micropost::create(db, author.id, &content, None, now).await);
        write.await.unwrap();
    }

    pub async fn db_follow(&self, follower: &Person, followed: &Person) {
        relationship::follow(&self.app.db, follower.id, followed.id, self.app.clock.now()).await.unwrap();
    }

    /// Inserts users named "Person 1", "Person 2" ..
    pub async fn db_people(&self, count: usize) -> Vec<Person> {
        let mut people = Vec::new();
        for n in 1..=count {
            people.push(self.db_person(&format!("Person {n}")).await);
        }
        people
    }

    /// As [`TestDatabase::db_assert_counts`](super::TestDatabase::db_assert_counts).
    pub async fn db_assert_counts(&self) {
        self.database.db_assert_counts().await;
    }

    /// File names of the stored pictures.
    pub fn stored_pictures(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("images")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with(".probe-")).collect()
    }

    /// Waits until exactly these pictures are stored; unused ones are deleted with a delay.
    pub async fn stored_pictures_are(&self, pictures: &[&str]) {
        wait_for(async || match self.stored_pictures() {
            stored if stored == pictures => Ok(()),
            stored => Err(format!("{stored:?}, not {pictures:?}")),
        })
        .await;
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
    /// URL of the picture of the newest post.
    pub fn newest_picture(&self) -> String {
        self.attrs("ol.microposts > li img.picture", "src").first().unwrap().clone()
    }
}

/// A PNG of a single color.
pub fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_rgb8(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
