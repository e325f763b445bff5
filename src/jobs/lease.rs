//! Leases on rows. The column `next_attempt_at` says when a row is due, and the worker that moves it ahead holds the
//! row until then. The update checks again that the row is due and that nobody has taken it since it was read
//! (optimistic locking), so only one of several workers succeeds.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::{Error, Result};

/// A table used as a work queue. The columns `id`, `attempts` and `next_attempt_at` belong to the lease.
pub struct Queue {
    pub table: &'static str,
    /// SQL condition for unfinished rows.
    pub pending: &'static str,
    /// How long a worker holds a row before another one may take it.
    pub lease: TimeDelta,
}

/// A row that this worker holds until the lease ends.
#[derive(Clone)]
pub struct Lease {
    queue: &'static Queue,
    id: i64,
    attempts: u32,
    until: DateTime<Utc>,
}

struct Due {
    id: i64,
    attempts: i64,
}

row!(Due { id, attempts });

impl Queue {
    /// Takes the row that has been due the longest.
    pub async fn take(&'static self, db: &mut Conn, now: DateTime<Utc>) -> Result<Option<Lease>> {
        let (table, pending) = (self.table, self.pending);
        loop {
            let due = format!(
                "SELECT id, attempts FROM {table} WHERE {pending} AND next_attempt_at <= ? \
                 ORDER BY next_attempt_at, id LIMIT 1"
            );
            let Some(due): Option<Due> = fetch_optional!(db, AssertSqlSafe(due.clone()), now)? else {
                return Ok(None);
            };
            let until = now + self.lease;
            // Not `next_attempt_at = ?` with the time that was read: SQLite compares text, and a migration writes
            // 12:00:00.000 where the program writes 12:00:00.
            let take = format!(
                "UPDATE {table} SET attempts = attempts + 1, next_attempt_at = ? \
                 WHERE id = ? AND attempts = ? AND next_attempt_at <= ?"
            );
            if execute!(db, AssertSqlSafe(take.clone()), until, due.id, due.attempts, now)?.rows == 1 {
                let attempts = u32::try_from(due.attempts + 1).unwrap_or(u32::MAX);
                return Ok(Some(Lease { queue: self, id: due.id, attempts, until }));
            }
        }
    }
}

impl Lease {
    pub fn id(&self) -> i64 {
        self.id
    }

    /// How often the row was taken, including this time.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the lease ends. Equal to the row's `next_attempt_at` until another worker changes it.
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// `true` while no other worker can have taken the row.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        now < self.until
    }

    /// Deletes the finished row. A worker that has leased it by now finds nothing to do.
    pub async fn done(&self, db: &mut Conn) -> Result<()> {
        execute!(db, AssertSqlSafe(format!("DELETE FROM {} WHERE id = ?", self.queue.table)), self.id)?;
        Ok(())
    }

    /// Schedules the next attempt for `due`, after a failure.
    pub async fn postpone(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        let table = self.queue.table;
        let postpone = format!("UPDATE {table} SET next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?");
        execute!(db, AssertSqlSafe(postpone.clone()), due, self.id, self.until)?;
        Ok(())
    }

    /// Schedules more work for `due`, after a success, and resets the number of attempts.
    pub async fn continue_at(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        let table = self.queue.table;
        let go_on = format!(
            "UPDATE {table} SET attempts = 0, next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?"
        );
        execute!(db, AssertSqlSafe(go_on.clone()), due, self.id, self.until)?;
        Ok(())
    }
}

/// Exponential backoff: the wait doubles after each failure.
pub struct Backoff {
    /// Wait after the first failure.
    pub first: TimeDelta,
    /// Upper bound, without jitter.
    pub longest: TimeDelta,
}

impl Backoff {
    /// The wait after `failures` consecutive failures. Adds up to a quarter at random (jitter), so that not all retry
    /// at once.
    pub fn after(&self, failures: u32) -> Result<TimeDelta> {
        let wait = (self.first * 2_i32.pow(failures.saturating_sub(1).min(16))).min(self.longest);
        let mut random = [0];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        Ok(wait + wait / 4 * i32::from(random[0]) / 255)
    }
}
