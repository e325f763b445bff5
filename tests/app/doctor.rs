//! `sample-app doctor`, the real program, against real servers that are well, and then against what goes wrong at each:
//! nobody there, a name that nobody knows, another authority, a wrong password, a wrong bucket, TLS on one side only.

use std::process::Stdio;

use tempfile::TempDir;

use crate::support::smtp::PASSWORD_CANARY;
use crate::support::{Bucket, Certificates, MailServer, Program, Proxy, Rsyslog, Server, redis};

/// The password wherever a wrong one is tried.
const CANARY: &str = "canary-wrong-password";

/// What it came to: the exit code, what it said with each run of blanks as one, and its complaints.
struct Said {
    code: Option<i32>,
    text: String,
    complaints: String,
}

fn doctor(program: &Program) -> Said {
    let done = program.run(&["doctor"]);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    println!("{}", done.stdout);
    let url = &program.database.url;
    let database_password = url.split('@').next().and_then(|account| account.rsplit(':').next());
    for secret in [CANARY, "canary", PASSWORD_CANARY]
        .into_iter()
        .chain(database_password.filter(|_| program.database.is_mysql()))
    {
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{secret} in {text}");
    }
    Said { code: done.code, text, complaints: done.stderr }
}

impl Said {
    /// All is well, and these words are among what was said.
    fn assert_well(&self, words: &[&str]) {
        assert_eq!(self.code, Some(0), "{}{}", self.text, self.complaints);
        assert!(self.text.contains("All 5 services are well: "), "{}", self.text);
        assert!(!self.text.contains("FAILED") && !self.text.contains("skipped"), "{}", self.text);
        self.assert_said(words);
    }

    /// This service fails at this step, the others are looked at all the same and are well; these words are said.
    fn assert_ill(&self, service: &str, step: &str, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.text, self.complaints);
        let summary = format!("1 of 5 services need attention: {service}.");
        assert!(self.text.ends_with(&summary), "{summary} in {}", self.text);
        assert_eq!(self.text.matches("FAILED").count(), 1, "{}", self.text);
        assert!(self.text.contains(&format!("FAILED {step} ")), "{step} in {}", self.text);
        assert_eq!(self.text.matches("do this:").count(), 1, "{}", self.text);
        self.assert_said(words);
    }

    fn assert_said(&self, words: &[&str]) {
        for words in words {
            assert!(self.text.contains(words), "{words:?} in {}", self.text);
        }
    }
}

/// With an up-to-date database, and everything else embedded.
async fn program() -> Program {
    let program = Program::development().await;
    program.succeed(&["migrate"]);
    program
}

fn with(mut program: Program, settings: &[(&str, &str)]) -> Program {
    for (name, value) in settings {
        program = program.set(name, value);
    }
    program
}

/// An address at which nobody is.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn other_authority() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Certificates::create(folder.path()).ca.display().to_string();
    (folder, ca)
}

fn port(server: &Server) -> u16 {
    server.address.port()
}

/// `mysql://USER:PASSWORD@HOST:PORT/DATABASE` with another password.
fn with_password(url: &str, password: &str) -> String {
    let (account, address) = url.split_once('@').unwrap();
    format!("{}:{password}@{address}", account.rsplit_once(':').unwrap().0)
}

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
        "ok region the store names none",
        "ok round trip an object was put, read and deleted",
        "ok greeting 220 mail.test",
        "ok sign-in user and password are taken",
        "ok connect the connection stands",
    ]);
    assert_eq!(said.text.matches(certificate).count(), 3, "{}", said.text);
    assert!(bucket.objects().is_empty(), "{:?}", bucket.objects());
    assert_eq!((mail.mails().len(), mail.count("MAIL"), mail.count("AUTH PLAIN ok")), (0, 0, 1));
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
async fn a_cluster_is_well_and_one_that_is_not_told_is_noticed() {
    let nodes = redis::start_cluster();
    let program = program().await.set("REDIS_URL", &redis::url(&nodes[0]));
    doctor(&with(program, &[("REDIS_CLUSTER", "true")])).assert_well(&["SET, GET and DEL of a key"]);
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
        let missing = with(program, &[(file, "/nowhere/ca.pem")]);
        doctor(&missing).assert_ill(service, "TLS", &["/nowhere/ca.pem", "it has to be a PEM file"]);
    }
    assert_eq!(mail.count("AUTH") + starttls.count("AUTH"), 0, "no password goes to somebody else");

    let url = mail.url("smtps").replace("localhost", "127.0.0.2");
    let right = mail.certificates.ca.display().to_string();
    let program = program().await.set("SMTP_URL", &url).set("SMTP_CA_FILE", &right);
    let words = ["not made out to 127.0.0.2 but to localhost", "set one of the names in the certificate"];
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
async fn a_wrong_password() {
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(folder.path());
    let redis = redis::start_with_tls(&certificates);
    let ca = certificates.ca.display().to_string();
    for (account, advice) in [
        (format!("app:{CANARY}"), "check user and password (the AUTH token) in REDIS_URL"),
        (format!("other:{CANARY}"), "its id has to be the same as its name"),
    ] {
        let url = format!("rediss://{account}@localhost:{}", port(&redis));
        let program = program().await.set("REDIS_URL", &url).set("REDIS_CA_FILE", &ca);
        doctor(&program).assert_ill("sessions", "sign-in", &[advice]);
    }
    let url = format!("rediss://localhost:{}", port(&redis));
    let nobody = program().await.set("REDIS_URL", &url).set("REDIS_CA_FILE", &ca);
    doctor(&nobody).assert_ill("sessions", "sign-in", &["NOAUTH", "the server asks for a password"]);

    let mail = MailServer::start();
    let url = format!("smtps://AKIASMTP:{CANARY}@localhost:{}", port(&mail.server));
    let ca = mail.certificates.ca.display().to_string();
    let program = program().await.set("SMTP_URL", &url).set("SMTP_CA_FILE", &ca);
    let words = ["Authentication Credentials Invalid", "is not the secret access key", "ok greeting 220"];
    doctor(&program).assert_ill("mail", "sign-in", &words);
}

