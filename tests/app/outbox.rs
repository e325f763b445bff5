//! Mail is sent through the outbox: queued in the transaction that causes it or not at all, delivered once, and retried
//! if needed.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use chrono::TimeDelta;
use sample_app::app::App;
use sample_app::config::{self, Config};
use sample_app::error::{Error, Result};
use sample_app::jobs::Wakeup;
use sample_app::mail;
use sample_app::mail::mailer::Mailer;
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox::{self, LeasedMail};
use sample_app::server;
use tokio::sync::watch;

use crate::support::app::app_on;
use crate::support::outbox::{ALL, FAILED, fails_again};
use crate::support::{TestApp, TestDatabase};

fn mail(to: &str) -> Mail {
    Mail {
        to: to.to_owned(),
        subject: "Hello".into(),
        text: "A secret link".into(),
        html: "<p>A secret link</p>".into(),
        domain: "sample.test".into(),
    }
}

#[actix_web::test]
async fn a_mail_is_there_when_its_transaction_is_and_not_otherwise() {
    let app = TestApp::start().await;
    // Due tomorrow, so that no worker takes it.
    let tomorrow = app.app.clock.now() + TimeDelta::days(1);
    let undone: Result<()> = app
        .app
        .db
        .transaction(async |db| {
            outbox::push(db, &mail("a@example.com"), tomorrow).await?;
            Err(Error::BadRequest("changed my mind".into()))
        })
        .await;
    assert!(undone.is_err());
    assert_eq!(app.database.db_number(ALL).await, 0);
    app.app
        .db
        .transaction(async |db| outbox::push(db, &mail("a@example.com"), tomorrow).await)
        .await
        .unwrap();
    assert_eq!(app.database.db_number(ALL).await, 1);
}

/// The reverse: if the mail cannot be queued, the account is not created.
#[actix_web::test]
async fn no_account_without_its_mail() {
    let app = TestApp::start().await;
    app.database.db_execute("ALTER TABLE outbox RENAME TO elsewhere").await;
    let sign_up = [
        ("user[name]", "Anna"),
        ("user[email]", "anna@example.com"),
        ("user[password]", "correct horse battery"),
        ("user[password_confirmation]", "correct horse battery"),
    ];
    let mut browser = app.browser();
    assert_eq!(browser.post("/users", &sign_up).await.status, 500);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM mail_tokens").await, 0);
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO outbox").await;
    assert_eq!(browser.post("/users", &sign_up).await.status, 303);
    app.mail_to("anna@example.com", 1).await;
}

