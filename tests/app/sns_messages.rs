//! Authentication of SNS messages: only messages from our own topic, with a valid signature and a certificate of SNS,
//! have an effect.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::Value;

use crate::ses_events::SUPPRESSED;
use crate::support::program::Program;
use crate::support::sns::{Sns, TOPIC, bounce, post};
use crate::support::wait::{PATIENCE, until};
use crate::support::{Certificates, Server, TestApp};

#[actix_web::test]
async fn a_subscription_is_confirmed_where_it_comes_from_and_nowhere_else() {
    let (sns, elsewhere) = (Sns::start(), Sns::start());
    let app = sns.app().await;
    let mut message = sns.message("SubscriptionConfirmation", "You chose", app.app.clock.now(), "1");
    let own = message["SubscribeURL"].as_str().unwrap().to_owned();
    for url in [
        own.replace(&sns.origin(), &elsewhere.origin()),
        own.replace("http://", "https://"),
        own.replace("http://", "http://user@"),
        own.replace("http://127.0.0.1", "http://127.0.0.1.evil.example"),
        own.replace("http://", "ftp://"),
        "/?Action=ConfirmSubscription".into(),
    ] {
        message["SubscribeURL"] = url.clone().into();
        sns.sign(&mut message);
        assert_eq!(post(&app.browser(), message.to_string()).await.status, 400, "{url}");
    }
    assert!(!sns.asked().contains("Action") && !elsewhere.asked().contains("Action"));
    message["SubscribeURL"] = own.into();
    sns.sign(&mut message);
    assert_eq!(post(&app.browser(), message.to_string()).await.status, 200);
    assert_eq!(sns.asked().matches("GET /?Action=ConfirmSubscription&Token=2336412f37 ").count(), 1);
}

/// One defect at a time; the last message, without any, is accepted.
#[actix_web::test]
async fn nothing_else_is_believed() {
    let (sns, other) = (Sns::start(), Sns::start());
    let app = sns.app().await;
    let now = app.app.clock.now();
    let told = bounce("Permanent", "anna@example.com");
    let good = sns.message("Notification", &told, now, "2");
    let before = app.database.db_dump().await;
    let with = |name: &str, value: &str, signed: bool| {
        let mut message = good.clone();
        message[name] = value.into();
        if signed {
            sns.sign(&mut message);
        }
        message
    };
    let without = |name: &str| {
        let mut message = good.clone();
        message.as_object_mut().unwrap().remove(name);
        message
    };
    let pem = "SimpleNotificationService-1.pem";
    let (own, evil) = (sns.origin(), other.origin());
    let long_ago = (now - TimeDelta::minutes(61)).to_rfc3339();
    let mut bad = vec![
        with("Message", &told.replace("anna", "berta"), false),
        with("Timestamp", &(now + TimeDelta::seconds(1)).to_rfc3339(), false),
        with("Subject", "one that was not signed", false),
        with("Signature", "", false),
        with("Signature", "AAAA", false),
        with("Signature", "no base64!", false),
        with("SignatureVersion", "1", false),
        with("SignatureVersion", "3", false),
        // Signed by SNS, but for another topic or at another time.
        with("TopicArn", "arn:aws:sns:eu-central-1:999999999999:sample-app-mail", true),
        with("TopicArn", &TOPIC.replace("eu-central", "us-east"), true),
        with("Timestamp", &long_ago, true),
        with("Timestamp", &(now + TimeDelta::minutes(61)).to_rfc3339(), true),
        with("Timestamp", "yesterday", true),
        with("Type", "SomethingElse", true),
        // Another certificate.
        other.message("Notification", &told, now, "2"),
        with("SigningCertURL", &format!("{evil}/{pem}"), false),
        with("SigningCertURL", &format!("{}/{pem}", own.replace("http:", "https:")), false),
        with("SigningCertURL", &format!("{}@{}/{pem}", own, evil.replace("http://", "")), false),
        with("SigningCertURL", &format!("{}/{pem}", own.replace("http://", "http://sns@")), false),
        with("SigningCertURL", &format!("{own}.evil.example/{pem}"), false),
        with("SigningCertURL", &format!("{own}/{pem}?x=.pem"), false),
        with("SigningCertURL", &format!("{own}/{pem}#.pem"), false),
        with("SigningCertURL", &format!("{own}/"), false),
        with("SigningCertURL", "file:///etc/ssl/cert.pem", false),
        with("SigningCertURL", "", false),
    ];
    let mut swapped = other.message("Notification", &told, now, "2");
    swapped["SigningCertURL"] = good["SigningCertURL"].clone();
    bad.push(swapped);
    for name in ["Type", "MessageId", "TopicArn", "Message", "Timestamp", "Signature", "SigningCertURL"] {
        bad.push(without(name));
        bad.push(with_value(&good, name, Value::from(1)));
        bad.push(with_value(&good, name, Value::Null));
    }
    for message in bad {
        let page = post(&app.browser(), message.to_string()).await;
        assert_eq!(page.status, 400, "{message}: {}", page.text());
    }
    for body in ["", "{}", "[]", "null", "Message=x", "\0", &"[".repeat(100_000)] {
        assert_eq!(post(&app.browser(), body).await.status, 400, "{body:.40}");
    }
    let large = with("Message", &"x".repeat(256 * 1024), true).to_string();
    assert_eq!(post(&app.browser(), large).await.status, 413);
    let from_elsewhere =
        app.browser().request(Method::POST, "/webhooks/ses").header("origin", "https://evil.example");
    let page = app.browser().send(from_elsewhere.body(good.to_string()), "/webhooks/ses").await;
    assert_eq!(page.status, 403, "a browser has no business here");

    assert_eq!(app.database.db_dump().await, before);
    assert_eq!(other.asked().matches("GET").count(), 0, "nobody is sent to another host");
    app.pass(TimeDelta::hours(2));
    assert_eq!(post(&app.browser(), good.to_string()).await.status, 400, "kept and sent later");
    let now = sns.message("Notification", &told, app.app.clock.now(), "2");
    assert_eq!(post(&app.browser(), now.to_string()).await.status, 200);
    assert_eq!(app.database.db_number(SUPPRESSED).await, 1);
}

