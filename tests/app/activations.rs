//! Account activation: the link in the mail, its button, and requesting another mail.

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;

use crate::support::people::PASSWORD;
use crate::support::{Browser, Page, TestApp};

const ARCHER: &str = "archer@example.com";
const INVALID: &str = "Invalid activation link";

async fn signed_up(app: &TestApp) -> String {
    app.browser().sign_up("Archer", ARCHER, PASSWORD).await.assert_at(200, "/");
    app.mail_to(ARCHER, 1).await.link()
}

async fn ask_again(browser: &mut Browser, email: &str) -> Page {
    let form = browser.get("/account_activations/new").await.form("Send");
    browser.submit(form.set("account_activation[email]", email)).await
}

/// Activates in a browser that did not sign up, which needs the password.
async fn activate_with(browser: &mut Browser, link: &str, password: &str) -> Page {
    let form = browser.get(link).await.form("Activate my account");
    browser.submit(form.set("user[password]", password)).await
}

async fn activate(browser: &mut Browser, link: &str) -> Page {
    activate_with(browser, link, PASSWORD).await
}

#[actix_web::test]
async fn following_the_link_changes_nothing_but_its_button_does() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    app.all_mails().await;
    let before = app.database.db_dump().await;
    // Mail scanners open every link they see, by GET and HEAD, with and without cookies.
    let mut scanner = app.browser();
    scanner.get_only(&link).await.assert_redirect("/account_activations/kept/edit");
    let page = scanner.get(&link).await;
    page.assert_at(200, "/account_activations/kept/edit");
    assert!(page.one("main").contains(ARCHER));
    for path in [link.as_str(), "/account_activations/kept/edit"] {
        let head = app.browser();
        let request = head.request(Method::HEAD, path);
        head.clone().send(request, path).await;
    }
    assert_eq!(app.database.db_dump().await, before);
    assert!(!scanner.is_logged_in().await);

    let mut browser = app.browser();
    let page = activate(&mut browser, &link).await;
    page.assert_flash("success", "Account activated!");
    assert_eq!(page.title(), "Archer | Sample App");
    assert!(browser.is_logged_in().await);
    assert!(!browser.cookies.contains_key("mail_link"));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users WHERE activated_at IS NOT NULL").await, 1);
}

#[actix_web::test]
async fn the_token_leaves_the_address_at_once() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    let mut browser = app.browser();
    let answer = browser.get_only(&link).await;
    answer.assert_redirect("/account_activations/kept/edit");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let token = link.split('/').nth(2).unwrap();
    assert!(!browser.get("/account_activations/kept/edit").await.text().contains(token));
    // Without the cookie the page belongs to nobody.
    app.browser().get("/account_activations/kept/edit").await.assert_flash("danger", INVALID);
}

#[actix_web::test]
async fn a_link_works_once() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    let mut early = app.browser();
    let button = early.get(&link).await.form("Activate my account").set("user[password]", PASSWORD);
    activate(&mut app.browser(), &link).await.assert_flash("success", "Account activated!");
    for page in [early.submit(button).await, app.browser().get(&link).await] {
        page.assert_at(200, "/login");
        page.assert_flash("info", "Your account is already active. You can log in.");
    }
    assert!(!early.is_logged_in().await);
}

#[actix_web::test]
async fn a_link_is_good_for_three_days_and_another_can_be_sent() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    app.pass(TimeDelta::days(3) - TimeDelta::minutes(1));
    let mut browser = app.browser();
    let late = browser.get(&link).await.form("Activate my account").set("user[password]", PASSWORD);
    app.pass(TimeDelta::minutes(1));
    let page = browser.submit(late).await;
    page.assert_at(200, "/account_activations/new");
    page.assert_flash("danger", "The activation link has expired. Here you get another one.");
    browser.get(&link).await.assert_at(200, "/account_activations/new");

    let page = ask_again(&mut browser, " ARCHER@Example.com").await;
    page.assert_at(200, "/");
    page.assert_flash("info", "Email sent with another activation link if that address waits for one.");
    let mail = app.mail_to(ARCHER, 2).await;
    assert_eq!(mail.subject, "Account activation");
    activate(&mut browser, &mail.link()).await.assert_flash("success", "Account activated!");
}

