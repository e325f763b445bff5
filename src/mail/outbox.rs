//! Mails on their way: the table `outbox`. A mail is pushed in the transaction that causes it and leaves later, so that
//! no request waits for a mail server and no mail is lost between the two.

use chrono::{DateTime, TimeDelta, Utc};

use super::messages::Mail;
use crate::db::{Conn, execute, fetch_all, fetch_one, fetch_optional, row};
use crate::error::Result;
use crate::jobs::{Backoff, Lease, Queue};
use crate::models::values::email::masked;
use crate::models::values::page::{Key, Page, PageStart, from_newest};
use crate::models::values::token::random_hex;

/// Two minutes are more than a mail server may take for one mail (services/mailer/smtp.rs).
const QUEUE: Queue = Queue { table: "outbox", pending: "parked_at IS NULL", lease: TimeDelta::minutes(2) };
/// 30 seconds to an hour.
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(30), longest: TimeDelta::minutes(48) };
/// A mail that nobody took for so long is failed.
const PATIENCE: TimeDelta = TimeDelta::hours(48);

/// A mail taken out to be delivered.
pub struct LeasedMail {
    lease: Lease,
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
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Why nothing is sent to this address, if that is so.
    pub suppressed: Option<String>,
}

/// What the row of a [`LeasedMail`] says.
struct Written {
    message_id: String,
    recipient: String,
    subject: String,
    text_body: String,
    html_body: String,
    created_at: DateTime<Utc>,
    suppressed: Option<String>,
}

row!(Written { message_id, recipient, subject, text_body, html_body, created_at, suppressed });

/// A mail that was given up.
pub struct FailedMail {
    /// The row.
    pub id: i64,
    /// The subject.
    pub subject: String,
    /// Since when.
    pub parked_at: DateTime<Utc>,
    recipient: String,
    last_error: Option<String>,
}

row!(FailedMail { id, subject, parked_at, recipient, last_error });

/// How much waits.
pub struct Waiting {
    /// Mails that are to leave.
    pub count: i64,
    /// When the first of them was written.
    pub since: Option<DateTime<Utc>>,
    /// What the server said of the last one that it did not take.
    pub last_error: Option<String>,
}

/// Puts a mail into the outbox.
pub async fn push(db: &mut Conn, mail: &Mail, now: DateTime<Utc>) -> Result<()> {
    let message_id = format!("{}@{}", random_hex::<16>()?, mail.domain);
    execute!(
        db,
        "INSERT INTO outbox (message_id, recipient, subject, text_body, html_body, next_attempt_at, created_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        &message_id,
        &mail.to,
        &mail.subject,
        &mail.text,
        &mail.html,
        now,
        now,
    )?;
    Ok(())
}

/// How long to wait after so many failures in a row: 30 seconds to an hour. No two wait alike, so that not everybody
/// comes back at the same moment.
pub fn wait_after(failures: u32) -> Result<TimeDelta> {
    BACKOFF.after(failures)
}

/// How much waits to leave.
pub async fn waiting(db: &mut Conn) -> Result<Waiting> {
    let (count, since) =
        fetch_one!(db, "SELECT COUNT(*), MIN(created_at) FROM outbox WHERE parked_at IS NULL")?;
    let last: Option<(String,)> = fetch_optional!(
        db,
        "SELECT last_error FROM outbox WHERE parked_at IS NULL AND last_error IS NOT NULL \
         ORDER BY next_attempt_at DESC LIMIT 1"
    )?;
    Ok(Waiting { count, since, last_error: last.map(|(text,)| text) })
}

/// How many mails wait to leave, and how many were given up.
pub async fn depth(db: &mut Conn) -> Result<(i64, i64)> {
    let (all, failed): (i64, i64) = fetch_one!(db, "SELECT COUNT(*), COUNT(parked_at) FROM outbox")?;
    Ok((all - failed, failed))
}

/// How many mails were given up.
pub async fn failed_count(db: &mut Conn) -> Result<i64> {
    let (count,) = fetch_one!(db, "SELECT COUNT(*) FROM outbox WHERE parked_at IS NOT NULL")?;
    Ok(count)
}

/// Mails that were given up, newest first.
pub async fn failed(db: &mut Conn, from: PageStart) -> Result<Page<FailedMail>> {
    let Key { at, id } = from.newest();
    let rows = fetch_all!(
        db,
        concat!(
            "SELECT id, subject, parked_at, recipient, last_error FROM outbox WHERE ",
            from_newest!("parked_at", "id"),
            " ORDER BY parked_at DESC, id DESC LIMIT ? OFFSET ?"
        ),
        at,
        at,
        id,
        from.limit(),
        from.offset(),
    )?;
    Ok(from.of(rows, |mail: &FailedMail| Key { at: mail.parked_at, id: mail.id }))
}