fn with_value(message: &Value, name: &str, value: Value) -> Value {
    let mut message = message.clone();
    message[name] = value;
    message
}

#[actix_web::test]
async fn without_the_topic_nobody_is_heard() {
    let sns = Sns::start();
    let app = TestApp::start_with(&[("AWS_ENDPOINT_URL_SNS", &sns.origin())]).await;
    let message = sns.message("Notification", &bounce("Permanent", "anna@example.com"), Utc::now(), "1");
    assert_eq!(post(&app.browser(), message.to_string()).await.status, 404);
    // With the topic alone, certificates come from its region's host, not from the URL in a message.
    let app = TestApp::start_with(&[("SES_TOPIC_ARN", TOPIC)]).await;
    assert_eq!(post(&app.browser(), message.to_string()).await.status, 400);
    assert_eq!(sns.asked().matches("GET").count(), 0);
}

/// SNS retries after a 503, so nothing is lost while its certificate cannot be fetched.
#[actix_web::test]
async fn a_certificate_that_cannot_be_had_now_loses_nothing() {
    let mut sns = Sns::start();
    let app = sns.app().await;
    let message = sns
        .message("Notification", &bounce("Permanent", "anna@example.com"), app.app.clock.now(), "1")
        .to_string();
    sns.server.kill();
    let page = post(&app.browser(), message.clone()).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    sns.server.start_again();
    let file = sns.www().join("SimpleNotificationService-1.pem");
    let certificate = std::fs::read(&file).unwrap();
    for nonsense in [&b"nonsense"[..], b"", &[b'x'; 100_000]] {
        std::fs::write(&file, nonsense).unwrap();
        assert_eq!(post(&app.browser(), message.clone()).await.status, 503);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(post(&app.browser(), message.clone()).await.status, 503);
    assert_eq!(app.database.db_number(SUPPRESSED).await, 0);
    std::fs::write(&file, certificate).unwrap();
    assert_eq!(post(&app.browser(), message).await.status, 200);
    assert_eq!(app.database.db_number(SUPPRESSED).await, 1);
}

/// Anybody who knows the topic can send messages with certificate URLs that never answer.
#[actix_web::test]
async fn invented_certificates_delay_no_true_message() {
    let sns = Sns::start();
    let (host, held) = front(sns.www());
    let app = TestApp::start_with(&[("SES_TOPIC_ARN", TOPIC), ("AWS_ENDPOINT_URL_SNS", &host)]).await;
    let mut message =
        sns.message("Notification", &bounce("Permanent", "anna@example.com"), app.app.clock.now(), "1");
    for number in 0..200 {
        message["SigningCertURL"] = format!("{host}/invented{number}.pem").into();
        let (browser, message) = (app.browser(), message.to_string());
        actix_web::rt::spawn(async move { post(&browser, message).await });
        // All at once would be an overload of this thread, which refuses.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    until("20 certificates are asked for", async || held.load(Ordering::Relaxed) >= 20).await;
    message["SigningCertURL"] = format!("{host}/SimpleNotificationService-1.pem").into();
    let answered = tokio::time::timeout(PATIENCE, post(&app.browser(), message.to_string())).await;
    assert_eq!(answered.expect("it waits for the others").status, 200);
}

/// A host that serves one certificate and never answers for another, and the number of requests that wait for that one.
fn front(www: PathBuf) -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("http://{}", listener.local_addr().unwrap());
    let held = Arc::new(AtomicUsize::new(0));
    let counter = held.clone();
    std::thread::spawn(move || {
        let mut silent = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut head = [0; 1024];
            let length = stream.read(&mut head).unwrap_or_default();
            let path = String::from_utf8_lossy(&head[..length]).split(' ').nth(1).map(str::to_owned);
            match path.and_then(|path| std::fs::read(www.join(path.trim_start_matches('/'))).ok()) {
                Some(pem) => {
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", pem.len());
                    stream.write_all(&[answer.as_bytes(), &pem].concat()).unwrap();
                }
                None => {
                    counter.fetch_add(1, Ordering::Relaxed);
                    silent.push(stream);
                }
            }
        }
    });
    (host, held)
}

