//! Mail by SMTP, to a real server with TLS and AUTH: both ports of SES, both kinds of AUTH, certificates checked (S89), and
//! every fault that the server and the line have (trust rows F17-F20).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use sample_app::mails::Mail;
use sample_app::models::outbox;
use sqlx::Executor;

use crate::support::people::PASSWORD;
use crate::support::{Certificates, MailServer, TestApp};

const WAITING: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NULL";
const PARKED: &str = "SELECT COUNT(*) FROM outbox WHERE parked_at IS NOT NULL";
const FAILED: &str = "SELECT COUNT(*) FROM outbox WHERE last_error IS NOT NULL";
const ATTEMPTS: &str = "SELECT COALESCE(MAX(attempts), 0) FROM outbox";
const WHY: &str = "SELECT last_error FROM outbox WHERE last_error IS NOT NULL";

/// Waits until the database says this number.
async fn until(app: &TestApp, sql: &str, number: i64) {
    let start = Instant::now();
    while app.database.db_number(sql).await != number {
        assert!(start.elapsed() < Duration::from_secs(60), "{sql} is never {number}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Lets time pass, for the worker too.
fn pass(app: &TestApp, time: TimeDelta) {
    app.pass(time);
    app.app.bell.ring();
}

/// So many mails, all at once, to person0@example.com and so on.
async fn push(app: &TestApp, number: usize) {
    let now = app.app.clock.now();
    let mail = |n: usize| Mail {
        to: format!("person{n}@example.com"),
        subject: format!("Hello {n}"),
        text: "A secret link".into(),
        html: "<p>A secret link</p>".into(),
        domain: "sample.test".into(),
    };
    let pushed = async |db: &mut sample_app::db::Conn| {
        for n in 0..number {
            outbox::push(db, &mail(n), now).await?;
        }
        Ok(())
    };
    app.app.db.transaction(pushed).await.unwrap();
    app.app.bell.ring();
}

async fn sign_up(app: &TestApp, name: &str) {
    let address = format!("{name}@example.com");
    app.browser().sign_up(name, &address, PASSWORD).await.assert_at(200, "/");
}

fn ids(mails: &[crate::support::mails::Mail]) -> BTreeSet<&str> {
    mails.iter().map(|mail| mail.message_id.as_str()).collect()
}

#[actix_web::test]
async fn people_sign_up_by_mail_on_both_ports_and_by_both_kinds_of_auth() {
    for (tls, auth) in
        [("implicit", "PLAIN"), ("implicit", "LOGIN"), ("starttls", "PLAIN"), ("starttls", "LOGIN")]
    {
        let server = MailServer::start_with(tls, auth);
        let app = server.app_with(&[("SES_CONFIGURATION_SET", "sample-app")]).await;
        sign_up(&app, "anna").await;
        let mail = server.wait_for_mails(1).await.remove(0);
        assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("anna@example.com", "Account activation"));
        assert_eq!(mail.from, "\"Sample App\" <no-reply@sample.test>");
        assert!(mail.message_id.ends_with("@sample.test>"), "{}", mail.message_id);
        assert!(mail.raw.contains("\r\nX-SES-CONFIGURATION-SET: sample-app\r\n"), "{}", mail.raw);
        assert_eq!(server.count(&format!("AUTH {auth} ok")), 1, "{tls}");
        until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
        let mut browser = app.browser();
        let page = browser.get(&mail.link()).await;
        let page = browser.submit(page.form("Activate my account")).await;
        page.assert_flash("success", "Account activated!");
        let pulse = app.app.mailer.vitals().pulse();
        assert_eq!((pulse.totals, pulse.last.map(|last| last.is_ok())), ((1, 0), Some(true)));
        app.app.mailer.ping().await.unwrap();
        assert_eq!(server.count(&format!("AUTH {auth} ok")), 2, "a ping goes all the way in");
        let address = app.app.mailer.address();
        assert!(address.ends_with(&server.server.address.port().to_string()), "{address}");
        assert!(!address.contains("AKIA") && app.app.inbox().is_none());
    }
}

/// S89: neither password nor mail goes to a server that cannot show who it is, nor out of TLS.
#[actix_web::test]
async fn no_word_to_a_server_whose_certificate_is_not_right() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Certificates::create(elsewhere.path()).ca.display().to_string();
    for (tls, scheme, ca, reason) in [
        ("implicit", "smtps", Some(&other), "invalid peer certificate"),
        ("starttls", "smtp", Some(&other), "invalid peer certificate"),
        ("none", "smtp", None, "STARTTLS is not supported on this server"),
        ("none", "smtps", None, "InvalidContentType"),
    ] {
        let server = MailServer::start_with(tls, "PLAIN");
        let url = server.url(scheme);
        let mut settings = vec![("SMTP_URL", url.as_str())];
        settings.extend(ca.map(|ca| ("SMTP_CA_FILE", ca.as_str())));
        let app = server.app_with(&settings).await;
        sign_up(&app, "anna").await;
        until(&app, FAILED, 1).await;
        let why = app.database.db_text(WHY).await;
        assert!(why.contains(reason), "{tls} {scheme}: {why}");
        let error = app.app.mailer.ping().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!((server.count("AUTH"), server.count("MAIL"), server.count("DATA")), (0, 0, 0));
        assert_eq!(app.app.mailer.vitals().pulse().totals, (0, 2));
    }
    // A certificate for another name is no better.
    let server = MailServer::start();
    let url = server.url("smtps").replace("localhost", "127.0.0.2");
    let app = server.app_with(&[("SMTP_URL", &url)]).await;
    let error = app.app.mailer.ping().await.unwrap_err().to_string();
    assert!(error.contains("certificate not valid for name"), "{error}");
    assert_eq!(server.count("AUTH"), 0);
}

#[actix_web::test]
async fn a_file_of_authorities_that_is_none_is_told_at_start() {
    let server = MailServer::start();
    let settings = [("DATABASE_URL", "sqlite:/nowhere/x.db"), ("SMTP_CA_FILE", "/nowhere/ca.pem")];
    let mut vars: std::collections::BTreeMap<String, String> =
        settings.map(|(name, value)| (name.into(), value.into())).into();
    vars.insert("SMTP_URL".into(), server.url("smtps"));
    vars.insert("SECRET_KEY_BASE".into(), "0123456789abcdef".repeat(4));
    let config = sample_app::config::Config::load(&vars).unwrap();
    let error = sample_app::services::mailer::Mailer::open(&config).err().unwrap().to_string();
    assert!(error.contains("SMTP_CA_FILE") && error.contains("/nowhere/ca.pem"), "{error}");
}

/// F18: nobody notices, and every mail is there in the end.
#[actix_web::test]
async fn a_server_that_is_down_for_an_hour_loses_no_mail_and_is_not_hammered() {
    let mut server = MailServer::start();
    let app = server.app().await;
    server.server.kill();
    for name in ["anna", "berta", "carla", "dora", "emma"] {
        sign_up(&app, name).await;
    }
    until(&app, FAILED, 1).await;
    let before = app.app.mailer.vitals().pulse().totals.1;
    assert_eq!(before, 1, "five mails wait after one failure");
    for _ in 0..60 {
        pass(&app, TimeDelta::minutes(1));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let tries = app.app.mailer.vitals().pulse().totals.1;
    assert!((3..=9).contains(&tries), "{tries} attempts in an hour, longer and longer apart");
    assert_eq!(app.database.db_number(WAITING).await, 5);
    server.server.start_again();
    pass(&app, TimeDelta::hours(1));
    server.wait_for_mails(1).await;
    // Rows wait for their own time too.
    pass(&app, TimeDelta::hours(1));
    let mails = server.wait_for_mails(5).await;
    assert_eq!(ids(&mails).len(), 5);
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    assert_eq!(server.mails().len(), 5);
}

#[actix_web::test]
async fn a_server_that_comes_back_gets_the_mail_with_the_same_message_id() {
    let mut server = MailServer::start();
    let app = server.app().await;
    server.server.kill();
    sign_up(&app, "anna").await;
    until(&app, FAILED, 1).await;
    let id = app.database.db_text("SELECT message_id FROM outbox").await;
    server.server.start_again();
    pass(&app, TimeDelta::seconds(38));
    assert_eq!(server.wait_for_mails(1).await[0].message_id, format!("<{id}>"));
}

/// F19: "slower" stops all mails, not one after the other.
#[actix_web::test]
async fn a_454_pauses_the_whole_queue() {
    for fault in [
        "data 454 Throttling failure: Maximum sending rate exceeded.",
        "mail 421 Too many concurrent SMTP connections",
        "rcpt 451 Temporary service failure",
        "auth 454 Temporary authentication failure",
    ] {
        let server = MailServer::start();
        server.set_fault(fault);
        let app = server.app().await;
        push(&app, 10).await;
        until(&app, FAILED, 1).await;
        for _ in 0..20 {
            app.app.bell.ring();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(app.database.db_text(WHY).await.contains(fault.split_once(' ').unwrap().1.split_at(4).1));
        assert_eq!(app.database.db_number(ATTEMPTS).await, 1, "{fault}");
        assert_eq!(app.database.db_number(FAILED).await, 1, "{fault}: the others were not tried");
        assert_eq!(server.count("AUTH"), 1, "{fault}");
        server.mend();
        pass(&app, TimeDelta::seconds(38));
        assert_eq!(ids(&server.wait_for_mails(10).await).len(), 10);
        until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    }
}

/// F20: what will never be taken is parked, told to an admin, and holds nobody else up.
#[actix_web::test]
async fn a_5xx_parks_the_mail_and_the_others_go_on() {
    let server = MailServer::start();
    let app = server.app().await;
    let refusal = "554 Message rejected: Email address is not verified. The following identities failed the check \
                   in region EU-CENTRAL-1: anna@example.com";
    server.set_fault(&format!("data {refusal}"));
    sign_up(&app, "anna").await;
    until(&app, PARKED, 1).await;
    server.mend();
    sign_up(&app, "berta").await;
    assert_eq!(server.wait_for_mails(1).await[0].to, "berta@example.com");

    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    assert!(browser.get("/").await.has("header a[href='/admin/outbox']"));
    let page = browser.get("/admin/outbox").await;
    assert_eq!(page.all("table.parked td.recipient"), ["a***@example.com"]);
    let reason = page.one("table.parked td.reason");
    assert!(reason.contains("554") && reason.contains("EU-CENTRAL-1: a***@example.com"), "{reason}");
    assert!(page.text().contains("Account activation") && !page.text().contains("anna@example.com"));

    let id = app.database.db_text("SELECT message_id FROM outbox").await;
    browser.submit(page.form("Send again")).await.assert_flash("success", "The mail is on its way again.");
    let mails = server.wait_for_mails(2).await;
    assert_eq!((mails[1].to.as_str(), &mails[1].message_id), ("anna@example.com", &format!("<{id}>")));
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    assert!(!browser.get("/admin/outbox").await.has("table.parked"));
    let late = browser.patch(&format!("/admin/outbox/{}", 1), &[]).await;
    late.assert_redirect("/admin/outbox");
    browser.get("/admin/outbox").await.assert_flash("info", "That mail is not parked any more.");
}

/// 550 says the same at another command.
#[actix_web::test]
async fn a_5xx_to_the_recipient_parks_too() {
    let server = MailServer::start_with("starttls", "LOGIN");
    server.set_fault("rcpt 550 5.1.1 unknown");
    let app = server.app().await;
    push(&app, 3).await;
    until(&app, PARKED, 3).await;
    assert!(app.database.db_text(WHY).await.contains("550"));
    assert_eq!(app.database.db_number(ATTEMPTS).await, 1);
    let pulse = app.app.mailer.vitals().pulse();
    assert_eq!(pulse.totals, (3, 0), "a server that refuses a mail is well");
}

/// A wrong password is our fault: people's mails wait until it is put right.
#[actix_web::test]
async fn a_535_parks_nothing() {
    let server = MailServer::start();
    server.set_fault("auth 535 Authentication Credentials Invalid");
    let app = server.app().await;
    push(&app, 3).await;
    until(&app, FAILED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.contains("535") && why.contains("check user and password of SMTP_URL"), "{why}");
    assert_eq!((server.count("AUTH"), app.database.db_number(PARKED).await), (1, 0));
    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    assert!(browser.get("/admin/outbox").await.one("section.waiting").contains("535"));
    server.mend();
    pass(&app, TimeDelta::seconds(38));
    assert_eq!(server.wait_for_mails(3).await.len(), 3);
}

/// F17: at least once; whoever gets it twice can tell by its Message-ID.
#[actix_web::test]
async fn a_lost_reply_sends_the_same_mail_twice() {
    let server = MailServer::start();
    server.set_fault("lost");
    let app = server.app().await;
    sign_up(&app, "anna").await;
    until(&app, FAILED, 1).await;
    assert_eq!(server.mails().len(), 1, "it was taken");
    server.mend();
    pass(&app, TimeDelta::seconds(38));
    let mails = server.wait_for_mails(2).await;
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    assert_eq!((ids(&mails).len(), server.mails().len()), (1, 2));
    let date = |raw: &str| raw.lines().find(|line| line.starts_with("Date: ")).map(str::to_owned);
    assert!(date(&mails[0].raw).is_some() && date(&mails[0].raw) == date(&mails[1].raw));
}

#[actix_web::test]
async fn no_more_mails_a_second_than_allowed() {
    let server = MailServer::start();
    let app = server.app_with(&[("SMTP_RATE", "5")]).await;
    push(&app, 8).await;
    server.wait_for_mails(8).await;
    let times: Vec<u64> =
        server.events().iter().filter(|(_, what)| what == "MAIL").map(|(time, _)| *time).collect();
    let took = times[7] - times[0];
    assert!(took >= 7 * 200 - 100, "{took} ms for 8 mails");
    assert_eq!(server.count("AUTH"), 1, "all on one connection");
}

/// SES hangs up on who is silent for 10 s; the next mail must not run into that.
#[actix_web::test]
async fn no_connection_is_left_idle() {
    let server = MailServer::start();
    let app = server.app().await;
    push(&app, 3).await;
    server.wait_for_mails(3).await;
    let start = Instant::now();
    while server.count("GONE") < server.count("CONNECT") {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", server.events());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    push(&app, 1).await;
    server.wait_for_mails(4).await;
    assert_eq!((server.count("AUTH"), app.app.mailer.vitals().pulse().totals), (2, (4, 0)));
}

/// A server that takes connections and says nothing.
#[actix_web::test]
async fn a_frozen_server_is_given_up_in_time() {
    let server = MailServer::start();
    let app = server.app().await;
    server.server.freeze();
    sign_up(&app, "anna").await;
    until(&app, FAILED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.contains("did not answer within 10 s"), "{why}");
    server.server.thaw();
    pass(&app, TimeDelta::seconds(38));
    server.wait_for_mails(1).await;
}

/// Two instances behind a load balancer: one database, one mail server.
#[actix_web::test]
async fn two_instances_never_send_one_mail_twice() {
    let server = MailServer::start();
    let one = server.app().await;
    let other = server.app_with(&[("DATABASE_URL", &one.database.url)]).await;
    let bell = other.app.bell.clone();
    push(&one, 60).await;
    bell.ring();
    server.wait_for_mails(60).await;
    until(&one, "SELECT COUNT(*) FROM outbox", 0).await;
    let mails = server.mails();
    assert_eq!((mails.len(), ids(&mails).len()), (60, 60));
    let each = [&one, &other].map(|app| app.app.mailer.vitals().pulse().totals.0);
    assert!(each[0] > 0 && each[1] > 0 && each[0] + each[1] == 60, "{each:?}: both worked");
}

/// While one instance has a mail in its hands, no other touches it; if it takes too long, that ends.
#[actix_web::test]
async fn a_mail_in_the_hands_of_one_instance_is_not_taken_by_another() {
    let server = MailServer::start();
    let one = server.app().await;
    server.set_fault("hold");
    push(&one, 1).await;
    server.wait_for_mails(1).await;
    let other = server.app_with(&[("DATABASE_URL", &one.database.url)]).await;
    for _ in 0..10 {
        other.app.bell.ring();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.count("MAIL"), 1);
    server.mend();
    until(&one, "SELECT COUNT(*) FROM outbox", 0).await;
    assert_eq!(server.mails().len(), 1);
}

/// The server has taken the mail, and the database is away when that is to be noted.
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
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    // Longer than the lease: whoever forgot the mail would send it now.
    pass(&app, TimeDelta::minutes(5));
    push(&app, 1).await;
    server.wait_for_mails(2).await;
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    assert_eq!(ids(&server.mails()).len(), 2);
    assert_eq!(server.mails().len(), 2);
}

/// 48 hours of trying end in the parking place, not in nothing.
#[actix_web::test]
async fn what_nobody_takes_for_two_days_is_parked() {
    let server = MailServer::start();
    server.set_fault("data 451 Not now");
    let app = server.app().await;
    push(&app, 1).await;
    until(&app, FAILED, 1).await;
    pass(&app, TimeDelta::hours(47));
    until(&app, ATTEMPTS, 2).await;
    assert_eq!(app.database.db_number(PARKED).await, 0);
    pass(&app, TimeDelta::hours(1));
    until(&app, PARKED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.starts_with("given up after 48 hours") && why.contains("451"), "{why}");
    server.mend();
    let mut browser = app.logged_in(&app.db_admin("admin").await).await;
    let form = browser.get("/admin/outbox").await.form("Send again");
    browser.submit(form).await;
    // The pause of the last failure still holds.
    pass(&app, TimeDelta::hours(1));
    server.wait_for_mails(1).await;
}

/// RFC 5321, 4.5.2: a line with a dot alone ends a mail, so those of the text need another one on the way.
#[actix_web::test]
async fn lines_that_begin_with_a_dot_arrive_as_they_are() {
    let server = MailServer::start();
    let app = server.app().await;
    let text = ".\n..\n.hidden\n\n.\nend";
    let mail = Mail {
        to: "anna@example.com".into(),
        subject: ".".into(),
        text: text.into(),
        html: "<p>x</p>\n.\n".into(),
        domain: "sample.test".into(),
    };
    let now = app.app.clock.now();
    app.app.db.transaction(async |db| outbox::push(db, &mail, now).await).await.unwrap();
    app.app.bell.ring();
    let mail = server.wait_for_mails(1).await.remove(0);
    assert_eq!((mail.subject.as_str(), mail.text.replace("\r\n", "\n").trim_end()), (".", text));
    assert_eq!(mail.html.replace("\r\n", "\n").trim_end(), "<p>x</p>\n.");
    until(&app, "SELECT COUNT(*) FROM outbox", 0).await;
    assert_eq!(server.mails().len(), 1);
}
