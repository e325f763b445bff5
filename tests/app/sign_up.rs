//! Signing up and activating, as in the Rails sample; and that responses never reveal whether an address is known.

use futures_util::future::join_all;

use crate::support::people::PASSWORD;
use crate::support::{Browser, Page, TestApp};

async fn sign_up(browser: &mut Browser, name: &str, email: &str, password: &str, confirmation: &str) -> Page {
    let form = browser.get("/signup").await.form("Create my account");
    let form = form.set("user[name]", name).set("user[email]", email);
    browser
        .submit(form.set("user[password]", password).set("user[password_confirmation]", confirmation))
        .await
}

#[actix_web::test]
async fn invalid_information_comes_back_with_its_errors() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let page = sign_up(&mut browser, "", "user@invalid", "foo", "bar").await;
    assert_eq!((page.status, page.path.as_str()), (422, "/users"));
    assert_eq!(
        page.errors(),
        [
            "Name can't be blank",
            "Email is invalid",
            "Password is too short (minimum is 8 characters)",
            "Password confirmation doesn't match Password"
        ]
    );
    assert_eq!(page.one("div#error_explanation div.alert-danger"), "The form contains 4 errors.");
    assert_eq!(page.count("div.field_with_errors input"), 4);
    assert_eq!(page.attrs("#user_email", "value"), ["user@invalid"]);
    assert_eq!(page.attrs("input[type=password]", "value"), ["", ""]);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);
}

#[actix_web::test]
async fn valid_sign_up_with_activation_by_mail() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let page = sign_up(&mut browser, "Rails Tutorial", "User@Example.com", "foobar baz", "foobar baz").await;
    assert_eq!(page.path, "/");
    page.assert_flash("info", "Please check your email to activate your account.");
    assert!(browser.get("/").await.flash().is_none(), "shown once");

    let page = browser.log_in("user@example.com", "foobar baz").await;
    assert_eq!(page.path, "/");
    page.assert_flash("warning", "Account not activated. Check your email for the activation link.");

    let mail = app.mail_to("user@example.com", 1).await;
    assert_eq!(mail.subject, "Account activation");
    let bad = mail.link().replace("user%40example.com", "wrong%40example.com");
    browser.get(&bad).await.assert_flash("danger", "Invalid activation link");
    browser
        .get("/account_activations/nonsense/edit?email=user%40example.com")
        .await
        .assert_flash("danger", "Invalid activation link");

    let page = browser.get(&mail.link()).await;
    assert_eq!(page.path, "/account_activations/kept/edit");
    assert!(!browser.is_logged_in().await, "a scanner that follows the link activates nothing");
    let page = browser.submit(page.form("Activate my account")).await;
    page.assert_flash("success", "Account activated!");
    assert_eq!(page.title(), "Rails Tutorial | Sample App");
    assert!(browser.is_logged_in().await);

    let page = browser.get(&mail.link()).await;
    page.assert_flash("info", "Your account is already active.");
    assert_eq!(page.title(), "Rails Tutorial | Sample App");
    let page = app.browser().get(&mail.link()).await;
    page.assert_at(200, "/login");
    page.assert_flash("info", "Your account is already active. You can log in.");
}

/// After a sign-up, the home page in that browser says what to do next, until the account is active.
#[actix_web::test]
async fn after_sign_up_the_page_says_where_the_link_went_and_sends_it_again() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for _ in 0..2 {
        let page = browser.sign_up("Archer", "Archer@Example.com", PASSWORD).await;
        assert_eq!(page.one(".signed_up strong"), "archer@example.com");
    }
    let page = browser.get("/").await;
    assert!(page.has(".signed_up a[href='/inbox']"), "in development the mail is a click away");
    let page = browser.submit(page.form("Send it again")).await;
    page.assert_at(200, "/");
    page.assert_flash("info", "Email sent with another activation link if that address waits for one.");
    let link = app.mail_to("archer@example.com", 3).await.link();
    assert!(!app.browser().get("/").await.has(".signed_up"));

    // After entering the right password, any browser is offered the same.
    let mut other = app.browser();
    let page = other.log_in("archer@example.com", PASSWORD).await;
    page.assert_flash("warning", "Account not activated. Check your email for the activation link.");
    page.form("Send it again");
    let page = other.get(&link).await;
    other.submit(page.form("Activate my account")).await.assert_flash("success", "Account activated!");
    browser.log_in("archer@example.com", PASSWORD).await;
    for browser in [&mut browser, &mut other] {
        assert!(!browser.cookies.contains_key("sign_up"));
        browser.delete("/logout").await;
        assert!(!browser.get("/").await.has(".signed_up"));
    }
}

