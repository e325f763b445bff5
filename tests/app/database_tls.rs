//! TLS to the database: a certificate that cannot be verified is rejected, without a fallback to plain text.

use std::time::{Duration, Instant};

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use sqlx::{ConnectOptions, Connection};

use crate::support::database_server::is_mariadb;
use crate::support::doctor::doctor;
use crate::support::{Certificates, Program, TestApp};

/// Whether the application connects to the test's own server with these settings.
async fn connects(mode: &str, ca_file: &str) -> bool {
    let settings = [("DATABASE_SSL_MODE", mode), ("DATABASE_CA_FILE", ca_file)];
    let app = TestApp::start_unmigrated(&settings).await;
    for _ in 0..20 {
        match app.app.db.conn().await {
            Ok(_) => return true,
            // On a busy machine; it says nothing about the certificate.
            Err(error) if error.to_string().to_lowercase().contains("time") => {}
            Err(_) => return false,
        }
    }
    panic!("the server does not answer");
}

#[actix_web::test]
async fn only_a_certificate_that_can_be_verified_will_do() {
    if !TestApp::start_unmigrated(&[]).await.database.is_mysql_or_says("it has no network") {
        return;
    }
    let Ok(right) = std::env::var("TEST_DATABASE_CA_FILE") else {
        eprintln!("nothing to test: TEST_DATABASE_CA_FILE does not say who signed the server's certificate");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let wrong = Certificates::create(folder.path()).ca.display().to_string();
    for mode in ["verify_ca", "verify_identity"] {
        assert!(connects(mode, &right).await, "{mode}");
        assert!(!connects(mode, &wrong).await, "{mode}: signed by somebody else");
        assert!(!connects(mode, "").await, "{mode}: signed by nobody whom the system knows");
    }
}

/// Asks the server whether the verified connection is encrypted.
#[actix_web::test]
async fn the_connection_is_encrypted() {
    let Ok(right) = std::env::var("TEST_DATABASE_CA_FILE") else {
        eprintln!("nothing to test: TEST_DATABASE_CA_FILE does not say who signed the server's certificate");
        return;
    };
    let settings = [("DATABASE_SSL_MODE", "verify_identity"), ("DATABASE_CA_FILE", right.as_str())];
    let app = TestApp::start_unmigrated(&settings).await;
    if !app.database.is_mysql_or_says("it has no network") {
        return;
    }
    let cipher = tls_cipher(&app).await;
    assert!(cipher.contains("AES") || cipher.contains("CHACHA20"), "{cipher:?}");
}

/// With Nagle's algorithm, every handshake waits for the server's delayed acknowledgement, which Linux sends after 40 ms
/// at the earliest (TCP_DELACK_MIN). Without it, one of many attempts is faster than that even on a busy machine.
#[actix_web::test]
async fn a_new_connection_does_not_wait_for_a_delayed_acknowledgement() {
    let app = TestApp::start_unmigrated(&[]).await;
    if !app.database.is_mysql_or_says("it has no network") {
        return;
    }
    let options: MySqlConnectOptions = app.database.url.parse().unwrap();
    let options = options.ssl_mode(MySqlSslMode::Required);
    for _ in 0..200 {
        let start = Instant::now();
        let conn = options.connect().await.unwrap();
        let time = start.elapsed();
        conn.close().await.unwrap();
        if time < Duration::from_millis(35) {
            return;
        }
    }
    panic!("each of 200 connections took longer");
}

async fn tls_cipher(app: &TestApp) -> String {
    use sample_app::db::{Backend, Conn};
    let mut conn = app.app.db.conn().await.unwrap();
    let limit = conn.answer_timeout();
    let answer = match conn.backend_mut().unwrap() {
        Backend::Sqlite(_) => (true, Ok((String::new(), String::new()))),
        Backend::MySql(object) => {
            let sql = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";
            Conn::with_timeout(limit, sqlx::query_as(sql).fetch_one(&mut **object)).await
        }
    };
    let (_, cipher): (String, String) = conn.finish(answer).unwrap();
    cipher
}

/// MySQL caches passwords seen over TLS until a restart and accepts those accounts without TLS meanwhile.
#[actix_web::test]
async fn who_cannot_sign_in_without_tls_after_a_restart_is_told_so_before() {
    let app = TestApp::start_unmigrated(&[]).await;
    if !app.database.is_mysql_or_says("it has no users") || is_mariadb(&app.database).await {
        return;
    }
    let schema = app.database.schema();
    let address = app.database.url.split('@').nth(1).unwrap();
    let grant = format!(
        "CREATE USER {schema} IDENTIFIED WITH caching_sha2_password BY 'secret'; GRANT ALL ON {schema}.* TO {schema}"
    );
    app.database.db_execute(&grant).await;
    let url = format!("mysql://{schema}:secret@{address}");
    let mut program = Program::development().await.set("DATABASE_URL", &url);
    let advice = "set DATABASE_SSL_MODE to required, verify_ca or verify_identity";
    for mode in ["disabled", "required", "disabled"] {
        program = program.set("DATABASE_SSL_MODE", mode);
        let migrated = program.run(&["migrate"]);
        assert_eq!(migrated.code == Some(0), mode == "required", "{}", migrated.stderr);
        if mode == "disabled" {
            let said = migrated.stderr;
            assert!(
                said.contains("caching_sha2_password, which needs TLS") && said.contains(advice),
                "{said}"
            );
            doctor(&program).assert_ill("database", "sign-in", &["which needs TLS", advice]);
        }
    }
}
