//! The route table has the Rails sample's routes and ours, every path accepts only the listed methods, and nothing else
//! is served.

use actix_web::HttpServer;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use reqwest::Method;
use sample_app::routes::{self, TABLE};
use sample_app::web::middleware::run_detached::run_detached;

use crate::support::raw::exchange;
use crate::support::table::{PICTURE, filled, gets};
use crate::support::{Browser, TestApp};

/// The Rails sample's routes, in its order.
const ORIGINAL: &str = "
    GET /  GET /help  GET /about  GET /contact  GET /signup  POST /users
    GET /login  POST /login  DELETE /logout
    GET /users  GET /users/{id}  GET /users/{id}/edit  PATCH /users/{id}  DELETE /users/{id}
    GET /users/{id}/following  GET /users/{id}/followers
    GET /account_activations/{token}/edit
    GET /password_resets/new  POST /password_resets  GET /password_resets/{token}/edit  PATCH /password_resets/{token}
    POST /microposts  DELETE /microposts/{id}  POST /relationships  DELETE /relationships/{id}";

/// Routes that the port adds: activation by button and another mail, confirming and undoing a change of address, links
/// truncated by mail programs, logging out elsewhere, pictures and files, the admins' view of mails, the inbox, SES
/// events, documents, health; confirmation pages for deletions; and redirects from the URLs of rejected forms.
const OURS: &str = "
    GET /account_activations/new  POST /account_activations  PATCH /account_activations/{token}
    POST /email_changes  DELETE /email_changes  GET /email_changes/{token}/edit  PATCH /email_changes/{token}
    GET /email_restores/{token}/edit  PATCH /email_restores/{token}
    GET /account_activations/{token}  GET /account_activations/{token}/edit/
    GET /password_resets/{token}  GET /password_resets/{token}/edit/
    GET /email_changes/{token}  GET /email_changes/{token}/edit/
    GET /email_restores/{token}  GET /email_restores/{token}/edit/
    DELETE /other_sessions
    GET /pictures/{key}  GET /avatars/{id}  GET /static/{name:.*}  GET /favicon.ico  GET /robots.txt
    GET /admin/outbox  PATCH /admin/outbox  PATCH /admin/outbox/{id}  GET /admin/suppressions  DELETE /admin/suppressions/{id}
    GET /inbox  GET /inbox/{name}  GET /stack
    POST /webhooks/ses
    GET /docs/walkthrough/{chapter:.*}  GET /README.md  GET /ARCHITECTURE.md  GET /CHANGELOG.md  GET /LICENSE
    GET /livez  GET /readyz
    GET /users/{id}/delete  GET /microposts/{id}/delete
    GET /logout  GET /other_sessions  GET /account_activations  GET /password_resets  GET /email_changes
    GET /microposts  GET /relationships
    GET /relationships/{id}  GET /admin/outbox/{id}  GET /admin/suppressions/{id}";

#[test]
fn the_table_is_that_of_the_original_and_ours() {
    let mut expected: Vec<(&str, &str)> = Vec::new();
    for list in [ORIGINAL, OURS] {
        let words: Vec<&str> = list.split_whitespace().collect();
        expected.extend(words.chunks(2).map(|pair| (pair[0], pair[1])));
    }
    let mut table = TABLE.to_vec();
    expected.sort_unstable();
    table.sort_unstable();
    assert_eq!(table, expected);
}

/// Two responses may differ in length: they contain times and counts.
const SHOW_PRESENT_FIGURES: [&str; 2] = ["/stack", "/metrics"];

