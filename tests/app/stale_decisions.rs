//! A decision based on the old password does not count after a reset. Verifying a password takes a while, in which a
//! second instance resets it.

use std::future::Future;

use crate::busy::{hold, until_so_many_wait};
use crate::support::people::{PASSWORD, Person};
use crate::support::{Page, TestApp};

const NEW: &str = "a brand new password";

/// Starts `request`, resets the password while the request waits for the verification, and returns its response.
async fn overtaken_by_a_reset(app: &TestApp, person: &Person, request: impl Future<Output = Page>) -> Page {
    app.browser().ask_reset(&person.email).await;
    let link = app.mail_to(&person.email, 1).await.link();
    // Waits for the mail, because either instance may deliver it, each into its own folder.
    let other = TestApp::start_with(&[("DATABASE_URL", &app.database.url)]).await;
    let mut owner = other.browser();
    let form = owner.get(&link).await.form("Update password");
    let form = form.set("user[password]", NEW).set("user[password_confirmation]", NEW);
    let threads = app.app.passwords.threads();
    let held = hold(threads).await;
    let reset = async {
        until_so_many_wait(threads, 1).await;
        owner.submit(form).await.assert_flash("success", "Password has been reset.");
        drop(held);
    };
    let (answer, ()) = tokio::join!(request, reset);
    assert_eq!(app.browser().log_in(&person.email, NEW).await.status, 200, "the reset holds");
    answer
}

#[actix_web::test]
async fn a_change_of_the_password_overtaken_by_a_reset_is_dropped() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    let mut stranger = app.logged_in(&anna).await;
    let form = stranger.get(&format!("/users/{}/edit", anna.id)).await.form("Save changes");
    let form = form
        .set("user[name]", "Somebody")
        .set("user[current_password]", PASSWORD)
        .set("user[password]", "the stranger's password")
        .set("user[password_confirmation]", "the stranger's password");
    let page = overtaken_by_a_reset(&app, &anna, stranger.clone().submit_only(form)).await;
    page.assert_redirect("/login");
    assert!(!stranger.is_logged_in().await);
    assert_eq!(app.database.db_text("SELECT name FROM users").await, "anna");
}

#[actix_web::test]
async fn a_log_in_overtaken_by_a_reset_leaves_neither_session_nor_device() {
    let app = TestApp::start().await;
    let anna = app.db_person("anna").await;
    let mut stranger = app.browser();
    let request = async { stranger.log_in_remembered(&anna.email, PASSWORD).await };
    overtaken_by_a_reset(&app, &anna, request).await.assert_at(200, "/login");
    assert!(!stranger.is_logged_in().await);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}
