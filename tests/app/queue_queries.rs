//! Runs the queries of failed mails, suppressed addresses, picture deletions and jobs on the database under test.
//! sql_rules.rs finds functions with SQL that no test calls.

use chrono::TimeDelta;
use sample_app::jobs::job::{Job, JobKind};
use sample_app::jobs::picture_deletion::{self, PictureDeletion};
use sample_app::jobs::{cleanup, job};
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox::{self, LeasedMail};
use sample_app::mail::suppression;
use sample_app::models::micropost::{Content, Micropost};

use crate::model_queries::{FIRST, email, stored};
use crate::support::TestApp;

#[actix_web::test]
async fn failed_mails_and_suppressed_addresses() {
    TestApp::with_and_without_proxy(failed_mails_and_suppressed_addresses_on).await;
}

async fn failed_mails_and_suppressed_addresses_on(app: TestApp) {
    let mut conn = app.app.db.conn().await.unwrap();
    // Due tomorrow, so that no worker takes them.
    let (db, now) = (&mut conn, app.app.clock.now() + TimeDelta::days(1));
    for to in ["anna@example.com", "berta@example.com"] {
        let text = || "x".to_owned();
        let mail = Mail { to: to.into(), subject: to.into(), text: text(), html: text(), domain: text() };
        outbox::push(db, &mail, now).await.unwrap();
    }
    let waiting = outbox::waiting(db).await.unwrap();
    assert_eq!((waiting.count, waiting.since, waiting.last_error), (2, Some(now), None));
    assert!(suppression::add(db, &email("anna@example.com"), "bounce", now).await.unwrap());
    assert!(!suppression::add(db, &email("anna@example.com"), "complaint", now).await.unwrap(), "is one");
    assert_eq!(suppression::count(db).await.unwrap(), 1);
    let anna = LeasedMail::take(db, now).await.unwrap().unwrap();
    assert_eq!((anna.suppressed.as_deref(), anna.created_at), (Some("bounce"), now));
    assert_eq!(LeasedMail::take(db, now).await.unwrap().unwrap().suppressed, None);

    // A worker whose lease has expired can no longer change the mail.
    let again = LeasedMail::take(db, now + TimeDelta::minutes(2)).await.unwrap().unwrap();
    anna.fail(db, "too late", now).await.unwrap();
    assert_eq!(outbox::failed_count(db).await.unwrap(), 0);
    assert_eq!(outbox::depth(db).await.unwrap(), (2, 0));
    let old = now + TimeDelta::hours(48);
    assert!(!again.postpone(db, "451", old).await.unwrap(), "given up");
    assert_eq!(outbox::failed_count(db).await.unwrap(), 1);
    assert_eq!(outbox::depth(db).await.unwrap(), (1, 1));
    let failed = outbox::failed(db, FIRST).await.unwrap().rows.remove(0);
    assert_eq!((failed.recipient().as_str(), failed.parked_at), ("a***@example.com", old));
    assert!(failed.reason().ends_with("451"), "{}", failed.reason());
    assert!(outbox::requeue(db, failed.id, old).await.unwrap());
    assert!(!outbox::requeue(db, failed.id, old).await.unwrap(), "on its way already");
    app.database.db_execute("UPDATE outbox SET parked_at = created_at").await;
    assert_eq!(outbox::requeue_all(db, old).await.unwrap(), 2);
    assert_eq!(outbox::requeue_all(db, old).await.unwrap(), 0);
    assert_eq!(outbox::waiting(db).await.unwrap().count, 2);

    let suppressed = suppression::page(db, FIRST).await.unwrap().rows.remove(0);
    assert_eq!((suppressed.email().as_str(), suppressed.reason.as_str()), ("a***@example.com", "bounce"));
    assert!(suppression::lift(db, suppressed.id, old).await.unwrap());
    assert!(!suppression::lift(db, suppressed.id, old).await.unwrap(), "lifted already");
    assert!(!suppression::add(db, &email("anna@example.com"), "told before", now).await.unwrap());
    assert_eq!(suppression::count(db).await.unwrap(), 0);
    let later = old + TimeDelta::microseconds(1);
    assert!(suppression::add(db, &email("anna@example.com"), "told after", later).await.unwrap());
    assert_eq!(suppression::page(db, FIRST).await.unwrap().rows[0].reason, "told after");
}

#[actix_web::test]
async fn pictures_without_a_post() {
    TestApp::with_and_without_proxy(pictures_without_a_post_on).await;
}

