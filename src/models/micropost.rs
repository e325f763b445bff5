//! Posts, with or without a picture: the table `microposts`.

use chrono::{DateTime, Utc};

use super::timeline;
use super::user::User;
use super::values::page::{Key, Page, PageStart, from_newest};
use super::values::validation::{BLANK, UNUSABLE, has_unusable_characters, is_blank, too_long};
use crate::db::{Conn, execute, fetch_all, fetch_one, row};
use crate::error::{Error, Result};
use crate::jobs::picture_deletion;

/// Longest text, in characters.
pub const MAX: usize = 140;

/// A post with its author's name, as lists show it.
pub struct Micropost {
    pub id: i64,
    pub user_id: i64,
    pub user_name: String,
    /// For avatars from Gravatar.
    pub user_email: String,
    pub content: String,
    /// Key of the picture in the image store.
    pub picture: Option<String>,
    /// In pixels; `None` if the picture was stored without its size.
    pub picture_width: Option<i32>,
    /// In pixels; `None` if the picture was stored without its size.
    pub picture_height: Option<i32>,
    pub created_at: DateTime<Utc>,
}

row!(Micropost {
    id,
    user_id,
    user_name,
    user_email,
    content,
    picture,
    picture_width,
    picture_height,
    created_at
});

/// A picture in the image store, for a new post.
#[derive(Clone, Copy)]
pub struct StoredPicture<'a> {
    pub key: &'a str,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// A post without its author, whom the caller knows or loads at the same time.
pub struct AuthoredPost {
    id: i64,
    content: String,
    picture: Option<String>,
    picture_width: Option<i32>,
    picture_height: Option<i32>,
    created_at: DateTime<Utc>,
}

row!(AuthoredPost { id, content, picture, picture_width, picture_height, created_at });

impl AuthoredPost {
    pub fn by(self, user: &User) -> Micropost {
        Micropost {
            id: self.id,
            user_id: user.id,
            user_name: user.name.clone(),
            user_email: user.email.clone(),
            content: self.content,
            picture: self.picture,
            picture_width: self.picture_width,
            picture_height: self.picture_height,
            created_at: self.created_at,
        }
    }
}

/// `SELECT` of [`Micropost`]s. `STRAIGHT_JOIN`, in a comment that MySQL and MariaDB execute, joins the tables in the
/// order written: the first one is read along its index, so rows come sorted, and no more of them are read than are
/// shown.
macro_rules! select_micropost {
    ($($rest:expr),+) => {
        concat!(
            "SELECT /*! STRAIGHT_JOIN */ m.id, m.user_id, users.name AS user_name, users.email AS user_email, ",
            "m.content, m.picture, m.picture_width, m.picture_height, m.created_at ",
            $($rest),+
        )
    };
}

/// `SELECT` of [`AuthoredPost`]s.
macro_rules! select_authored {
    ($($rest:expr),+) => {
        concat!(
            "SELECT id, content, picture, picture_width, picture_height, created_at FROM microposts ",
            $($rest),+
        )
    };
}

// Declared after the macros that it uses.
mod feed;

/// A valid text: 1 to [`MAX`] characters (code points), not blank.
#[derive(Debug)]
pub struct Content(String);

impl Content {
    /// Validates user input. A line break counts as one character, although browsers send two (CR LF). An error reads
    /// as the rest of a sentence that begins with "Content".
    pub fn parse(typed: &str) -> Result<Content, String> {
        let content = typed.replace("\r\n", "\n");
        let content = content.trim();
        if is_blank(content) {
            return Err(BLANK.into());
        }
        if has_unusable_characters(content, true) {
            return Err(UNUSABLE.into());
        }
        if content.chars().count() > MAX {
            return Err(too_long(MAX));
        }
        Ok(Content(content.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Micropost {
    /// Stores a post and adds it to feeds. The author's count is updated first: the INSERT takes a shared lock on the
    /// author's row (foreign key), and two concurrent posts would deadlock when both then update it.
    /// [`Error::LogInFirst`] if the author was deleted in the meantime.
    pub async fn create(
        db: &mut Conn,
        user_id: i64,
        content: &Content,
        picture: Option<StoredPicture<'_>>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        Self::count(db, user_id, 1).await?;
        let post = execute!(
            db,
            "INSERT INTO microposts (user_id, content, picture, picture_width, picture_height, created_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
            user_id,
            &content.0,
            picture.map(|picture| picture.key),
            picture.map(|picture| picture.width as i32),
            picture.map(|picture| picture.height as i32),
            now,
        )?;
        timeline::add(db, post.id).await
    }

    /// Finds a post of this author. [`Error::NotFound`] if there is no such post, or it belongs to someone else.
    pub async fn find_by(db: &mut Conn, id: i64, author: &User) -> Result<Micropost> {
        let post: AuthoredPost =
            fetch_one!(db, select_authored!("WHERE id = ? AND user_id = ?"), id, author.id)?;
        Ok(post.by(author))
    }

    /// Deletes a post of this author and schedules the deletion of its picture. [`Error::NotFound`] if there is no such
    /// post, or it belongs to someone else.
    pub async fn delete(db: &mut Conn, id: i64, user_id: i64, now: DateTime<Utc>) -> Result<()> {
        Self::count(db, user_id, -1).await?;
        let (picture,): (Option<String>,) =
            fetch_one!(db, "SELECT picture FROM microposts WHERE id = ? AND user_id = ?", id, user_id)?;
        if execute!(db, "DELETE FROM microposts WHERE id = ?", id)?.rows == 0 {
            return Err(Error::NotFound);
        }
        match picture {
            Some(picture) => picture_deletion::push(db, &picture, now).await,
            None => Ok(()),
        }
    }

    /// Adjusts the author's count, and thereby locks the author's row until the transaction ends.
    async fn count(db: &mut Conn, user_id: i64, by: i64) -> Result<()> {
        let count =
            "UPDATE users SET microposts_count = microposts_count + ? WHERE id = ? AND deleted_at IS NULL";
        if execute!(db, count, by, user_id)?.rows == 1 { Ok(()) } else { Err(Error::LogInFirst) }
    }

    /// The posts of one user, newest first; an empty page if there is no such user.
    pub async fn written_by(db: &mut Conn, user_id: i64, from: PageStart) -> Result<Page<AuthoredPost>> {
        let Key { at, id } = from.newest();
        let rows = fetch_all!(
            db,
            select_authored!(
                "/*! FORCE INDEX (index_microposts_on_user_id_and_created_at) */ WHERE user_id = ? AND ",
                from_newest!("created_at", "id"),
                " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
            ),
            user_id,
            at,
            at,
            id,
            from.limit(),
            from.offset(),
        )?;
        Ok(from.of(rows, |post: &AuthoredPost| Key { at: post.created_at, id: post.id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_code_points_and_line_breaks_once() {
        assert!(Content::parse(&"🦀".repeat(MAX)).is_ok());
        assert!(Content::parse(&"🦀".repeat(MAX + 1)).is_err());
        assert!(Content::parse(&format!("{}\r\n{}", "a".repeat(70), "b".repeat(69))).is_ok());
    }

    #[test]
    fn refuses_blank_and_control_characters() {
        for text in ["", "   ", "\r\n\r\n", "\u{3000}", "a\0b", "a\u{1b}b", "a\u{FFFD}b"] {
            assert!(Content::parse(text).is_err(), "{text:?}");
        }
    }
}
