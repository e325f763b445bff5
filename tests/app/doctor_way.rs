//! `sample-app doctor` when a real server cannot be reached: closed port, unknown name, certificate from another
//! authority, TLS on one side only. It gives advice and still checks the other services.

use crate::support::doctor::{doctor, other_authority, port, program};
use crate::support::tls_front::TlsFront;
use crate::support::{Bucket, Certificates, MailServer, Rsyslog, Server, redis};

/// An address where nothing listens.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[actix_web::test]
async fn a_server_that_is_not_there() {
    let nobody = nobody();
    let there = |url: &str| format!("{url}{nobody}");
    let cases = [
        ("sessions", vec![("REDIS_URL", there("rediss://"))]),
        ("mail", vec![("SMTP_URL", there("smtp://a:canary@"))]),
        ("logs", vec![("LOGSTASH_URL", there("tcp://"))]),
        ("pictures", vec![("IMAGES_URL", "s3://uploads".into()), ("AWS_ENDPOINT_URL_S3", there("http://"))]),
        ("database", vec![("DATABASE_URL", there("mysql://a:canary@") + "/b")]),
    ];
    for (service, settings) in cases {
        let mut program = program().await;
        for (name, value) in settings {
            program = program.set(name, &value);
        }
        let words = ["Connection refused", "nothing takes connections at its port", "is an address already"];
        doctor(&program).assert_ill(service, "port", &words);
    }
}

#[actix_web::test]
async fn a_name_that_nobody_knows() {
    let cases = [
        ("sessions", "REDIS_URL", "rediss://:canary@redis.invalid", "getent hosts redis.invalid"),
        ("mail", "SMTP_URL", "smtps://a:canary@mail.invalid", "getent hosts mail.invalid"),
        ("logs", "LOGSTASH_URL", "tcp://logs.invalid", "getent hosts logs.invalid"),
        ("database", "DATABASE_URL", "mysql://a:canary@db.invalid/b", "getent hosts db.invalid"),
        ("database", "DATABASE_URL", "mysql://a:canary@db.home/b", "private hosted zone home of Route 53"),
        (
            "database",
            "DATABASE_URL",
            "mysql://a:canary@db.amazonaws.com.invalid/b",
            "copy the end point of the RDS instance from the console",
        ),
    ];
    for (service, name, url, advice) in cases {
        doctor(&program().await.set(name, url)).assert_ill(service, "name", &[advice, "skipped port"]);
    }
    let program = program()
        .await
        .set("IMAGES_URL", "s3://uploads")
        .set("AWS_ENDPOINT_URL_S3", "https://s3.invalid")
        .set("AWS_EC2_METADATA_DISABLED", "true");
    doctor(&program).assert_ill("pictures", "name", &["AWS_ENDPOINT_URL_S3", "skipped TLS"]);
}

#[actix_web::test]
async fn certificates_of_another_authority() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(&folder.path().join("tls"));
    let (redis, mail) = (redis::start_with_tls(&certificates), MailServer::start());
    let starttls = MailServer::start_with("starttls", "PLAIN");
    let rsyslog = Rsyslog::start(&folder.path().join("logs"), Some(&certificates));
    let (_other, ca) = other_authority();
    let rediss = format!("rediss://app:secret@localhost:{}", port(&redis));
    let logstash = format!("tls://localhost:{}", port(&rsyslog.server));
    let issuer = "the certificate is issued by tests of sample-app, who is none of the authorities";
    for (service, name, url, file) in [
        ("sessions", "REDIS_URL", rediss, "REDIS_CA_FILE"),
        ("mail", "SMTP_URL", mail.url("smtps"), "SMTP_CA_FILE"),
        ("mail", "SMTP_URL", starttls.url("smtp"), "SMTP_CA_FILE"),
        ("logs", "LOGSTASH_URL", logstash, "LOGSTASH_CA_FILE"),
    ] {
        let advice = format!("set {file} to the PEM file");
        let program = program().await.set(name, &url).set(file, &ca);
        doctor(&program).assert_ill(service, "TLS", &[issuer, &advice]);
        doctor(&program.set(file, "/nowhere/ca.pem")).assert_ill(
            service,
            "TLS",
            &["/nowhere/ca.pem", "it has to be a PEM file: ", &advice],
        );
    }
    assert_eq!(mail.count("AUTH") + starttls.count("AUTH"), 0, "no password goes to somebody else");

    let url = mail.url("smtps").replace("localhost", "127.0.0.2");
    let right = mail.certificates.ca.display().to_string();
    let program = program().await.set("SMTP_URL", &url).set("SMTP_CA_FILE", &right);
    let words = [
        "not made out to 127.0.0.2 but to localhost, 127.0.0.1 do this",
        "set one of the names in the certificate",
    ];
    doctor(&program).assert_ill("mail", "TLS", &words);
}

#[actix_web::test]
async fn tls_on_one_side_only() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(&folder.path().join("tls"));
    let (plain, tls) = (redis::start(), redis::start_with_tls(&certificates));
    let (smtps, smtp) = (MailServer::start(), MailServer::start_with("starttls", "PLAIN"));
    let none = MailServer::start_with("none", "PLAIN");
    let rsyslog = Rsyslog::start(&folder.path().join("logs"), None);
    let redis_at = |scheme: &str, server: &Server| format!("{scheme}://localhost:{}", port(server));
    let cases = [
        ("sessions", "sign-in", "REDIS_URL", redis_at("redis", &tls), "has to begin with rediss://"),
        ("sessions", "TLS", "REDIS_URL", redis_at("rediss", &plain), "encryption in transit is off"),
        ("mail", "greeting", "SMTP_URL", smtps.url("smtp"), "smtps:// for 465"),
        ("mail", "TLS", "SMTP_URL", smtp.url("smtps"), "smtp:// (STARTTLS) for 587"),
        ("mail", "TLS", "SMTP_URL", none.url("smtp"), "gives no password and no mail away without TLS"),
        (
            "logs",
            "TLS",
            "LOGSTASH_URL",
            format!("tls://localhost:{}", port(&rsyslog.server)),
            "tcp:// instead of tls://",
        ),
    ];
    for (service, step, name, url, advice) in cases {
        doctor(&program().await.set(name, &url)).assert_ill(service, step, &[advice]);
    }
}

#[actix_web::test]
async fn a_server_that_says_nothing() {
    let mail = MailServer::start();
    mail.server.freeze();
    let program = program().await.set("SMTP_URL", &mail.url("smtp"));
    doctor(&program).assert_ill("mail", "greeting", &["no answer within 5 s", "smtps:// for 465"]);
}

/// The system must trust the store's authority.
#[actix_web::test]
async fn a_store_with_another_authority() {
    let bucket = Bucket::start();
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(folder.path());
    let front = TlsFront::to(bucket.server.address, &certificates);
    let address = format!("https://localhost:{}", front.address.port());
    let program = bucket.program().await.set("AWS_ENDPOINT_URL_S3", &address);
    let words =
        ["issued by tests of sample-app, who is none", "the package ca-certificates", "skipped sign-in"];
    doctor(&program).assert_ill("pictures", "TLS", &words);
    assert_eq!(front.connections().1, 0, "nothing was said");
    let trusting = program.set("SSL_CERT_FILE", certificates.ca.to_str().unwrap());
    doctor(&trusting).assert_well(&["ok TLS issued by tests of sample-app", "was put, read and deleted"]);
}
