//! Cross-site requests change nothing, and neither do GET requests. A form may override its method only where HTML
//! forms need it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reqwest::Method;

use crate::support::app::APP_URL;
use crate::support::outbox::DELETIONS;
use crate::support::table::{filled, form_for, gets, unsafe_routes};
use crate::support::{Browser, Page, Program, TestApp};

/// Header sets that a browser sends with a request caused by another site.
const FROM_ELSEWHERE: [&[(&str, &str)]; 8] = [
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "cross-site"), ("origin", APP_URL)],
    &[("sec-fetch-site", "nonsense")],
    &[("origin", "null")],
    &[("origin", "https://evil.example")],
    &[("origin", "https://sample.test")],
    &[("origin", "http://sample.test.evil.example")],
];

/// Log-in included. The last request of each row is same-origin and shows that only the origin was rejected.
#[actix_web::test]
async fn no_unsafe_route_takes_a_request_from_elsewhere() {
    let app = TestApp::start().await;
    let admin = app.db_admin("admin").await;
    for (number, (verb, path)) in unsafe_routes().enumerate() {
        let owner = app.db_owner(&format!("owner{number}")).await;
        // A user who may do it.
        let mut browser = match (verb, path) {
            ("DELETE", "/users/{id}") | ("POST", "/relationships") => app.logged_in(&admin).await,
            (_, path) if path.starts_with("/admin/") => app.logged_in(&admin).await,
            ("POST", "/login") => app.browser(),
            _ => app.logged_in(&owner.person).await,
        };
        let logged_in = browser.is_logged_in().await;
        // Wait for the jobs of the previous request.
        app.all_mails().await;
        app.database.db_until(DELETIONS, 0).await;
        let before = app.database.db_dump().await;
        for headers in FROM_ELSEWHERE {
            for as_browsers_forms_do in [true, false] {
                let page = send(&mut browser, verb, path, &owner, headers, as_browsers_forms_do).await;
                assert_eq!(page.status, 403, "{verb} {path} {headers:?}");
                assert!(page.one("section.error_page").contains("another site"), "{}", page.text());
                assert!(page.headers.get("set-cookie").is_none(), "{verb} {path} {headers:?}");
            }
        }
        assert_eq!(app.database.db_dump().await, before, "{verb} {path}");
        assert_eq!(browser.is_logged_in().await, logged_in, "{verb} {path}");
        let page = send(&mut browser, verb, path, &owner, &[("sec-fetch-site", "same-origin")], true).await;
        // Without SES_TOPIC_ARN this route does not exist.
        let expected = if path == "/webhooks/ses" { 404 } else { 303 };
        assert_eq!(page.status, expected, "{verb} {path} from here");
    }
}

/// When opened by the machine's address, or by 127.0.0.1 instead of localhost: whoever set up the site must see why
/// forms fail.
#[actix_web::test]
async fn a_form_from_a_name_that_is_not_the_sites_own_says_both() {
    let program = Program::development().await;
    let mut serving = program.serve();
    let mut browser = serving.browser();
    let markup = format!("http://<b>{}", "x".repeat(500));
    for used in ["http://192.0.2.1:3000", &markup] {
        let request = browser.request(Method::POST, "/login").header("origin", used);
        let page = browser.send(request.form(&[("session[email]", "")]), "/login").await;
        assert_eq!(page.status, 403);
        let text = page.one("section.error_page");
        let shown = &used[..used.len().min(100)];
        assert!(text.contains(shown) && text.contains(&format!("Open {APP_URL}")), "{text}");
        assert!(!text.contains(&"x".repeat(100)) && !page.has("section.error_page b"), "{text}");
    }
    let line = serving.wait_for("set APP_URL");
    assert!(line.contains(APP_URL) && line.contains("http://192.0.2.1:3000"), "{line}");
    serving.stop();
}

async fn send(
    browser: &mut Browser,
    verb: &str,
    path: &str,
    owner: &crate::support::table::Owner,
    headers: &[(&str, &str)],
    as_browsers_forms_do: bool,
) -> Page {
    let mut fields = form_for(verb, path, owner, "new@example.com");
    let mut method = Method::from_bytes(verb.as_bytes()).unwrap();
    if as_browsers_forms_do && method != Method::POST {
        fields.push(("_method", verb.to_ascii_lowercase()));
        method = Method::POST;
    }
    let path = filled(path, owner);
    let mut request = browser.request(method, &path).form(&fields);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request, &path).await
}

