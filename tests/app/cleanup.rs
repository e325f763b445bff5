//! The daily clean-up (src/jobs/cleanup.rs) deletes what has expired and nothing newer.

use chrono::TimeDelta;

use crate::support::TestApp;
use crate::support::outbox;
use crate::support::people::PASSWORD;

/// Advances the clock and waits until the clean-up has run.
async fn clean_up_after(app: &TestApp, time: TimeDelta) {
    app.pass(time);
    app.database.db_execute("UPDATE jobs SET next_attempt_at = created_at WHERE kind = 'cleanup'").await;
    app.app.jobs_wakeup.wake();
    let cleanup = "FROM jobs WHERE kind = 'cleanup'";
    app.database.db_until(&format!("SELECT COUNT(*) {cleanup} AND next_attempt_at > created_at"), 1).await;
    app.database.db_until(&format!("SELECT attempts {cleanup}"), 0).await;
}

#[actix_web::test]
async fn what_is_too_old_goes_and_what_is_younger_stays() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    app.db_post(&anna, "old, and kept").await;
    app.db_unactivated("never came").await;
    app.browser().sign_up("Late", "late@example.com", PASSWORD).await;
    app.browser().ask_reset(&anna.email).await;
    let mut annas = app.browser();
    annas.log_in_remembered(&anna.email, PASSWORD).await;
    let form = annas.get("/").await.form("Post").set("micropost[content]", "by the form, and kept");
    annas.submit(form).await.assert_flash("success", "Micropost created!");
    app.database.db_until(outbox::ALL, 0).await;
    // Marked as failed 400 days from now.
    let then = app.app.clock.now() + TimeDelta::days(400);
    let mut db = app.app.db.conn().await.unwrap();
    let mail = sample_app::mail::messages::Mail {
        to: "gone@example.com".into(),
        subject: "Hello".into(),
        text: "A secret link".into(),
        html: "<p>A secret link</p>".into(),
        domain: "sample.test".into(),
    };
    sample_app::mail::outbox::push(&mut db, &mail, then).await.unwrap();
    drop(db);
    app.database.db_execute("UPDATE outbox SET parked_at = created_at").await;
    let rows = async |table: &str| app.database.db_number(&format!("SELECT COUNT(*) FROM {table}")).await;
    assert_eq!((rows("users").await, rows("remembered_devices").await, rows("mail_tokens").await), (3, 1, 2));

    clean_up_after(&app, TimeDelta::hours(23)).await;
    assert_eq!(rows("idempotency_keys").await, 1, "the form may still be sent again");
    clean_up_after(&app, TimeDelta::days(29)).await;
    assert_eq!(rows("idempotency_keys").await, 0, "a day is over");
    assert_eq!((rows("users").await, rows("remembered_devices").await, rows("mail_tokens").await), (3, 1, 2));
    // Another sign-up restarts the period.
    app.browser().sign_up("Late", "late@example.com", PASSWORD).await;
    clean_up_after(&app, TimeDelta::days(2)).await;
    assert_eq!(rows("users").await, 2, "who never came is gone");
    assert_eq!(rows("remembered_devices").await, 0, "expired a day ago");
    assert_eq!(rows("mail_tokens").await, 1, "the one of the second sign-up");
    assert_eq!(rows("outbox WHERE parked_at IS NOT NULL").await, 1);
    clean_up_after(&app, TimeDelta::days(31)).await;
    assert_eq!((rows("users").await, rows("mail_tokens").await), (1, 0));
    clean_up_after(&app, TimeDelta::days(400)).await;
    assert_eq!(rows("outbox").await, 0, "with the text of the mail");
    assert_eq!(rows("microposts").await, 2, "posts do not grow too old");
    app.db_assert_counts().await;
}

/// A migration adds the clean-up with the database's clock, which writes the fraction of a whole second, too.
#[actix_web::test]
async fn a_job_that_is_due_at_a_whole_second_is_taken() {
    let app = TestApp::start().await;
    let due =
        if app.database.is_mysql() { "2020-01-01 12:00:00.000" } else { "2020-01-01T12:00:00.000+00:00" };
    let set_due = format!("UPDATE jobs SET next_attempt_at = '{due}' WHERE kind = 'cleanup'");
    app.database.db_execute(&set_due).await;
    app.app.jobs_wakeup.wake();
    let later =
        "SELECT COUNT(*) FROM jobs WHERE kind = 'cleanup' AND attempts = 0 AND next_attempt_at > created_at";
    app.database.db_until(later, 1).await;
}