#[actix_web::test]
async fn every_get_answers_head_alike_without_a_body() {
    let app = TestApp::start().await;
    let owner = app.db_owner("michael").await;
    let browser = app.logged_in(&owner.person).await;
    let cookie = browser.cookie_header();
    for path in gets() {
        let path = filled(path, &owner);
        let rest =
            format!("{path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
        let (got, headed) = (
            exchange(app.address, format!("GET {rest}").as_bytes()).await,
            exchange(app.address, format!("HEAD {rest}").as_bytes()).await,
        );
        let ((get_head, get_body), (head_head, head_body)) = (got.answer(), headed.answer());
        assert_eq!(headed.statuses(), got.statuses(), "{path}");
        assert_eq!(head_body, "", "{path}");
        // A document may be empty before it is written.
        let has_body =
            !get_body.is_empty() || got.statuses() == [303] || path.ends_with(".md") || path == "/LICENSE";
        assert!(has_body, "{path}: {get_head}");
        for name in ["content-type:", "content-length:", "content-security-policy:"] {
            let line = |head: &str| head.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            if name == "content-length:" && SHOW_PRESENT_FIGURES.contains(&path.as_str()) {
                assert!(line(&head_head).is_some(), "{path}");
            } else {
                assert_eq!(line(&head_head), line(&get_head), "{path}");
            }
        }
    }
}

#[actix_web::test]
async fn other_verbs_are_405_with_allow() {
    let app = TestApp::start().await;
    let owner = app.db_owner("michael").await;
    let mut browser = app.logged_in(&owner.person).await;
    let before = app.database.db_dump().await;
    let mut paths: Vec<&str> = TABLE.iter().map(|(_, path)| *path).collect();
    paths.dedup();
    for path in paths {
        let verbs: Vec<&str> =
            TABLE.iter().filter(|(_, other)| *other == path).map(|(verb, _)| *verb).collect();
        let allow = verbs.join(", ").replace("GET", "GET, HEAD");
        for verb in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "delete"] {
            if verbs.contains(&verb) {
                continue;
            }
            let filled = filled(path, &owner);
            let request = browser.request(Method::from_bytes(verb.as_bytes()).unwrap(), &filled);
            let page = browser.send(request, &filled).await;
            assert_eq!((page.status, page.header("allow")), (405, allow.as_str()), "{verb} {path}");
            assert_is_bare_error_page(&page, "Action not available");
        }
    }
    assert_eq!(app.database.db_dump().await, before);
    assert!(browser.is_logged_in().await);
}

/// No traversal, no listing, no dotfiles. Sent as raw bytes, because clients normalize paths.
#[actix_web::test]
async fn nothing_else_is_served() {
    let app = TestApp::start().await;
    let owner = app.db_owner("michael").await;
    let (folder, canary) = (app.folder.path(), "canary-4711");
    let key = PICTURE.replace('0', "f");
    for file in [format!("../{key}"), ".hidden".into(), "notes.txt".into(), format!("{PICTURE}.part")] {
        std::fs::write(folder.join("images").join(file), canary).unwrap();
    }
    let get = async |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(app.address, request.as_bytes()).await
    };
    for path in [&format!("/pictures/{PICTURE}"), "/static/app.css", "/static/vendor/pico-2.1.1.min.css"] {
        assert_eq!(get(path).await.statuses(), [200], "{path}: this is what is meant to be served");
    }
    let up = [
        "..",
        "%2e%2e",
        "%2E.",
        "..%2f..",
        "..%5c..",
        "%252e%252e",
        "....//",
        "..;",
        "%c0%ae%c0%ae",
        "..%00",
    ];
    let mut paths: Vec<String> = Vec::new();
    for root in ["/static", "/static/vendor", "/pictures", "/avatars", "/inbox"] {
        for up in up {
            for file in [&key, "test.db", "secret_key_base", "images/notes.txt", "Cargo.toml", "src/main.rs"]
            {
                paths.push(format!("{root}/{up}/{file}"));
                paths.push(format!("{root}/{up}/{up}/{up}/{file}"));
            }
            paths.push(format!("{root}/{up}/{up}/{up}/{up}/{up}/{up}/etc/passwd"));
        }
        paths.push(format!("{root}//etc/passwd"));
        paths.push(format!("{root}/%2fetc%2fpasswd"));
        paths.push(format!("{root}{folder}/{key}", folder = folder.display()));
    }
    for path in [
        "/static",
        "/static/",
        "/static/vendor",
        "/static/vendor/",
        "/pictures",
        "/pictures/",
        "/avatars/",
        "/static/.",
        "/static/vendor/LICENSES.md",
        "/pictures/.hidden",
        "/pictures/notes.txt",
        "/.env",
        "/.env.sample",
        "/.git/config",
        "/.git/HEAD",
        "/static/.gitkeep",
        "/Cargo.toml",
        "/src/main.rs",
        "/var/sample_app.db",
        "/var/secret_key_base",
        "/static/app.css/",
        "/static//app.css",
        "/static/app.css%00",
        "/server-status",
        "/actuator/env",
        "/phpinfo.php",
        "/users/..%2f..%2fetc/passwd",
    ] {
        paths.push(path.to_owned());
    }
    paths.push(format!("/pictures/{PICTURE}.part"));
    paths.push(format!("/pictures/{PICTURE}%00"));
    paths.push(format!("/pictures/./{PICTURE}"));
    for path in paths {
        let answer = get(&path).await;
        assert!(matches!(answer.statuses()[..], [404 | 400]), "{path}: {}", answer.text());
        assert!(!answer.text().contains(canary) && !answer.text().contains("root:"), "{path}");
    }
    assert_eq!(get(&format!("/users/{}", owner.person.id)).await.statuses(), [200]);
}

