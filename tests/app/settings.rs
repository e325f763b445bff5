//! A user's own settings: name, password; and that nobody else can change them.

use crate::support::page::Form;
use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, TestApp};

const PASSWORD_CHANGED: &str =
    "Profile updated. Your password was changed, and all other devices were logged out.";
const NEW: &str = "a brand new password";

async fn settings(browser: &mut Browser, person: &Person) -> Form {
    browser.get(&format!("/users/{}/edit", person.id)).await.form("Save changes")
}

fn new_password(form: Form, password: &str, confirmation: &str, current: &str) -> Form {
    let form = form.set("user[password]", password).set("user[password_confirmation]", confirmation);
    form.set("user[current_password]", current)
}

#[actix_web::test]
async fn an_unsuccessful_edit_comes_back_with_its_errors() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = settings(&mut browser, &michael).await;
    let form = form.set("user[name]", "").set("user[email]", "foo@invalid");
    let before = app.database.db_dump().await;
    let page = browser.submit(new_password(form, "foo", "bar", "")).await;
    page.assert_at(422, &format!("/users/{}", michael.id));
    assert_eq!(page.title(), "Edit user | Sample App");
    assert_eq!(page.one("div#error_explanation div.alert-danger"), "The form contains 5 errors.");
    assert_eq!(
        page.errors(),
        [
            "Name can't be blank",
            "Email is invalid",
            "Password is too short (minimum is 8 characters)",
            "Password confirmation doesn't match Password",
            "Current password is needed to change the password or the address"
        ]
    );
    assert_eq!(page.attrs("#user_email", "value"), ["foo@invalid"]);
    assert_eq!(page.attrs("input[type=password]", "value").concat(), "");
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn a_successful_edit_after_friendly_forwarding() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let path = format!("/users/{}/edit", michael.id);
    let mut browser = app.browser();
    browser.get(&path).await.assert_at(200, "/login");
    let page = browser.log_in(&michael.email, PASSWORD).await;
    page.assert_at(200, &path);
    assert_eq!(page.title(), "Edit user | Sample App");
    assert_eq!(page.attrs("#user_name, #user_email", "value"), ["michael", "michael@example.com"]);
    assert!(page.has(".profile_picture img.gravatar"));

    // An empty password means "unchanged".
    let page = browser.submit(page.form("Save changes").set("user[name]", "Foo Bar")).await;
    page.assert_at(200, &format!("/users/{}", michael.id));
    page.assert_flash("success", "Profile updated");
    assert_eq!(page.one("section.user_info h1"), "Foo Bar");
    assert_eq!(app.database.db_text("SELECT name FROM users").await, "Foo Bar");
    assert_eq!(app.browser().log_in(&michael.email, PASSWORD).await.status, 200);
    assert_eq!(app.all_mails().await.len(), 0);
}

#[actix_web::test]
async fn opening_them_needs_a_log_in() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    browser.get_only(&format!("/users/{}/edit", michael.id)).await.assert_redirect("/login");
    browser.get("/login").await.assert_flash("danger", "Please log in.");
}

#[actix_web::test]
async fn saving_them_needs_a_log_in() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let before = app.database.db_dump().await;
    let mut browser = app.browser();
    let fields = [("user[name]", "Eve"), ("user[email]", michael.email.as_str())];
    browser.patch(&format!("/users/{}", michael.id), &fields).await.assert_redirect("/login");
    browser.get("/login").await.assert_flash("danger", "Please log in.");
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn nobody_opens_the_settings_of_others() {
    let app = TestApp::start().await;
    let (michael, admin) = (app.db_person("michael").await, app.db_admin("malory").await);
    let mut browser = app.logged_in(&admin).await;
    browser.get_only(&format!("/users/{}/edit", michael.id)).await.assert_redirect("/");
    assert!(browser.get("/").await.flash().is_none());
}

#[actix_web::test]
async fn nobody_saves_the_settings_of_others() {
    let app = TestApp::start().await;
    let (michael, admin) = (app.db_person("michael").await, app.db_admin("malory").await);
    let before = app.database.db_dump().await;
    let mut browser = app.logged_in(&admin).await;
    let fields = [
        ("user[name]", "Eve"),
        ("user[email]", "eve@example.com"),
        ("user[password]", NEW),
        ("user[password_confirmation]", NEW),
        ("user[current_password]", PASSWORD),
    ];
    browser.patch(&format!("/users/{}", michael.id), &fields).await.assert_redirect("/");
    assert!(browser.get("/").await.flash().is_none());
    assert_eq!(app.database.db_dump().await, before);
    browser.patch("/users/999999", &fields).await.assert_redirect("/");
}