async fn pictures_without_a_post_on(app: TestApp) {
    let anna = app.db_person("anna").await.id;
    // Later than the worker's clock, so that it takes nothing.
    let (pool, now) = (&app.app.db, app.app.clock.now() + TimeDelta::days(10));
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    let post = Content::parse("Look").unwrap();
    Micropost::create(db, anna, &post, Some(stored("a.png")), now).await.unwrap();
    Micropost::create(db, anna, &post, None, now).await.unwrap();
    picture_deletion::push(db, "a.png", now).await.unwrap();
    picture_deletion::push(db, "b.png", now + TimeDelta::microseconds(1)).await.unwrap();
    let (kept, wanted) = (
        picture_deletion::schedule(db, "c.png", now).await.unwrap(),
        picture_deletion::schedule(db, "d.png", now).await.unwrap(),
    );
    assert!(PictureDeletion::take(db, now - TimeDelta::microseconds(1)).await.unwrap().is_none(), "not yet");
    let first = PictureDeletion::take(db, now).await.unwrap().unwrap();
    assert_eq!(first.picture, "a.png");
    assert!(PictureDeletion::take(db, now).await.unwrap().is_none(), "it is taken");
    first.done(db).await.unwrap();
    kept.cancel(db).await.unwrap();
    assert!(kept.cancel(db).await.is_err(), "once");
    kept.run_now(db, now).await.unwrap();
    wanted.run_now(db, now + TimeDelta::microseconds(2)).await.unwrap();
    let now = now + TimeDelta::seconds(1);
    let second = PictureDeletion::take(db, now).await.unwrap().unwrap();
    let third = PictureDeletion::take(db, now).await.unwrap().unwrap();
    assert_eq!((second.picture.as_str(), third.picture.as_str()), ("b.png", "d.png"), "c.png stays");
    assert!(wanted.cancel(db).await.is_err(), "too late: somebody is deleting it");
    second.postpone(db, now).await.unwrap();
    assert!(PictureDeletion::take(db, now + TimeDelta::seconds(9)).await.unwrap().is_none());
    let again = PictureDeletion::take(db, now + TimeDelta::seconds(13)).await.unwrap().unwrap();
    assert_eq!(again.picture, "b.png", "after its wait");
    let again = PictureDeletion::take(db, now + TimeDelta::minutes(1)).await.unwrap().unwrap();
    assert_eq!(again.picture, "d.png", "whoever took it is gone");
}

#[actix_web::test]
async fn jobs() {
    TestApp::with_and_without_proxy(jobs_on).await;
}

async fn jobs_on(app: TestApp) {
    let anna = app.db_person("anna").await.id;
    // Later than the worker's clock, but before the jobs that migrations create.
    let (pool, now) = (&app.app.db, app.app.clock.now() + TimeDelta::minutes(30));
    let mut conn = pool.conn().await.unwrap();
    let db = &mut conn;
    for _ in 0..2 {
        job::push(db, JobKind::FanoutOnRead, anna, now).await.unwrap();
    }
    assert!(Job::take(db, now - TimeDelta::microseconds(1)).await.unwrap().is_none(), "not yet");
    let mut job = Job::take(db, now).await.unwrap().unwrap();
    assert_eq!((job.kind, job.subject_id, job.position), (Some(JobKind::FanoutOnRead), anna, 0));
    assert!(Job::take(db, now).await.unwrap().is_none(), "it is there once, and taken");
    assert!(job.advance(db, Some(7)).await.unwrap());
    job.continue_at(db, now).await.unwrap();
    let job = Job::take(db, now).await.unwrap().unwrap();
    assert_eq!(job.position, 7);
    job.postpone(db, now).await.unwrap();
    assert!(job::QUEUE.take(db, now).await.unwrap().is_none(), "after its wait");
    let later = now + TimeDelta::seconds(2);
    let lease = job::QUEUE.take(db, later).await.unwrap().unwrap();
    assert!(lease.is_valid(now) && !lease.is_valid(later + TimeDelta::minutes(1)));
    job.continue_at(db, later).await.unwrap();
    assert!(Job::take(db, later).await.unwrap().is_none(), "whoever's lease is over has no say any more");
    lease.done(db).await.unwrap();
    job::push(db, JobKind::FanoutOnRead, anna, now).await.unwrap();
    job::remove(db, JobKind::FanoutOnRead, anna).await.unwrap();
    assert!(Job::take(db, now).await.unwrap().is_none());
    drop(conn);
    assert!(!cleanup::step(pool, now).await.unwrap());
}