/// An error page shows the request id from the header, and no internals.
#[actix_web::test]
async fn error_pages_say_a_request_id_and_nothing_else() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    assert_is_bare_error_page(&browser.get("/nowhere").await, "Page not found");
    assert_is_bare_error_page(&browser.get("/users/999").await, "Page not found");
    assert_is_bare_error_page(&browser.get("/users?page=0").await, "Invalid request");
    let forged = browser.request(Method::POST, "/microposts").header("origin", "https://evil.example");
    assert_is_bare_error_page(&browser.send(forged, "/microposts").await, "Request refused");
    let large = browser.request(Method::POST, "/login").form(&[("a", "x".repeat(10_000))]);
    assert_is_bare_error_page(&browser.send(large, "/login").await, "Too large");

    app.database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    let page = browser.get("/").await;
    assert_eq!(page.status, 500);
    assert_is_bare_error_page(&page, "Something went wrong");

    let away = [("DATABASE_URL", "mysql://root:canary@127.0.0.1:1/canary")];
    let app = TestApp::start_unmigrated(&away).await;
    let page = app.browser().get("/users/1").await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert_is_bare_error_page(&page, "Temporarily unavailable");
    assert_eq!(app.browser().get("/help").await.status, 200, "what needs no database goes on");
}

fn assert_is_bare_error_page(page: &crate::support::Page, heading: &str) {
    assert!(page.status >= 400);
    assert_eq!(page.one("section.error_page h1"), heading);
    assert_eq!(page.title(), format!("{heading} | Sample App"));
    assert_eq!(page.one(".status"), page.status.to_string());
    let id = page.header("x-request-id");
    assert_eq!(id.len(), 16);
    assert_eq!(page.one("section.error_page small"), format!("Request {id}"));
    assert!(page.has("header a#logo") && page.has("footer"), "in the dress of all pages");
    let text = page.text().to_lowercase();
    for word in
        ["sql", "panick", ".rs", "error:", "table", "elsewhere", "canary", "/tmp", "tokio", "backtrace"]
    {
        assert!(!text.replace("vendor", "").contains(word), "{word} on {}: {text}", page.path);
    }
}

/// A panic becomes a 500 with the usual error page, and the process survives. None of our routes panics, so the test
/// adds one inside the middleware stack.
#[actix_web::test]
async fn a_panic_is_a_500_and_the_process_lives() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let data = app.app.clone();
    let server = HttpServer::new(move || sample_app::server::build_app(data.clone(), with_a_panic))
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);

    let mut browser = Browser::new(address);
    browser.log_in(&michael.email, crate::support::people::PASSWORD).await;
    for _ in 0..20 {
        let page = browser.get("/panic").await;
        assert_eq!(page.status, 500);
        assert_is_bare_error_page(&page, "Something went wrong");
    }
    assert!(browser.is_logged_in().await);
    assert_eq!(browser.get("/").await.status, 200);
    handle.stop(true).await;
}

fn with_a_panic(config: &mut ServiceConfig) {
    routes::configure(config);
    let resource = web::resource("/panic").route(web::get().to(panicking));
    config.service(resource.wrap(from_fn(run_detached)));
}

async fn panicking() -> actix_web::HttpResponse {
    panic!("a canary that must not be told")
}