/// Lets a mail that was given up begin anew. Tells whether there was one.
pub async fn requeue(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<bool> {
    let sent = execute!(
        db,
        "UPDATE outbox SET parked_at = NULL, last_error = NULL, attempts = 0, next_attempt_at = ?, created_at = ? \
         WHERE id = ? AND parked_at IS NOT NULL",
        now,
        now,
        id,
    )?;
    Ok(sent.rows == 1)
}

/// Lets all mails that were given up begin anew, in chunks, so that no statement locks many rows. Gives how many.
pub async fn requeue_all(db: &mut Conn, now: DateTime<Utc>) -> Result<u64> {
    let (mut after, mut sent) = (0, 0);
    loop {
        let (last,): (Option<i64>,) = fetch_one!(
            db,
            "SELECT MAX(id) FROM \
             (SELECT id FROM outbox WHERE parked_at IS NOT NULL AND id > ? ORDER BY id LIMIT 500) AS chunk",
            after,
        )?;
        let Some(last) = last else { return Ok(sent) };
        let chunk = execute!(
            db,
            "UPDATE outbox SET parked_at = NULL, last_error = NULL, attempts = 0, next_attempt_at = ?, created_at = ? \
             WHERE id > ? AND id <= ? AND parked_at IS NOT NULL",
            now,
            now,
            after,
            last,
        )?;
        (after, sent) = (last, sent + chunk.rows);
    }
}

impl LeasedMail {
    /// Takes the mail that has been waiting longest; nobody else gets it until the lease is over.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<LeasedMail>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let written: Option<Written> = fetch_optional!(
                db,
                "SELECT message_id, recipient, subject, text_body, html_body, outbox.created_at, \
                 suppressions.reason AS suppressed \
                 FROM outbox LEFT JOIN suppressions ON email = recipient AND lifted_at IS NULL WHERE outbox.id = ?",
                lease.id()
            )?;
            // Else a worker whose lease had ended delivered it after all.
            if let Some(written) = written {
                let Written { message_id, recipient, subject, text_body, html_body, created_at, suppressed } =
                    written;
                return Ok(Some(LeasedMail {
                    lease,
                    message_id,
                    recipient,
                    subject,
                    text_body,
                    html_body,
                    created_at,
                    suppressed,
                }));
            }
        }
        Ok(None)
    }

    /// Whether nobody else may have it yet.
    pub fn lease_is_valid(&self, now: DateTime<Utc>) -> bool {
        self.lease.is_valid(now)
    }

    /// The mail was taken; its text, with the link in it, is kept no longer.
    pub async fn delivered(&self, db: &mut Conn) -> Result<()> {
        self.lease.done(db).await
    }

    /// The mail was not taken; it is tried again later, or failed if it is too old for that. Tells whether it is tried
    /// again. A row that somebody else has in hands by now is left to them.
    pub async fn postpone(&self, db: &mut Conn, why: &str, now: DateTime<Utc>) -> Result<bool> {
        if now - self.created_at >= PATIENCE {
            self.fail(
                db,
                &format!("given up after {} hours; the last answer: {why}", PATIENCE.num_hours()),
                now,
            )
            .await?;
            return Ok(false);
        }
        execute!(
            db,
            "UPDATE outbox SET next_attempt_at = ?, last_error = ? WHERE id = ? AND next_attempt_at = ?",
            now + BACKOFF.after(self.lease.attempts())?,
            shortened(why),
            self.lease.id(),
            self.lease.until(),
        )?;
        Ok(true)
    }

    /// The mail is given up until an admin sends it again.
    pub async fn fail(&self, db: &mut Conn, why: &str, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "UPDATE outbox SET parked_at = ?, last_error = ? WHERE id = ? AND next_attempt_at = ?",
            now,
            shortened(why),
            self.lease.id(),
            self.lease.until(),
        )?;
        Ok(())
    }
}

impl FailedMail {
    /// To whom, with most of the name left out.
    pub fn recipient(&self) -> String {
        masked(&self.recipient)
    }

    /// Why.
    pub fn reason(&self) -> &str {
        self.last_error.as_deref().unwrap_or_default()
    }
}

fn shortened(why: &str) -> String {
    why.chars().take(500).collect()
}
