//! Mails on their way: the table `outbox`. A mail is pushed in the transaction that causes it and leaves later, so that
//! no request waits for a mail server and no mail is lost between the two.

use chrono::{DateTime, TimeDelta, Utc};

use super::secret::random_hex;
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;
use crate::mails::Mail;

/// How long a worker may take to deliver a mail before another one may try.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// Waiting between attempts: doubled from the first to the second.
const FIRST_WAIT: TimeDelta = TimeDelta::seconds(30);
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(1);

/// A mail taken out to be delivered.
pub struct Parcel {
    id: i64,
    /// The same at every attempt.
    pub message_id: String,
    /// To whom.
    pub recipient: String,
    /// The subject.
    pub subject: String,
    /// The part in plain text.
    pub text_body: String,
    /// The part in HTML.
    pub html_body: String,
    attempts: i64,
    next_attempt_at: DateTime<Utc>,
}

row!(Parcel { id, message_id, recipient, subject, text_body, html_body, attempts, next_attempt_at });

/// Puts a mail into the outbox.
///
/// # Errors
/// When the database does not answer.
pub async fn push(db: &mut Conn, mail: &Mail, now: DateTime<Utc>) -> Result<()> {
    let message_id = format!("{}@{}", random_hex::<16>()?, mail.domain);
    execute!(
        db,
        "INSERT INTO outbox (message_id, recipient, subject, text_body, html_body, next_attempt_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        message_id,
        &mail.to,
        &mail.subject,
        &mail.text,
        &mail.html,
        now,
        now,
    )?;
    Ok(())
}

impl Parcel {
    /// Takes the mail that has been waiting longest; nobody else gets it until the lease is over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<Parcel>> {
        loop {
            let due: Option<Parcel> = fetch_optional!(
                db,
                "SELECT id, message_id, recipient, subject, text_body, html_body, attempts, next_attempt_at \
                 FROM outbox WHERE parked_at IS NULL AND next_attempt_at <= ? ORDER BY next_attempt_at, id LIMIT 1",
                now
            )?;
            let Some(parcel) = due else { return Ok(None) };
            let taken = execute!(
                db,
                "UPDATE outbox SET attempts = attempts + 1, next_attempt_at = ? WHERE id = ? AND next_attempt_at = ?",
                now + LEASE,
                parcel.id,
                parcel.next_attempt_at,
            )?;
            if taken.rows == 1 {
                return Ok(Some(parcel));
            }
        }
    }

    /// The mail was taken; its text, with the link in it, is kept no longer.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn delivered(&self, db: &mut Conn) -> Result<()> {
        execute!(db, "DELETE FROM outbox WHERE id = ?", self.id)?;
        Ok(())
    }

    /// The mail was not taken; it is tried again later.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn postpone(&self, db: &mut Conn, why: &str, now: DateTime<Utc>) -> Result<()> {
        let doublings = u32::try_from(self.attempts).unwrap_or(0).min(16);
        let wait = (FIRST_WAIT * 2_i32.pow(doublings)).min(LONGEST_WAIT);
        let why: String = why.chars().take(500).collect();
        execute!(
            db,
            "UPDATE outbox SET next_attempt_at = ?, last_error = ? WHERE id = ?",
            now + wait,
            why,
            self.id
        )?;
        Ok(())
    }
}
