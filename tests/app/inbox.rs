//! /inbox shows mails with their links: only to a developer on this machine.

use std::io::{Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::net::UnixStream;

use reqwest::Method;

use crate::support::{Browser, Page, Program, TestApp};

/// An application with one mail in its inbox. Returns the path of the mail's page.
async fn with_a_mail(settings: &[(&str, &str)]) -> (TestApp, String) {
    let app = TestApp::start_with(settings).await;
    let anna = app.db_person("anna").await;
    app.browser().post("/password_resets", &[("password_reset[email]", &anna.email)]).await;
    let mail = app.mail_to(&anna.email, 1).await;
    let name = mail.message_id.trim_start_matches('<').split('@').next().unwrap().to_owned();
    (app, format!("/inbox/{name}"))
}

async fn get(browser: &mut Browser, host: &str, path: &str) -> Page {
    let request = browser.request(Method::GET, path).header("host", host);
    browser.send(request, path).await
}

#[actix_web::test]
async fn mails_are_read_here_newest_first() {
    let (app, mail) = with_a_mail(&[]).await;
    let mut browser = app.browser();
    browser.post("/users", &sign_up("berta@example.com")).await;
    app.mail_to("berta@example.com", 1).await;
    let page = browser.get("/inbox").await;
    assert_eq!(page.all("ul.mails a"), ["Account activation", "Password reset"]);
    let page = browser.get(&mail).await;
    assert!(page.one("article.mail dl").contains("anna@example.com"));
    assert_eq!(page.count("article.mail a[href*='/password_resets/']"), 1);
    for nonsense in ["/inbox/..%2f..%2fsecret", "/inbox/0000", "/inbox/x.eml", "/inbox/%00"] {
        assert_eq!(browser.get(nonsense).await.status, 404, "{nonsense}");
    }
}

fn sign_up(email: &str) -> [(&str, &str); 4] {
    let password = "correct horse battery";
    [
        ("user[name]", "Berta"),
        ("user[email]", email),
        ("user[password]", password),
        ("user[password_confirmation]", password),
    ]
}

/// DNS rebinding: an attacker's host name that resolves to 127.0.0.1 is same-origin for the attacker's page.
#[actix_web::test]
async fn a_host_that_is_not_local_sees_nothing() {
    let (app, mail) = with_a_mail(&[]).await;
    let mut browser = app.browser();
    for path in ["/inbox", &mail] {
        for host in ["localhost", "localhost:3000", "127.0.0.1:3000", "[::1]:3000"] {
            assert_eq!(get(&mut browser, host, path).await.status, 200, "{host} {path}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:3000",
            "127.0.0.1.evil.example",
            "[::1].evil.example",
            "sample.test",
            "0.0.0.0",
        ] {
            assert_eq!(get(&mut browser, host, path).await.status, 404, "{host} {path}");
        }
    }
}

#[actix_web::test]
async fn production_has_no_inbox() {
    let folder = tempfile::tempdir().unwrap();
    let (images, mails) = (
        format!("file:{}/images", folder.path().display()),
        format!("file:{}/mail", folder.path().display()),
    );
    let key = "0123456789abcdef".repeat(4);
    let settings = [
        ("APP_ENV", "production"),
        ("SECRET_KEY_BASE", key.as_str()),
        ("REDIS_URL", "memory:"),
        ("IMAGES_URL", &images),
        ("SMTP_URL", &mails),
    ];
    let app = TestApp::start_with(&settings).await;
    for path in ["/inbox", "/inbox/00"] {
        assert_eq!(get(&mut app.browser(), "localhost", path).await.status, 404, "{path}");
    }
}

/// A visitor over a network address, even one of this machine.
#[actix_web::test]
async fn a_visitor_from_elsewhere_sees_nothing() {
    // Connecting a UDP socket sends nothing; it only determines the local address.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let elsewhere: Option<IpAddr> =
        socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).ok().map(|address| address.ip());
    let Some(elsewhere) = elsewhere.filter(|address| !address.is_loopback()) else {
        eprintln!("nothing to test: this machine has no address but 127.0.0.1");
        return;
    };
    let (app, mail) = with_a_mail(&[("LISTEN", "0.0.0.0:0")]).await;
    for path in ["/inbox", &mail] {
        let mut near = Browser::new((IpAddr::from([127, 0, 0, 1]), app.address.port()).into());
        assert_eq!(get(&mut near, "localhost", path).await.status, 200, "{path}");
        let mut far = Browser::new((elsewhere, app.address.port()).into());
        assert_eq!(get(&mut far, "localhost", path).await.status, 404, "{path}");
    }
}

/// In front of a Unix socket there is a proxy, and its clients are unknown.
#[actix_web::test]
async fn a_proxy_sees_nothing() {
    let program = Program::development().await;
    let socket = program.folder.path().join("app.sock");
    let program = program.set("LISTEN", &format!("unix:{}", socket.display()));
    let serving = program.serve();
    let mut proxy = UnixStream::connect(&socket).unwrap();
    proxy.write_all(b"GET /inbox HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    proxy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    serving.stop();
}
