//! `sample-app doctor` when a real server answers but refuses: a wrong password or bucket, missing rights, a replica.
//! It gives advice, never prints a password, and still checks the other services.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::database_server::is_mariadb;
use crate::support::doctor::{CANARY, doctor, other_authority, port, program};
use crate::support::{Bucket, Certificates, MailServer, Program, Proxy, redis};

/// `mysql://USER:PASSWORD@HOST:PORT/DATABASE` with another password.
fn with_password(url: &str, password: &str) -> String {
    let (account, address) = url.split_once('@').unwrap();
    format!("{}:{password}@{address}", account.rsplit_once(':').unwrap().0)
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
async fn a_sender_that_the_mail_server_does_not_take() {
    let mail = MailServer::start();
    mail.set_fault("mail 553 5.7.1 Sender address rejected: not owned by user");
    let mut program = program().await.set("APP_URL", "http://127.0.0.1:4102");
    for (name, value) in mail.settings() {
        program = program.set(name, &value);
    }
    let said = doctor(&program);
    said.assert_ill("mail", "sender", &["553", "set MAIL_FROM to an address", "ok sign-in"]);
    assert!(said.complaints.starts_with("Note: MAIL_FROM: is not set"), "{}", said.complaints);
    mail.mend();
    doctor(&program).assert_well(&["ok sender no-reply@localhost may send"]);
    let literal = program.set("MAIL_FROM", "no-reply@[127.0.0.1]");
    assert!(literal.fail(&["serve"]).contains("MAIL_FROM: is not a mail address"));
}

/// Only one of three nodes owns the key that is tried first.
#[actix_web::test]
async fn a_cluster_that_the_settings_do_not_know_of_and_the_other_way_round() {
    let nodes = redis::start_cluster();
    let mut told = 0;
    for node in &nodes {
        let said = doctor(&program().await.set("REDIS_URL", &redis::url(node)));
        told += usize::from(said.code == Some(1) && said.text.contains("set REDIS_CLUSTER=true"));
    }
    assert!(told >= 2, "{told} of 3");
    let single = redis::start();
    let program = program().await.set("REDIS_URL", &redis::url(&single)).set("REDIS_CLUSTER", "true");
    doctor(&program).assert_ill("sessions", "sign-in", &["remove REDIS_CLUSTER"]);
}

#[actix_web::test]
async fn a_replica_a_full_server_and_a_user_without_rights() {
    let server = redis::start();
    let program = program().await.set("REDIS_URL", &redis::url(&server));
    let _: () = redis::ask(&server, &["CONFIG", "SET", "maxmemory", "1"]);
    doctor(&program).assert_ill("sessions", "sign-in", &["its memory is full"]);
    let _: () = redis::ask(&server, &["CONFIG", "SET", "maxmemory", "0"]);
    let _: () = redis::ask(&server, &["ACL", "SETUSER", "weak", "on", ">canary", "~other:*", "+@all"]);
    let weak = program.set("REDIS_URL", &format!("redis://weak:canary@{}", server.address));
    doctor(&weak).assert_ill("sessions", "sign-in", &["~sample_app:* +@all"]);
    let _: () = redis::ask(&server, &["REPLICAOF", "127.0.0.1", "1"]);
    let replica = weak.set("REDIS_URL", &redis::url(&server));
    doctor(&replica).assert_ill("sessions", "sign-in", &["set the primary end point"]);
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

/// A store that rejects the time of every request.
#[actix_web::test]
async fn a_clock_that_is_wrong() {
    let store = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", store.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in store.incoming().map_while(Result::ok) {
            std::thread::spawn(move || refuse_for_its_time(stream));
        }
    });
    let program = Bucket::start().program().await.set("AWS_ENDPOINT_URL_S3", &endpoint);
    let words = ["RequestTimeTooSkewed", "the clock of this machine is wrong"];
    doctor(&program).assert_ill("pictures", "sign-in", &words);
}

fn refuse_for_its_time(mut stream: TcpStream) -> std::io::Result<()> {
    // A connection that only probes the port sends nothing.
    if stream.read(&mut [0; 4096])? > 0 {
        let xml =
            "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message></Error>";
        write!(
            stream,
            "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{xml}",
            xml.len()
        )?;
    }
    Ok(())
}

#[actix_web::test]
async fn a_bucket_of_which_nobody_says_the_region() {
    let program = program().await.set("IMAGES_URL", "s3://uploads").set("AWS_EC2_METADATA_DISABLED", "true");
    let words =
        ["nobody says in which region", "set AWS_INTRO_SAMPLE_S3_REGION or AWS_REGION", "skipped name"];
    doctor(&program).assert_ill("pictures", "address", &words);
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

/// MariaDB answers with 1045, as for a wrong password. (MySQL's accounts need TLS anyway: database_tls.rs.)
#[actix_web::test]
async fn an_account_of_mysql_that_requires_tls() {
    let program = program().await;
    if !program.database.is_mysql_or_says("there is no server") || !is_mariadb(&program.database).await {
        return;
    }
    let (server, schema) = program.database.url.rsplit_once('/').unwrap();
    let (schema, address) = (schema.to_owned(), server.rsplit_once('@').unwrap().1.to_owned());
    let user = format!("t{}", &schema[schema.len() - 12..]);
    let db = &program.database;
    db.db_execute(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{CANARY}' REQUIRE SSL")).await;
    db.db_execute(&format!("GRANT ALL ON {schema}.* TO {user}@'%'")).await;
    let theirs = |password: &str| {
        let url = format!("mysql://{user}:{password}@{address}/{schema}");
        async move { Program::development().await.set("DATABASE_URL", &url).set("DATABASE_SSL_MODE", "disabled") }
    };
    let without_tls = doctor(&theirs(CANARY).await);
    let wrong_password = doctor(&theirs(&CANARY.replace("wrong", "canary")).await);
    db.db_execute(&format!("DROP USER {user}@'%'")).await;
    let advice = "remove DATABASE_SSL_MODE=disabled";
    without_tls.assert_ill("database", "sign-in", &["1045", advice]);
    wrong_password.assert_ill("database", "sign-in", &["(1045)", "check the password in DATABASE_URL"]);
    assert!(!wrong_password.text.contains(advice));
}

#[actix_web::test]
async fn a_user_of_mysql_without_rights() {
    let program = program().await;
    if !program.database.is_mysql_or_says("there is no server") {
        return;
    }
    let (server, schema) = program.database.url.rsplit_once('/').unwrap();
    let (schema, address) = (schema.to_owned(), server.rsplit_once('@').unwrap().1.to_owned());
    let user = format!("u{}", &schema[schema.len() - 12..]);
    let db = &program.database;
    db.db_execute(&format!("CREATE USER {user}@'%' IDENTIFIED BY '{CANARY}'")).await;
    let url = format!("mysql://{user}:{CANARY}@{address}/{schema}");
    let theirs = Program::development().await.set("DATABASE_URL", &url);
    let stranger = doctor(&theirs);
    db.db_execute(&format!("GRANT SELECT ON {schema}.* TO {user}@'%'")).await;
    let reader = doctor(&theirs);
    db.db_execute(&format!("DROP USER {user}@'%'")).await;
    stranger.assert_ill(
        "database",
        "sign-in",
        &["(1044)", &format!("GRANT ALL ON {schema}.* TO {user}@'%'")],
    );
    reader.assert_ill("database", "round trip", &["INSERT command denied", "the user may not write"]);
}