#[actix_web::test]
async fn what_is_not_taken_waits_longer_each_time_and_keeps_its_message_id() {
    let app = TestApp::start().await;
    let mut now = app.app.clock.now() + TimeDelta::days(1);
    let mut db = app.app.db.conn().await.unwrap();
    outbox::push(&mut db, &mail("a@example.com"), now).await.unwrap();
    let waits = [30, 60, 120, 240, 480, 960, 1920, 2880, 2880, 2880];
    let mut ids = BTreeSet::new();
    for wait in waits {
        let mail = LeasedMail::take(&mut db, now).await.unwrap().unwrap();
        ids.insert(mail.message_id.clone());
        assert!(mail.postpone(&mut db, &"because ".repeat(100), now).await.unwrap());
        let early = now + TimeDelta::seconds(wait - 1);
        assert!(LeasedMail::take(&mut db, early).await.unwrap().is_none(), "before {wait} seconds");
        // Plus up to a quarter of random jitter.
        now += TimeDelta::seconds(wait + wait / 4 + 1);
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(app.database.db_number("SELECT attempts FROM outbox").await, 10);
}

#[actix_web::test]
async fn a_worker_that_died_leaves_the_mail_to_the_next_after_its_lease() {
    let app = TestApp::start().await;
    let now = app.app.clock.now() + TimeDelta::days(1);
    let mut db = app.app.db.conn().await.unwrap();
    outbox::push(&mut db, &mail("a@example.com"), now).await.unwrap();
    let taken = LeasedMail::take(&mut db, now).await.unwrap().unwrap();
    let meanwhile = now + TimeDelta::seconds(119);
    assert!(LeasedMail::take(&mut db, meanwhile).await.unwrap().is_none());
    let again = LeasedMail::take(&mut db, now + TimeDelta::seconds(120)).await.unwrap().unwrap();
    assert_eq!(again.message_id, taken.message_id);
}

#[actix_web::test]
async fn a_folder_that_fails_delays_the_mail_and_nobody_notices() {
    let app = TestApp::start().await;
    let folder = app.folder.path().join("mail");
    fs::write(&folder, "a file where the folder should be").unwrap();
    let anna = app.db_person("anna").await;
    let asked = app.browser().post("/password_resets", &[("password_reset[email]", &anna.email)]).await;
    assert_eq!(asked.status, 303, "the page is as always");
    app.database.db_until(FAILED, 1).await;
    let id = app.database.db_text("SELECT message_id FROM outbox").await;

    fails_again(&app, TimeDelta::seconds(38)).await;
    assert_eq!(app.database.db_text("SELECT message_id FROM outbox").await, id);

    fs::remove_file(&folder).unwrap();
    app.pass(TimeDelta::seconds(76));
    let mail = app.mail_to(&anna.email, 1).await;
    assert_eq!(mail.message_id, format!("<{id}>"));
    assert_eq!(mail.subject, "Password reset");
}

/// If it cannot listen, its workers do not run either.
#[actix_web::test]
async fn a_start_that_fails_delivers_no_mail() {
    let (folder, first) = (tempfile::tempdir().unwrap(), TestApp::start().await);
    let database = TestDatabase::create(folder.path()).await;
    let settings = [("LISTEN", first.address.to_string())];
    let settings = settings.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>();
    let app = app_on(&folder, &database, &settings);
    app.db.migrate().await.unwrap();
    let now = app.clock.now();
    app.db.transaction(async |db| outbox::push(db, &mail("a@example.com"), now).await).await.unwrap();
    let failed = server::start(app).await.err().unwrap().to_string();
    assert!(failed.contains("set LISTEN to another address"), "{failed}");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(database.db_number("SELECT attempts FROM outbox").await, 0);
}

/// A link stored in a database is a link that can be stolen.
#[actix_web::test]
async fn nothing_of_a_delivered_mail_stays_in_the_database() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    app.browser().post("/password_resets", &[("password_reset[email]", &anna.email)]).await;
    let mail = app.mail_to(&anna.email, 1).await;
    app.database.db_until(ALL, 0).await;
    let token = mail.link().split('/').nth(2).unwrap().to_owned();
    assert_eq!(token.len(), 64);
    assert!(!app.database.db_dump().await.contains(&token));
}

/// Two instances on one database, as behind a load balancer, and twenty mails at once.
#[actix_web::test]
async fn two_workers_deliver_each_mail_once() {
    let app = TestApp::start().await;
    let folders = ["one", "two", "three"].map(|name| app.folder.path().join(name));
    let (stop, stopped) = watch::channel(false);
    let wakeups = [Wakeup::default(), Wakeup::default(), Wakeup::default()];
    let App { db, clock, config, .. } = &**app.app;
    let mailer_to = |folder: &std::path::PathBuf| {
        let config = Config { mail: config::Mail::Folder(folder.clone()), ..config.clone() };
        Mailer::open(&config).unwrap()
    };
    let workers: Vec<_> = folders
        .iter()
        .zip(&wakeups)
        .map(|(folder, wakeup)| {
            let worker = mail::worker::run(
                db.clone(),
                mailer_to(folder),
                clock.clone(),
                wakeup.clone(),
                stopped.clone(),
            );
            actix_web::rt::spawn(worker)
        })
        .collect();
    let pushed = async |db: &mut sample_app::db::Conn| {
        for n in 0..40 {
            outbox::push(db, &mail(&format!("person{n}@example.com")), clock.now()).await?;
        }
        Ok(())
    };
    db.transaction(pushed).await.unwrap();
    wakeups.iter().for_each(Wakeup::wake);
    app.app.mail_wakeup.wake();
    app.database.db_until(ALL, 0).await;
    stop.send(true).unwrap();
    for worker in workers {
        worker.await.unwrap();
    }
    let folders = folders.into_iter().chain([app.folder.path().join("mail")]);
    let files = folders.filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 40, "{names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 40, "one delivered twice");
    assert!(names.iter().all(|name| name.ends_with(".eml")), "{names:?}");
}
