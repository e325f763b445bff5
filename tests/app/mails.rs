//! The mails: contents, sender, MIME parts, and unique Message-IDs.

use std::collections::HashSet;

use reqwest::Method;
use reqwest::header::{HOST, ORIGIN};

use crate::support::TestApp;
use crate::support::app::APP_URL;
use crate::support::mails::Mail;
use crate::support::page::Page;
use crate::support::people::PASSWORD;

/// Asserts what all mails have in common.
fn assert_formal(mail: &Mail, to: &str, name: &str) {
    assert_eq!(mail.from, "\"Sample App\" <no-reply@sample.test>");
    assert_eq!(mail.to, to);
    let greeting = if name.is_empty() { "Hi,".to_owned() } else { format!("Hi {name},") };
    assert!(mail.text.starts_with(&greeting), "{}", mail.text);
    let (id, domain) = mail.message_id.trim_matches(['<', '>']).split_once('@').unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{}", mail.message_id);
    assert_eq!(domain, "sample.test");
    assert!(mail.raw.contains("\r\nDate: ") && mail.raw.contains("MIME-Version: 1.0"));
    assert!(mail.raw.contains("multipart/alternative"));
    assert!(mail.raw.contains("\r\nAuto-Submitted: auto-generated\r\n"), "RFC 3834: no robot answers it");
    assert!(mail.raw.is_ascii(), "no server needs to know 8BITMIME");
    assert!(mail.raw.lines().all(|line| line.len() <= 998), "RFC 5322, 2.1.1");
    // Both parts contain the same link, to the configured host.
    let html = Page::parse(&mail.html);
    assert_eq!(html.attrs("a", "href"), [format!("{APP_URL}{}", mail.link())]);
    assert_eq!(html.one("h1"), "Sample App");
}

#[actix_web::test]
async fn account_activation() {
    let app = TestApp::start().await;
    app.browser().sign_up("Michael Example", "mi+chael@example.com", PASSWORD).await;
    let mail = app.mail_to("mi+chael@example.com", 1).await;
    assert_formal(&mail, "mi+chael@example.com", "");
    assert_eq!(mail.subject, "Account activation");
    let link = mail.link();
    let (path, query) = link.split_once('?').unwrap();
    assert!(path.starts_with("/account_activations/") && path.ends_with("/edit"), "{link}");
    assert_eq!(query, "email=mi%2Bchael%40example.com");
    assert!(mail.text.contains("three days") && mail.html.contains("three days"));
    let page = app.browser().get(&link).await;
    assert_eq!(page.status, 200);
    page.form("Activate my account");
}

#[actix_web::test]
async fn password_reset() {
    let app = TestApp::start().await;
    let michael = app.db_person("Michael Example").await;
    app.browser().ask_reset(&michael.email).await;
    let mail = app.mail_to(&michael.email, 1).await;
    assert_formal(&mail, &michael.email, &michael.name);
    assert_eq!(mail.subject, "Password reset");
    let link = mail.link();
    assert!(link.starts_with("/password_resets/"), "{link}");
    assert!(link.ends_with("/edit?email=michael.example%40example.com"), "{link}");
    for part in [&mail.text, &mail.html] {
        assert!(part.contains("expires in two hours") && part.contains("ignore this mail"), "{part}");
    }
}

#[actix_web::test]
async fn the_mails_about_an_address() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let form = form.set("user[email]", "new@example.com").set("user[current_password]", PASSWORD);
    browser.submit(form).await.assert_at(200, &format!("/users/{}", michael.id));
    app.browser().sign_up("Eve", &lana.email, PASSWORD).await;

    let confirm = app.mail_to("new@example.com", 1).await;
    assert_formal(&confirm, "new@example.com", "");
    assert_eq!(confirm.subject, "Confirm your new address");
    assert!(confirm.link().starts_with("/email_changes/"));
    assert!(
        !confirm.raw.contains("michael"),
        "no word of the sender goes to an address that nobody confirmed"
    );
    let told = app.mail_to(&michael.email, 1).await;
    assert_formal(&told, &michael.email, "michael");
    assert_eq!(told.subject, "Your address is about to change");
    let taken = app.mail_to(&lana.email, 1).await;
    assert_formal(&taken, &lana.email, "lana");
    assert_eq!(taken.subject, "You already have an account");
    assert!(!taken.raw.contains("Eve"), "a stranger puts no words into it");

    let page = browser.get(&confirm.link()).await;
    browser.submit(page.form("Use this address")).await;
    let changed = app.mail_to(&michael.email, 2).await;
    assert_formal(&changed, &michael.email, "michael");
    assert_eq!(changed.subject, "Your address was changed");
    for mail in [&told, &changed] {
        assert!(mail.link().starts_with("/email_restores/"), "{}", mail.text);
        assert!(mail.text.contains("seven days") && mail.html.contains("seven days"));
    }
    let page = browser.get(&changed.link()).await;
    let form = page.form("Take my account back").set("user[password]", "my own again");
    browser.submit(form.set("user[password_confirmation]", "my own again")).await;
    let restored = app.mail_to("new@example.com", 2).await;
    assert_formal(&restored, "new@example.com", "");
    let password = app.mail_to(&michael.email, 3).await;
    assert_formal(&password, &michael.email, "michael");
    let mails = [confirm, told, taken, changed, restored, password];
    let ids: HashSet<_> = mails.into_iter().map(|mail| mail.message_id).collect();
    assert_eq!(ids.len(), 6);
}

