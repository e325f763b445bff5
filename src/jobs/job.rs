//! Work for later that is more than one mail or one picture: the table `jobs`. At most one row for each kind and subject.

use chrono::{DateTime, TimeDelta, Utc};

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;
use crate::jobs::{Backoff, Lease, Queue};

/// A worker gives a job back after a few seconds of work (jobs/worker.rs); a minute tells that it died.
pub const QUEUE: Queue = Queue { table: "jobs", pending: "1 = 1", lease: TimeDelta::minutes(1) };
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(1), longest: TimeDelta::minutes(5) };

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Removes a person who was marked as deleted (jobs/user_deletion.rs); the subject is their id.
    UserDeletion,
    /// Has a person's posts read by their followers instead of written to them (models/timeline.rs); the subject is their
    /// id.
    FanoutOnRead,
    /// Deletes what is too old, once a day (jobs/cleanup.rs).
    Cleanup,
    /// Compares all timelines with posts and follows, once (jobs/timeline_repair.rs).
    TimelineRepair,
}

impl JobKind {
    const ALL: [JobKind; 4] =
        [JobKind::UserDeletion, JobKind::FanoutOnRead, JobKind::Cleanup, JobKind::TimelineRepair];

    /// How it is written in the table.
    fn as_str(self) -> &'static str {
        match self {
            JobKind::UserDeletion => "user_deletion",
            JobKind::FanoutOnRead => "fanout_on_read",
            JobKind::Cleanup => "cleanup",
            JobKind::TimelineRepair => "timeline_repair",
        }
    }
}

/// A job that this worker has for the time of its lease.
pub struct Job {
    /// `None`: a newer version of the program knows it.
    pub kind: Option<JobKind>,
    /// Whom it is about; 0 when it is about nobody.
    pub subject_id: i64,
    /// How far it has come, for jobs that walk through a table: the id that was last dealt with.
    pub position: i64,
    lease: Lease,
}

struct Written {
    kind: String,
    subject_id: i64,
    position: i64,
}

row!(Written { kind, subject_id, position });

/// Adds a job about a person, unless it is there already; part of a transaction that has changed the person's row before.
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

/// Removes a job about a person; part of the transaction that finishes it.
pub async fn remove(db: &mut Conn, kind: JobKind, user_id: i64) -> Result<()> {
    execute!(db, "DELETE FROM jobs WHERE kind = ? AND subject_id = ?", kind.as_str(), user_id)?;
    Ok(())
}

impl Job {
    /// Takes the job that has been due for longest.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<Job>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let written: Option<Written> =
                fetch_optional!(db, "SELECT kind, subject_id, position FROM jobs WHERE id = ?", lease.id())?;
            // Else a worker whose lease had ended finished it after all.
            if let Some(Written { kind, subject_id, position }) = written {
                let kind = JobKind::ALL.into_iter().find(|known| known.as_str() == kind);
                return Ok(Some(Job { kind, subject_id, position, lease }));
            }
        }
        Ok(None)
    }

    /// Notes how far the job has come, or that there is nothing more and it is done; `false` then.
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

    /// Gives the job back, to go on at `due`: at once, or for a job that comes again, next time.
    pub async fn continue_at(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        self.lease.continue_at(db, due).await
    }

    /// The job failed and is tried again later, for ever.
    pub async fn postpone(&self, db: &mut Conn, now: DateTime<Utc>) -> Result<()> {
        self.lease.postpone(db, now + BACKOFF.after(self.lease.attempts())?).await
    }
}
