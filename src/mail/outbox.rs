//! Mails waiting for delivery: the table `outbox` (transactional outbox). A mail is inserted in the transaction that
//! causes it and delivered later, so no request waits for a mail server and a committed transaction never loses its
//! mail.

use chrono::{DateTime, TimeDelta, Utc};

use super::messages::Mail;
use crate::db::{Conn, execute, fetch_all, fetch_one, fetch_optional, row};
use crate::error::Result;
use crate::jobs::{Backoff, Lease, Queue};
use crate::models::values::email::masked;
use crate::models::values::page::{Key, Page, PageStart, from_newest};
use crate::models::values::token::random_hex;

/// The lease is longer than the sum of the timeouts for one mail (mail/mailer/smtp.rs).
const QUEUE: Queue = Queue { table: "outbox", pending: "parked_at IS NULL", lease: TimeDelta::minutes(2) };
/// 30 s to 1 h: [`Backoff::after`] adds up to a quarter.
const BACKOFF: Backoff = Backoff { first: TimeDelta::seconds(30), longest: TimeDelta::minutes(48) };
/// A mail that is still undelivered at this age fails.
const MAX_AGE: TimeDelta = TimeDelta::hours(48);

/// A mail that this worker holds for delivery.
pub struct LeasedMail {
    lease: Lease,
    /// The same for every attempt.
    pub message_id: String,
    pub recipient: String,
    pub subject: String,
    pub text_body: String,
    pub html_body: String,
    pub created_at: DateTime<Utc>,
    /// The reason, if the recipient's address is suppressed.
    pub suppressed: Option<String>,
}

/// The row of a [`LeasedMail`].
struct OutboxRow {
    message_id: String,
    recipient: String,
    subject: String,
    text_body: String,
    html_body: String,
    created_at: DateTime<Utc>,
    suppressed: Option<String>,
}

row!(OutboxRow { message_id, recipient, subject, text_body, html_body, created_at, suppressed });

/// A mail that is not tried again unless an admin requeues it (dead letter).
pub struct FailedMail {
    pub id: i64,
    pub subject: String,
    /// When it failed.
    pub parked_at: DateTime<Utc>,
    recipient: String,
    last_error: Option<String>,
}

row!(FailedMail { id, subject, parked_at, recipient, last_error });

/// The pending mails; failed ones do not count.
pub struct Waiting {
    pub count: i64,
    /// When the oldest of them was written.
    pub since: Option<DateTime<Utc>>,
    /// The latest error of a mail that is still pending.
    pub last_error: Option<String>,
}

/// Adds a mail to the outbox.
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

/// How long to wait after `failures` consecutive failures: 30 s to 1 h, with random jitter so that not all instances
/// retry at the same moment.
pub fn wait_after(failures: u32) -> Result<TimeDelta> {
    BACKOFF.after(failures)
}

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

/// The number of pending mails and of failed ones.
pub async fn depth(db: &mut Conn) -> Result<(i64, i64)> {
    let (all, failed): (i64, i64) = fetch_one!(db, "SELECT COUNT(*), COUNT(parked_at) FROM outbox")?;
    Ok((all - failed, failed))
}

pub async fn failed_count(db: &mut Conn) -> Result<i64> {
    let (count,) = fetch_one!(db, "SELECT COUNT(*) FROM outbox WHERE parked_at IS NOT NULL")?;
    Ok(count)
}

/// The failed mails, newest first.
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

/// Resets a failed mail so that it is tried again. `false` if there is no such failed mail.
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

/// Requeues all failed mails and returns their number. Works in chunks, so that no statement locks many rows.
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
    /// Takes the mail that has been due the longest. No other worker gets it until the lease ends.
    pub async fn take(db: &mut Conn, now: DateTime<Utc>) -> Result<Option<LeasedMail>> {
        while let Some(lease) = QUEUE.take(db, now).await? {
            let row: Option<OutboxRow> = fetch_optional!(
                db,
                "SELECT message_id, recipient, subject, text_body, html_body, outbox.created_at, \
                 suppressions.reason AS suppressed \
                 FROM outbox LEFT JOIN suppressions ON email = recipient AND lifted_at IS NULL WHERE outbox.id = ?",
                lease.id()
            )?;
            // No row: a worker whose lease had ended delivered the mail after all.
            if let Some(row) = row {
                return Ok(Some(LeasedMail {
                    lease,
                    message_id: row.message_id,
                    recipient: row.recipient,
                    subject: row.subject,
                    text_body: row.text_body,
                    html_body: row.html_body,
                    created_at: row.created_at,
                    suppressed: row.suppressed,
                }));
            }
        }
        Ok(None)
    }

    /// `true` while no other worker can have taken the mail.
    pub fn lease_is_valid(&self, now: DateTime<Utc>) -> bool {
        self.lease.is_valid(now)
    }

    /// Deletes the delivered mail, because its text may contain a secret link.
    pub async fn delivered(&self, db: &mut Conn) -> Result<()> {
        self.lease.done(db).await
    }

    /// Schedules the next attempt, or fails the mail if it is too old and returns `false`. Does not change a row that
    /// another worker has leased by now.
    pub async fn postpone(&self, db: &mut Conn, why: &str, now: DateTime<Utc>) -> Result<bool> {
        if now - self.created_at >= MAX_AGE {
            self.fail(
                db,
                &format!("given up after {} hours; the last answer: {why}", MAX_AGE.num_hours()),
                now,
            )
            .await?;
            return Ok(false);
        }
        let next_attempt_at = now + BACKOFF.after(self.lease.attempts())?;
        execute!(
            db,
            "UPDATE outbox SET next_attempt_at = ?, last_error = ? WHERE id = ? AND next_attempt_at = ?",
            next_attempt_at,
            shortened(why),
            self.lease.id(),
            self.lease.until(),
        )?;
        Ok(true)
    }

    /// Fails the mail: it is not tried again unless an admin requeues it.
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
    /// The address, with most of the local part masked.
    pub fn recipient(&self) -> String {
        masked(&self.recipient)
    }

    /// Why it failed.
    pub fn reason(&self) -> &str {
        self.last_error.as_deref().unwrap_or_default()
    }
}

fn shortened(why: &str) -> String {
    why.chars().take(500).collect()
}
