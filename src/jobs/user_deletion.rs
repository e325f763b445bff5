//! Removes a person who was marked as deleted (`User::delete`), a bounded piece at a time.
//!
//! Every piece is a transaction of its own that changes the counts together with the rows that they count, so a worker may
//! die between any two of them, and two workers may have the same job: what is left is found anew each time. Nobody else
//! adds to what is left, because everything written for a person starts with an update of their row that a deleted person
//! does not match.

use chrono::{DateTime, Utc};

use super::job::{self, JobKind};
use super::picture_deletion;
use crate::db::{Db, execute, fetch_all, fetch_one};
use crate::error::{Error, Result};
use crate::models::timeline;

/// Follows that go in one transaction: it holds the rows of as many other people, who cannot post meanwhile.
const FOLLOWS: i64 = 50;
/// Posts that go in one transaction, each with up to about 1,000 entries of timelines.
const POSTS: i64 = 5;
const DEVICES: i64 = 100;

/// Removes the next piece. `false` when nothing is left, not even the person.
///
/// # Errors
/// When the database does not answer, or the piece changed meanwhile: it is found anew by the next attempt.
pub async fn step(db: &Db, user_id: i64, now: DateTime<Utc>) -> Result<bool> {
    Ok(end_follows(db, user_id).await?
        || end_followers(db, user_id).await?
        || delete_posts(db, user_id, now).await?
        || timeline::clear_some(&mut db.conn().await?, user_id).await?
        || forget_devices(db, user_id).await?
        || !finish(db, user_id, now).await?)
}

async fn end_follows(db: &Db, user_id: i64) -> Result<bool> {
    let follows: Vec<(i64, i64)> = fetch_all!(
        &mut db.conn().await?,
        "SELECT id, followed_id FROM relationships WHERE follower_id = ? ORDER BY id LIMIT ?",
        user_id,
        FOLLOWS
    )?;
    end(db, follows, "UPDATE users SET followers_count = followers_count - 1 WHERE id = ?").await
}

async fn end_followers(db: &Db, user_id: i64) -> Result<bool> {
    let follows: Vec<(i64, i64)> = fetch_all!(
        &mut db.conn().await?,
        "SELECT id, follower_id FROM relationships WHERE followed_id = ? ORDER BY id LIMIT ?",
        user_id,
        FOLLOWS
    )?;
    end(db, follows, "UPDATE users SET following_count = following_count - 1 WHERE id = ?").await
}

/// Deletes follows, given with who is at the other end, whose count goes down. By primary keys, one by one: for a list of
/// keys MySQL may choose to scan the table, and lock all of it.
async fn end(db: &Db, mut follows: Vec<(i64, i64)>, count: &'static str) -> Result<bool> {
    if follows.is_empty() {
        return Ok(false);
    }
    // Counts before rows, and the lower id of a person first, as everywhere.
    follows.sort_unstable_by_key(|(_, other_id)| *other_id);
    db.transaction(async |db| {
        for (_, other_id) in &follows {
            execute!(db, count, other_id)?;
        }
        for (id, _) in &follows {
            expect_row(execute!(db, "DELETE FROM relationships WHERE id = ?", id)?.rows)?;
        }
        Ok(true)
    })
    .await
}

async fn delete_posts(db: &Db, user_id: i64, now: DateTime<Utc>) -> Result<bool> {
    let posts: Vec<(i64, Option<String>)> = fetch_all!(
        &mut db.conn().await?,
        "SELECT id, picture FROM microposts WHERE user_id = ? ORDER BY created_at, id LIMIT ?",
        user_id,
        POSTS
    )?;
    if posts.is_empty() {
        return Ok(false);
    }
    db.transaction(async |db| {
        let fewer = "UPDATE users SET microposts_count = microposts_count - ? WHERE id = ?";
        execute!(db, fewer, posts.len() as i64, user_id)?;
        for (id, picture) in &posts {
            expect_row(execute!(db, "DELETE FROM microposts WHERE id = ?", id)?.rows)?;
            if let Some(picture) = picture {
                picture_deletion::push(db, picture, now).await?;
            }
        }
        Ok(true)
    })
    .await
}

async fn forget_devices(db: &Db, user_id: i64) -> Result<bool> {
    let devices: Vec<(i64,)> = fetch_all!(
        &mut db.conn().await?,
        "SELECT id FROM remembered_devices WHERE user_id = ? ORDER BY id LIMIT ?",
        user_id,
        DEVICES
    )?;
    if devices.is_empty() {
        return Ok(false);
    }
    db.transaction(async |db| {
        for (id,) in &devices {
            execute!(db, "DELETE FROM remembered_devices WHERE id = ?", id)?;
        }
        Ok(true)
    })
    .await
}

/// The person and the job go together: the database may give the id to somebody else afterwards. `false` when there is
/// something of the person after all, which a process of the version before may have written.
async fn finish(db: &Db, user_id: i64, now: DateTime<Utc>) -> Result<bool> {
    db.transaction(async |db| {
        execute!(db, "UPDATE users SET updated_at = ? WHERE id = ?", now, user_id)?;
        let (left,): (i64,) = fetch_one!(
            db,
            "SELECT (SELECT COUNT(*) FROM relationships WHERE follower_id = ?) \
             + (SELECT COUNT(*) FROM relationships WHERE followed_id = ?) \
             + (SELECT COUNT(*) FROM microposts WHERE user_id = ?)",
            user_id,
            user_id,
            user_id
        )?;
        if left > 0 {
            return Ok(false);
        }
        // Their few links go by the foreign key.
        execute!(db, "DELETE FROM users WHERE id = ? AND deleted_at IS NOT NULL", user_id)?;
        job::remove(db, JobKind::UserDeletion, user_id).await?;
        Ok(true)
    })
    .await
}

/// Undoes the transaction when somebody else deleted the row first: its counts were not ours to change.
fn expect_row(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::unavailable("another worker deletes the same person")) }
}
