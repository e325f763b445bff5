//! Hostile clients in front of nginx: ambiguous requests, endless requests, and a thousand slow connections.

use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::nginx::client_at;
use crate::raw::ambiguous_requests;
use crate::support::TestApp;
use crate::support::people::PASSWORD;
use crate::support::raw::{exchange, read_to_end};
use crate::support::wait::wait_for;

/// Ambiguous requests are rejected and the connection is closed, as without nginx. A few are no longer ambiguous,
/// because nginx forwards only one reading.
#[actix_web::test]
async fn ambiguous_requests_get_one_answer_and_are_the_last() {
    let app = TestApp::start_behind_nginx().await;
    let decided = [
        // The header is dropped. What remains is a request without a body, and then garbage.
        ("X(: x", vec![422, 400], true),
        // A line may end with LF alone.
        ("5\nabcde\n0\n\n", vec![422], true),
        ("5;\nabcde\r\n0\r\n\r\n", vec![422], true),
        // HTTP/0.9 has no response head; the page says 400.
        ("GET /help\r\n\r\n", vec![], true),
        ("POST /login HTTP/1.0\r\nHost: localhost\r\n\r\n", vec![422], true),
        // The same host, with the default port.
        ("GET http://evil.example:80/ HTTP/1.1\r\nHost: evil.example\r\n\r\n", vec![200], false),
    ];
    let cases = ambiguous_requests();
    let sent = cases.iter().map(async |(what, bytes)| {
        let hang_up = bytes
            .replace("\r\nHost: evil.example\r\n\r\n", "\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        (what, exchange(app.address, hang_up.as_bytes()).await)
    });
    let mut wrong = String::new();
    for (what, answer) in futures_util::future::join_all(sent).await {
        let expected =
            decided.iter().find(|(text, ..)| text == what).map_or(vec![400], |(_, some, _)| some.clone());
        if answer.statuses() != expected || !answer.closed {
            wrong += &format!("{what:?}: {:?}, closed: {}\n", answer.statuses(), answer.closed);
        }
        assert!(!answer.text().contains("<h1>Help</h1>"), "{what}: what was smuggled in is answered");
    }
    assert_eq!(wrong, "");
    let both = "GET http://LOCALHOST/help HTTP/1.1\r\nHost: localhost\r\n\r\nGET /help HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(app.address, both.as_bytes()).await.statuses(), [200, 200]);
}

#[actix_web::test]
async fn heads_have_a_limit() {
    let app = TestApp::start_behind_nginx().await;
    let get = async |head: String| {
        let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(app.address, request.as_bytes()).await
    };
    assert_eq!(get(format!("GET /livez HTTP/1.1\r\nX: {}", "x".repeat(32_000))).await.statuses(), [200]);
    for length in [33_000, 100_000] {
        for (head, status, heading) in [
            (format!("GET /livez HTTP/1.1\r\nX: {}", "x".repeat(length)), 431, "Too many cookies"),
            (format!("GET /{} HTTP/1.1", "x".repeat(length)), 400, "Invalid request"),
        ] {
            let answer = get(head).await;
            let statuses = answer.statuses();
            // If the client is still sending, the connection may be reset before it reads the response.
            assert!(answer.closed && (statuses == [status] || answer.bytes.is_empty()), "{}", answer.text());
            assert!(answer.bytes.is_empty() || answer.text().contains(heading));
        }
    }
}

/// With actix a chunked body may continue forever after the response; here the body limit ends it.
#[actix_web::test]
async fn a_body_without_end_ends_and_the_application_never_hears_of_it() {
    let app = TestApp::start_behind_nginx().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = "POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let (mut reader, mut writer) = stream.split();
    let mut answer = vec![0; 12];
    // 64 MB, far more than the buffers in between.
    let sending = async {
        for sent in 0..1024 {
            if writer.write_all(&piece).await.is_err() {
                return sent;
            }
        }
        1024
    };
    let read = tokio::select! {
        sent = sending => panic!("{sent} pieces without an answer"),
        read = reader.read_exact(&mut answer) => read,
    };
    read.unwrap();
    assert_eq!(answer, b"HTTP/1.1 413");
    let lines = app.nginx.as_ref().unwrap().lines(1, |line| line["path"] == "/login").await;
    assert_eq!((&lines[0]["status"], &lines[0]["upstream_status"]), (&"413".into(), &"".into()));
}

/// actix has a time-out for the first head of a connection only; nginx for every head.
#[actix_web::test]
async fn a_later_head_that_does_not_come_is_not_waited_for() {
    let app = TestApp::start_behind_nginx().await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = vec![0; 15];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(first, b"HTTP/1.1 200 OK");
    stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").await.unwrap();
    let rest = read_to_end(stream).await;
    assert!(rest.closed && !rest.text().contains("HTTP/1.1"), "{}", rest.text());
    app.nginx.as_ref().unwrap().lines(1, |line| line["status"] == "408").await;
}

/// Open connections to this port, as the kernel lists them on the server's side.
fn open_connections(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ours = format!(":{port:04X}");
    let open = table.lines().filter(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(&ours) && words[3] == "01"
    });
    open.count()
}