/// An admin follows every link and opens every path of the route table; the database does not change, and every link
/// and file of every page exists.
#[actix_web::test]
async fn looking_at_everything_changes_nothing() {
    let app = TestApp::start().await;
    let (admin, owner) = (app.db_admin("admin").await, app.db_owner("owner").await);
    for number in 0..35 {
        app.db_person(&format!("person {number}")).await;
        let post = format!(
            "INSERT INTO microposts (user_id, content, created_at) VALUES ({}, 'Post {number}', '2026-01-01 00:00:{:02}')",
            admin.id, number
        );
        app.database.db_execute(&post).await;
    }
    let entries = "INSERT INTO timeline_entries (user_id, created_at, micropost_id, author_id)";
    let own = format!(
        "{entries} SELECT user_id, created_at, id, user_id FROM microposts WHERE user_id = {}",
        admin.id
    );
    app.database.db_execute(&own).await;
    let follow = "INSERT INTO relationships (follower_id, followed_id, created_at)";
    let everybody =
        format!("{follow} SELECT {id}, id, '2026-01-01 00:00:00' FROM users WHERE id <> {id}", id = admin.id);
    app.database.db_execute(&everybody).await;
    let mut browser = app.logged_in(&admin).await;
    browser.post("/password_resets", &[("password_reset[email]", &admin.email)]).await;
    assert_eq!(app.all_mails().await.len(), 1);
    let before = app.database.db_dump().await;

    let mut crawl = Crawl::default();
    for path in gets() {
        crawl.find(&filled(path, &owner), "the route table");
    }
    while let Some(path) = crawl.waiting.pop_front() {
        let page = browser.get(&path).await;
        let from = &crawl.seen[&path];
        assert!(page.status < 500, "{path}, linked from {from}: {}", page.status);
        // Some paths filled from the table do not exist: a mail and a link with invented names.
        assert!(
            page.status == 200 || from == "the route table",
            "{path}, linked from {from}: {}",
            page.status
        );
        crawl.read(&page);
        assert!(crawl.seen.len() < 500, "the site has no end");
    }
    let seen: BTreeSet<String> =
        crawl.seen.keys().map(|path| path.split('?').next().unwrap().into()).collect();
    for expected in ["/users/1/edit", "/inbox", "/static/app.css", "/README.md", "/password_resets/new"] {
        assert!(seen.contains(expected), "{expected} is not linked: {seen:?}");
    }
    for start in ["/?from=", "/users?from=", &format!("/users/{}/following?from=", admin.id), "/pictures/"] {
        assert!(crawl.seen.keys().any(|path| path.starts_with(start)), "{start} is not linked");
    }
    let mail_link = crawl.seen.keys().any(|path| path.contains("/edit?email=") && !path.contains("0000"));
    assert!(mail_link, "the link in the mail was followed, as scanners do");
    assert_eq!(app.database.db_dump().await, before);
    assert!(browser.is_logged_in().await);
}

#[derive(Default)]
struct Crawl {
    /// URLs, and where each was found first.
    seen: BTreeMap<String, String>,
    waiting: VecDeque<String>,
}

impl Crawl {
    fn find(&mut self, link: &str, on: &str) {
        let path = link.strip_prefix(APP_URL).unwrap_or(link).split('#').next().unwrap_or_default();
        if path.is_empty() || self.seen.contains_key(path) {
            return;
        }
        assert!(path.starts_with('/') && !path.starts_with("//"), "{link} on {on} leads away");
        self.seen.insert(path.to_owned(), on.to_owned());
        self.waiting.push_back(path.to_owned());
    }

    fn read(&mut self, page: &Page) {
        if !page.header("content-type").starts_with("text/html") {
            return;
        }
        for (selector, attribute) in [("a, link", "href"), ("script, img, source", "src")] {
            for link in page.attrs(selector, attribute) {
                self.find(&link, &page.path);
            }
        }
    }
}

/// A method override counts only on POST, and only for methods that forms cannot send.
#[actix_web::test]
async fn a_form_may_say_patch_put_and_delete_and_only_when_posted() {
    let app = TestApp::start().await;
    let (admin, owner) = (app.db_admin("admin").await, app.db_owner("owner").await);
    let mut browser = app.logged_in(&admin).await;
    let before = app.database.db_dump().await;
    let path = format!("/users/{}", owner.person.id);
    let post = format!("/microposts/{}", owner.micropost);
    for verb in ["delete", "DELETE", "patch"] {
        for path in [&path, &post] {
            let in_query = format!("{path}?_method={verb}");
            assert!(matches!(browser.get(&in_query).await.status, 200 | 405));
            for (method, to, header) in [
                (Method::GET, path, "x-none"),
                (Method::HEAD, path, "x-none"),
                (Method::PUT, path, "x-none"),
                (Method::OPTIONS, path, "x-none"),
                (Method::GET, path, "x-http-method-override"),
            ] {
                let request = browser.request(method.clone(), to).header(header, verb);
                let page = browser.send(request.form(&[("_method", verb)]), to).await;
                assert!(matches!(page.status, 200 | 405), "{method} {to} saying {verb}: {}", page.status);
            }
            let in_query = browser.request(Method::POST, &in_query).header("x-http-method-override", verb);
            assert_eq!(browser.send(in_query, path).await.status, 405, "POST {path}?_method={verb}");
        }
    }
    for verb in ["trace", "TRACE", "get", "head", "options", "connect", "propfind", "", "delete\0", " delete"]
    {
        let page = browser.post(&path, &[("_method", verb)]).await;
        assert_eq!((page.status, page.header("allow")), (405, "GET, HEAD, PATCH, DELETE"), "{verb:?}");
    }
    let multipart = reqwest::multipart::Form::new().text("_method", "delete");
    let request = browser.request(Method::POST, &path).multipart(multipart);
    assert_eq!(browser.send(request, &path).await.status, 405);
    assert_eq!(app.database.db_dump().await, before);
    assert_eq!(browser.post(&path, &[("_method", "DeLeTe")]).await.status, 303, "this one counts");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users WHERE name = 'owner'").await, 0);
}
