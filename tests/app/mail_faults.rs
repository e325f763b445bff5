//! Faults on the way to the mail server and between several instances: no mail is lost, none is sent twice without
//! need, and the server is not flooded with retries.

use std::time::Duration;

use chrono::TimeDelta;
use sqlx::Executor;

use crate::support::outbox::{ALL, ATTEMPTS, FAILED, PARKED, WAITING, WHY, fails_again, ids, push, push_to};
use crate::support::people::PASSWORD;
use crate::support::{MailServer, TestApp};

async fn sign_up(app: &TestApp, name: &str) {
    let address = format!("{name}@example.com");
    app.browser().sign_up(name, &address, PASSWORD).await.assert_at(200, "/");
}

/// Visitors notice nothing, and every mail arrives in the end.
#[actix_web::test]
async fn a_server_that_is_down_for_an_hour_loses_no_mail_and_is_not_hammered() {
    let mut server = MailServer::start();
    let app = server.app().await;
    server.server.kill();
    for name in ["anna", "berta", "carla", "dora", "emma"] {
        sign_up(&app, name).await;
    }
    app.database.db_until(FAILED, 1).await;
    let before = app.app.mailer.call_stats().snapshot().totals.1;
    assert_eq!(before, 1, "five mails wait after one failure");
    for _ in 0..60 {
        app.pass(TimeDelta::minutes(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let tries = app.app.mailer.call_stats().snapshot().totals.1;
    assert!(tries <= 9, "{tries} attempts in an hour, longer and longer apart");
    assert_eq!(app.database.db_number(WAITING).await, 5);
    server.server.start_again();
    app.pass(TimeDelta::hours(1));
    server.wait_for_mails(1).await;
    // Each row also waits for its own next attempt.
    app.pass(TimeDelta::hours(1));
    let mails = server.wait_for_mails(5).await;
    assert_eq!(ids(&mails).len(), 5);
    app.database.db_until(ALL, 0).await;
    assert_eq!(server.mails().len(), 5);
}

#[actix_web::test]
async fn a_server_that_comes_back_gets_the_mail_with_the_same_message_id() {
    let mut server = MailServer::start();
    let app = server.app().await;
    server.server.kill();
    sign_up(&app, "anna").await;
    app.database.db_until(FAILED, 1).await;
    let id = app.database.db_text("SELECT message_id FROM outbox").await;
    server.server.start_again();
    app.pass(TimeDelta::seconds(38));
    assert_eq!(server.wait_for_mails(1).await[0].message_id, format!("<{id}>"));
}

/// "Slow down" pauses all mails together, not each in turn.
#[actix_web::test]
async fn a_454_pauses_the_whole_queue() {
    for fault in [
        "data 454 Throttling failure: Maximum sending rate exceeded.",
        "mail 421 Too many concurrent SMTP connections",
        "mail 553 5.7.1 Sender address rejected: not owned by user",
        "rcpt 421 Closing the connection",
        "auth 454 Temporary authentication failure",
    ] {
        let server = MailServer::start();
        server.set_fault(fault);
        let app = server.app().await;
        push(&app, 10).await;
        app.database.db_until(FAILED, 1).await;
        server.wait_for_rest().await;
        assert!(app.database.db_text(WHY).await.contains(fault.split_once(' ').unwrap().1.split_at(4).1));
        assert_eq!(app.database.db_number(ATTEMPTS).await, 1, "{fault}");
        assert_eq!(app.database.db_number(FAILED).await, 1, "{fault}: the others were not tried");
        assert_eq!(server.count("AUTH"), 1, "{fault}");
        server.mend();
        app.pass(TimeDelta::seconds(38));
        assert_eq!(ids(&server.wait_for_mails(10).await).len(), 10);
        app.database.db_until(ALL, 0).await;
        assert_eq!(app.app.mailer.call_stats().snapshot().totals, (10, 1), "{fault}");
    }
}

/// A permanently rejected mail is marked as failed and reported to an admin, and does not delay others.
#[actix_web::test]
async fn a_5xx_parks_the_mail_and_the_others_go_on() {
    let server = MailServer::start();
    let app = server.app().await;
    let refusal = "554 Message rejected: Email address is not verified. The following identities failed the check \
                   in region EU-CENTRAL-1: anna@example.com";
    server.set_fault(&format!("data {refusal}"));
    sign_up(&app, "anna").await;
    app.database.db_until(PARKED, 1).await;
    server.mend();
    sign_up(&app, "berta").await;
    assert_eq!(server.wait_for_mails(1).await[0].to, "berta@example.com");

    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    assert!(browser.get("/").await.has("header a[href='/admin/outbox']"));
    let page = browser.get("/admin/outbox").await;
    assert_eq!(page.all(".failed .recipient"), ["a***@example.com"]);
    let reason = page.one(".failed .reason");
    assert!(reason.contains("554") && reason.contains("EU-CENTRAL-1: a***@example.com"), "{reason}");
    assert!(page.text().contains("Account activation") && !page.text().contains("anna@example.com"));

    let id = app.database.db_text("SELECT message_id FROM outbox").await;
    browser.submit(page.form("Send again")).await.assert_flash("success", "The mail is on its way again.");
    let mails = server.wait_for_mails(2).await;
    assert_eq!((mails[1].to.as_str(), &mails[1].message_id), ("anna@example.com", &format!("<{id}>")));
    app.database.db_until(ALL, 0).await;
    assert!(!browser.get("/admin/outbox").await.has(".failed li"));
    let late = browser.patch(&format!("/admin/outbox/{}", 1), &[]).await;
    late.assert_redirect("/admin/outbox");
    browser
        .get("/admin/outbox")
        .await
        .assert_flash("info", "That mail has already been sent or is being sent again.");
}

/// Greylisting or a full mailbox concerns one recipient, at RCPT or after DATA (rspamd); no other mail waits.
#[actix_web::test]
async fn a_recipient_refused_for_now_delays_no_other_mail() {
    for fault in ["rcpt=grey 450 4.2.0 Greylisted", "data=grey 451 4.7.1 Greylisted"] {
        let server = MailServer::start();
        server.set_fault(fault);
        let app = server.app().await;
        let grey = (0..6).map(|n| format!("grey{n}@example.com"));
        push_to(&app, grey.chain(["anna@example.com".to_owned()])).await;
        assert_eq!(server.wait_for_mails(1).await[0].to, "anna@example.com");
        app.database.db_until(WAITING, 6).await;
        app.database.db_until(FAILED, 6).await;
        assert_eq!(app.database.db_number(ATTEMPTS).await, 1, "{fault}");
        assert_eq!(app.database.db_number(PARKED).await, 0, "{fault}");
        assert_eq!(
            app.app.mailer.call_stats().snapshot().totals,
            (7, 0),
            "a server that refuses a mail is well"
        );
        assert_eq!(server.count("AUTH"), 1, "the connection is kept");
        server.mend();
        app.pass(TimeDelta::seconds(38));
        assert_eq!(ids(&server.wait_for_mails(7).await).len(), 7);
    }
}

/// A suspended SES account: a few mails fail, not all, and one button sends them again.
#[actix_web::test]
async fn a_server_that_refuses_everybody_pauses_the_queue() {
    let server = MailServer::start();
    server.set_fault("data 554 Message rejected: Sending suspended for this account.");
    let app = server.app().await;
    push(&app, 12).await;
    app.database.db_until(FAILED, 5).await;
    server.wait_for_rest().await;
    assert_eq!((server.count("MAIL"), app.database.db_number(PARKED).await), (5, 4));
    app.pass(TimeDelta::seconds(38));
    app.database.db_until(FAILED, 10).await;
    server.wait_for_rest().await;
    assert_eq!((server.count("MAIL"), app.database.db_number(PARKED).await), (10, 4));
    server.mend();
    app.pass(TimeDelta::seconds(76));
    server.wait_for_mails(8).await;
    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    let page = browser.get("/admin/outbox").await;
    browser.submit(page.form("Send all again")).await.assert_flash("success", "Sending again: 4 mails.");
    assert_eq!(ids(&server.wait_for_mails(12).await).len(), 12);
    app.database.db_until(ALL, 0).await;
    assert_eq!(server.count("MAIL"), 22);
    assert!(!browser.get("/admin/outbox").await.text().contains("Send all again"));
}

/// A 550 at another command has the same effect.
#[actix_web::test]
async fn a_5xx_to_the_recipient_parks_too() {
    let server = MailServer::start_with("starttls", "LOGIN");
    server.set_fault("rcpt 550 5.1.1 unknown");
    let app = server.app().await;
    push(&app, 3).await;
    app.database.db_until(PARKED, 3).await;
    assert!(app.database.db_text(WHY).await.contains("550"));
    assert_eq!(app.database.db_number(ATTEMPTS).await, 1);
    let snapshot = app.app.mailer.call_stats().snapshot();
    assert_eq!(snapshot.totals, (3, 0), "a server that refuses a mail is well");
}

/// A wrong password is our fault: mails wait until it is corrected.
#[actix_web::test]
async fn a_535_parks_nothing() {
    let server = MailServer::start();
    server.set_fault("auth 535 Authentication Credentials Invalid");
    let app = server.app().await;
    push(&app, 3).await;
    app.database.db_until(FAILED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.contains("535") && why.contains("check user and password of SMTP_URL"), "{why}");
    assert_eq!((server.count("AUTH"), app.database.db_number(PARKED).await), (1, 0));
    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    assert!(browser.get("/admin/outbox").await.one("section.waiting").contains("535"));
    server.mend();
    app.pass(TimeDelta::seconds(38));
    assert_eq!(server.wait_for_mails(3).await.len(), 3);
}

/// Delivery is at least once; a recipient can detect the duplicate by its Message-ID.
#[actix_web::test]
async fn a_lost_reply_sends_the_same_mail_twice() {
    let server = MailServer::start();
    server.set_fault("lost");
    let app = server.app().await;
    sign_up(&app, "anna").await;
    app.database.db_until(FAILED, 1).await;
    assert_eq!(server.mails().len(), 1, "it was taken");
    server.mend();
    app.pass(TimeDelta::seconds(38));
    let mails = server.wait_for_mails(2).await;
    app.database.db_until(ALL, 0).await;
    assert_eq!((ids(&mails).len(), server.mails().len()), (1, 2));
    let date = |raw: &str| raw.lines().find(|line| line.starts_with("Date: ")).map(str::to_owned);
    assert!(date(&mails[0].raw).is_some() && date(&mails[0].raw) == date(&mails[1].raw));
}

/// Two instances behind a load balancer, with one database and one mail server.
#[actix_web::test]
async fn two_instances_never_send_one_mail_twice() {
    let server = MailServer::start();
    let one = server.app().await;
    let other = server.app_with(&[("DATABASE_URL", &one.database.url)]).await;
    let wakeup = other.app.mail_wakeup.clone();
    push(&one, 60).await;
    wakeup.wake();
    server.wait_for_mails(60).await;
    one.database.db_until(ALL, 0).await;
    let mails = server.mails();
    assert_eq!((mails.len(), ids(&mails).len()), (60, 60));
    let each = [&one, &other].map(|app| app.app.mailer.call_stats().snapshot().totals.0);
    assert!(each[0] > 0 && each[1] > 0 && each[0] + each[1] == 60, "{each:?}: both worked");
}

/// While one instance holds a mail's lease, no other takes the mail; the lease expires.
#[actix_web::test]
async fn a_mail_in_the_hands_of_one_instance_is_not_taken_by_another() {
    let server = MailServer::start();
    let one = server.app().await;
    server.set_fault("hold");
    push(&one, 1).await;
    server.wait_for_mails(1).await;
    let other = server.app_with(&[("DATABASE_URL", &one.database.url)]).await;
    for _ in 0..10 {
        other.app.mail_wakeup.wake();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.count("MAIL"), 1);
    server.mend();
    one.database.db_until(ALL, 0).await;
    assert_eq!(server.mails().len(), 1);
}

/// The server has accepted the mail, but the database is away when the delivery is to be recorded.
#[actix_web::test]
async fn a_mail_is_not_sent_again_because_the_database_was_away() {
    let server = MailServer::start();
    let app = server.app().await;
    server.set_fault("hold");
    push(&app, 1).await;
    server.wait_for_mails(1).await;
    let away = Duration::from_secs(8);
    if app.database.is_mysql() {
        let mut other = app.database.db_connect_mysql().await;
        other.execute(sqlx::raw_sql("LOCK TABLES outbox WRITE")).await.unwrap();
        server.mend();
        tokio::time::sleep(away).await;
        other.execute(sqlx::raw_sql("UNLOCK TABLES")).await.unwrap();
    } else {
        let mut other = app.database.db_connect_sqlite().await;
        other.execute(sqlx::raw_sql("BEGIN EXCLUSIVE")).await.unwrap();
        server.mend();
        tokio::time::sleep(away).await;
        other.execute(sqlx::raw_sql("COMMIT")).await.unwrap();
    }
    app.database.db_until(ALL, 0).await;
    // Longer than the lease: an instance that forgot the delivery would send the mail again now.
    app.pass(TimeDelta::minutes(5));
    push(&app, 1).await;
    server.wait_for_mails(2).await;
    app.database.db_until(ALL, 0).await;
    assert_eq!(ids(&server.mails()).len(), 2);
    assert_eq!(server.mails().len(), 2);
}

/// After 48 hours of attempts a mail is marked as failed, not deleted.
#[actix_web::test]
async fn what_nobody_takes_for_two_days_fails() {
    let server = MailServer::start();
    server.set_fault("data 451 Not now");
    let app = server.app().await;
    push(&app, 1).await;
    app.database.db_until(FAILED, 1).await;
    fails_again(&app, TimeDelta::hours(47)).await;
    assert_eq!(app.database.db_number(PARKED).await, 0);
    app.pass(TimeDelta::hours(1));
    app.database.db_until(PARKED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.starts_with("given up after 48 hours") && why.contains("451"), "{why}");
    server.mend();
    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    let form = browser.get("/admin/outbox").await.form("Send again");
    browser.submit(form).await;
    // At once, although the pause after the last failure is not over.
    server.wait_for_mails(1).await;
}