/// A tool that opens 1000 slow connections. Killed on drop.
struct SlowClients(Child);

impl SlowClients {
    fn start(app: &TestApp, kind: &str) -> SlowClients {
        let mut command = Command::new("slowhttptest");
        // A chunk every 2 s; a slow reader reads 8 to 16 bytes every 5 s.
        command.args([kind, "-c", "1000", "-r", "1000", "-i", "2", "-l", "300", "-x", "24", "-s", "8192"]);
        command.args(["-w", "8", "-y", "16", "-n", "5", "-z", "8", "-k", "3", "-p", "3", "-t", "POST"]);
        let url = format!("http://{}/login", app.address);
        let child = command.args(["-u", &url]).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        SlowClients(child.expect("slowhttptest is missing: run scripts/setup"))
    }
}

impl Drop for SlowClients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With 1000 slow connections everybody else is served as usual. `waiting` checks that they had an effect.
async fn while_a_thousand_are_slow(kind: &str, waiting: impl AsyncFn(&TestApp)) {
    let app = TestApp::start_behind_nginx().await;
    let michael = app.db_person("michael").await;
    let slow = SlowClients::start(&app, kind);
    let port = app.address.port();
    let mut most = 0;
    // At least half of them at the same time: on a busy machine the first are disconnected before the last connect.
    wait_for(async || {
        most = most.max(open_connections(port));
        if most >= 500 { Ok(()) } else { Err(format!("{most} connections at most")) }
    })
    .await;
    // Other visitors have other addresses.
    let honest = client_at("127.0.0.2");
    for round in 0..20 {
        let fields = [("session[email]", michael.email.as_str()), ("session[password]", PASSWORD)];
        let log_in = honest.post(format!("http://{}/login", app.address)).form(&fields);
        let logged_in = log_in.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert_eq!(logged_in.status(), 303, "round {round}");
        for path in ["/", "/help", "/livez", sample_app::views::asset("app.css")] {
            let answer = honest.get(format!("http://{}{path}", app.address)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}, round {round}");
        }
    }
    waiting(&app).await;
    drop(slow);
    app.stop().await;
}

/// Heads that never end: each is disconnected after 5 s.
#[actix_web::test]
async fn a_thousand_slow_heads_disturb_nobody() {
    while_a_thousand_are_slow("-H", async |app| {
        let nginx = app.nginx.as_ref().unwrap();
        nginx.lines(900, |line| line["status"] == "408" && line["upstream_status"] == "").await;
    })
    .await;
}

/// Bodies that never end: nginx waits for 50 per visitor and rejects the others; the application sees none.
#[actix_web::test]
async fn a_thousand_slow_bodies_disturb_nobody() {
    while_a_thousand_are_slow("-B", async |app| {
        let nginx = app.nginx.as_ref().unwrap();
        nginx.lines(900, |line| line["status"] == "429" && line["client"] == "127.0.0.1").await;
        let heard =
            nginx.lines(0, |line| line["client"] == "127.0.0.1" && line["upstream_status"] != "").await;
        // The tool itself checks now and then whether the page is available.
        assert!(heard.iter().all(|line| line["method"] == "GET"), "{heard:?}");
    })
    .await;
}

/// Clients that do not read: the application has sent its response long ago, and nginx buffers it.
#[actix_web::test]
async fn a_thousand_slow_readers_disturb_nobody() {
    while_a_thousand_are_slow("-X", async |app| {
        let answer = client_at("127.0.0.2").get(format!("http://{}/readyz", app.address)).send().await;
        assert_eq!(answer.unwrap().status(), 200);
    })
    .await;
}
