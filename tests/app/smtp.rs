//! Mail over SMTP, to a real server with TLS and AUTH: both of SES's ports, both AUTH mechanisms, certificate checks,
//! the sending rate, and no idle connections.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use sample_app::config::Config;
use sample_app::mail::mailer::Mailer;
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox;

use crate::support::outbox::{ALL, FAILED, WHY, push};
use crate::support::people::PASSWORD;
use crate::support::{Certificates, MailServer, TestApp};

async fn sign_up(app: &TestApp, name: &str) {
    let address = format!("{name}@example.com");
    app.browser().sign_up(name, &address, PASSWORD).await.assert_at(200, "/");
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
        app.database.db_until(ALL, 0).await;
        let mut browser = app.browser();
        let page = browser.get(&mail.link()).await;
        let form = page.form("Activate my account").set("user[password]", PASSWORD);
        let page = browser.submit(form).await;
        page.assert_flash("success", "Account activated!");
        let snapshot = app.app.mailer.call_stats().snapshot();
        assert_eq!((snapshot.totals, snapshot.last.map(|last| last.is_ok())), ((1, 0), Some(true)));
        app.app.mailer.ping().await.unwrap();
        assert_eq!(server.count(&format!("AUTH {auth} ok")), 2, "a ping goes all the way in");
        let address = app.app.mailer.address();
        assert!(address.ends_with(&server.server.address.port().to_string()), "{address}");
        assert!(!address.contains("AKIA") && app.app.inbox().is_none());
    }
}

/// The host name localhost contains no region, so AWS_REGION applies.
#[actix_web::test]
async fn the_password_that_is_derived_from_a_secret_access_key_is_the_regions_own() {
    for (auth, region, accepted) in
        [("PLAIN", "eu-central-1", true), ("LOGIN", "eu-central-1", true), ("PLAIN", "us-west-1", false)]
    {
        let server = MailServer::start_with("implicit", auth);
        let url = format!("smtps://AKIADERIVED@localhost:{}", server.server.address.port());
        let key = ("SES_SECRET_ACCESS_KEY", "some+secret+key");
        let app = server.app_with(&[("SMTP_URL", url.as_str()), key, ("AWS_REGION", region)]).await;
        sign_up(&app, "anna").await;
        if accepted {
            assert_eq!(server.wait_for_mails(1).await.remove(0).to, "anna@example.com");
            assert_eq!(server.count(&format!("AUTH {auth} ok")), 1);
        } else {
            app.database.db_until(FAILED, 1).await;
            let why = app.database.db_text(WHY).await;
            assert!(why.contains("535") && why.contains("SES_SECRET_ACCESS_KEY"), "{why}");
            assert!(!why.contains("some+secret+key"), "{why}");
        }
    }
}

/// Neither password nor mail is sent to a server without a valid certificate or outside TLS.
#[actix_web::test]
async fn no_word_to_a_server_whose_certificate_is_not_right() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Certificates::create(elsewhere.path()).ca.display().to_string();
    for (tls, scheme, ca, reason) in [
        ("implicit", "smtps", Some(&other), "invalid peer certificate"),
        ("starttls", "smtp", Some(&other), "invalid peer certificate"),
        ("none", "smtp", None, "does not offer STARTTLS"),
        ("none", "smtps", None, "InvalidContentType"),
    ] {
        let server = MailServer::start_with(tls, "PLAIN");
        let url = server.url(scheme);
        let mut settings = vec![("SMTP_URL", url.as_str())];
        settings.extend(ca.map(|ca| ("SMTP_CA_FILE", ca.as_str())));
        let app = server.app_with(&settings).await;
        sign_up(&app, "anna").await;
        app.database.db_until(FAILED, 1).await;
        let why = app.database.db_text(WHY).await;
        assert!(why.contains(reason), "{tls} {scheme}: {why}");
        let error = app.app.mailer.ping().await.unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert_eq!((server.count("AUTH"), server.count("MAIL"), server.count("DATA")), (0, 0, 0));
        assert_eq!(app.app.mailer.call_stats().snapshot().totals, (0, 2));
    }
    // Data injected before STARTTLS must not be processed under TLS.
    let server = MailServer::start_with("starttls", "PLAIN");
    server.set_fault("inject");
    let app = server.app().await;
    let error = app.app.mailer.ping().await.unwrap_err().to_string();
    assert!(error.contains("InvalidContentType"), "{error}");
    assert_eq!(server.count("AUTH"), 0);
    server.mend();
    app.app.mailer.ping().await.unwrap();
    // A certificate for another name is rejected too.
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
    let mut vars: BTreeMap<String, String> = settings.map(|(name, value)| (name.into(), value.into())).into();
    vars.insert("SMTP_URL".into(), server.url("smtps"));
    vars.insert("SECRET_KEY_BASE".into(), "0123456789abcdef".repeat(4));
    let config = Config::load(&vars).unwrap();
    let error = Mailer::open(&config).err().unwrap().to_string();
    assert!(error.contains("SMTP_CA_FILE") && error.contains("/nowhere/ca.pem"), "{error}");
}

/// Servers reject address literals as senders, and an IP address gives no domain.
#[actix_web::test]
async fn mail_leaves_when_the_public_address_is_an_ip_address() {
    let server = MailServer::start();
    for (n, url) in ["http://127.0.0.1:4102", "http://[::1]:4102"].into_iter().enumerate() {
        let app = server.app_with(&[("APP_URL", url)]).await;
        push(&app, 1).await;
        let mail = server.wait_for_mails(n + 1).await.remove(n);
        assert_eq!(mail.from, "\"Sample App\" <no-reply@localhost>", "{url}");
        let note = app.app.config.warnings.join("");
        assert!(note.starts_with("MAIL_FROM: is not set") && note.contains("no-reply@localhost"), "{note}");
    }
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

/// SES disconnects after 10 s of silence; the next mail must not use such a connection.
#[actix_web::test]
async fn no_connection_is_left_idle() {
    let server = MailServer::start();
    let app = server.app().await;
    push(&app, 3).await;
    server.wait_for_mails(3).await;
    server.wait_for_rest().await;
    push(&app, 1).await;
    server.wait_for_mails(4).await;
    server.wait_for_rest().await;
    assert_eq!((server.count("AUTH"), app.app.mailer.call_stats().snapshot().totals), (2, (4, 0)));
}

/// A server that accepts connections but does not answer.
#[actix_web::test]
async fn a_frozen_server_is_given_up_in_time() {
    let server = MailServer::start();
    let app = server.app().await;
    server.server.freeze();
    sign_up(&app, "anna").await;
    app.database.db_until(FAILED, 1).await;
    let why = app.database.db_text(WHY).await;
    assert!(why.contains("did not answer within 10 s"), "{why}");
    server.server.thaw();
    app.pass(TimeDelta::seconds(38));
    server.wait_for_mails(1).await;
}

/// RFC 5321, 4.5.2: a line with a single dot ends a mail, so dots at line starts must be doubled on the wire.
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
    app.app.mail_wakeup.wake();
    let mail = server.wait_for_mails(1).await.remove(0);
    assert_eq!((mail.subject.as_str(), mail.text.replace("\r\n", "\n").trim_end()), (".", text));
    assert_eq!(mail.html.replace("\r\n", "\n").trim_end(), "<p>x</p>\n.");
    app.database.db_until(ALL, 0).await;
    assert_eq!(server.mails().len(), 1);
}