#[actix_web::test]
async fn only_the_newest_link_is_good() {
    let app = TestApp::start().await;
    let first = signed_up(&app).await;
    ask_again(&mut app.browser(), ARCHER).await;
    let second = app.mail_to(ARCHER, 2).await.link();
    assert_ne!(first, second);
    app.browser().get(&first).await.assert_flash("danger", INVALID);
    activate(&mut app.browser(), &second).await.assert_flash("success", "Account activated!");
}

#[actix_web::test]
async fn asking_for_another_link_answers_alike_for_every_address() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_unactivated("archer").await);
    let mut answers = Vec::new();
    for email in [&michael.email, &archer.email, "nobody@example.com"] {
        let mut browser = app.browser();
        let page = ask_again(&mut browser, email).await;
        answers.push((page.status, page.path.clone(), page.text(), browser.set_cookies_without_values()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let mails = app.all_mails().await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].to, archer.email);

    let page = ask_again(&mut app.browser(), "archer@example").await;
    page.assert_at(422, "/account_activations");
    assert_eq!(page.errors(), ["Email is invalid"]);
    assert_eq!(page.attrs("#account_activation_email", "value"), ["archer@example"]);
}

#[actix_web::test]
async fn token_address_and_purpose_belong_together() {
    let app = TestApp::start().await;
    let lana = app.db_person("lana").await;
    let link = signed_up(&app).await;
    app.browser().ask_reset(&lana.email).await;
    let reset = app.mail_to(&lana.email, 1).await.link();
    app.all_mails().await;
    let before = app.database.db_dump().await;
    for bad in [
        link.replace("archer%40", "lana%40"),
        reset.replace("password_resets", "account_activations"),
        "/account_activations/x/edit?email=archer%40example.com".to_owned(),
        "/account_activations/%00/edit?email=%FF".to_owned(),
    ] {
        let page = app.browser().get(&bad).await;
        page.assert_at(200, "/");
        page.assert_flash("danger", INVALID);
        assert_eq!(page.attrs(".offer a", "href"), ["/account_activations/new"], "a way on");
    }
    // The URL that the button posts to, without visiting the page before it.
    let token = link.split('/').nth(2).unwrap();
    let path = format!("/account_activations/{token}");
    app.browser().patch(&path, &[("email", "lana@example.com")]).await.assert_redirect("/");
    app.browser().patch("/account_activations/kept", &[("email", ARCHER)]).await.assert_redirect("/");
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn who_signs_up_anew_before_activating_takes_the_account_over() {
    let app = TestApp::start().await;
    let first = signed_up(&app).await;
    let mut earlier = app.browser();
    let earlier_button =
        earlier.get(&first).await.form("Activate my account").set("user[password]", PASSWORD);
    app.browser().sign_up("Sterling", ARCHER, "another password").await.assert_at(200, "/");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);

    earlier.submit(earlier_button).await.assert_flash("danger", INVALID);
    app.browser().get(&first).await.assert_flash("danger", INVALID);
    let second = app.mail_to(ARCHER, 2).await.link();
    let page = activate_with(&mut app.browser(), &second, "another password").await;
    assert_eq!(page.title(), "Sterling | Sample App");
    app.browser().log_in(ARCHER, PASSWORD).await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(ARCHER, "another password").await.status, 200);
}

#[actix_web::test]
async fn of_fifty_parallel_activations_one_succeeds() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    browser.sign_up("Archer", ARCHER, PASSWORD).await;
    let button = browser.get(&app.mail_to(ARCHER, 1).await.link()).await.form("Activate my account");
    let uses = (0..50).map(|_| {
        let (mut browser, button) = (browser.clone(), button.clone());
        async move { browser.submit_until_taken(button).await }
    });
    let answers = join_all(uses).await;
    assert!(answers.iter().all(|answer| answer.status == 303));
    let leads_to = |path: &str| answers.iter().filter(|a| a.location().unwrap().starts_with(path)).count();
    assert_eq!(leads_to("/users/"), 1);
    let good = "SELECT COUNT(*) FROM mail_tokens WHERE purpose = 'account_activations'";
    assert_eq!(app.database.db_number(good).await, 0);
}

