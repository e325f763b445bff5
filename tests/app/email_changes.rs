//! Changing the address: it takes effect once the link sent to the new address is followed, and the old address is
//! notified.

use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::support::mails::Mail;
use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, Page, TestApp};

const NEW: &str = "new@example.com";
const INVALID: &str = "Invalid link; you can change your address again in the settings";

async fn ask(browser: &mut Browser, person: &Person, email: &str) -> Page {
    let form = browser.get(&format!("/users/{}/edit", person.id)).await.form("Save changes");
    browser.submit(form.set("user[email]", email).set("user[current_password]", PASSWORD)).await
}

async fn use_link(browser: &mut Browser, link: &str) -> Page {
    let page = browser.get(link).await;
    browser.submit(page.form("Use this address")).await
}

#[actix_web::test]
async fn a_new_address_counts_once_its_link_was_used_and_the_old_one_is_told() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let page = ask(&mut browser, &michael, "New@Example.com").await;
    page.assert_at(200, &format!("/users/{}", michael.id));
    let (kind, said) = page.flash().unwrap();
    assert_eq!(kind, "success");
    assert!(said.starts_with("Profile updated. Your new address counts once"), "{said}");

    let told = app.mail_to(&michael.email, 1).await;
    assert_eq!(told.subject, "Your address is about to change");
    assert!(told.text.contains(NEW) && told.html.contains(NEW));
    assert!(told.link().starts_with("/email_restores/"));
    let mail = app.mail_to(NEW, 1).await;
    assert_eq!(mail.subject, "Confirm your new address");

    app.browser().log_in(NEW, PASSWORD).await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(&michael.email, PASSWORD).await.status, 200);

    // First a scanner follows the link, which changes nothing; then another device, which needs no log-in.
    app.all_mails().await;
    let before = app.database.db_dump().await;
    let page = app.browser().get(&mail.link()).await;
    page.assert_at(200, "/email_changes/kept/edit");
    assert_eq!(app.database.db_dump().await, before);
    let page = use_link(&mut app.browser(), &mail.link()).await;
    page.assert_at(200, "/");
    page.assert_flash("success", "Your new address counts from now on");
    app.browser().log_in(&michael.email, PASSWORD).await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(NEW, PASSWORD).await.status, 200);
    app.browser().get(&mail.link()).await.assert_flash("danger", INVALID);
}

#[actix_web::test]
async fn a_taken_address_answers_alike_and_only_its_owner_learns() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut answers = Vec::new();
    for email in [&lana.email, "free@example.com"] {
        let mut browser = app.logged_in(&michael).await;
        browser.set_cookies.clear();
        let page = ask(&mut browser, &michael, email).await;
        answers.push((page.status, page.path.clone(), page.text(), browser.set_cookies_without_values()));
    }
    assert_eq!(answers[0], answers[1]);

    let mails = app.all_mails().await;
    let told: Vec<_> = mails.iter().filter(|mail| mail.to == michael.email).collect();
    assert_eq!(told.len(), 2, "the old address is told either way");
    let text = |mail: &Mail, new: &str| mail.text.replace(new, "?").replace(&mail.link(), "LINK");
    assert_eq!(text(told[0], &lana.email), text(told[1], "free@example.com"));
    let taken = app.mail_to(&lana.email, 1).await;
    assert_eq!(taken.subject, "You already have an account");
    assert_eq!(taken.link(), "/password_resets/new");
    assert_eq!(app.mail_to("free@example.com", 1).await.subject, "Confirm your new address");
    assert_eq!(app.database.db_text("SELECT email FROM users WHERE name = 'lana'").await, lana.email);
}

/// Otherwise whether the earlier link still works would tell whether the second address is taken.
#[actix_web::test]
async fn asking_anew_ends_the_earlier_link_taken_or_not() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&michael).await;
    for (number, next) in [(1, lana.email.as_str()), (2, "free@example.com")] {
        ask(&mut browser, &michael, NEW).await;
        let link = app.mail_to(NEW, number).await.link();
        ask(&mut browser, &michael, next).await;
        app.browser().get(&link).await.assert_flash("danger", INVALID);
    }
}

#[actix_web::test]
async fn an_address_that_was_taken_in_the_meantime_stays_its_owners() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    let link = app.mail_to(NEW, 1).await.link();
    let mut quick = app.browser();
    quick.sign_up("New", NEW, PASSWORD).await;
    let page = quick.get(&app.mail_to(NEW, 2).await.link()).await;
    quick.submit(page.form("Activate my account")).await.assert_flash("success", "Account activated!");
    use_link(&mut app.browser(), &link).await.assert_flash("danger", INVALID);
    assert_eq!(app.database.db_text("SELECT email FROM users WHERE name = 'michael'").await, michael.email);
}

/// Anybody can sign up with any address. Until it is confirmed, the sign-up must not block the address for others.
#[actix_web::test]
async fn a_sign_up_that_was_never_activated_holds_no_address() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.browser().sign_up("Squatter", NEW, PASSWORD).await;
    app.mail_to(NEW, 1).await;
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    let mail = app.mail_to(NEW, 2).await;
    assert_eq!(mail.subject, "Confirm your new address");
    let page = use_link(&mut app.browser(), &mail.link()).await;
    page.assert_flash("success", "Your new address counts from now on");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_text("SELECT email FROM users").await, NEW);
}

