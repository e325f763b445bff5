//! Pictures to delete from the image store: the table `picture_deletions`. No transaction spans database and store, so
//! the database records the deletion first.
//!
//! The transaction that deletes a post inserts a row for its picture. Before a picture is stored, a row due in a day is
//! inserted, and the transaction that creates the post deletes that row. So after any failure or crash, a picture
//! without a post is deleted and a picture with a post is kept. Listing the bucket would find orphans too, but also the
//! objects of other applications that use it.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Conn, execute, fetch_optional};
use crate::error::{Error, Result};
use crate::jobs::{Backoff, Lease, Queue};

/// How long a picture may exist without a post. Much longer than a request, because a hanging store may store it late.
const MAX_AGE_WITHOUT_POST: TimeDelta = TimeDelta::days(1);
/// The lease is longer than the timeout for a deletion (services/images/s3.rs).
const QUEUE: Queue = Queue { table: "picture_deletions", pending: "1 = 1", lease: TimeDelta::minutes(1) };
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(10), longest: TimeDelta::minutes(15) };

/// A picture whose deletion is due.
pub struct PictureDeletion {
    lease: Lease,
    /// The key in the image store.
    pub picture: String,
}

/// The row id of a deletion that happens unless it is cancelled.
#[derive(Clone, Copy)]
pub struct ScheduledDeletion(i64);

/// Requests a picture's deletion. Call it in the transaction that deletes its post.
pub async fn push(db: &mut Conn, picture: &str, now: DateTime<Utc>) -> Result<()> {
    insert(db, picture, now, now).await?;
    Ok(())
}

/// Schedules the deletion of a picture that is about to be stored.
///
/// # Errors
/// When the database does not answer; the picture must not be stored then.
pub async fn schedule(db: &mut Conn, picture: &str, now: DateTime<Utc>) -> Result<ScheduledDeletion> {
    Ok(ScheduledDeletion(insert(db, picture, now + MAX_AGE_WITHOUT_POST, now).await?))
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
    /// Keeps the picture. Call it in the transaction that creates its post.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the picture is deleted or being deleted: the post must not be created.
    pub async fn cancel(self, db: &mut Conn) -> Result<()> {
        match execute!(db, "DELETE FROM picture_deletions WHERE id = ? AND attempts = 0", self.0)?.rows {
            1 => Ok(()),
            _ => Err(Error::unavailable("the picture was deleted before its post was written")),
        }
    }

    /// Makes the deletion due now, because creating the post failed. Does nothing if the post was created after all,
    /// which happens if the reply to the commit is lost.
    ///
    /// # Errors
    /// When the database does not answer; the picture is deleted in a day then.
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
    /// Takes the deletion that has been due the longest. No other worker gets it until the lease ends.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<PictureDeletion>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let picture: Option<(String,)> =
                fetch_optional!(db, "SELECT picture FROM picture_deletions WHERE id = ?", lease.id())?;
            // No row: a worker whose lease had ended finished it after all.
            if let Some((picture,)) = picture {
                return Ok(Some(PictureDeletion { lease, picture }));
            }
        }
        Ok(None)
    }

    pub async fn done(&self, db: &mut Conn) -> Result<()> {
        self.lease.done(db).await
    }

    /// Schedules the next attempt after a failure. The number of attempts is not limited.
    pub async fn postpone(&self, db: &mut Conn, now: DateTime<Utc>) -> Result<()> {
        let wait = BACKOFF.after(self.lease.attempts())?;
        self.lease.postpone(db, now + wait).await?;
        Ok(())
    }
}