#[actix_web::test]
async fn what_the_form_lacks_cannot_be_set() {
    let app = TestApp::start().await;
    let lana = app.db_person("lana").await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&lana).await;
    let id = michael.id.to_string();
    let more = [
        ("user[admin]", "1"),
        ("user[activated]", "1"),
        ("user[activated_at]", "2020-01-01"),
        ("user[id]", id.as_str()),
        ("user[password_digest]", "x"),
        ("user[sign_in_epoch]", "7"),
        ("user[followers_count]", "7"),
        ("id", id.as_str()),
        ("admin", "true"),
    ];
    let before = app.database.db_dump().await;
    let mut fields = vec![("user[name]", "lana"), ("user[email]", lana.email.as_str())];
    fields.extend(more);
    let saved = browser.patch(&format!("/users/{}", lana.id), &fields).await;
    saved.assert_redirect(&format!("/users/{}", lana.id));
    assert_eq!(app.database.db_dump().await, before);

    let mut fields = vec![
        ("user[name]", "eve"),
        ("user[email]", "eve@example.com"),
        ("user[password]", NEW),
        ("user[password_confirmation]", NEW),
    ];
    fields.extend(more);
    app.browser().post("/users", &fields).await.assert_redirect("/");
    let sql = "SELECT COUNT(*) FROM users WHERE name = 'eve' AND admin = FALSE AND activated_at IS NULL \
               AND sign_in_epoch <> 7 AND followers_count = 0";
    assert_eq!(app.database.db_number(sql).await, 1);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 3);
}

#[actix_web::test]
async fn a_new_password_needs_the_current_one_and_its_owner_is_told() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let before = app.database.db_dump().await;
    for wrong in ["", "wrong password", &PASSWORD.to_uppercase(), &PASSWORD[..20], &"x".repeat(200)] {
        let form = settings(&mut browser, &michael).await.set("user[name]", "Other");
        let page = browser.submit(new_password(form, NEW, NEW, wrong)).await;
        assert_eq!(page.status, 422, "{wrong}");
        let said = match wrong {
            "" => "Current password is needed to change the password or the address",
            _ => "That is not your current password",
        };
        assert_eq!(page.errors(), [said]);
        assert_eq!(page.one("#user_current_password_error"), format!("{said}."));
        assert_eq!(page.attrs("#user_name", "value"), ["Other"]);
    }
    assert_eq!(app.database.db_dump().await, before, "not even the name");

    let form = new_password(settings(&mut browser, &michael).await, NEW, NEW, PASSWORD);
    browser.submit(form).await.assert_flash("success", PASSWORD_CHANGED);
    let mail = app.mail_to(&michael.email, 1).await;
    assert_eq!(
        (mail.subject.as_str(), mail.link().as_str()),
        ("Your password was changed", "/password_resets/new")
    );
    app.browser().log_in(&michael.email, PASSWORD).await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(&michael.email, NEW).await.status, 200);
}

#[actix_web::test]
async fn a_new_address_needs_the_current_password() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&michael).await;
    let before = app.database.db_dump().await;
    let mut answers = Vec::new();
    for email in ["new@example.com", &lana.email] {
        let form = settings(&mut browser, &michael).await.set("user[email]", email);
        let page = browser.submit(form.set("user[current_password]", "wrong password")).await;
        assert_eq!(page.errors(), ["That is not your current password"]);
        answers.push((page.status, page.text().replace(email, "EMAIL")));
    }
    assert_eq!(answers[0], answers[1], "nor does this tell who is here");
    assert_eq!(app.database.db_dump().await, before);
    assert_eq!(app.all_mails().await.len(), 0);
}

#[actix_web::test]
async fn a_password_of_spaces_or_a_confirmation_alone_is_an_error() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let before = app.database.db_dump().await;
    for (password, confirmation) in [("        ", "        "), ("", NEW)] {
        let form = settings(&mut browser, &michael).await;
        let page = browser.submit(new_password(form, password, confirmation, PASSWORD)).await;
        assert_eq!(page.status, 422);
        assert_eq!(page.errors()[0], "Password can't be blank");
    }
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn a_new_password_ends_every_other_session_and_device() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut here = app.browser();
    here.log_in_remembered(&michael.email, PASSWORD).await;
    let mut session = app.logged_in(&michael).await;
    let mut device = app.browser();
    device.log_in_remembered(&michael.email, PASSWORD).await;
    let mut copy = here.clone();

    let form = new_password(settings(&mut here, &michael).await, NEW, NEW, PASSWORD);
    here.submit(form).await.assert_flash("success", PASSWORD_CHANGED);
    assert!(!session.is_logged_in().await && !device.is_logged_in().await);
    assert!(!copy.is_logged_in().await, "a new id here as well");
    assert!(here.is_logged_in().await);
    here.close();
    assert!(here.is_logged_in().await, "still remembered");
}
