//! A page with a rejected form is at a URL that only accepts POST; reloading that URL by GET leads to the form. Error
//! pages show who is logged in.

use reqwest::Method;

use crate::support::TestApp;
use crate::support::table::filled;

#[actix_web::test]
async fn the_address_of_a_refused_form_leads_to_the_form() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for (path, field, form) in [
        ("/microposts", "micropost[content]", "/"),
        ("/password_resets", "password_reset[email]", "/password_resets/new"),
        ("/account_activations", "account_activation[email]", "/account_activations/new"),
        ("/login", "session[email]", "/login"),
    ] {
        let refused = browser.post(path, &[(field, "")]).await;
        refused.assert_at(422, path);
        let page = browser.get(path).await;
        page.assert_at(200, form);
        assert!(page.has(&format!("form[action='{path}'] [name='{field}']")), "{path}");
    }
    let mut browser = app.browser();
    browser.post("/password_resets", &[("password_reset[email]", &michael.email)]).await;
    let link = app.mail_to(&michael.email, 1).await.link();
    let form = browser.get(&link).await.form("Update password");
    let refused = browser.submit(form).await;
    refused.assert_at(422, "/password_resets/kept");
    let page = browser.get("/password_resets/kept").await;
    page.assert_at(200, "/password_resets/kept/edit");
    assert!(page.has("input[type=password]"));
}

/// For pages that are not found, not allowed or malformed.
#[actix_web::test]
async fn error_pages_greet_who_is_logged_in() {
    let app = TestApp::start().await;
    let owner = app.db_owner("michael").await;
    let mut browser = app.logged_in(&owner.person).await;
    let long = "x".repeat(10_000);
    let twice = [("user[name]", "a"), ("user[name]", "b")];
    for (method, path, fields, status) in [
        (Method::GET, "/nowhere", &[][..], 404),
        (Method::POST, "/nowhere", &[("a", "b")], 404),
        (Method::GET, "/users/0", &[], 404),
        (Method::POST, "/help", &[("a", "b")], 405),
        (Method::DELETE, "/login", &[], 405),
        (Method::POST, "/login", &[("session[email]", long.as_str())], 413),
        (Method::POST, "/users/{id}", &[("user[name]", long.as_str())], 413),
        (Method::PATCH, "/users/{id}", &twice, 400),
        (Method::POST, "/microposts", &[("micropost[content]", long.as_str())], 413),
    ] {
        let path = filled(path, &owner);
        let request = browser.request(method.clone(), &path);
        let request = if fields.is_empty() { request } else { request.form(fields) };
        let page = browser.send(request, &path).await;
        assert_eq!(page.status, status, "{method} {path}");
        assert!(
            page.has("form[action='/logout']") && !page.has("header a[href='/login']"),
            "{method} {path}"
        );
        let stranger = app.browser().get("/nowhere").await;
        assert!(stranger.has("header a[href='/login']"));
    }
}
