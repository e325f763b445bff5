//! Who follows whom: the table `relationships`.

use chrono::{DateTime, Utc};

use super::person::Person;
use super::timeline;
use super::values::page::{Key, Page, PageStart};
use crate::db::{Conn, Db, defer, execute, fetch_all, fetch_one, fetch_optional, row};
use crate::error::{Error, Result};

/// Id of the row by which the follower follows `followed_id`.
pub async fn find(db: &mut Conn, follower_id: i64, followed_id: i64) -> Result<Option<i64>> {
    let row: Option<(i64,)> = fetch_optional!(
        db,
        "SELECT id FROM relationships WHERE follower_id = ? AND followed_id = ?",
        follower_id,
        followed_id
    )?;
    Ok(row.map(|(id,)| id))
}

/// Follows a user and returns their number of followers; `None` if the follow exists already, which changes nothing.
/// [`Error::NotFound`] if there is no such activated user; [`Error::BadRequest`] for following oneself.
pub async fn follow(db: &Db, follower_id: i64, followed_id: i64, now: DateTime<Utc>) -> Result<Option<i64>> {
    if follower_id == followed_id {
        return Err(Error::BadRequest("You cannot follow yourself.".into()));
    }
    db.transaction(async |db| insert(db, follower_id, followed_id, now).await).await
}

/// [`follow`] within a transaction, which must be rolled back on error.
pub async fn insert(
    db: &mut Conn,
    follower_id: i64,
    followed_id: i64,
    now: DateTime<Utc>,
) -> Result<Option<i64>> {
    count(db, follower_id, followed_id, 1).await?;
    let inserted = defer!(
        db,
        "INSERT INTO relationships (follower_id, followed_id, created_at) VALUES (?, ?, ?)",
        follower_id,
        followed_id,
        now
    );
    let counted = match inserted {
        // Although a SELECT, this reads the current row and not a snapshot: this transaction has updated it.
        Ok(()) => fetch_one!(db, "SELECT followers_count, read_through FROM users WHERE id = ?", followed_id),
        Err(error) => Err(error),
    };
    match counted {
        Ok((followers, read_through)) => {
            timeline::follow(db, follower_id, followed_id, followers, read_through, now).await?;
            Ok(Some(followers))
        }
        // The follow exists already. Only a unique violation of the INSERT means that; other errors are returned.
        Err(error) if error.is_unique_violation() => {
            count(db, follower_id, followed_id, -1).await.map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// Deletes a follow of this follower and returns the id of the followed user. [`Error::NotFound`] if there is no such
/// follow, or it belongs to someone else.
pub async fn unfollow(db: &Db, id: i64, follower_id: i64) -> Result<i64> {
    db.transaction(async |db| {
        let (followed_id,): (i64,) = fetch_one!(
            db,
            "SELECT followed_id FROM relationships WHERE id = ? AND follower_id = ?",
            id,
            follower_id
        )?;
        count(db, follower_id, followed_id, -1).await?;
        if execute!(db, "DELETE FROM relationships WHERE id = ?", id)?.rows == 0 {
            return Err(Error::NotFound);
        }
        timeline::unfollow(db, follower_id, followed_id).await?;
        Ok(followed_id)
    })
    .await
}

/// Adjusts the counts of both users. Neither may be deleted, and the followed one must be activated. Runs before the
/// follow itself changes, and locks the lower id first, because the statement reads the primary key in order. So all
/// transactions take the same locks in the same order.
async fn count(db: &mut Conn, follower_id: i64, followed_id: i64, by: i64) -> Result<()> {
    let counted = execute!(
        db,
        "UPDATE users SET following_count = following_count + CASE WHEN id = ? THEN ? ELSE 0 END, \
         followers_count = followers_count + CASE WHEN id = ? THEN ? ELSE 0 END \
         WHERE id IN (?, ?) AND deleted_at IS NULL AND (id = ? OR activated_at IS NOT NULL)",
        follower_id,
        by,
        followed_id,
        by,
        follower_id,
        followed_id,
        follower_id,
    )?;
    if counted.rows == 2 {
        return Ok(());
    }
    let follower: Option<(i64,)> =
        fetch_optional!(db, "SELECT id FROM users WHERE id = ? AND deleted_at IS NULL", follower_id)?;
    Err(if follower.is_none() { Error::LogInFirst } else { Error::NotFound })
}

/// A page of users through their follows, latest first. `STRAIGHT_JOIN` and the index hint make MySQL and MariaDB read
/// the follows of one user in order, no further than the page needs; without the hint they may scan everybody's follows
/// by id until they have found enough of this user's. SQLite ignores `/*! */` comments.
macro_rules! select_follows {
    ($of:literal, $other:literal) => {
        concat!(
            "SELECT /*! STRAIGHT_JOIN */ relationships.id AS follow_id, users.id, name, email FROM relationships ",
            "/*! FORCE INDEX (index_relationships_on_",
            $of,
            ") */ JOIN users ON users.id = relationships.",
            $other,
            " AND users.deleted_at IS NULL WHERE ",
            $of,
            " = ? AND relationships.id <= ? ORDER BY relationships.id DESC LIMIT ? OFFSET ?"
        )
    };
}

/// The users whom a user follows, latest first.
pub async fn following(db: &mut Conn, user_id: i64, from: PageStart) -> Result<Page<Person>> {
    let rows = fetch_all!(
        db,
        select_follows!("follower_id", "followed_id"),
        user_id,
        from.id_or(i64::MAX),
        from.limit(),
        from.offset(),
    )?;
    Ok(from.of(rows, Follow::key).map(Follow::other))
}

/// The followers of a user, latest first.
pub async fn followers(db: &mut Conn, user_id: i64, from: PageStart) -> Result<Page<Person>> {
    let rows = fetch_all!(
        db,
        select_follows!("followed_id", "follower_id"),
        user_id,
        from.id_or(i64::MAX),
        from.limit(),
        from.offset(),
    )?;
    Ok(from.of(rows, Follow::key).map(Follow::other))
}

/// A row of these lists: the follow, and the user at its other end.
struct Follow {
    follow_id: i64,
    id: i64,
    name: String,
    email: String,
}

row!(Follow { follow_id, id, name, email });

impl Follow {
    fn key(&self) -> Key {
        Key::from_id(self.follow_id)
    }

    fn other(self) -> Person {
        Person { id: self.id, name: self.name, email: self.email }
    }
}
