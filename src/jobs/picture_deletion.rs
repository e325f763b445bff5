//! Pictures that have to go from the store: the table `picture_deletions`. No transaction spans database and store, so what
//! is to happen in the store is written down in the database first.
//!
//! A row is pushed in the transaction that takes a picture's post away. And one is written before a picture is stored, due
//! in a day; the transaction that writes the post calls it off. So whatever fails in between, and whenever the process dies,
//! a picture without a post is known and goes, and a picture with a post stays. A sweep over the listing of the store would
//! find the same, but also the pictures of everybody else who uses the bucket.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Conn, execute, fetch_optional};
use crate::error::{Error, Result};
use crate::jobs::{Backoff, Lease, Queue};

/// How long a picture may be without a post. Much longer than a request: a store that hangs may take a picture late.
const WITHOUT_POST: TimeDelta = TimeDelta::days(1);
/// A minute is more than the store may take for a deletion.
const QUEUE: Queue = Queue { table: "picture_deletions", pending: "1 = 1", lease: TimeDelta::minutes(1) };
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(10), longest: TimeDelta::minutes(15) };

/// A picture that is to be deleted now.
pub struct PictureDeletion {
    lease: Lease,
    /// Its key in the store.
    pub picture: String,
}

/// A deletion that happens unless it is called off.
#[derive(Clone, Copy)]
pub struct ScheduledDeletion(i64);

/// Has a picture deleted; part of the transaction that takes its post away.
pub async fn push(db: &mut Conn, picture: &str, now: DateTime<Utc>) -> Result<()> {
    insert(db, picture, now, now).await?;
    Ok(())
}

/// Notes a picture that is about to be stored.
///
/// # Errors
/// When the database does not answer; the picture must not be stored then.
pub async fn schedule(db: &mut Conn, picture: &str, now: DateTime<Utc>) -> Result<ScheduledDeletion> {
    Ok(ScheduledDeletion(insert(db, picture, now + WITHOUT_POST, now).await?))
}

async fn insert(db: &mut Conn, picture: &str, due: DateTime<Utc>, now: DateTime<Utc>) -> Result<i64> {
    let inserted = execute!(
        db,
        "INSERT INTO picture_deletions (picture, next_attempt_at, created_at) VALUES (?, ?, ?)",
        picture,
        due,
        now,
    )?;
    Ok(inserted.id)
}

impl ScheduledDeletion {
    /// The picture stays; part of the transaction that writes its post.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the picture is gone, or about to go: its post must not be written.
    pub async fn cancel(self, db: &mut Conn) -> Result<()> {
        match execute!(db, "DELETE FROM picture_deletions WHERE id = ? AND attempts = 0", self.0)?.rows {
            1 => Ok(()),
            _ => Err(Error::unavailable("the picture was deleted before its post was written")),
        }
    }

    /// There will be no post: the picture, which was stored, may go at once. Does nothing if the post was written after
    /// all, as it may be when the answer to a commit was lost.
    ///
    /// # Errors
    /// When the database does not answer; the picture goes in a day then.
    pub async fn run_now(self, db: &mut Conn, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "UPDATE picture_deletions SET next_attempt_at = ? WHERE id = ? AND attempts = 0",
            now,
            self.0
        )?;
        Ok(())
    }
}

impl PictureDeletion {
    /// Takes the one that has been due for longest; nobody else gets it until the lease is over.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<PictureDeletion>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let picture: Option<(String,)> =
                fetch_optional!(db, "SELECT picture FROM picture_deletions WHERE id = ?", lease.id())?;
            // Else a worker whose lease had ended deleted it after all.
            if let Some((picture,)) = picture {
                return Ok(Some(PictureDeletion { lease, picture }));
            }
        }
        Ok(None)
    }

    /// The picture is gone.
    pub async fn done(&self, db: &mut Conn) -> Result<()> {
        self.lease.done(db).await
    }

    /// The store did not do it; it is asked again later, for ever.
    pub async fn postpone(&self, db: &mut Conn, now: DateTime<Utc>) -> Result<()> {
        let wait = BACKOFF.after(self.lease.attempts())?;
        self.lease.postpone(db, now + wait).await?;
        Ok(())
    }
}
