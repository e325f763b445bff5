//! The statements that arrive at a server.

use crate::support::people::PASSWORD;
use crate::support::statement_log::StatementLog;

/// Text could turn into SQL; it travels beside the statement. Numbers, times and digests may be part of it.
#[actix_web::test]
async fn what_people_type_is_bound() {
    let Some((app, log)) = StatementLog::start(&[]).await else { return };
    app.browser().sign_up("Canary", "canary@example.com", "canary password").await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let mut browser = app.browser();
    browser.log_in_remembered(&anna.email, PASSWORD).await;
    browser.post("/microposts", &[("micropost[content]", "A canary sings")]).await.assert_redirect("/");
    let profile = format!("/users/{}", berta.id);
    browser.post("/relationships", &[("followed_id", &berta.id.to_string())]).await.assert_redirect(&profile);

    let log = log.read().await;
    let of = |command: &str| {
        let sent = log.iter().filter(|(sent, _)| sent == command);
        sent.map(|(_, statement)| statement.to_lowercase()).collect::<Vec<_>>()
    };
    // Both engines write a bound statement down with its values.
    assert!(of("Execute").iter().any(|statement| statement.contains("a canary sings")));
    let queries = of("Query");
    let with_text: Vec<_> = queries
        .iter()
        .filter(|statement| statement.contains("canary") || statement.contains(&hex::encode("canary")))
        .collect();
    assert!(with_text.is_empty(), "{with_text:#?}");
    for part in ["update users set microposts_count", "insert into relationships", "commit"] {
        assert!(queries.iter().any(|statement| statement.contains(part)), "{part}");
    }
}
