//! Requests that the HTTP parser rejects before routing: their response, log line and metrics.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::nginx::SECURITY_HEADERS;
use crate::support::raw::{Exchange, exchange, read_to_end};
use crate::support::server::free_address;
use crate::support::{Browser, Page, Program, TestApp};

const GOOD: &str = "GET /help HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn many_headers() -> String {
    let headers: String = (0..120).map(|number| format!("X-{number}: x\r\n")).collect();
    format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n")
}

fn cookies(bytes: usize) -> String {
    let jar: Vec<String> =
        (0..bytes / 1000).map(|number| format!("c{number:03}={}", "x".repeat(993))).collect();
    format!(
        "GET /help HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        jar.join("; ")
    )
}

fn assert_dressed(answer: &Exchange, status: u16) -> Page {
    let (head, body) = answer.answer();
    assert_eq!((answer.statuses(), answer.closed), (vec![status], true), "{head}");
    for name in SECURITY_HEADERS.iter().filter(|name| **name != "strict-transport-security") {
        assert_eq!(head.matches(&format!("\r\n{name}: ")).count(), 1, "{name} in {head}");
    }
    assert!(head.contains("\r\ncontent-type: text/html; charset=utf-8\r\n"), "{head}");
    let page = Page::parse(&body);
    assert_eq!(page.all("p.status"), [status.to_string()]);
    assert!(page.title().ends_with(" | Sample App"));
    page
}

async fn assert_all_dressed(address: SocketAddr) {
    let sent = async |request: &str| exchange(address, request.as_bytes()).await;
    let script = "GET /?x=<script> HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_dressed(&sent(script).await, 400);
    assert_dressed(&sent(&many_headers()).await, 431);
    // Responses to earlier requests come first.
    let both = sent(&format!("{GOOD}{script}")).await;
    assert_eq!((both.statuses(), both.closed), (vec![200, 400], true), "{}", both.text());
    assert_eq!(both.text().matches("</html>").count(), 2, "{}", both.text());
}

#[actix_web::test]
async fn they_get_an_error_page_with_every_header() {
    let app = TestApp::start().await;
    assert_all_dressed(app.address).await;
    let https = TestApp::start_with(&[("APP_URL", "https://sample.test")]).await;
    let answer = exchange(https.address, many_headers().as_bytes()).await;
    assert!(answer.text().contains("strict-transport-security: max-age=63072000"), "{}", answer.text());
}

#[actix_web::test]
async fn they_get_the_same_behind_nginx() {
    let app = TestApp::start_behind_nginx().await;
    assert_all_dressed(app.address).await;
}

/// Other sites on the same domain may set this many.
#[actix_web::test]
async fn too_many_cookies_are_named_as_the_reason() {
    let plain = TestApp::start().await;
    let behind_nginx = TestApp::start_behind_nginx().await;
    for (app, fine, too_many) in [(&plain, 100_000, 150_000), (&behind_nginx, 30_000, 40_000)] {
        assert_eq!(exchange(app.address, cookies(fine).as_bytes()).await.statuses(), [200], "{fine} bytes");
        let page = assert_dressed(&exchange(app.address, cookies(too_many).as_bytes()).await, 431);
        assert_eq!(page.one("h1"), "Too many cookies");
        assert!(page.one("section.error_page").contains("Delete the cookies of this address"));
    }
}

/// A client would take an unsolicited response as the answer to its next request.
#[actix_web::test]
async fn a_connection_without_a_request_is_closed_in_silence() {
    let app = TestApp::start().await;
    let silent = read_to_end(TcpStream::connect(app.address).await.unwrap()).await;
    assert_eq!((silent.text().as_str(), silent.closed), ("", true));
}

#[actix_web::test]
async fn they_are_request_lines_and_are_counted() {
    let metrics = free_address();
    let program = Program::production().await.set("METRICS_LISTEN", &metrics.to_string()).set("LOG", "info");
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    let address = serving.address();
    let bad_chunk = "POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                     Content-Type: application/x-www-form-urlencoded\r\n\r\nx\r\n";
    let bad_method = "G<T /help HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (request, status) in [(bad_chunk, 400), (bad_method, 400), (&many_headers(), 431)] {
        let answer = exchange(address, request.as_bytes()).await;
        assert_eq!(answer.statuses(), [status], "{}", answer.text());
        let (head, _) = answer.answer();
        let id = head.split("x-request-id: ").nth(1).unwrap()[..16].to_owned();
        let line: Value = serde_json::from_str(&serving.wait_for(&id)).unwrap();
        assert_eq!((&line["message"], &line["level"]), (&"request".into(), &"INFO".into()), "{line}");
        assert_eq!((&line["status"], &line["client"]), (&status.into(), &"127.0.0.1".into()), "{line}");
    }
    let figures = Browser::new(metrics).get("/metrics").await.text();
    for status in [400, 431] {
        let name = "http_requests_total";
        let count = format!("{name}{{route=\"none\",status=\"{status}\"}} 1\n");
        assert!(figures.contains(&count), "{figures}");
    }
    serving.browser().get("/about").await;
    serving.wait_for("\"/about\"");
    assert!(serving.lines.iter().all(|line| !line.contains("\"ERROR\"")), "{:?}", serving.lines);
}
