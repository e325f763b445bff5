//! The outbox as tests look at it: what waits, what was parked, and time that passes for its worker.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sample_app::db::Conn;
use sample_app::mails::Mail;
use sample_app::models::outbox;

use super::TestApp;

pub const ALL: &str = "SELECT COUNT(*) FROM outbox";
pub const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NULL";
pub const PARKED: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NOT NULL";
pub const FAILED: &str = "SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL";
pub const ATTEMPTS: &str = "SELECT COALESCE(MAX(attempts), 0) FROM outbox";
pub const WHY: &str = "SELECT last_error FROM outbox WHERE last_error IS NOT NULL";

/// Waits until the database says this number.
pub async fn until(app: &TestApp, sql: &str, number: i64) {
    let start = Instant::now();
    while app.database.db_number(sql).await != number {
        assert!(start.elapsed() < Duration::from_secs(60), "{sql} is never {number}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets time pass, for the worker too.
pub fn pass(app: &TestApp, time: TimeDelta) {
    app.pass(time);
    app.app.mail_wakeup.wake();
}

/// So many mails, all at once, to person0@example.com and so on.
pub async fn push(app: &TestApp, number: usize) {
    let now = app.app.clock.now();
    let mail = |n: usize| Mail {
        to: format!("person{n}@example.com"),
        subject: format!("Hello {n}"),
        text: "A secret link".into(),
        html: "<p>A secret link</p>".into(),
        domain: "sample.test".into(),
    };
    let pushed = async |db: &mut Conn| {
        for n in 0..number {
            outbox::push(db, &mail(n), now).await?;
        }
        Ok(())
    };
    app.app.db.transaction(pushed).await.unwrap();
    app.app.mail_wakeup.wake();
}

pub fn ids(mails: &[super::mails::Mail]) -> BTreeSet<&str> {
    mails.iter().map(|mail| mail.message_id.as_str()).collect()
}
