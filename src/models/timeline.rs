//! Feeds, filled by fan-out on write: the table `timeline_entries`. [`Micropost::feed`] reads it.
//!
//! [`Micropost::feed`]: super::micropost::Micropost::feed
//!
//! Reading a feed is one index range, however many people the reader follows. The price is paid once per post, and two
//! limits keep it small: authors with many followers use fan-out on read instead ([`FANOUT_ON_READ_FROM`]), and a new
//! follow adds no more than the newest posts ([`BACKFILL`]).
//!
//! Every transaction that adds or removes entries of an author's posts first updates the author's row in `users` (a
//! count, always) and so locks it: a post and a follow of its author are serialized, and the second sees the first. On
//! MySQL this works because `INSERT .. SELECT` reads committed rows, not the transaction's snapshot.

use chrono::{DateTime, Utc};

use crate::db::{Conn, Db, defer, execute, fetch_all, fetch_optional};
use crate::error::{Error, Result};
use crate::jobs::job::{self, JobKind};

/// From this many followers on, an author uses fan-out on read. With fan-out on write, such an author's posts would be
/// slower (1,000 entries take some milliseconds on MariaDB), and so would the deletion of the author. The cost of
/// fan-out on read grows with the number of such authors. The migration that created the table contains the same
/// number.
pub const FANOUT_ON_READ_FROM: i64 = 1001;

/// Maximum number of older posts that a follow adds to the feed: 33 pages if all are by this author, and the maximum
/// number of entries that one post writes. Even older posts are on the author's profile.
const BACKFILL: i64 = 1000;

/// Entries that one statement deletes from a deleted user's feed; more if several have the same timestamp.
const CLEARED_PER_STEP: i64 = 1_000;
/// Followers who are marked per transaction when an author changes to fan-out on read.
const FOLLOWERS_PER_STEP: i64 = 50;

/// Writes a post into the author's feed and, unless the author uses fan-out on read, into those of all followers.
pub async fn add(db: &mut Conn, micropost_id: i64) -> Result<()> {
    defer!(
        db,
        "REPLACE INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
         SELECT relationships.follower_id, microposts.created_at, microposts.id, microposts.user_id FROM microposts \
         JOIN users ON users.id = microposts.user_id \
         JOIN relationships ON relationships.followed_id = users.id \
         WHERE microposts.id = ? AND users.read_through = FALSE \
         UNION ALL SELECT user_id, created_at, id, user_id FROM microposts WHERE id = ?",
        micropost_id,
        micropost_id
    )
}

/// Adds the posts of a newly followed author to the follower's feed. Runs after the counts and the follow are written;
/// `followers` is the author's new count.
pub async fn follow(
    db: &mut Conn,
    follower_id: i64,
    followed_id: i64,
    followers: i64,
    read_through: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    if followers >= FANOUT_ON_READ_FROM || read_through {
        execute!(db, "UPDATE users SET follows_read_through = TRUE WHERE id = ?", follower_id)?;
    }
    if read_through {
        return Ok(());
    }
    if followers >= FANOUT_ON_READ_FROM {
        // A job, because it updates 1,000 other users' rows, and this transaction holds locks on two.
        job::push(db, JobKind::FanoutOnRead, followed_id, now).await?;
    }
    backfill(db, follower_id, followed_id).await
}

/// Copies the newest posts of an author into a reader's feed. Some may be there already, left by the version before
/// timelines; REPLACE is the only statement for this that all databases share.
pub async fn backfill(db: &mut Conn, reader_id: i64, author_id: i64) -> Result<()> {
    defer!(
        db,
        "REPLACE INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
         SELECT ?, created_at, id, user_id FROM microposts WHERE user_id = ? \
         ORDER BY created_at DESC, id DESC LIMIT ?",
        reader_id,
        author_id,
        BACKFILL
    )
}

/// One step of changing an author to fan-out on read. First all followers are marked, in the order of their follows
/// (new followers mark themselves, because in a cluster ids are not in the order of commits); then posts are no longer
/// written to them. Until then both apply, so no feed misses a post. `after` is the id of the last follow of the
/// previous step; returns that of this step, or `None` when all is done.
pub async fn fan_out_on_read(db: &Db, user_id: i64, after: i64) -> Result<Option<i64>> {
    let next =
        "SELECT id, follower_id FROM relationships WHERE followed_id = ? AND id > ? ORDER BY id LIMIT ?";
    let mut follows: Vec<(i64, i64)> =
        fetch_all!(&mut db.conn().await?, next, user_id, after, FOLLOWERS_PER_STEP)?;
    let Some((last, _)) = follows.last().copied() else {
        let done = db.transaction(async |db| {
            // Locks the author's row, for which new follows wait, so follow ids are in the order of their commits.
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

/// Removes the posts of an unfollowed author from the follower's feed.
pub async fn unfollow(db: &mut Conn, follower_id: i64, followed_id: i64) -> Result<()> {
    defer!(db, "DELETE FROM timeline_entries WHERE user_id = ? AND author_id = ?", follower_id, followed_id)
}

/// Deletes some entries from the feed of a deleted user; `false` if there were none. (The entries of a post are deleted
/// with the post, by their foreign key.)
pub async fn clear_some(db: &mut Conn, user_id: i64) -> Result<bool> {
    let oldest =
        "SELECT created_at FROM timeline_entries WHERE user_id = ? ORDER BY created_at LIMIT 1 OFFSET ?";
    let until: Option<(DateTime<Utc>,)> = fetch_optional!(db, oldest, user_id, CLEARED_PER_STEP - 1)?;
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