/// Anybody can sign up with anybody's address, so what they typed must not reach that address.
#[actix_web::test]
async fn nothing_of_the_sender_is_in_a_mail_to_an_unconfirmed_address() {
    let app = TestApp::start().await;
    let name = "You won! http://evil.example";
    app.browser().sign_up(name, "eve@example.com", PASSWORD).await.assert_at(200, "/");
    app.browser().ask_reset("eve@example.com").await;
    for mail in app.mails_to("eve@example.com", 2).await {
        assert_formal(&mail, "eve@example.com", "");
        assert!(!mail.raw.contains("You won") && !mail.raw.contains("evil.example"), "{}", mail.raw);
    }
}

#[actix_web::test]
async fn a_name_is_text_in_both_parts() {
    let app = TestApp::start().await;
    for name in ["<b>Eve</b> & \"Co\" <a href=//evil>", "김철수 🦀", "Łukasz Ümit", "عمر", &"長".repeat(50)]
    {
        let michael = app.db_person("michael").await;
        let escaped = name.replace('\'', "''");
        app.database.db_execute(&format!("UPDATE users SET name = '{escaped}'")).await;
        app.browser().ask_reset(&michael.email).await;
        let mail = app.mail_to(&michael.email, 1).await;
        assert_formal(&mail, &michael.email, name);
        let html = Page::parse(&mail.html);
        assert!(!html.has("b"));
        assert!(html.all("p").contains(&format!("Hi {name},")), "{}", mail.html);
        app.database.db_execute("DELETE FROM users").await;
        std::fs::remove_dir_all(app.folder.path().join("mail")).unwrap();
    }
}

#[actix_web::test]
async fn no_line_break_gets_into_a_header() {
    let app = TestApp::start().await;
    for (name, email) in [
        ("Eve\r\nBcc: x@example.com", "eve@example.com"),
        ("Eve", "eve@example.com\r\nBcc: x@example.com"),
        ("Eve", "eve@example.com%0d%0aBcc: x@example.com"),
        ("Eve", "eve@example.com, x@example.com"),
        ("Eve", "<eve@example.com>"),
    ] {
        app.browser().sign_up(name, email, PASSWORD).await.assert_at(422, "/users");
        if email != "eve@example.com" {
            app.browser().ask_reset(email).await.assert_at(422, "/password_resets");
        }
    }
    assert_eq!(app.all_mails().await.len(), 0);
}

#[actix_web::test]
async fn a_forged_host_gets_into_no_link() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    let request = browser.request(Method::POST, "/password_resets");
    let request = request.form(&[("password_reset[email]", &michael.email)]).header(ORIGIN, APP_URL);
    let request = request.header(HOST, "evil.example").header("x-forwarded-host", "evil.example");
    let answer: Page = browser.send(request, "/password_resets").await;
    answer.assert_redirect("/");
    let mail = app.mail_to(&michael.email, 1).await;
    assert_formal(&mail, &michael.email, "michael");
    assert!(!mail.raw.contains("evil.example"));
}

#[actix_web::test]
async fn the_sender_is_of_the_mail_domain() {
    let app = TestApp::start_with(&[("MAIL_FROM", "hello@mail.example")]).await;
    app.browser().sign_up("Archer", "archer@example.com", PASSWORD).await;
    let mail = app.mail_to("archer@example.com", 1).await;
    assert_eq!(mail.from, "\"Sample App\" <hello@mail.example>");
    assert!(mail.message_id.ends_with("@mail.example>"), "{}", mail.message_id);
}