#[actix_web::test]
async fn every_rule_of_the_fields_holds() {
    let app = TestApp::start().await;
    let long_email = format!("{}@example.com", "a".repeat(244));
    let long_name = "a".repeat(51);
    for (name, email, problem) in [
        (" ", "user@example.com", "Name can't be blank"),
        (long_name.as_str(), "user@example.com", "Name is too long (maximum is 50 characters)"),
        ("User", " ", "Email can't be blank"),
        ("User", &long_email, "Email is too long (maximum is 255 characters)"),
        ("User", "user@example,com", "Email is invalid"),
        ("User", "foo@bar..com", "Email is invalid"),
    ] {
        let page = app.browser().sign_up(name, email, PASSWORD).await;
        page.assert_at(422, "/users");
        assert_eq!(page.errors(), [problem]);
        assert_eq!(page.attrs("#user_name", "value"), [name], "what was typed stays");
    }
    assert_eq!(app.browser().post("/users", &[]).await.errors().len(), 3);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);
    app.browser().sign_up(&"é".repeat(50), "user@example.com", PASSWORD).await.assert_at(200, "/");
}

#[actix_web::test]
async fn an_address_is_kept_in_lower_case_and_once() {
    let app = TestApp::start().await;
    app.browser().sign_up("Foo", "Foo@ExAMPle.CoM", PASSWORD).await.assert_at(200, "/");
    app.browser().sign_up("Foo", "FOO@EXAMPLE.COM", PASSWORD).await.assert_at(200, "/");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_text("SELECT email FROM users").await, "foo@example.com");
}

#[actix_web::test]
async fn a_taken_address_answers_alike_and_only_its_owner_learns() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let digest = app.database.db_text("SELECT password_digest FROM users").await;
    let archer = app.db_unactivated("archer").await;
    let mut answers = Vec::new();
    for email in ["free@example.com", &michael.email, &archer.email] {
        let mut browser = app.browser();
        let page = browser.sign_up("Eve", email, "the password of eve").await;
        // The page contains what was typed.
        let text = page.text().replace(email, "EMAIL");
        answers.push((page.status, page.path.clone(), text, browser.set_cookies_without_values()));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let mut mails: Vec<_> = app.all_mails().await.into_iter().map(|mail| (mail.to, mail.subject)).collect();
    mails.sort();
    let expected = [
        (archer.email.as_str(), "Account activation"),
        ("free@example.com", "Account activation"),
        (&michael.email, "You already have an account"),
    ];
    assert_eq!(mails, expected.map(|(to, subject)| (to.to_owned(), subject.to_owned())));

    // The owner's account did not change.
    let now = "SELECT password_digest FROM users WHERE name = 'michael'";
    assert_eq!(app.database.db_text(now).await, digest);
    app.browser().log_in(&michael.email, "the password of eve").await.assert_at(422, "/login");
    app.logged_in(&michael).await;
}

/// A rejected form gives the same response for a taken address.
#[actix_web::test]
async fn a_refused_form_tells_nothing_of_the_address() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut answers = Vec::new();
    for email in ["free@example.com", &michael.email] {
        let page = app.browser().sign_up("Eve", email, "short").await;
        assert_eq!(page.errors(), ["Password is too short (minimum is 8 characters)"]);
        answers.push((page.status, page.text().replace(email, "EMAIL")));
    }
    assert_eq!(answers[0], answers[1]);
}

#[actix_web::test]
async fn a_hundred_parallel_sign_ups_with_one_address_make_one_account() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let sign_ups = (0..100).map(|n| {
        let (mut browser, name) = (app.browser(), format!("Person {n}"));
        async move {
            let fields = [
                ("user[name]", name.as_str()),
                ("user[email]", "Same@Example.com"),
                ("user[password]", PASSWORD),
                ("user[password_confirmation]", PASSWORD),
            ];
            browser.post_until_taken("/users", &fields).await
        }
    });
    for answer in join_all(sign_ups).await {
        answer.assert_redirect("/");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM mail_tokens").await, 1);
    let mails = app.all_mails().await;
    let mut good = Vec::new();
    for mail in &mails {
        let page = app.browser().get(&mail.link()).await;
        good.extend((page.path == "/account_activations/kept/edit").then_some(page));
    }
    assert_eq!(good.len(), 1, "of {} links one is good", mails.len());
}
