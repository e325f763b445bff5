//! The statements that arrive at a server, read from its general log.

use sqlx::{Connection, MySqlConnection};

use crate::support::people::PASSWORD;
use crate::support::{DatabaseServer, TestApp};

/// Text could turn into SQL; it travels beside the statement. Numbers, times and digests may be part of it.
#[actix_web::test]
async fn what_people_type_is_bound() {
    let like = TestApp::start_unmigrated(&[]).await;
    if !like.database.is_mysql_or_says("its library keeps statements and values apart") {
        return;
    }
    let server = DatabaseServer::start(&like.database, &["--general-log=1", "--log-output=TABLE"]).await;
    server.db_execute("CREATE DATABASE sample").await;
    let url = format!("{}/sample", server.url);
    let app = TestApp::start_unmigrated(&[("DATABASE_URL", &url)]).await;
    app.app.db.migrate().await.unwrap();

    app.browser().sign_up("Canary", "canary@example.com", "canary password").await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let mut browser = app.browser();
    browser.log_in_remembered(&anna.email, PASSWORD).await;
    browser.post("/microposts", &[("micropost[content]", "A canary sings")]).await.assert_redirect("/");
    let profile = format!("/users/{}", berta.id);
    browser.post("/relationships", &[("followed_id", &berta.id.to_string())]).await.assert_redirect(&profile);

    let mut conn = MySqlConnection::connect(&server.url).await.unwrap();
    // A digest is no valid text.
    let sql = "SELECT CONVERT(command_type USING utf8mb4), COALESCE(CONVERT(argument USING utf8mb4), '') \
               FROM mysql.general_log";
    let log: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap();
    let of = |command: &str| {
        let sent = log.iter().filter(|(sent, text)| sent == command && !text.contains("general_log"));
        sent.map(|(_, text)| text.to_lowercase()).collect::<Vec<_>>()
    };
    // Both engines write a bound statement down with its values.
    assert!(of("Execute").iter().any(|statement| statement.contains("a canary sings")));
    let with_text: Vec<_> = of("Query")
        .into_iter()
        .filter(|statement| statement.contains("canary") || statement.contains(&hex::encode("canary")))
        .collect();
    assert!(with_text.is_empty(), "{with_text:#?}");
    for part in ["update users set microposts_count", "insert into relationships", "commit"] {
        assert!(of("Query").iter().any(|statement| statement.contains(part)), "{part}");
    }
}
