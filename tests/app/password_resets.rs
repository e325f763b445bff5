//! Forgotten passwords: requesting the mail, its link, and the new password.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use crate::support::page::Form;
use crate::support::people::{PASSWORD, Person};
use crate::support::{Page, TestApp};

const INVALID: &str = "Invalid password reset link";
const NEW: &str = "a brand new password";

async fn reset_link(app: &TestApp, person: &Person) -> String {
    app.browser().ask_reset(&person.email).await.assert_at(200, "/");
    app.mail_to(&person.email, 1).await.link()
}

fn fill(page: &Page, password: &str, confirmation: &str) -> Form {
    let form = page.form("Update password").set("user[password]", password);
    form.set("user[password_confirmation]", confirmation)
}

#[actix_web::test]
async fn from_the_forgotten_password_to_a_new_one() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    let page = browser.get("/password_resets/new").await;
    assert_eq!(
        (page.title().as_str(), page.one("h1").as_str()),
        ("Forgot password | Sample App", "Forgot password")
    );
    let page = browser.ask_reset("").await;
    page.assert_at(422, "/password_resets");
    assert_eq!(page.errors(), ["Email can't be blank"]);

    let page = browser.ask_reset("MICHAEL@example.com").await;
    page.assert_at(200, "/");
    let said = "Email sent with password reset instructions if that address has an account.";
    page.assert_flash("info", said);
    let mail = app.mail_to(&michael.email, 1).await;
    assert_eq!(mail.subject, "Password reset");

    let link = mail.link();
    let wrong_address = link.replace("michael%40", "wrong%40");
    let wrong_token = "/password_resets/wrong/edit?email=michael%40example.com";
    for bad in [wrong_address.as_str(), wrong_token, "/password_resets/kept/edit"] {
        let page = app.browser().get(bad).await;
        page.assert_at(200, "/");
        page.assert_flash("danger", INVALID);
    }

    let page = browser.get(&link).await;
    page.assert_at(200, "/password_resets/kept/edit");
    assert_eq!(page.attrs("input[name=email][type=hidden]", "value"), [michael.email.as_str()]);
    let page = browser.submit(fill(&page, "foobaz 12345", "barquux 12345")).await;
    page.assert_at(422, "/password_resets/kept");
    assert_eq!(page.errors(), ["Password confirmation doesn't match Password"]);
    let page = browser.submit(fill(&page, "", "")).await;
    assert_eq!((page.status, page.errors()), (422, vec!["Password can't be blank".to_owned()]));
    assert!(!browser.is_logged_in().await);

    let page = browser.submit(fill(&page, NEW, NEW)).await;
    page.assert_at(200, &format!("/users/{}", michael.id));
    page.assert_flash("success", "Password has been reset.");
    assert!(browser.is_logged_in().await);
    assert!(!browser.cookies.contains_key("mail_link"));
    app.browser().log_in(&michael.email, PASSWORD).await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(&michael.email, NEW).await.status, 200);
}

#[actix_web::test]
async fn a_link_expires_after_two_hours() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let link = reset_link(&app, &michael).await;
    app.pass(TimeDelta::minutes(119));
    let mut browser = app.browser();
    let page = browser.get(&link).await;
    page.assert_at(200, "/password_resets/kept/edit");
    app.pass(TimeDelta::minutes(1));
    let page = browser.submit(fill(&page, NEW, NEW)).await;
    page.assert_at(200, "/password_resets/new");
    page.assert_flash("danger", "Password reset has expired.");
    browser.get(&link).await.assert_at(200, "/password_resets/new");
    assert_eq!(app.browser().log_in(&michael.email, PASSWORD).await.status, 200);
}

#[actix_web::test]
async fn a_link_works_once_and_only_the_newest() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let first = reset_link(&app, &michael).await;
    app.browser().ask_reset(&michael.email).await;
    let second = app.mail_to(&michael.email, 2).await.link();
    app.browser().get(&first).await.assert_flash("danger", INVALID);

    let (mut browser, mut late) = (app.browser(), app.browser());
    let (page, late_page) = (browser.get(&second).await, late.get(&second).await);
    browser.submit(fill(&page, NEW, NEW)).await.assert_flash("success", "Password has been reset.");
    late.submit(fill(&late_page, "another one", "another one")).await.assert_flash("danger", INVALID);
    browser.get(&second).await.assert_flash("danger", INVALID);
    assert_eq!(app.browser().log_in(&michael.email, NEW).await.status, 200);
}

#[actix_web::test]
async fn only_a_digest_of_the_token_is_kept() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let link = reset_link(&app, &michael).await;
    let token = link.split('/').nth(2).unwrap();
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "256 bits: {token}");
    let digest: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(app.database.db_text("SELECT HEX(digest) FROM mail_tokens").await, digest);
    // The token was in the mail only, and is deleted with it.
    app.all_mails().await;
}

