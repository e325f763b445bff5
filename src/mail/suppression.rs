//! Addresses that get no mail any more: the table `suppressions`. At a bounce rate of 5 % or a complaint rate of 0.1 %,
//! SES puts an account under review, and may stop it from sending.

use chrono::{DateTime, Utc};

use crate::db::{Conn, execute, fetch_all, fetch_one, row};
use crate::error::Result;
use crate::models::values::email::{Email, masked};
use crate::models::values::page::{Key, Page, PageStart, from_newest};

pub struct Suppression {
    pub id: i64,
    pub reason: String,
    pub created_at: DateTime<Utc>,
    email: String,
}

row!(Suppression { id, reason, created_at, email });

/// Suppresses an address. Does nothing if it is suppressed already, or if an admin lifted the suppression after
/// `reported_at`, because SNS may deliver the same event twice. Returns whether anything changed.
pub async fn add(db: &mut Conn, email: &Email, reason: &str, reported_at: DateTime<Utc>) -> Result<bool> {
    let again = execute!(
        db,
        "UPDATE suppressions SET lifted_at = NULL, reason = ?, created_at = ? \
         WHERE email = ? AND lifted_at < ?",
        reason,
        reported_at,
        email.as_str(),
        reported_at,
    )?;
    if again.rows > 0 {
        return Ok(true);
    }
    let new = execute!(
        db,
        "INSERT INTO suppressions (email, reason, created_at) VALUES (?, ?, ?)",
        email.as_str(),
        reason,
        reported_at,
    );
    match new {
        Ok(_) => Ok(true),
        Err(error) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Number of suppressed addresses; lifted suppressions do not count.
pub async fn count(db: &mut Conn) -> Result<i64> {
    let (count,) = fetch_one!(db, "SELECT COUNT(*) FROM suppressions WHERE lifted_at IS NULL")?;
    Ok(count)
}

/// The suppressed addresses, newest first.
pub async fn page(db: &mut Conn, from: PageStart) -> Result<Page<Suppression>> {
    let Key { at, id } = from.newest();
    let rows = fetch_all!(
        db,
        concat!(
            "SELECT id, reason, created_at, email FROM suppressions WHERE lifted_at IS NULL AND ",
            from_newest!("created_at", "id"),
            " ORDER BY created_at DESC, id DESC LIMIT ? OFFSET ?"
        ),
        at,
        at,
        id,
        from.limit(),
        from.offset(),
    )?;
    Ok(from.of(rows, |row: &Suppression| Key { at: row.created_at, id: row.id }))
}

/// Allows mail to the address again. `false` if it was not suppressed.
pub async fn lift(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<bool> {
    let lifted =
        execute!(db, "UPDATE suppressions SET lifted_at = ? WHERE id = ? AND lifted_at IS NULL", now, id)?;
    Ok(lifted.rows == 1)
}

impl Suppression {
    /// The address, with most of the local part masked.
    pub fn email(&self) -> String {
        masked(&self.email)
    }
}
