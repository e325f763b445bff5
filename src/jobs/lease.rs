//! The lease on a row: the column `next_attempt_at` says when the row is due, and whoever moves it ahead has the row until
//! then. The move names the value that was read, so of several workers one succeeds.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::{Error, Result};

/// A table whose rows are work. Its columns `id`, `attempts` and `next_attempt_at` belong to the lease.
pub struct Queue {
    /// Its name.
    pub table: &'static str,
    /// SQL condition for rows that are still to be done.
    pub pending: &'static str,
    /// How long a worker has a row before another one may take it.
    pub lease: TimeDelta,
}

/// A row that this worker has until its lease ends.
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
    next_attempt_at: DateTime<Utc>,
}

row!(Due { id, attempts, next_attempt_at });

impl Queue {
    /// Takes the row that has been due for longest.
    pub async fn take(&'static self, db: &mut Conn, now: DateTime<Utc>) -> Result<Option<Lease>> {
        let (table, pending) = (self.table, self.pending);
        loop {
            let due = format!(
                "SELECT id, attempts, next_attempt_at FROM {table} WHERE {pending} AND next_attempt_at <= ? \
                 ORDER BY next_attempt_at, id LIMIT 1"
            );
            let Some(due): Option<Due> = fetch_optional!(db, AssertSqlSafe(due.clone()), now)? else {
                return Ok(None);
            };
            let until = now + self.lease;
            let take = format!(
                "UPDATE {table} SET attempts = attempts + 1, next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?"
            );
            if execute!(db, AssertSqlSafe(take.clone()), until, due.id, due.next_attempt_at)?.rows == 1 {
                let attempts = u32::try_from(due.attempts + 1).unwrap_or(u32::MAX);
                return Ok(Some(Lease { queue: self, id: due.id, attempts, until }));
            }
        }
    }
}

impl Lease {
    /// The row's id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// How often the row was taken, this time included.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When the lease ends: the row's `next_attempt_at` until somebody else moves it.
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// Whether no other worker may have taken the row yet.
    pub fn is_valid(&self, now: DateTime<Utc>) -> bool {
        now < self.until
    }

    /// The row is done. Whoever else has it by now finds nothing to do.
    pub async fn done(&self, db: &mut Conn) -> Result<()> {
        execute!(db, AssertSqlSafe(format!("DELETE FROM {} WHERE id = ?", self.queue.table)), self.id)?;
        Ok(())
    }

    /// This attempt failed; the next one may come at `due`.
    pub async fn postpone(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        let table = self.queue.table;
        let postpone = format!("UPDATE {table} SET next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?");
        execute!(db, AssertSqlSafe(postpone.clone()), due, self.id, self.until)?;
        Ok(())
    }

    /// This attempt succeeded, and there is more to do at `due`; attempts count anew.
    pub async fn continue_at(&self, db: &mut Conn, due: DateTime<Utc>) -> Result<()> {
        let table = self.queue.table;
        let go_on = format!(
            "UPDATE {table} SET attempts = 0, next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?"
        );
        execute!(db, AssertSqlSafe(go_on.clone()), due, self.id, self.until)?;
        Ok(())
    }
}

/// How long to wait between attempts: doubled after each failure.
pub struct Backoff {
    /// After the first failure.
    pub first: TimeDelta,
    /// However many there were.
    pub longest: TimeDelta,
}

impl Backoff {
    /// The wait after so many failures in a row, and up to a quarter more, so that not all come back at the same moment.
    pub fn after(&self, failures: u32) -> Result<TimeDelta> {
        let wait = (self.first * 2_i32.pow(failures.saturating_sub(1).min(16))).min(self.longest);
        let mut random = [0];
        getrandom::fill(&mut random).map_err(Error::internal)?;
        Ok(wait + wait / 4 * i32::from(random[0]) / 255)
    }
}