#[actix_web::test]
async fn asking_answers_alike_for_every_address() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_unactivated("archer").await);
    let mut answers = Vec::new();
    for email in [&michael.email, &archer.email, "nobody@example.com"] {
        let mut browser = app.browser();
        let page = browser.ask_reset(email).await;
        answers.push((page.status, page.path.clone(), page.text(), browser.set_cookies_without_values()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let mut mails: Vec<_> = app.all_mails().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    mails.sort();
    let expected = [(archer.email, "Password reset"), (michael.email, "Password reset")];
    assert_eq!(mails, expected.map(|(to, subject)| (to, subject.to_owned())));
}

/// Response times must not reveal accounts either: the request does not even look up the account.
#[actix_web::test]
async fn asking_does_the_same_work_for_every_address() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_unactivated("archer").await);
    app.database.db_execute("ALTER TABLE users RENAME TO elsewhere").await;
    for email in [&michael.email, "nobody@example.com"] {
        app.browser().ask_reset(email).await.assert_at(200, "/");
    }
    for email in [&archer.email, "nobody@example.com"] {
        let fields = [("account_activation[email]", email)];
        app.browser().post("/account_activations", &fields).await.assert_redirect("/");
    }
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO users").await;
    app.app.mail_request_wakeup.wake();
    let mut mails: Vec<_> = app.all_mails().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    mails.sort();
    let expected = [(archer.email, "Account activation"), (michael.email, "Password reset")];
    assert_eq!(mails, expected.map(|(to, subject)| (to, subject.to_owned())));
}

/// The link proves access to the mailbox, which is all that activation needs. The account's name may be a stranger's
/// choice, so the mail does not contain it.
#[actix_web::test]
async fn a_reset_activates_and_its_mail_greets_nobody_by_name_before() {
    let app = TestApp::start().await;
    let archer = app.db_unactivated("archer").await;
    let link = reset_link(&app, &archer).await;
    assert!(!app.mail_to(&archer.email, 1).await.text.contains("Hi archer"));
    let as_activation = link.replace("password_resets", "account_activations");
    app.browser().get(&as_activation).await.assert_flash("danger", "Invalid activation link");
    let mut browser = app.browser();
    let page = browser.get(&link).await;
    browser.submit(fill(&page, NEW, NEW)).await.assert_flash("success", "Password has been reset.");
    assert!(browser.is_logged_in().await);
    assert_eq!(app.browser().log_in(&archer.email, NEW).await.status, 200);
    let told = app.mail_to(&archer.email, 2).await;
    assert_eq!(told.subject, "Your password was changed");
}

#[actix_web::test]
async fn a_reset_ends_every_session_and_device() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut session = app.logged_in(&michael).await;
    let mut device = app.browser();
    device.log_in_remembered(&michael.email, PASSWORD).await;
    let link = reset_link(&app, &michael).await;
    let mut browser = app.browser();
    let page = browser.get(&link).await;
    assert!(session.is_logged_in().await && device.is_logged_in().await);
    browser.submit(fill(&page, NEW, NEW)).await.assert_flash("success", "Password has been reset.");
    assert!(!session.is_logged_in().await);
    assert!(!device.is_logged_in().await);
    assert!(browser.is_logged_in().await);
}

#[actix_web::test]
async fn the_token_leaves_the_address_at_once() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let link = reset_link(&app, &michael).await;
    let mut browser = app.browser();
    let answer = browser.get_only(&link).await;
    answer.assert_redirect("/password_resets/kept/edit");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let token = link.split('/').nth(2).unwrap();
    assert!(!browser.get("/password_resets/kept/edit").await.text().contains(token));
}

#[actix_web::test]
async fn of_fifty_parallel_resets_one_succeeds() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let link = reset_link(&app, &michael).await;
    let mut browser = app.browser();
    let page = browser.get(&link).await;
    let uses = (0..50).map(|n| {
        let mut browser = browser.clone();
        let password = format!("parallel password {n}");
        let form = fill(&page, &password, &password);
        async move { (browser.submit_until_taken(form).await, password) }
    });
    let answers = join_all(uses).await;
    assert!(answers.iter().all(|(answer, _)| answer.status == 303));
    let winners: Vec<_> =
        answers.iter().filter(|(answer, _)| answer.location().unwrap().starts_with("/users/")).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(app.browser().log_in(&michael.email, &winners[0].1).await.status, 200);
}

#[actix_web::test]
async fn fifty_requests_at_once_leave_one_good_link() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let asking = (0..50).map(|_| {
        let mut browser = app.browser();
        let fields = [("password_reset[email]", michael.email.clone())];
        async move {
            let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
            browser.post_until_taken("/password_resets", &fields).await
        }
    });
    assert!(join_all(asking).await.iter().all(|answer| answer.status == 303));
    let mut good = 0;
    for mail in app.all_mails().await {
        let page = app.browser().get(&mail.link()).await;
        good += u32::from(page.path == "/password_resets/kept/edit");
    }
    assert_eq!(good, 1);
}

#[actix_web::test]
async fn a_password_changed_in_the_settings_ends_the_link() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let link = reset_link(&app, &michael).await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let form = form.set("user[password]", NEW).set("user[password_confirmation]", NEW);
    browser.submit(form.set("user[current_password]", PASSWORD)).await.assert_flash(
        "success",
        "Profile updated. Your password was changed, and all other devices were logged out.",
    );
    app.browser().get(&link).await.assert_flash("danger", INVALID);
}
