//! More load than can be answered: lists are refused at once, then profiles, so that log-ins, posts and health checks
//! are answered. web/middleware/admission/controller.rs tests the limit itself, in simulated time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use actix_web::http::Method;
use actix_web::test::TestRequest;
use futures_util::future::join_all;
use sample_app::routes::{self, TABLE};
use sample_app::web::middleware::admission::controller::Class;
use tokio::task::JoinHandle;

use crate::database_faults::{behind_a_proxy, reader_behind_a_proxy};
use crate::support::people::PASSWORD;
use crate::support::table::PICTURE;
use crate::support::wait::until;
use crate::support::{Browser, Page, TestApp};

/// Clients that each request a page again as soon as they have a response.
struct Flood {
    over: Rc<Cell<bool>>,
    clients: Vec<JoinHandle<()>>,
}

impl Flood {
    fn start(browser: &Browser, path: &'static str, clients: usize) -> Flood {
        let over = Rc::new(Cell::new(false));
        let client = |_| {
            let (over, browser) = (over.clone(), browser.clone());
            actix_web::rt::spawn(async move {
                while !over.get() {
                    // Not as a `Page`: parsing costs more than what is tested.
                    let response = browser.request(reqwest::Method::GET, path).send().await.unwrap();
                    let status = response.status().as_u16();
                    response.bytes().await.unwrap();
                    assert!(matches!(status, 200 | 503), "{status}");
                    if status == 503 {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            })
        };
        Flood { clients: (0..clients).map(client).collect(), over }
    }

    async fn end(self) {
        self.over.set(true);
        join_all(self.clients).await.into_iter().for_each(Result::unwrap);
    }
}

/// Such a response skips what assigns request ids.
fn is_refusal(page: &Page) -> bool {
    page.status == 503 && page.header("x-request-id").is_empty()
}

/// A figure of the metrics.
async fn figure(app: &TestApp, name: &str) -> u64 {
    let figures = Browser::new(app.metrics_address().unwrap()).get("/metrics").await.text();
    figures.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().parse().unwrap()
}

/// Refused requests of a class.
async fn refused(app: &TestApp, class: &str) -> u64 {
    figure(app, &format!("sample_app_refused_requests_total{{class=\"{class}\"}}")).await
}

const METRICS: (&str, &str) = ("METRICS_LISTEN", "127.0.0.1:0");

#[actix_web::test]
async fn with_a_slow_database_lists_are_refused_and_log_ins_posts_and_health_are_answered() {
    let Some((app, proxy, id)) = behind_a_proxy(&[METRICS]).await else { return };
    let mut anna = app.browser();
    assert_eq!(anna.log_in("anna@example.com", PASSWORD).await.status, 200);
    assert_eq!(refused(&app, "list").await, 0);

    proxy.slow_down(Duration::from_millis(60));
    let flood = Flood::start(&anna, "/users", 40);
    let refusal = anna.clone().get_until("/users", is_refusal).await;
    assert_eq!(refusal.header("retry-after"), "5");
    assert!(refusal.one("section.error_page").contains("wait a few seconds and reload this page"));
    assert!(refusal.has("header a#logo") && refusal.has("footer"), "in the dress of all pages");
    assert!(!refusal.header("content-security-policy").is_empty());

    // What was accepted before the first refusal is still in the queue.
    let credentials = [("session[email]", "anna@example.com"), ("session[password]", PASSWORD)];
    app.browser().post_until_taken("/login", &credentials).await.assert_redirect(&format!("/users/{id}"));
    let before = refused(&app, "list").await;
    for round in 0..5 {
        let mut berta = app.browser();
        let answer = berta.post("/login", &credentials).await;
        answer.assert_redirect(&format!("/users/{id}"));
        let text = format!("round {round}");
        berta.post("/microposts", &[("micropost[content]", &text)]).await.assert_redirect("/");
        for path in ["/livez", "/readyz", "/help", "/static/app.css"] {
            assert_eq!(app.browser().get(path).await.status, 200, "{path}");
        }
    }
    assert!(refused(&app, "list").await > before, "the flood went on meanwhile");
    assert_eq!(refused(&app, "write").await, 0);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 5);

    flood.end().await;
    proxy.slow_down(Duration::ZERO);
    anna.get_until("/users", |page| page.status == 200).await;
    let before = refused(&app, "list").await;
    for path in ["/users", "/", &format!("/users/{id}")].repeat(10) {
        assert_eq!(anna.get(path).await.status, 200, "{path}");
    }
    assert_eq!(refused(&app, "list").await, before);
}

/// Otherwise check-outs time out, the reader is left, and the writer gets all of the load.
#[actix_web::test]
async fn with_a_slow_reader_lists_are_refused_and_it_stays_in_use() {
    let Some((app, proxy, _)) = reader_behind_a_proxy(&[METRICS]).await else { return };
    let mut anna = app.browser();
    assert_eq!(anna.log_in("anna@example.com", PASSWORD).await.status, 200);
    let is_in_use = async || figure(&app, "sample_app_database_reader_in_use").await == 1;
    until("the reader is in use", is_in_use).await;
    proxy.slow_down(Duration::from_millis(60));
    let flood = Flood::start(&anna, "/users", 40);
    anna.clone().get_until("/users", is_refusal).await;
    assert_eq!(refused(&app, "write").await, 0);
    for text in ["one", "two"] {
        anna.post("/microposts", &[("micropost[content]", text)]).await.assert_redirect("/");
        assert!(is_in_use().await);
    }
    flood.end().await;
}

#[actix_web::test]
async fn a_flood_that_the_database_does_not_answer_is_refused_at_once() {
    let app = TestApp::start_with(&[METRICS, ("LIMITS", "off")]).await;
    let anna = app.db_person("anna").await;
    let mut browser = app.logged_in(&anna).await;
    if app.database.is_mysql() {
        eprintln!("nothing to test on MySQL: each worker has connections of its own");
        return;
    }
    let most = app.app.db.max_per_thread();
    let held = join_all((0..most).map(|_| app.app.db.conn())).await;
    let flood = Flood::start(&browser, "/users", 100);
    browser.get_until("/users", is_refusal).await;
    for path in ["/livez", "/static/app.css", "/robots.txt"] {
        assert_eq!(app.browser().get(path).await.status, 200, "{path}");
    }
    flood.end().await;
    drop(held);
    browser.get_until("/users", |page| page.status == 200).await;
    // A change can be refused until the end of the interval in which the last of the flood were answered.
    let credentials = [("session[email]", anna.email.as_str()), ("session[password]", PASSWORD)];
    let answer = app.browser().post_until_taken("/login", &credentials).await;
    answer.assert_redirect(&format!("/users/{}", anna.id));
}

/// A new route that is dear needs a class, and a new change has one.
#[test]
fn every_route_has_its_class() {
    let class = |verb: &str, path: &str| {
        let path = path.replace("{id}", "7").replace("{token}", "kept").replace("{key}", PICTURE);
        let method = verb.parse::<Method>().unwrap();
        routes::class_of(&TestRequest::with_uri(&path).method(method).to_srv_request())
    };
    let (mut lists, mut profiles) = (Vec::new(), Vec::new());
    for &(verb, path) in TABLE {
        match class(verb, path) {
            Some(Class::List) => lists.push(path),
            Some(Class::Profile) => profiles.push(path),
            other => assert_eq!(other == Some(Class::Write), verb != "GET", "{verb} {path}"),
        }
    }
    assert_eq!(
        lists,
        [
            "/",
            "/users",
            "/users/{id}/following",
            "/users/{id}/followers",
            "/admin/outbox",
            "/admin/suppressions"
        ]
    );
    assert_eq!(
        profiles,
        ["/users/{id}", "/users/{id}/edit", "/users/{id}/delete", "/microposts/{id}/delete"]
    );
    assert_eq!(class("GET", "/%75sers"), Some(Class::List), "as the router reads it");
    assert_eq!(class("HEAD", "/users"), Some(Class::List));
}
