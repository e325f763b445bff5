//! Signing up and activating, as in the original; and that an answer never tells whether an address is known.

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
    assert!(mail.text.contains("Hi Rails Tutorial,") && mail.html.contains("Rails Tutorial"));
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

    browser.get(&mail.link()).await.assert_flash("danger", "Invalid activation link");
}
