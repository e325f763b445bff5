//! SES events: bounces and complaints stop mail to an address, other events do not.

use chrono::TimeDelta;

use crate::support::Page;
use crate::support::outbox::PARKED;
use crate::support::people::PASSWORD;
use crate::support::sns::{Sns, bounce, complaint, post};

pub const SUPPRESSED: &str = "SELECT COUNT(*) FROM suppressions WHERE lifted_at IS NULL";

#[actix_web::test]
async fn who_bounces_or_complains_gets_no_more_mail() {
    for (version, told) in [
        ("1", bounce("Permanent", "anna@example.com")),
        ("2", bounce("Permanent", "Anna@Example.com")),
        ("1", complaint("anna@example.com")),
        ("2", complaint("anna@example.com")),
    ] {
        let sns = Sns::start();
        let app = sns.app().await;
        let (anna, admin) = (app.db_person("anna").await, app.db_admin("admin").await);
        let message = sns.message("Notification", &told, app.app.clock.now(), version);
        let page = post(&app.browser(), message.to_string()).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(app.database.db_number(SUPPRESSED).await, 1);
        assert_eq!(app.database.db_text("SELECT email FROM suppressions").await, "anna@example.com");

        // The page is the same as always; the mail is marked as failed.
        let known = app.browser().ask_reset(&anna.email).await;
        app.database.db_until(PARKED, 1).await;
        let unknown = app.browser().ask_reset("nobody@example.com").await;
        assert_eq!((known.status, known.path, known.body), (unknown.status, unknown.path, unknown.body));
        let why = app.database.db_text("SELECT last_error FROM outbox").await;
        assert!(why.starts_with("not sent, the address is suppressed: "), "{why}");

        let mut browser = app.logged_in(&admin).await;
        let outbox = browser.get("/admin/outbox").await;
        assert!(outbox.one("section.waiting a").ends_with(": 1"), "{}", outbox.text());
        let page = browser.get("/admin/suppressions").await;
        assert_eq!(page.all(".suppressions .recipient"), ["a***@example.com"]);
        assert!(page.one(".suppressions .reason").contains(if told.contains("Complaint") {
            "abuse"
        } else {
            "bounce"
        }));
        browser.submit(page.form("Lift")).await.assert_flash("success", "The address gets mail again.");
        assert_eq!(app.database.db_number(SUPPRESSED).await, 0);

        // A repeated message: a suppression that an admin lifted stays lifted.
        app.pass(TimeDelta::minutes(1));
        assert_eq!(post(&app.browser(), message.to_string()).await.status, 200);
        assert_eq!(app.database.db_number(SUPPRESSED).await, 0);
        let form = browser.get("/admin/outbox").await.form("Send again");
        browser.submit(form).await;
        assert_eq!(app.mail_to("anna@example.com", 1).await.subject, "Password reset");

        // A new bounce.
        app.pass(TimeDelta::minutes(1));
        let again = sns.message("Notification", &told, app.app.clock.now(), version);
        assert_eq!(post(&app.browser(), again.to_string()).await.status, 200);
        assert_eq!(app.database.db_number(SUPPRESSED).await, 1);
        assert_eq!(app.database.db_number("SELECT COUNT(*) FROM suppressions").await, 1);
        let fetched = sns.asked().matches("SimpleNotificationService-1.pem").count();
        assert_eq!(fetched, 1, "the certificate is kept");
    }
}

/// The response does not reveal whether an address is suppressed.
#[actix_web::test]
async fn signing_up_with_a_suppressed_address_looks_as_always() {
    let sns = Sns::start();
    let app = sns.app().await;
    let told = bounce("Permanent", "gone@example.com");
    let message = sns.message("Notification", &told, app.app.clock.now(), "2");
    assert_eq!(post(&app.browser(), message.to_string()).await.status, 200);
    let suppressed = app.browser().sign_up("Gone", "gone@example.com", PASSWORD).await;
    let fresh = app.browser().sign_up("Gone", "here@example.com", PASSWORD).await;
    let shown =
        |page: &Page, email: &str| (page.status, page.path.clone(), page.text().replace(email, "EMAIL"));
    assert_eq!(shown(&suppressed, "gone@example.com"), shown(&fresh, "here@example.com"));
    app.mail_to("here@example.com", 1).await;
    app.database.db_until(PARKED, 1).await;
    assert_eq!(app.mails_to("gone@example.com", 0).await.len(), 0);
}

#[actix_web::test]
async fn passing_troubles_and_other_news_suppress_nobody() {
    let sns = Sns::start();
    let app = sns.app().await;
    for told in [
        bounce("Transient", "anna@example.com"),
        bounce("Undetermined", "anna@example.com"),
        bounce("Permanent", "no address"),
        complaint("anna@example.com").replace("abuse", "not-spam"),
        "Successfully validated SNS topic for Amazon SES event publishing.".into(),
        "{}".into(),
    ] {
        let message = sns.message("Notification", &told, app.app.clock.now(), "1");
        assert_eq!(post(&app.browser(), message.to_string()).await.status, 200, "{told}");
    }
    let end = sns.message("UnsubscribeConfirmation", "You left", app.app.clock.now(), "1");
    assert_eq!(post(&app.browser(), end.to_string()).await.status, 200);
    assert!(!sns.asked().contains("ConfirmSubscription"), "nobody subscribes again by himself");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM suppressions").await, 0);
}
