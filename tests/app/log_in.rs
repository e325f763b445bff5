//! The log-in form: who gets in, where it leads, and that it does not reveal which addresses are known.

use chrono::TimeDelta;

use crate::support::TestApp;
use crate::support::people::PASSWORD;

#[actix_web::test]
async fn the_log_in_page_opens() {
    let app = TestApp::start().await;
    let page = app.browser().get("/login").await;
    page.assert_at(200, "/login");
    assert_eq!(page.title(), "Log in | Sample App");
    assert_eq!(
        page.all("form[action='/login'] label"),
        ["Email", "Password", "Remember me on this computer"]
    );
    assert_eq!(page.attrs("form a", "href"), ["/password_resets/new"]);
    // The tab order is the order in the document: from the address to the password, and only then to the link.
    assert!(page.has("#session_password ~ a[href='/password_resets/new']") && !page.has("[tabindex]"));
    assert_eq!(page.one("main p a[href='/signup']"), "Sign up now!");
}

#[actix_web::test]
async fn invalid_information_is_said_once() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    for (email, password) in [("", ""), (michael.email.as_str(), "invalid"), (&michael.email, "")] {
        let page = browser.log_in(email, password).await;
        page.assert_at(422, "/login");
        page.assert_flash("danger", "Invalid email/password combination");
        assert_eq!(page.attrs("#session_email", "value"), [email]);
        assert!(page.attrs("#session_password", "value").concat().is_empty());
        assert!(browser.get("/").await.flash().is_none());
        assert!(!browser.is_logged_in().await);
    }
}

#[actix_web::test]
async fn valid_information_followed_by_log_out() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let profile = format!("/users/{}", michael.id);
    let mut browser = app.browser();
    let form = browser.get("/login").await.form("Log in");
    let form = form.set("session[email]", " MICHAEL@example.com ").set("session[password]", PASSWORD);
    browser.submit_only(form).await.assert_redirect(&profile);
    let page = browser.get(&profile).await;
    assert_eq!(page.title(), "michael | Sample App");
    assert!(!page.has("header a[href='/login']"));
    assert!(page.has(&format!("header a[href='{profile}']")) && page.has("header form[action='/logout']"));

    let log_out = page.form("Log out");
    browser.submit_only(log_out.clone()).await.assert_redirect("/");
    assert!(!browser.is_logged_in().await);
    // From a second window.
    let page = browser.submit(log_out).await;
    page.assert_at(200, "/");
    assert!(page.has("header a[href='/login']") && !page.has(&format!("a[href='{profile}']")));
}

#[actix_web::test]
async fn an_account_that_waits_for_its_activation_cannot_be_used() {
    let app = TestApp::start().await;
    let archer = app.db_unactivated("archer").await;
    let mut browser = app.browser();
    let page = browser.log_in(&archer.email, PASSWORD).await;
    page.assert_at(200, "/");
    page.assert_flash("warning", "Account not activated. Check your email for the activation link.");
    assert!(browser.session().is_none() && !browser.is_logged_in().await);
    browser.log_in(&archer.email, "wrong password").await.assert_at(422, "/login");
}

#[actix_web::test]
async fn after_the_log_in_people_get_to_the_page_they_asked_for() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let profile = format!("/users/{}", michael.id);
    let mut browser = app.browser();
    let page = browser.get("/users?page=1").await;
    page.assert_at(200, "/login");
    page.assert_flash("danger", "Please log in.");
    browser.log_in(&michael.email, PASSWORD).await.assert_at(200, "/users?page=1");

    // Only once.
    browser.delete("/logout").await;
    browser.log_in(&michael.email, PASSWORD).await.assert_at(200, &profile);

    // Only GET pages are remembered: a form is not sent again.
    browser.delete("/logout").await;
    browser.post("/microposts", &[("micropost[content]", "Hello")]).await.assert_redirect("/login");
    assert!(!browser.cookies.contains_key("return_to"));
    browser.log_in(&michael.email, PASSWORD).await.assert_at(200, &profile);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
}

#[actix_web::test]
async fn nobody_else_decides_where_the_log_in_leads() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for forged in ["/users", "//evil.example", "https://evil.example/", "AAAA=/users"] {
        let mut browser = app.browser();
        browser.cookies.insert("return_to".into(), forged.into());
        let page = browser.log_in(&michael.email, PASSWORD).await;
        page.assert_at(200, &format!("/users/{}", michael.id));
        assert!(!browser.cookies.contains_key("return_to"));
    }
}

/// The cookie expires after half an hour, and so does its signature: a stored copy is rejected.
#[actix_web::test]
async fn the_page_that_asked_for_a_log_in_is_remembered_for_half_an_hour() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for (minutes, leads_to) in [(29, "/users".to_owned()), (31, format!("/users/{}", michael.id))] {
        let mut browser = app.browser();
        browser.get("/users").await.assert_at(200, "/login");
        app.pass(TimeDelta::minutes(minutes));
        browser.log_in(&michael.email, PASSWORD).await.assert_at(200, &leads_to);
    }
}

#[actix_web::test]
async fn an_unknown_address_gets_the_same_answer_as_a_wrong_password() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_unactivated("archer").await);
    let mut answers = Vec::new();
    for email in [&michael.email, &archer.email, "nobody@example.com", "no address"] {
        let mut browser = app.browser();
        let page = browser.log_in(email, "wrong password").await;
        let cookies = browser.set_cookies_without_values();
        answers.push((page.status, page.text().replace(email, "EMAIL"), cookies));
    }
    assert_eq!(answers[0].0, 422);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// Without hashing against a dummy digest, an unknown address would be answered much faster. Measured alternately, so
/// that load on the machine affects both.
#[actix_web::test]
async fn an_unknown_address_takes_as_long_as_a_wrong_password() {
    let app = TestApp::start_with_full_hashing(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..60 {
        for (times, email) in times.iter_mut().zip([michael.email.as_str(), "nobody@example.com"]) {
            let fields = [("session[email]", email), ("session[password]", "wrong password")];
            let start = std::time::Instant::now();
            assert_eq!(browser.post("/login", &fields).await.status, 422);
            times.push(start.elapsed());
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    });
    assert!(unknown > known * 0.6 && known > unknown * 0.6, "known {known} s, unknown {unknown} s");
}