/// An attacker signs up with a stranger's address again after she signed up herself. The mail that she expects must not
/// make her activate an account with the attacker's password.
#[actix_web::test]
async fn the_button_activates_only_what_its_browser_or_its_password_made() {
    let app = TestApp::start().await;
    let mut owner = app.browser();
    owner.sign_up("Archer", ARCHER, PASSWORD).await;
    app.browser().sign_up("Mallory", ARCHER, "the password of mallory").await;
    let link = app.mail_to(ARCHER, 2).await.link();

    let page = owner.get(&link).await;
    let button = page.form("Activate my account");
    assert!(page.has("input[name='user[password]'][autocomplete='current-password']"));
    for form in [button.clone(), button.set("user[password]", PASSWORD)] {
        let page = owner.submit(form).await;
        page.assert_at(422, "/account_activations/kept");
        assert_eq!(page.errors(), ["Password is not the one that was chosen when signing up"]);
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users WHERE activated_at IS NOT NULL").await, 0);

    // Her remedy is a password reset by mail, which invalidates the attacker's password.
    let page = owner.get("/account_activations/kept").await;
    page.assert_at(200, "/account_activations/kept/edit");
    owner.submit(page.form("Send me a link")).await.assert_at(200, "/");
    let reset = app.mail_to(ARCHER, 3).await;
    assert_eq!(reset.subject, "Password reset");
    let form = owner.get(&reset.link()).await.form("Update password").set("user[password]", "hers alone");
    owner.submit(form.set("user[password_confirmation]", "hers alone")).await;
    assert!(owner.is_logged_in().await);
    app.browser().log_in(ARCHER, "the password of mallory").await.assert_at(422, "/login");
    // It has activated the account, which the activation link says from now on.
    owner.get(&link).await.assert_flash("info", "Your account is already active.");
    let page = app.browser().get(&link).await;
    page.assert_at(200, "/login");
    page.assert_flash("info", "Your account is already active. You can log in.");
}

/// Otherwise anyone who has the mail could guess the password.
#[actix_web::test]
async fn guesses_with_an_activation_link_count_as_log_ins() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    let mut browser = app.browser();
    let form = browser.get(&link).await.form("Activate my account").set("user[password]", "a wrong guess");
    for _ in 0..25 {
        assert_eq!(browser.submit_only(form.clone()).await.status, 422);
    }
    let page = browser.submit_only(form.set("user[password]", PASSWORD)).await;
    assert_eq!(page.status, 429);
    page.form("Activate my account");
    app.pass(TimeDelta::minutes(5));
    activate(&mut browser, &link).await.assert_flash("success", "Account activated!");
}

#[actix_web::test]
async fn two_links_in_one_browser_activate_the_account_that_each_page_names() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let mut pages = Vec::new();
    for name in ["archer", "lana"] {
        let email = format!("{name}@example.com");
        app.browser().sign_up(name, &email, PASSWORD).await;
        pages.push(browser.get(&app.mail_to(&email, 1).await.link()).await);
    }
    for (page, name) in pages.iter().zip(["archer", "lana"]) {
        assert!(page.one("main").contains(&format!("{name}@example.com")));
        let form = page.form("Activate my account").set("user[password]", PASSWORD);
        let page = browser.submit(form).await;
        page.assert_flash("success", "Account activated!");
        assert_eq!(page.title(), format!("{name} | Sample App"));
    }
    assert!(!browser.cookies.contains_key("mail_link"));
}

/// Mail programs break lines at 78 columns, drop query parameters, or append a slash.
#[actix_web::test]
async fn a_link_that_is_not_complete_says_what_to_do() {
    let app = TestApp::start().await;
    let link = signed_up(&app).await;
    let token = link.split('/').nth(2).unwrap();
    for (kind, again) in [
        ("account_activations", Some("/account_activations/new")),
        ("password_resets", Some("/password_resets/new")),
        ("email_changes", None),
        ("email_restores", None),
    ] {
        for rest in [
            &token[..20],
            token,
            &format!("{token}/edit"),
            &format!("{token}/edit/"),
            &format!("{token}/edit?email="),
            &format!("{token}/edit?email=archer%40exam"),
            &format!("{token}/edit/?"),
        ] {
            let path = format!("/{kind}/{rest}");
            let page = app.browser().get(&path).await;
            assert_eq!((page.status, page.one("h1").as_str()), (404, "This link is not complete"), "{path}");
            assert_eq!(
                page.attrs("main a[role=button]", "href").first().map(String::as_str),
                again,
                "{path}"
            );
        }
    }
    let page = app.browser().get(&link.replace("/edit?", "/edit/?")).await;
    page.assert_at(200, "/account_activations/kept/edit");
    assert!(page.one("main").contains(ARCHER), "a slash too many takes nothing away");
}
