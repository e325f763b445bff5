//! Everybody's feed, written when something is posted: the table `timeline_entries`. [`Micropost::feed`] reads it.
//!
//! [`Micropost::feed`]: super::micropost::Micropost::feed
//!
//! Reading a feed is one range of an index, however many people somebody follows; the price is paid once by the post, and
//! two bounds keep it small. Posts of somebody with many followers are written into nobody else's feed: their followers
//! read them through, together with what is written ([`READ_THROUGH_FROM`]). And a follow brings no more than the newest
//! posts with it ([`BACKFILL`]).
//!
//! Whoever writes entries of an author's posts, or takes them out, has changed the author's row of `users` before (a count,
//! always), and so holds it: a post and a follow of its author come one after the other, and the second sees what the
//! first did. On MySQL that is because `INSERT .. SELECT` reads what is committed, not the transaction's past.

use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, execute, fetch_all, fetch_one, fetch_optional};
use crate::error::{Error, Result};
use crate::jobs::job::{self, JobKind};

/// From this many followers on, posts are read through. Writing them all would make a post slower than others (a
/// thousand entries: some milliseconds of MariaDB), and deleting its author; but reading through costs the more, the more
/// such people there are. The migration that made the table says the same number.
pub const READ_THROUGH_FROM: i64 = 1001;

/// Posts of the past that a follow brings into the feed: 33 pages, were they all of this one author. As many entries as
/// a post writes at most; older ones are found on the author's profile.
const BACKFILL: i64 = 1000;

/// Entries that one statement takes out of a feed that ends, about: those of the same moment go together.
const CLEARED_AT_ONCE: i64 = 1_000;
/// Followers who learn in one transaction that somebody is read through.
const FOLLOWERS_AT_ONCE: i64 = 50;

/// Writes a post into the feeds of its author and of all followers, but for authors who are read through.
pub async fn add(db: &mut Conn, micropost_id: i64) -> Result<()> {
    execute!(
        db,
        "REPLACE INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
         SELECT relationships.follower_id, microposts.created_at, microposts.id, microposts.user_id FROM microposts \
         JOIN users ON users.id = microposts.user_id \
         JOIN relationships ON relationships.followed_id = users.id \
         WHERE microposts.id = ? AND users.read_through = FALSE \
         UNION ALL SELECT user_id, created_at, id, user_id FROM microposts WHERE id = ?",
        micropost_id,
        micropost_id
    )?;
    Ok(())
}

/// Brings the posts of somebody who is followed now into the follower's feed. Comes after the counts and the follow itself.
pub async fn follow(db: &mut Conn, follower_id: i64, followed_id: i64, now: DateTime<Utc>) -> Result<()> {
    // Not the past, though a SELECT: this transaction has changed the row.
    let (followers, read_through): (i64, bool) =
        fetch_one!(db, "SELECT followers_count, read_through FROM users WHERE id = ?", followed_id)?;
    if read_through {
        execute!(db, "UPDATE users SET follows_read_through = TRUE WHERE id = ?", follower_id)?;
        return Ok(());
    }
    if followers >= READ_THROUGH_FROM {
        // A thousand other people's rows change: not while this transaction holds two.
        job::push(db, JobKind::FanoutOnRead, followed_id, now).await?;
    }
    bring(db, follower_id, followed_id).await
}

/// Writes the newest posts of one person into the feed of another, unless they are there: the version before timelines may
/// have left entries (REPLACE is the one word for this that all databases share).
pub async fn bring(db: &mut Conn, reader_id: i64, author_id: i64) -> Result<()> {
    execute!(
        db,
        "REPLACE INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
         SELECT ?, created_at, id, user_id FROM microposts WHERE user_id = ? \
         ORDER BY created_at DESC, id DESC LIMIT ?",
        reader_id,
        author_id,
        BACKFILL
    )?;
    Ok(())
}

/// Has the posts of somebody read through from now on, a step at a time: first all followers learn of it, in the order of
/// their follows, then posts are written to them no more. Until then both hold, so no post is missing from any feed.
/// `after` is the last follow of the step before; gives the last one of this step, or nothing when it is done.
pub async fn fan_out_on_read(db: &Db, user_id: i64, after: i64) -> Result<Option<i64>> {
    let next =
        "SELECT id, follower_id FROM relationships WHERE followed_id = ? AND id > ? ORDER BY id LIMIT ?";
    let mut follows: Vec<(i64, i64)> =
        fetch_all!(&mut db.conn().await?, next, user_id, after, FOLLOWERS_AT_ONCE)?;
    let Some((last, _)) = follows.last().copied() else {
        let done = db.transaction(async |db| {
            // Holds the person, whose new followers wait meanwhile; so ids of follows come in the order of their commits.
            execute!(db, "UPDATE users SET read_through = TRUE WHERE id = ?", user_id)?;
            let late: Vec<(i64, i64)> = fetch_all!(db, next, user_id, after, 1_i64)?;
            if late.is_empty() { Ok(()) } else { Err(Error::unavailable("somebody followed meanwhile")) }
        });
        return done.await.map(|()| None);
    };
    follows.sort_unstable_by_key(|(_, follower_id)| *follower_id);
    db.transaction(async |db| {
        for (_, follower_id) in &follows {
            execute!(db, "UPDATE users SET follows_read_through = TRUE WHERE id = ?", follower_id)?;
        }
        Ok(())
    })
    .await?;
    Ok(Some(last))
}

/// Takes the posts of somebody who is followed no more out of the follower's feed.
pub async fn unfollow(db: &mut Conn, follower_id: i64, followed_id: i64) -> Result<()> {
    execute!(
        db,
        "DELETE FROM timeline_entries WHERE user_id = ? AND author_id = ?",
        follower_id,
        followed_id
    )?;
    Ok(())
}

/// Takes some entries out of the feed of somebody who is deleted. (The entries of a post go with the post, by their foreign
/// key.) `false` when there were none.
pub async fn clear_some(db: &mut Conn, user_id: i64) -> Result<bool> {
    let oldest =
        "SELECT created_at FROM timeline_entries WHERE user_id = ? ORDER BY created_at LIMIT 1 OFFSET ?";
    let until: Option<(DateTime<Utc>,)> = fetch_optional!(db, oldest, user_id, CLEARED_AT_ONCE - 1)?;
    let cleared = match until {
        Some((until,)) => execute!(
            db,
            "DELETE FROM timeline_entries WHERE user_id = ? AND created_at <= ?",
            user_id,
            until
        )?,
        None => execute!(db, "DELETE FROM timeline_entries WHERE user_id = ?", user_id)?,
    };
    Ok(cleared.rows > 0)
}
