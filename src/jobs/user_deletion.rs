//! Removes a user who is marked as deleted (`User::delete`), one bounded step at a time.
//!
//! Every step is a separate transaction that updates the counters together with the rows they count, and finds what is
//! left by a new query. So a worker may die between steps, and two workers may run the same job. Nothing new is added
//! meanwhile: every transaction that writes for a user first updates the user's row, and its condition excludes deleted
//! users.

use chrono::{DateTime, Utc};

use super::job::{self, JobKind};
use super::picture_deletion;
use crate::db::{Db, execute, fetch_all, fetch_one};
use crate::error::{Error, Result};
use crate::models::timeline;

/// Follows per transaction. It locks the rows of as many other users, who cannot post meanwhile.
const FOLLOWS_PER_STEP: i64 = 50;
/// Posts per transaction, each with up to about 1,000 timeline entries.
const POSTS_PER_STEP: i64 = 5;
const DEVICES_PER_STEP: i64 = 100;

/// Runs the next step. `false` if nothing is left, not even the user's row.
///
/// # Errors
/// When the database does not answer, or another worker deleted the same rows first. The next attempt queries them
/// again.
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
        FOLLOWS_PER_STEP
    )?;
    end(db, follows, "UPDATE users SET followers_count = followers_count - 1 WHERE id = ?").await
}

async fn end_followers(db: &Db, user_id: i64) -> Result<bool> {
    let follows: Vec<(i64, i64)> = fetch_all!(
        &mut db.conn().await?,
        "SELECT id, follower_id FROM relationships WHERE followed_id = ? ORDER BY id LIMIT ?",
        user_id,
        FOLLOWS_PER_STEP
    )?;
    end(db, follows, "UPDATE users SET following_count = following_count - 1 WHERE id = ?").await
}

/// Deletes follows, given as (id, id of the other user), and decrements the other user's counter with the statement
/// `count`. One statement per primary key: for a list of keys MySQL may scan the table and lock all of it.
async fn end(db: &Db, mut follows: Vec<(i64, i64)>, count: &'static str) -> Result<bool> {
    if follows.is_empty() {
        return Ok(false);
    }
    // The lock order used everywhere: counters before rows, and users by ascending id.
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
        POSTS_PER_STEP
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
        DEVICES_PER_STEP
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

/// Deletes the user and the job in one transaction, because the database may reuse the id afterwards. `false` if rows
/// of the user are left after all, which a process of the previous version may have written.
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
        // The foreign keys delete the user's few mail tokens (ON DELETE CASCADE).
        execute!(db, "DELETE FROM users WHERE id = ? AND deleted_at IS NOT NULL", user_id)?;
        job::remove(db, JobKind::UserDeletion, user_id).await?;
        Ok(true)
    })
    .await
}

/// Rolls the transaction back if another worker deleted the row first, because that worker also updated the counters.
fn expect_row(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::unavailable("another worker deletes the same person")) }
}
