//! Cookies and security headers on every response, whatever its status.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::{HeaderMap, SET_COOKIE};

use crate::support::browser::PREFIX;
use crate::support::mails::mails_in;
use crate::support::people::PASSWORD;
use crate::support::table::{filled, gets};
use crate::support::{Browser, Page, TestApp};

const HTTPS: (&str, &str) = ("APP_URL", "https://sample.test");

/// One response of every kind: all statuses and types, logged in and not.
async fn answers(settings: &[(&str, &str)]) -> Vec<Page> {
    let app = TestApp::start_with(settings).await;
    let owner = app.db_owner("michael").await;
    let mut anybody = app.browser();
    let (name, mut michael) = session_cookie(&app, &owner.person.email).await;
    let mut answers = Vec::new();
    for path in gets() {
        answers.push(anybody.get_only(&filled(path, &owner)).await);
        answers.push(michael.get_only(&filled(path, &owner)).await);
    }
    let post = |browser: &Browser, path: &str, body: Vec<u8>| {
        let request = browser.request(Method::POST, path).header("sec-fetch-site", "same-origin");
        request.header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let login = |body: &str| post(&anybody, "/login", body.into());
    let requests = [
        ("/login 422", login("session[email]=a")),
        ("/login 400", login("session[email]=a&session[email]=b")),
        ("/login 413", login(&"x".repeat(20_000))),
        ("/login 405", anybody.request(Method::PUT, "/login")),
        ("/login 403", anybody.request(Method::POST, "/login").header("origin", "null")),
        ("/login HEAD", anybody.request(Method::HEAD, "/login")),
        ("/microposts 422", post(&michael, "/microposts", b"micropost[content]=".to_vec())),
        ("/microposts 303", post(&michael, "/microposts", b"micropost[content]=x".to_vec())),
    ];
    for (path, request) in requests {
        answers.push(anybody.clone().send(request, path).await);
    }
    answers.push(anybody.get_only("/nowhere").await);
    assert!(michael.cookies.contains_key(&name));
    app.database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    answers.push(michael.get_only("/").await);

    let down: Vec<_> =
        settings.iter().copied().chain([("DATABASE_URL", "mysql://a:b@127.0.0.1:1/c")]).collect();
    let app = TestApp::start_unmigrated(&down).await;
    answers.push(app.browser().get_only("/users/1").await);
    answers
}

/// Logs in. Returns the name of the session cookie and the browser.
async fn session_cookie(app: &TestApp, email: &str) -> (String, Browser) {
    let mut browser = app.browser();
    let page = browser.log_in(email, PASSWORD).await;
    assert_eq!(page.status, 200);
    let name = browser.cookies.keys().find(|name| name.ends_with("session")).unwrap().clone();
    (name, browser)
}

#[actix_web::test]
async fn every_answer_carries_the_headers() {
    for (settings, hsts, img_src) in [
        (vec![], "", "img-src 'self' data:"),
        (vec![HTTPS], "max-age=63072000", "img-src 'self' data:"),
        (vec![("AVATARS", "gravatar")], "", "img-src 'self' data: https://secure.gravatar.com"),
    ] {
        let answers = answers(&settings).await;
        let statuses: BTreeSet<u16> = answers.iter().map(|page| page.status).collect();
        let all = [200, 303, 400, 403, 404, 405, 413, 422, 500, 503];
        assert!(statuses.iter().copied().eq(all), "one of each is looked at: {statuses:?}");
        for page in answers {
            let place = format!("{} on {}", page.status, page.path);
            let csp: BTreeSet<&str> = page.header("content-security-policy").split("; ").collect();
            let expected = [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "connect-src 'self'",
                "form-action 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "object-src 'none'",
                img_src,
            ];
            assert_eq!(csp, expected.into_iter().collect(), "{place}");
            for (name, value) in [
                ("x-content-type-options", "nosniff"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
                ("strict-transport-security", hsts),
            ] {
                let values: Vec<_> = page.headers.get_all(name).iter().collect();
                assert!(values.len() <= 1 && page.header(name) == value, "{name} {values:?}, {place}");
            }
            assert!(matches!(page.header("referrer-policy"), "same-origin" | "no-referrer"), "{place}");
            assert_eq!(page.header("x-request-id").len(), 16, "{place}");
            assert!(
                !page.headers.contains_key("server") && !page.headers.contains_key("x-powered-by"),
                "{place}"
            );
            let told = page.body.is_empty() || !page.header("content-type").is_empty();
            assert!(told, "a browser would have to guess what it is: {place}");
        }
    }
}

/// Visits every flow that sets a cookie.
#[actix_web::test]
async fn cookies_are_for_this_host_and_no_script() {
    for (settings, prefix) in [(vec![], PREFIX), (vec![HTTPS], "__Host-")] {
        let app = TestApp::start_with(&settings).await;
        let michael = app.db_person("michael").await;
        let mut browser = app.browser();
        browser.get("/users").await;
        browser.log_in_remembered(&michael.email, PASSWORD).await;
        browser.post("/microposts", &[("micropost[content]", "x")]).await;
        let mut logged_out = app.browser();
        logged_out.post("/microposts", &[("micropost[content]", "x")]).await;
        browser.set_cookies.append(&mut logged_out.set_cookies);
        browser.post("/password_resets", &[("password_reset[email]", &michael.email)]).await;
        app.all_mails().await;
        browser.get(&mail_link(&app)).await;
        browser.delete("/logout").await;
        let mut names = BTreeSet::new();
        for cookie in &browser.set_cookies {
            let mut parts = cookie.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let mut flags: Vec<&str> = parts.collect();
            let max_age =
                flags.iter().position(|flag| flag.starts_with("Max-Age=")).map(|at| flags.remove(at));
            let mut expected = vec!["HttpOnly", "Path=/", "SameSite=Lax"];
            if prefix == "__Host-" {
                expected.push("Secure");
            }
            flags.sort_unstable();
            assert_eq!(flags, expected, "neither more nor less, no Domain among it: {cookie}");
            let name = name.strip_prefix(prefix).unwrap_or_else(|| panic!("{cookie}"));
            assert_eq!(value.is_empty(), max_age == Some("Max-Age=0"), "{cookie}");
            // The session ends with the browser unless "remember me" was checked.
            assert_eq!(max_age.is_none(), name == "session" && !value.is_empty(), "{cookie}");
            names.insert(name.to_owned());
        }
        let all = ["draft", "flash", "mail_link", "remember_me", "return_to", "session"];
        assert!(names.iter().eq(all), "{names:?}");
    }
}

/// The path of the link in the only mail, whatever its host.
fn mail_link(app: &TestApp) -> String {
    let mails = mails_in(&app.folder.path().join("mail"));
    assert_eq!(mails.len(), 1);
    let link = mails[0].text.lines().find(|line| line.contains("sample.test/")).unwrap();
    link.split_once("sample.test").unwrap().1.to_owned()
}

/// Nothing about a logged-in user is stored by the browser, except files that are the same for everybody.
#[actix_web::test]
async fn pages_of_people_are_not_stored() {
    let app = TestApp::start().await;
    let owner = app.db_owner("michael").await;
    let mut browser = app.logged_in(&owner.person).await;
    for path in gets() {
        let page = browser.get_only(&filled(path, &owner)).await;
        let personal = page.header("content-type").starts_with("text/html") || page.status == 303;
        assert_eq!(page.header("cache-control").contains("no-store"), personal, "{path}");
    }
    for page in [
        browser.get_only("/users/4711").await,
        browser.get_only("/users?page=0").await,
        browser.post("/microposts", &[("micropost[content]", "")]).await,
        browser.post("/microposts", &[("micropost[content]", "x")]).await,
        browser.get_only(&format!("/users/{}/edit", owner.person.id + 1)).await,
    ] {
        assert_eq!(page.header("cache-control"), "no-store", "{} on {}", page.status, page.path);
    }
    assert_eq!(app.browser().get("/help").await.header("cache-control"), "private, no-cache");
    assert!(app.browser().get("/users").await.header("cache-control").contains("no-cache"));
}

/// A mail link redirects to a URL without the token, and that page does not contain the token.
#[actix_web::test]
async fn the_token_leaves_the_address_at_once() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    browser.post("/password_resets", &[("password_reset[email]", &michael.email)]).await;
    let link = app.mail_to(&michael.email, 1).await.link();
    let token = link.split('/').nth(2).unwrap().to_owned();
    assert_eq!(token.len(), 64);
    let page = browser.get_only(&link).await;
    assert_eq!((page.status, page.header("referrer-policy")), (303, "no-referrer"));
    assert_eq!(page.location().as_deref(), Some("/password_resets/kept/edit"));
    assert_eq!(page.header("cache-control"), "no-store");
    let form = browser.get("/password_resets/kept/edit").await;
    assert!(form.has("input[type=password]"));
    for page in [page, form] {
        assert!(!page.text().contains(&token), "{}", page.text());
    }
}

/// Pages and style sheets load nothing from other hosts; with AVATARS=gravatar only avatars.
#[actix_web::test]
async fn pages_load_nothing_from_elsewhere() {
    let loading = "link[href], script[src], img[src], img[srcset], source, iframe, object, embed, video, audio, [style], style, base, meta[http-equiv]";
    for (avatars, gravatars) in [("drawn", false), ("gravatar", true)] {
        let app = TestApp::start_with(&[("AVATARS", avatars)]).await;
        let owner = app.db_owner("michael").await;
        let mut browser = app.logged_in(&owner.person).await;
        let mut foreign = BTreeSet::new();
        for path in gets() {
            let page = browser.get(&filled(path, &owner)).await;
            if page.header("content-type").starts_with("text/css") {
                let css =
                    page.text().replace("url(\"data:", "").replace("url(data:", "").replace("url('data:", "");
                assert!(!css.contains("url(") && !css.contains("@import"), "{path}");
            }
            if !page.header("content-type").starts_with("text/html") {
                continue;
            }
            assert!(page.count(loading) >= 4, "{path}");
            assert!(
                !page.has("iframe, object, embed, video, audio, [style], style, base, [srcset]"),
                "{path}"
            );
            let (links, images) = (page.attrs("link", "href"), page.attrs("[src]", "src"));
            let is_own_path = |link: &String| link.starts_with('/') && !link.starts_with("//");
            foreign.extend(links.into_iter().chain(images).filter(|link| !is_own_path(link)));
        }
        let pico = browser.get("/static/vendor/pico-2.1.1.min.css").await.text();
        assert!(!pico.replace("url(\"data:", "").replace("url(data:", "").contains("url("));
        assert!(
            foreign.iter().all(|link| link.starts_with("https://secure.gravatar.com/avatar/")),
            "{foreign:?}"
        );
        assert_eq!(!foreign.is_empty(), gravatars, "{foreign:?}");
    }
}

/// With a duplicated header, browsers may choose either value.
#[actix_web::test]
async fn no_header_is_there_twice() {
    let app = TestApp::start().await;
    let twice = |headers: &HeaderMap| {
        headers.keys().any(|name| name != SET_COOKIE && headers.get_all(name).iter().count() > 1)
    };
    let link = format!("/password_resets/{}/edit?email=a%40example.com", "0".repeat(64));
    for path in ["/", "/users", "/nowhere", "/static/app.css", "/users?page=0", &link] {
        assert!(!twice(&app.browser().get_only(path).await.headers), "{path}");
    }
}