#[actix_web::test]
async fn a_link_is_good_for_three_days_and_only_with_its_address() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    let link = app.mail_to(NEW, 1).await.link();
    app.browser().get(&link.replace("new%40", "other%40")).await.assert_flash("danger", INVALID);
    app.browser().patch("/email_changes/kept", &[("email", NEW)]).await.assert_redirect("/");
    app.pass(TimeDelta::days(3) - TimeDelta::minutes(1));
    app.browser().get(&link).await.assert_at(200, "/email_changes/kept/edit");
    app.pass(TimeDelta::minutes(1));
    app.browser().get(&link).await.assert_flash("danger", INVALID);
}

#[actix_web::test]
async fn of_fifty_parallel_uses_one_succeeds() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    let mut browser = app.browser();
    let button = browser.get(&app.mail_to(NEW, 1).await.link()).await.form("Use this address");
    let uses = (0..50).map(|_| {
        let (mut browser, button) = (browser.clone(), button.clone());
        async move {
            browser.submit_until_taken(button).await.assert_redirect("/");
            browser.cookies["flash"].clone()
        }
    });
    let said = join_all(uses).await;
    assert_eq!(said.iter().filter(|said| said.contains("success")).count(), 1, "{said:?}");
}

/// The mail to the old address says: if that was not you, choose a new password. That must stop the change.
#[actix_web::test]
async fn a_new_password_ends_a_change_that_was_asked_for() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    let link = app.mail_to(NEW, 1).await.link();
    let mut thief = app.browser();
    let button = thief.get(&link).await.form("Use this address");

    app.browser().ask_reset(&michael.email).await;
    let mut owner = app.browser();
    let mails = app.mails_to(&michael.email, 2).await;
    let reset = mails.iter().find(|mail| mail.subject == "Password reset").unwrap();
    let form = owner.get(&reset.link()).await.form("Update password");
    let form = form.set("user[password]", "my own again").set("user[password_confirmation]", "my own again");
    owner.submit(form).await.assert_flash("success", "Password has been reset.");

    thief.submit(button).await.assert_flash("danger", INVALID);
    app.browser().get(&link).await.assert_flash("danger", INVALID);
    assert_eq!(app.database.db_text("SELECT email FROM users").await, michael.email);
}

/// Whoever reads the old mailbox must have no access any more.
#[actix_web::test]
async fn a_reset_link_sent_to_the_old_address_ends_with_it() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.browser().ask_reset(&michael.email).await;
    let reset = app.mail_to(&michael.email, 1).await.link();
    ask(&mut app.logged_in(&michael).await, &michael, NEW).await;
    use_link(&mut app.browser(), &app.mail_to(NEW, 1).await.link()).await;
    app.mails_to(&michael.email, 3).await;
    app.browser().get(&reset).await.assert_flash("danger", "Invalid password reset link");
}

#[actix_web::test]
async fn the_address_in_another_spelling_is_no_new_one() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let page = browser.submit(form.set("user[email]", " Michael@EXAMPLE.com ")).await;
    page.assert_flash("success", "Profile updated");
    assert_eq!(app.all_mails().await.len(), 0);
}

#[actix_web::test]
async fn a_waiting_address_is_shown_sent_again_and_cancelled() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&michael).await;
    let settings = format!("/users/{}/edit", michael.id);
    assert!(!browser.get(&settings).await.has(".pending_email"));
    // A change to a taken address is pending like any other.
    for (number, email) in [lana.email.as_str(), NEW].into_iter().enumerate() {
        ask(&mut browser, &michael, email).await;
        let page = browser.get(&settings).await;
        assert_eq!(page.all(".pending_email strong"), [email, &michael.email]);
        let page = browser.submit(page.form("Send it again")).await;
        page.assert_at(200, &settings);
        page.assert_flash("info", "Email sent with another link to confirm your new address.");
        let mails = app.mails_to(email, 2).await;
        assert_eq!(mails[0].subject, mails[1].subject);
        assert_eq!(app.mails_to(&michael.email, number + 1).await.len(), number + 1, "told once each");
    }
    let mails = app.mails_to(NEW, 2).await;
    app.browser().get(&mails[0].link()).await.assert_flash("danger", INVALID);
    let page = browser.get(&settings).await;
    let page = browser.submit(page.form("Cancel the change")).await;
    page.assert_at(200, &settings);
    page.assert_flash("success", "The change of address was cancelled. Your address stays as it is.");
    assert!(!page.has(".pending_email"));
    app.browser().get(&mails[1].link()).await.assert_flash("danger", INVALID);
    let page = browser.post("/email_changes", &[]).await;
    page.assert_redirect(&settings);
    assert_eq!(app.mails_to(NEW, 2).await.len(), 2, "nothing waits, nothing is sent");

    ask(&mut browser, &michael, NEW).await;
    app.pass(TimeDelta::days(3));
    assert!(!browser.get(&settings).await.has(".pending_email"), "its link is too old");
}
