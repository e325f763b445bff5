//! Background work that is more than one mail or one picture: the table `jobs`. At most one row per kind and subject.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;
use crate::jobs::{Backoff, Lease, Queue};

/// A worker returns a job after a few seconds of work (jobs/worker.rs); one that holds it for a minute is dead.
pub const QUEUE: Queue = Queue { table: "jobs", pending: "1 = 1", lease: TimeDelta::minutes(1) };
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(1), longest: TimeDelta::minutes(5) };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Removes a user who is marked as deleted (jobs/user_deletion.rs). The subject is the user's id.
    UserDeletion,
    /// Switches an author from fan-out on write to fan-out on read (models/timeline.rs). The subject is the author's
    /// id.
    FanoutOnRead,
    /// Deletes expired rows, once a day (jobs/cleanup.rs).
    Cleanup,
    /// Repairs all timelines, once (jobs/timeline_repair.rs).
    TimelineRepair,
}

impl JobKind {
    const ALL: [JobKind; 4] =
        [JobKind::UserDeletion, JobKind::FanoutOnRead, JobKind::Cleanup, JobKind::TimelineRepair];

    /// The value in the column `kind`.
    fn as_str(self) -> &'static str {
        match self {
            JobKind::UserDeletion => "user_deletion",
            JobKind::FanoutOnRead => "fanout_on_read",
            JobKind::Cleanup => "cleanup",
            JobKind::TimelineRepair => "timeline_repair",
        }
    }
}

/// A job that this worker holds until its lease ends.
pub struct Job {
    /// `None` for a kind that only a newer version of the application knows.
    pub kind: Option<JobKind>,
    /// The user's id; 0 if the job is not about a user.
    pub subject_id: i64,
    /// Progress of jobs that walk through a table: the last id processed.
    pub position: i64,
    lease: Lease,
}

struct JobRow {
    kind: String,
    subject_id: i64,
    position: i64,
}

row!(JobRow { kind, subject_id, position });

/// Adds a job about a user unless there is one. Call it in a transaction that has already updated the user's row.
pub async fn push(db: &mut Conn, kind: JobKind, user_id: i64, now: DateTime<Utc>) -> Result<()> {
    execute!(
        db,
        "INSERT INTO jobs (kind, subject_id, next_attempt_at, created_at) SELECT ?, id, ?, ? FROM users \
         WHERE id = ? AND NOT EXISTS (SELECT 1 FROM jobs WHERE kind = ? AND subject_id = ?)",
        kind.as_str(),
        now,
        now,
        user_id,
        kind.as_str(),
        user_id,
    )?;
    Ok(())
}

/// Removes a job about a user. Call it in the transaction that finishes the job.
pub async fn remove(db: &mut Conn, kind: JobKind, user_id: i64) -> Result<()> {
    execute!(db, "DELETE FROM jobs WHERE kind = ? AND subject_id = ?", kind.as_str(), user_id)?;
    Ok(())
}

impl Job {
    /// Takes the job that has been due the longest.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<Job>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let row: Option<JobRow> =
                fetch_optional!(db, "SELECT kind, subject_id, position FROM jobs WHERE id = ?", lease.id())?;
            // No row: a worker whose lease had ended finished it after all.
            if let Some(JobRow { kind, subject_id, position }) = row {
                let kind = JobKind::ALL.into_iter().find(|known| known.as_str() == kind);
                return Ok(Some(Job { kind, subject_id, position, lease }));
            }
        }
        Ok(None)
    }

    /// Saves the progress. `None` deletes the job as done, and returns `false`.
    pub async fn advance(&mut self, db: &mut Conn, next: Option<i64>) -> Result<bool> {
        match next {
            Some(position) => {
                execute!(db, "UPDATE jobs SET position = ? WHERE id = ?", position, self.lease.id())?;
                self.position = position;
            }
            None => self.lease.done(db).await?,
        }
        Ok(next.is_some())
    }

    /// Ends the lease; the job is next due at `due`: now if work is left, the next time for a recurring job.
    pub async fn continue_at(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        self.lease.continue_at(db, due).await
    }

    /// Schedules the next attempt after a failure. The number of attempts is not limited.
    pub async fn postpone(&self, db: &mut Conn, now: DateTime<Utc>) -> Result<()> {
        self.lease.postpone(db, now + BACKOFF.after(self.lease.attempts())?).await
    }
}
