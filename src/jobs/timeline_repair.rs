//! Repairs all timelines from posts and follows. During a deploy the version before timelines runs on the same schema:
//! it adds no timeline entries and does not remove obsolete ones. The migration that adds the table `jobs` starts this
//! job, once.

use crate::db::{Conn, Db, execute, fetch_all, fetch_one, fetch_optional};
use crate::error::Result;
use crate::models::{relationship, timeline};

/// Follows or posts per query.
const ROWS_PER_STEP: i64 = 200;

/// Repairs the timeline of the user with the lowest id above `position`. Returns that id, or `None` after the last
/// user.
pub async fn step(db: &Db, position: i64) -> Result<Option<i64>> {
    let mut conn = db.conn().await?;
    // Timelines without a user exist: the previous version deleted the user but not the entries.
    let (account,): (Option<i64>,) =
        fetch_one!(&mut conn, "SELECT MIN(id) FROM users WHERE id > ?", position)?;
    let (reader,): (Option<i64>,) =
        fetch_one!(&mut conn, "SELECT MIN(user_id) FROM timeline_entries WHERE user_id > ?", position)?;
    drop(conn);
    let Some(id) = account.into_iter().chain(reader).min() else { return Ok(None) };
    remove_leftovers(db, id).await?;
    add_posts(db, id).await?;
    add_followed(db, id).await?;
    Ok(Some(id))
}

/// Removes the posts of authors that the reader does not follow.
async fn remove_leftovers(db: &Db, reader_id: i64) -> Result<()> {
    let mut author_id = 0;
    loop {
        let next = "SELECT MIN(author_id) FROM timeline_entries WHERE user_id = ? AND author_id > ?";
        let (next,): (Option<i64>,) = fetch_one!(&mut db.conn().await?, next, reader_id, author_id)?;
        let Some(next) = next else { return Ok(()) };
        author_id = next;
        db.transaction(async |db| {
            let belongs = lock_users(db, reader_id, author_id).await?
                && (reader_id == author_id || relationship::find(db, reader_id, author_id).await?.is_some());
            if belongs { Ok(()) } else { timeline::unfollow(db, reader_id, author_id).await }
        })
        .await?;
    }
}

/// Adds the author's posts to all timelines, if they are missing from the author's own.
async fn add_posts(db: &Db, author_id: i64) -> Result<()> {
    loop {
        let missing: Vec<(i64,)> = fetch_all!(
            &mut db.conn().await?,
            "SELECT id FROM microposts m WHERE user_id = ? AND NOT EXISTS (SELECT 1 FROM timeline_entries t \
             WHERE t.user_id = m.user_id AND t.created_at = m.created_at AND t.micropost_id = m.id) LIMIT ?",
            author_id,
            ROWS_PER_STEP
        )?;
        if missing.is_empty() {
            return Ok(());
        }
        for (id,) in missing {
            let add = db.transaction(async |db| {
                let is_there = lock_users(db, author_id, author_id).await?;
                if is_there {
                    timeline::add(db, id).await?;
                }
                Ok(is_there)
            });
            if !add.await? {
                return Ok(());
            }
        }
    }
}

/// Adds the posts that should have been backfilled when the reader followed an author.
async fn add_followed(db: &Db, reader_id: i64) -> Result<()> {
    let mut after = 0;
    loop {
        let follows: Vec<(i64, i64)> = fetch_all!(
            &mut db.conn().await?,
            "SELECT id, followed_id FROM relationships WHERE follower_id = ? AND id > ? ORDER BY id LIMIT ?",
            reader_id,
            after,
            ROWS_PER_STEP
        )?;
        let Some((last, _)) = follows.last().copied() else { return Ok(()) };
        for (id, author_id) in follows {
            // If the newest post to backfill is there, all of them are.
            let lacks: Option<(i64,)> = fetch_optional!(
                &mut db.conn().await?,
                "SELECT newest.id FROM (SELECT m.id, m.created_at FROM relationships r \
                   JOIN microposts m ON m.user_id = r.followed_id AND m.created_at <= r.created_at \
                   WHERE r.id = ? ORDER BY m.created_at DESC, m.id DESC LIMIT 1) newest \
                 JOIN users ON users.id = ? AND users.read_through = FALSE \
                 WHERE NOT EXISTS (SELECT 1 FROM timeline_entries t WHERE t.user_id = ? \
                   AND t.created_at = newest.created_at AND t.micropost_id = newest.id)",
                id,
                author_id,
                reader_id
            )?;
            if lacks.is_none() {
                continue;
            }
            db.transaction(async |db| {
                let follows = lock_users(db, reader_id, author_id).await?
                    && relationship::find(db, reader_id, author_id).await?.is_some();
                if follows { timeline::backfill(db, reader_id, author_id).await } else { Ok(()) }
            })
            .await?;
        }
        after = last;
    }
}

/// Locks the rows of both users until the transaction ends, as posts and follows do. `false` if either is deleted.
async fn lock_users(db: &mut Conn, one: i64, other: i64) -> Result<bool> {
    let mut rows = 0;
    for id in [one.min(other), one.max(other)] {
        rows +=
            execute!(db, "UPDATE users SET updated_at = updated_at WHERE id = ? AND deleted_at IS NULL", id)?
                .rows;
    }
    Ok(rows == 2)
}
