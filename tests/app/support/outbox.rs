//! The outbox as tests see it: waiting mails, failed mails, and time that passes for the mail worker.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use sample_app::db::Conn;
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox;

use super::TestApp;

/// Deletions of users and pictures that the workers have not finished.
pub const DELETIONS: &str = "SELECT (SELECT COUNT(*) FROM jobs WHERE kind = 'user_deletion') + \
     (SELECT COUNT(*) FROM picture_deletions)";
pub const ALL: &str = "SELECT COUNT(*) FROM outbox";
pub const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NULL";
pub const PARKED: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NOT NULL";
pub const FAILED: &str = "SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL";
pub const ATTEMPTS: &str = "SELECT COALESCE(MAX(attempts), 0) FROM outbox";
pub const WHY: &str = "SELECT last_error FROM outbox WHERE last_error IS NOT NULL";

/// Advances the clock until the one waiting mail has failed once more. `attempts` cannot tell, because taking the lease
/// increments it before delivery.
pub async fn fails_again(app: &TestApp, time: TimeDelta) {
    app.database.db_execute("UPDATE outbox SET last_error = NULL").await;
    app.pass(time);
    app.database.db_until(FAILED, 1).await;
}

/// Queues this many mails at once, to person0@example.com and so on.
pub async fn push(app: &TestApp, number: usize) {
    push_to(app, (0..number).map(|n| format!("person{n}@example.com"))).await;
}

/// Queues a mail to each recipient in one transaction.
pub async fn push_to(app: &TestApp, recipients: impl IntoIterator<Item = String>) {
    let now = app.app.clock.now();
    let mail = |to: String| Mail {
        subject: format!("Hello {to}"),
        to,
        text: "A secret link".into(),
        html: "<p>A secret link</p>".into(),
        domain: "sample.test".into(),
    };
    let mails: Vec<_> = recipients.into_iter().map(mail).collect();
    let pushed = async |db: &mut Conn| {
        for mail in &mails {
            outbox::push(db, mail, now).await?;
        }
        Ok(())
    };
    app.app.db.transaction(pushed).await.unwrap();
    app.app.mail_wakeup.wake();
}

pub fn ids(mails: &[super::mails::Mail]) -> BTreeSet<&str> {
    mails.iter().map(|mail| mail.message_id.as_str()).collect()
}
