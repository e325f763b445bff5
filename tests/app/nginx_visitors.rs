//! nginx and its visitors: trusted addresses, rate limits and the access log.

use reqwest::Method;
use sample_app::models::values::token::random_hex;
use sample_app::views::asset;

use crate::nginx::{client_at, header};
use crate::support::nginx::LOAD_BALANCER;
use crate::support::people::PASSWORD;
use crate::support::{Page, TestApp};

/// Whatever a visitor claims as its address, the one that the load balancer reports, or the connecting one, counts.
#[actix_web::test]
async fn forged_addresses_change_nothing() {
    let app = TestApp::start_behind_nginx().await;
    let log_in = async |from: &str, forwarded: String| {
        let request = client_at(from).post(format!("http://{}/login", app.address));
        let request = request.header("sec-fetch-site", "same-origin").header("x-forwarded-for", forwarded);
        // A new account each time, so that only the visitor's limit counts.
        let email = format!("{}@example.com", random_hex::<8>().unwrap());
        let fields = [("session[email]", email.as_str()), ("session[password]", "wrong password")];
        request.form(&fields).send().await.unwrap().status().as_u16()
    };
    for (from, forwarded) in [
        ("127.0.0.1", &(|n| format!("192.0.2.{n}")) as &dyn Fn(usize) -> String),
        (LOAD_BALANCER, &|n| format!("192.0.2.{n}, 198.51.100.1")),
    ] {
        let mut statuses = Vec::new();
        for n in 0..40 {
            statuses.push(log_in(from, forwarded(n)).await);
        }
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!((refused, statuses[0]), (15, 422), "{from}: {statuses:?}");
    }
    // Another visitor behind the same load balancer counts separately.
    assert_eq!(log_in(LOAD_BALANCER, "198.51.100.2".to_owned()).await, 422);
    let lines = app.nginx.as_ref().unwrap().lines(81, |line| line["path"] == "/login").await;
    assert_eq!(lines[0]["client"], "127.0.0.1");
    assert_eq!(lines[40]["client"], "198.51.100.1");
}

/// One JSON line per request, without tokens from mail links, form data or referrers.
#[actix_web::test]
async fn the_log_is_json_and_keeps_no_secret() {
    let app = TestApp::start_behind_nginx().await;
    let mut browser = app.browser();
    browser.sign_up("Canary", "canary.anna@example.com", PASSWORD).await;
    let link = app.mail_to("canary.anna@example.com", 1).await.link();
    let token = link.split('/').find(|part| part.len() >= 40).unwrap().to_owned();
    browser.get(&link).await;
    for path in [
        format!("/password_resets/{token}/edit?email=canary.anna%40example.com"),
        "/password_resets/canarytoken/edit".to_owned(),
        format!("/nowhere/canary/x{token}"),
        "/nowhere/edit&email=canary.anna%40example.com".to_owned(),
        "/help?token=canary\"}".to_owned(),
    ] {
        let request = browser.request(Method::GET, &path).header("referer", format!("http://canary/{token}"));
        request.header("user-agent", "canary").send().await.unwrap();
    }
    let nginx = app.leave_nginx().await;
    assert_eq!(browser.get_only(&link).await.status, 503);
    let last = nginx.lines(1, |line| line["status"] == "503").await.remove(0);
    let lines = nginx.lines(10, |_| true).await;
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let expected = [
        "/signup",
        "/users",
        "/",
        "/account_activations/:token",
        "/account_activations/:token",
        "/password_resets/:token",
        "/password_resets/:token",
        "/nowhere/canary/:token",
        "/nowhere/:token",
        "/help",
        "/account_activations/:token",
    ];
    let found: Vec<_> = expected.iter().filter(|path| paths.contains(path)).collect();
    assert_eq!(found.len(), expected.len(), "{paths:#?}");
    assert_eq!(lines[1]["method"], "POST");
    assert!(lines[1]["request_id"].as_str().unwrap().len() == 16);
    assert_eq!(last["upstream_status"], "502");
    let written = [nginx.log(), nginx.complaints()].concat().replace("/nowhere/canary/", "");
    for canary in ["canary", "Canary", &token, &token[..20]] {
        assert!(!written.contains(canary), "{canary}: {written}");
    }
}

/// A second line of defense beside the application's own limits: excessive requests are delayed or rejected, and others
/// are not affected. Files are not counted.
#[actix_web::test]
async fn who_asks_for_far_too_much_waits_and_nobody_else() {
    let app = TestApp::start_behind_nginx().await;
    let client = client_at("127.0.0.1");
    let ask = async |path: &str, count: usize| {
        let asked = (0..count).map(|_| client.get(format!("http://{}{path}", app.address)).send());
        let answers = futures_util::future::join_all(asked).await;
        let refused = answers.into_iter().map(Result::unwrap).filter(|answer| answer.status() != 200);
        refused.collect::<Vec<_>>()
    };
    // A page with 30 pictures and 30 avatars.
    assert!(ask("/livez", 61).await.is_empty());
    for _ in 0..20 {
        assert!(ask(asset("app.css"), 100).await.is_empty());
    }
    // More than 100 requests per second, for as long as it takes.
    let mut refused = Vec::new();
    for _ in 0..300 {
        refused = ask("/livez", 100).await;
        if !refused.is_empty() {
            break;
        }
    }
    let answer = refused.pop().expect("nobody is refused");
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, "5"));
    let page = Page::read(answer, "/livez".to_owned()).await;
    assert_eq!(page.all("h1"), ["Too many requests"]);
    let somebody_else = client_at("127.0.0.2").get(format!("http://{}/livez", app.address));
    assert_eq!(somebody_else.send().await.unwrap().status(), 200);
}
