//! Everybody's feed, written when something is posted: the table `timeline_entries`. [`Micropost::feed`] reads it.
//!
//! [`Micropost::feed`]: super::micropost::Micropost::feed
//!
//! Reading a feed is one range of an index, however many people somebody follows; the price is paid once by the post, and
//! two bounds keep it small. Posts of somebody with many followers are written into nobody else's feed: their followers
//! read them through, together with what is written ([`READ_THROUGH_FROM`]). And a follow brings no more than the newest
//! posts with it ([`BROUGHT`]).
//!
//! Whoever writes entries of an author's posts, or takes them out, has changed the author's row of `users` before (a count,
//! always), and so holds it: a post and a follow of its author come one after the other, and the second sees what the
//! first did. On MySQL that is because `INSERT .. SELECT` reads what is committed, not the transaction's past.

use chrono::{DateTime, Utc};

use crate::db::{Conn, execute, fetch_one, fetch_optional};
use crate::error::Result;

/// From this many followers on, posts are read through. Writing them all would make a post slower than others (a
/// thousand entries: some milliseconds of MariaDB), and deleting its author; but reading through costs the more, the more
/// such people there are. The migration that made the table says the same number.
pub const READ_THROUGH_FROM: i64 = 1001;

/// Posts of the past that a follow brings into the feed: 33 pages, were they all of this one author. As many entries as
/// a post writes at most; older ones are found on the author's profile.
const BROUGHT: i64 = 1000;

/// Entries that one statement takes out of a feed that ends.
const CLEARED_AT_ONCE: i64 = 10_000;

/// Writes a post into the feeds of its author and of all followers, but for authors who are read through.
///
/// # Errors
/// When the database does not answer.
pub async fn add(db: &mut Conn, micropost_id: i64) -> Result<()> {
    execute!(
        db,
        "INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
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
///
/// # Errors
/// When the database does not answer.
pub async fn follow(db: &mut Conn, follower_id: i64, followed_id: i64) -> Result<()> {
    // Not the past, though a SELECT: this transaction has changed the row.
    let (followers, read_through): (i64, bool) =
        fetch_one!(db, "SELECT followers_count, read_through FROM users WHERE id = ?", followed_id)?;
    if read_through {
        execute!(db, "UPDATE users SET follows_read_through = TRUE WHERE id = ?", follower_id)?;
    } else if followers >= READ_THROUGH_FROM {
        execute!(db, "UPDATE users SET read_through = TRUE WHERE id = ?", followed_id)?;
        execute!(
            db,
            "UPDATE users SET follows_read_through = TRUE \
             WHERE id IN (SELECT follower_id FROM relationships WHERE followed_id = ?)",
            followed_id
        )?;
    } else {
        execute!(
            db,
            "INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id) \
             SELECT ?, created_at, id, user_id FROM microposts WHERE user_id = ? \
             ORDER BY created_at DESC, id DESC LIMIT ?",
            follower_id,
            followed_id,
            BROUGHT
        )?;
    }
    Ok(())
}

/// Takes the posts of somebody who is followed no more out of the follower's feed.
///
/// # Errors
/// When the database does not answer.
pub async fn unfollow(db: &mut Conn, follower_id: i64, followed_id: i64) -> Result<()> {
    execute!(
        db,
        "DELETE FROM timeline_entries WHERE user_id = ? AND author_id = ?",
        follower_id,
        followed_id
    )?;
    Ok(())
}

/// Ends the feed of somebody who is deleted. (The entries of a post go with the post, by their foreign key.) Some thousand
/// at a time: all of a long feed could take longer than a statement may (db/pool.rs).
///
/// # Errors
/// When the database does not answer.
pub async fn clear(db: &mut Conn, user_id: i64) -> Result<()> {
    let oldest =
        "SELECT created_at FROM timeline_entries WHERE user_id = ? ORDER BY created_at LIMIT 1 OFFSET ?";
    while let Some((until,)) = fetch_optional!(db, oldest, user_id, CLEARED_AT_ONCE)? {
        let until: DateTime<Utc> = until;
        execute!(db, "DELETE FROM timeline_entries WHERE user_id = ? AND created_at <= ?", user_id, until)?;
    }
    execute!(db, "DELETE FROM timeline_entries WHERE user_id = ?", user_id)?;
    Ok(())
}