/// The real program fetches the certificate over verified HTTPS. It trusts the system's authorities, which an OpenSSL
/// variable replaces here.
#[actix_web::test]
async fn the_certificate_comes_by_verified_https() {
    let (sns, folder) = (Sns::start(), tempfile::tempdir().unwrap());
    let certificates = Certificates::create(&folder.path().join("right"));
    let wrong = Certificates::create(&folder.path().join("wrong"));
    let (www, cert, key) = (sns.www(), certificates.cert.clone(), certificates.key.clone());
    let https = Server::start(move |port| {
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", "-WWW", "-accept", &format!("127.0.0.1:{port}")]);
        command.arg("-cert").arg(&cert).arg("-key").arg(&key).current_dir(&www);
        command
    });
    let origin = format!("https://localhost:{}", https.address.port());
    for (ca, status) in [(&wrong.ca, 503), (&certificates.ca, 200)] {
        let program = Program::development().await.set("SES_TOPIC_ARN", TOPIC);
        let program = program.set("AWS_ENDPOINT_URL_SNS", &origin).set("SSL_CERT_FILE", ca.to_str().unwrap());
        let mut serving = program.serve();
        let mut message = sns.message("Notification", &bounce("Permanent", "a@example.com"), Utc::now(), "2");
        message["SigningCertURL"] = format!("{origin}/SimpleNotificationService-1.pem").into();
        let page = post(&serving.browser(), message.to_string()).await;
        assert_eq!(page.status, status, "{}", page.text());
        let suppressed = program.database.db_number(SUPPRESSED).await;
        assert_eq!(suppressed, i64::from(status == 200));
        if status == 503 {
            let line = serving.wait_for("request failed");
            assert!(line.contains("invalid peer certificate"), "{line}");
        }
    }
}
