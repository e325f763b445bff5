//! The home page, the static pages, and the layout of all pages.

use crate::support::TestApp;
use crate::support::people::PASSWORD;

#[actix_web::test]
async fn home() {
    let app = TestApp::start().await;
    let page = app.browser().get("/").await;
    page.assert_at(200, "/");
    assert_eq!(page.title(), "Sample App", "the name alone");
    assert_eq!(page.one("main a[href='/signup']"), "Sign up now!");
    assert!(!page.has("ol.microposts") && !page.has("section.stats"));
    // Difference 1 from the Rails sample: the services that it runs on.
    let stack = page.one("section.stack");
    for service in
        [if app.database.is_mysql() { "MySQL" } else { "SQLite" }, "RDS", "Redis", "S3", "SES", "Logstash"]
    {
        assert!(stack.contains(service), "{service}: {stack}");
    }
}

#[actix_web::test]
async fn help() {
    titled("/help", "Help").await;
}

#[actix_web::test]
async fn about() {
    titled("/about", "About").await;
}

#[actix_web::test]
async fn contact() {
    titled("/contact", "Contact").await;
}

async fn titled(path: &str, name: &str) {
    let app = TestApp::start().await;
    let page = app.browser().get(path).await;
    page.assert_at(200, path);
    assert_eq!(page.title(), format!("{name} | Sample App"));
    assert_eq!(page.one("h1"), name);
}

#[actix_web::test]
async fn layout_links() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let page = browser.get("/").await;
    assert_eq!(page.one("a#logo[href='/']"), "sample app");
    for (link, text) in [("/", "Home"), ("/help", "Help"), ("/login", "Log in")] {
        assert!(page.all(&format!("header nav a[href='{link}']")).contains(&text.to_owned()), "{link}");
    }
    for (link, text) in [("/about", "About"), ("/contact", "Contact")] {
        assert_eq!(page.one(&format!("footer a[href='{link}']")), text);
    }
    assert!(!page.has("header a[href='/users']") && !page.has("header form"));
    assert_eq!(browser.get("/signup").await.title(), "Sign up | Sample App");

    let michael = app.db_person("michael").await;
    let page = app.logged_in(&michael).await.get("/").await;
    let (profile, settings) = (format!("/users/{}", michael.id), format!("/users/{}/edit", michael.id));
    for (link, text) in [("/users", "Users"), (&profile, "Profile"), (&settings, "Settings")] {
        assert_eq!(page.one(&format!("header a[href='{link}']")), text);
    }
    assert_eq!(page.one("header details summary"), "Account");
    // Difference 11: a button, because a log-out changes state.
    assert_eq!(page.one("header form[action='/logout'][method=post] button"), "Log out");
    assert!(!page.has("header a[href='/login']"));
}

#[actix_web::test]
async fn departure_1_footer_and_help_lead_to_the_projects_own_documents() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let page = browser.get("/help").await;
    let mut links = page.attrs("footer a[href$='.md'], main a[href$='.md']", "href");
    links.dedup();
    assert!(links.iter().any(|link| link == "/README.md"), "{links:?}");
    for link in links {
        let document = browser.get(&link).await;
        assert_eq!((document.status, document.body.is_empty()), (200, false), "{link}");
    }
}

#[actix_web::test]
async fn home_of_somebody_logged_in() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    app.db_follow(&michael, &lana).await;
    let page = app.logged_in(&michael).await.get("/").await;
    assert_eq!(page.title(), "Sample App");
    assert_eq!(page.one("section.user_info h1"), "michael");
    assert!(page.has(&format!("section.user_info a[href='/users/{}']", michael.id)));
    assert_eq!(
        (page.one("section.stats #following"), page.one("section.stats #followers")),
        ("1".into(), "0".into())
    );
    assert_eq!(page.one("section.micropost_form button"), "Post");
    assert!(!page.has("a[href='/signup']"));
}

#[actix_web::test]
async fn a_page_that_is_not_there_looks_like_the_others() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for path in ["/nowhere", "/users/0", "/help/", "/microposts/1"] {
        let page = app.browser().get(path).await;
        assert!(page.status == 404 || page.status == 405, "{path}: {}", page.status);
        assert!(page.has("a#logo") && page.has("footer"), "{path}");
    }
    // A logged-in user stays logged in there.
    let mut browser = app.browser();
    browser.log_in_remembered(&michael.email, PASSWORD).await;
    assert!(browser.get("/users/999").await.has("header form[action='/logout']"));
}
