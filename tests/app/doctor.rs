//! `sample-app doctor` with the real program: with working services, each step passes and nothing is left behind.

use std::process::Stdio;

use crate::support::database_server::is_mariadb;
use crate::support::doctor::{doctor, port, program};
use crate::support::{Bucket, Certificates, MailServer, Program, Rsyslog, redis};

#[actix_web::test]
async fn without_any_server_all_is_well_and_nothing_is_left_behind() {
    let program = Program::development().await;
    let said = doctor(&program);
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.assert_said(&["to come: the next start applies them", "skipped round trip until the migrations"]);
    let tables = if program.database.is_mysql() {
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()"
    } else {
        "SELECT COUNT(*) FROM sqlite_master"
    };
    assert_eq!(program.database.db_number(tables).await, 0, "it only looks");

    program.succeed(&["migrate"]);
    let before = program.database.db_dump().await;
    let said = doctor(&program);
    said.assert_well(&[
        "ok migrations all applied",
        "ok round trip a row was written and removed",
        "sessions in the process ok place in the process",
        "ok folder",
        "ok round trip an object was put, read and deleted",
        "ok sender no-reply@sample.test may send",
        "logs standard output ok place standard output",
    ]);
    assert_eq!(program.database.db_dump().await, before);
    for folder in ["images", "mail"] {
        let left = program.folder.path().join(folder).read_dir().unwrap().count();
        assert_eq!(left, 0, "{folder}");
    }
    assert_eq!(said.complaints, "");
}

#[actix_web::test]
async fn production_wants_its_migrations_and_hears_the_same_notes_as_at_start() {
    let program = Program::production().await.set("APP_URL", "http://www.example.com");
    let said = doctor(&program);
    said.assert_ill("database", "migrations", &["run `sample-app migrate`", "skipped round trip"]);
    assert!(said.complaints.starts_with("Note: APP_URL: is http://"), "{}", said.complaints);
    program.succeed(&["migrate"]);
    doctor(&program).assert_well(&["migrations all applied"]);
}

#[actix_web::test]
async fn settings_that_are_wrong_are_told_before_anything_is_looked_at() {
    let program = Program::development().await.set("SMTP_URL", "smtp//oops").set("REDIS_PORT", "x");
    let said = program.fail(&["doctor"]);
    assert!(said.contains("SMTP_URL: ") && said.contains("REDIS_PORT: "), "{said}");
}

#[actix_web::test]
async fn real_servers_by_tls_are_well_and_nothing_is_left_there() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(&folder.path().join("tls"));
    let ca = certificates.ca.display().to_string();
    let redis = redis::start_with_tls(&certificates);
    let (mail, bucket) = (MailServer::start(), Bucket::start());
    let rsyslog = Rsyslog::start(&folder.path().join("logs"), Some(&certificates));
    let mut program = bucket.program().await;
    for (name, value) in mail.settings() {
        program = program.set(name, &value);
    }
    let program = program
        .set("REDIS_URL", &format!("rediss://app:secret@localhost:{}", port(&redis)))
        .set("REDIS_CA_FILE", &ca)
        .set("LOGSTASH_URL", &format!("tls://localhost:{}", port(&rsyslog.server)))
        .set("LOGSTASH_CA_FILE", &ca);
    let said = doctor(&program);
    let certificate = "ok TLS issued by tests of sample-app, 1 day left, made out to localhost";
    said.assert_well(&[
        "ok name localhost is ",
        "takes connections (",
        "ok sign-in commands are taken",
        "ok round trip SET, GET and DEL of a key",
        "ok sign-in the credentials are good for the bucket",
        "ok region the store does not say",
        "ok round trip an object was put, read and deleted",
        "ok greeting 220 mail.test",
        "ok sign-in user and password are taken",
        "ok sender no-reply@sample.test may send",
        "ok connect the connection stands",
    ]);
    assert_eq!(said.text.matches(certificate).count(), 3, "{}", said.text);
    assert!(bucket.objects().is_empty(), "{:?}", bucket.objects());
    assert_eq!((mail.mails().len(), mail.count("MAIL"), mail.count("AUTH PLAIN ok")), (0, 1, 2));
    assert_eq!((rsyslog.lines().len(), rsyslog.rest().as_str()), (0, ""), "no line is sent");
}

#[actix_web::test]
async fn real_servers_without_tls_and_with_starttls_are_well() {
    let folder = tempfile::tempdir().unwrap();
    let (redis, mail) = (redis::start(), MailServer::start_with("starttls", "LOGIN"));
    let rsyslog = Rsyslog::start(folder.path(), None);
    let mut program = program().await;
    for (name, value) in mail.settings() {
        program = program.set(name, &value);
    }
    let program = program.set("REDIS_URL", &redis::url(&redis)).set("LOGSTASH_URL", &rsyslog.url());
    doctor(&program).assert_well(&[
        "ok greeting 220 mail.test",
        "ok TLS by STARTTLS, issued by tests of sample-app, 1 day left, made out to localhost",
    ]);
    let left: Vec<String> = redis::ask(&redis, &["KEYS", "*doctor*"]);
    assert_eq!((left, mail.mails().len()), (Vec::new(), 0));
}

#[actix_web::test]
async fn a_cluster_is_well() {
    let nodes = redis::start_cluster();
    let program = program().await.set("REDIS_URL", &redis::url(&nodes[0])).set("REDIS_CLUSTER", "true");
    doctor(&program).assert_well(&["SET, GET and DEL of a key"]);
}

#[actix_web::test]
async fn a_closed_pipe_is_no_panic() {
    let program = program().await;
    let mut command = program.command();
    let mut child = command.arg("doctor").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let complaints = child.wait_with_output().unwrap().stderr;
    assert!(!String::from_utf8_lossy(&complaints).contains("panicked"));
}

#[actix_web::test]
async fn mysql_is_well_by_every_mode_of_tls() {
    let program = program().await;
    if !program.database.is_mysql_or_says("there is no server") {
        return;
    }
    let ca = std::env::var("TEST_DATABASE_CA_FILE").unwrap();
    doctor(&program).assert_well(&[
        "ok greeting version ",
        "offers TLS",
        "not checked",
        "ok sign-in root is in",
    ]);
    let program = program.set("DATABASE_SSL_MODE", "disabled");
    let (none, needed) =
        ("ok TLS none, as DATABASE_SSL_MODE=disabled says", "caching_sha2_password, which needs TLS");
    match is_mariadb(&program.database).await {
        true => doctor(&program).assert_well(&[none]),
        false => doctor(&program).assert_ill("database", "sign-in", &[none, needed]),
    }
    let program = program.set("DATABASE_CA_FILE", &ca);
    let program = program.set("DATABASE_SSL_MODE", "verify_identity");
    let issued = "ok TLS issued by sample-app tests, 1 day left, made out to";
    doctor(&program).assert_well(&[issued]);
    // Another name for this machine, which the certificate does not contain.
    let other = program.database.url.replace("127.0.0.1", "localhost.localdomain");
    if std::net::ToSocketAddrs::to_socket_addrs(&("localhost.localdomain", 0)).is_ok() {
        let program = program.set("DATABASE_URL", &other);
        let words = ["not made out to localhost.localdomain", "DATABASE_SSL_MODE=verify_ca"];
        doctor(&program).assert_ill("database", "TLS", &words);
        let program = program.set("DATABASE_SSL_MODE", "verify_ca");
        doctor(&program).assert_well(&["made out to another name"]);
    }
}