#[actix_web::test]
async fn a_wrong_key_a_wrong_bucket_and_no_credentials() {
    let bucket = Bucket::start();
    let advice = "correct the credentials, or remove them and give the instance a role";
    let wrong = bucket.program().await.set("AWS_SECRET_ACCESS_KEY", CANARY);
    doctor(&wrong).assert_ill("pictures", "sign-in", &["SignatureDoesNotMatch", advice]);
    let elsewhere = bucket.program().await.set("IMAGES_URL", "s3://elsewhere");
    doctor(&elsewhere).assert_ill("pictures", "sign-in", &["there is no bucket elsewhere: make it"]);
    let nobody = bucket.program_without_credentials().await;
    let words = ["there are no credentials for S3", "give the instance a role", "skipped region"];
    doctor(&nobody).assert_ill("pictures", "sign-in", &words);
}

#[actix_web::test]
async fn a_server_that_says_nothing() {
    let mail = MailServer::start();
    mail.server.freeze();
    let program = program().await.set("SMTP_URL", &mail.url("smtp"));
    doctor(&program).assert_ill("mail", "greeting", &["no answer within 5 s", "smtps:// for 465"]);
}

#[actix_web::test]
async fn a_folder_and_a_file_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "somebody's").unwrap();
    let at = |scheme: &str| format!("{scheme}:{}/in", file.display());
    for (service, step, name, value) in [
        ("pictures", "folder", "IMAGES_URL", at("file")),
        ("mail", "folder", "SMTP_URL", at("file")),
        ("database", "file", "DATABASE_URL", at("sqlite")),
    ] {
        let program = program().await.set(name, &value);
        doctor(&program).assert_ill(service, step, &["let the user who runs the program", name]);
    }
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

// ---- MySQL and MariaDB

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
    doctor(&program).assert_well(&["ok TLS none, as DATABASE_SSL_MODE=disabled says"]);
    let program = program.set("DATABASE_CA_FILE", &ca);
    let program = program.set("DATABASE_SSL_MODE", "verify_identity");
    let issued = "ok TLS issued by sample-app tests, 1 day left, made out to";
    doctor(&program).assert_well(&[issued]);
    // Another name for the same machine, which the certificate does not know.
    let other = program.database.url.replace("127.0.0.1", "localhost.localdomain");
    if std::net::ToSocketAddrs::to_socket_addrs(&("localhost.localdomain", 0)).is_ok() {
        let program = program.set("DATABASE_URL", &other);
        let words = ["not made out to localhost.localdomain", "DATABASE_SSL_MODE=verify_ca"];
        doctor(&program).assert_ill("database", "TLS", &words);
        let program = program.set("DATABASE_SSL_MODE", "verify_ca");
        doctor(&program).assert_well(&["made out to another name"]);
    }
}

#[actix_web::test]
async fn what_goes_wrong_at_mysql() {
    let program = program().await;
    if !program.database.is_mysql_or_says("there is no server") {
        return;
    }
    let url = program.database.url.clone();
    let (_other, ca) = other_authority();
    let program = program.set("DATABASE_SSL_MODE", "verify_ca").set("DATABASE_CA_FILE", &ca);
    let words = [
        "issued by sample-app tests, who is none of the authorities",
        "global-bundle.pem",
        "skipped sign-in",
    ];
    doctor(&program).assert_ill("database", "TLS", &words);
    let program = program.set("DATABASE_CA_FILE", "/nowhere/ca.pem");
    doctor(&program).assert_ill("database", "TLS", &["/nowhere/ca.pem"]);

    let program = program.set("DATABASE_SSL_MODE", "").set("DATABASE_CA_FILE", "");
    let program = program.set("DATABASE_URL", &with_password(&url, CANARY));
    let words = ["Access denied for user 'root'", "(1045)", "AWS_INTRO_SAMPLE_DATABASE_PASSWORD"];
    doctor(&program).assert_ill("database", "sign-in", &words);
    let program = program.set("DATABASE_URL", &format!("{}/nowhere", url.rsplit_once('/').unwrap().0));
    let words = ["Unknown database 'nowhere'", "CREATE DATABASE nowhere"];
    doctor(&program).assert_ill("database", "sign-in", &words);

    let redis = redis::start();
    let account = url.split('@').next().unwrap();
    let at = |port: u16| format!("{account}@127.0.0.1:{port}/b");
    let program = program.set("DATABASE_URL", &at(port(&redis)));
    doctor(&program).assert_ill("database", "greeting", &["no answer within 5 s", "usually 3306"]);
    let mail = MailServer::start_with("starttls", "PLAIN");
    let program = program.set("DATABASE_URL", &at(port(&mail.server)));
    doctor(&program).assert_ill("database", "greeting", &["does not greet as MySQL does", "usually 3306"]);
    let frozen = Proxy::to("127.0.0.1:1".into());
    frozen.freeze();
    let program = program.set("DATABASE_URL", &at(frozen.address.port()));
    doctor(&program).assert_ill("database", "greeting", &["no answer within 5 s", "usually 3306"]);
}
