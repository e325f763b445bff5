//! Requests that only raw bytes can express: heads and bodies that are too large, too slow or ambiguous. Where actix
//! itself rejects them, these tests ensure that it does.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::TestApp;
use crate::support::raw::{Exchange, exchange};

const OK: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n";

fn with_header(header: &str) -> Vec<u8> {
    format!("{OK}{header}\r\nConnection: close\r\n\r\n").into_bytes()
}

#[actix_web::test]
async fn heads_have_a_limit() {
    let app = TestApp::start().await;
    let get = async |request: Vec<u8>| exchange(app.address, &request).await;
    assert_eq!(get(with_header(&format!("X-Long: {}", "x".repeat(8_000)))).await.statuses(), [200]);
    let many: Vec<String> = (0..80).map(|number| format!("X-{number}: x")).collect();
    assert_eq!(get(with_header(&many.join("\r\n"))).await.statuses(), [200]);

    let too_many: Vec<String> = (0..200).map(|number| format!("X-{number}: x")).collect();
    assert_refused(&get(with_header(&too_many.join("\r\n"))).await, &[400, 431], "200 headers");
    for length in [140_000, 1_000_000] {
        let long = with_header(&format!("X-Long: {}", "x".repeat(length)));
        assert_refused(&get(long).await, &[400, 431], "a long header");
        let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(length));
        assert_refused(&get(long.into()).await, &[400, 414, 431], "a long address");
        let endless = "x".repeat(length);
        assert_refused(&get(endless.into()).await, &[400, 414, 431], "no request at all");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "x".repeat(70_000));
    assert_refused(&get(long.into()).await, &[400, 414], "an address of more than 64 kB");
    let query =
        format!("GET /users?{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "x".repeat(60_000));
    let answer = get(query.into()).await;
    assert_eq!(answer.statuses(), [303]);
    assert!(answer.bytes.len() < 4096, "proxies refuse a longer head: {}", answer.bytes.len());
    let token = "x".repeat(30_000);
    let link = format!(
        "GET /password_resets/{token}/edit?email={token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    let answer = get(link.into()).await;
    assert!(answer.statuses() == [303] && answer.bytes.len() < 4096, "{}", answer.bytes.len());
}

fn assert_refused(exchange: &Exchange, statuses: &[u16], what: &str) {
    let got = exchange.statuses();
    assert!(exchange.closed, "{what}: the connection stays open");
    // If the client is still sending, the connection may be reset before it reads the response.
    let reset = got.is_empty() && exchange.bytes.is_empty();
    assert!(reset || got.len() == 1 && statuses.contains(&got[0]), "{what}: {}", exchange.text());
}

/// A request that parsers could frame differently gets a single 400, and the connection is closed (request smuggling).
#[actix_web::test]
async fn ambiguous_requests_are_400_and_the_last() {
    let app = TestApp::start().await;
    let cases = ambiguous_requests();
    let sent = cases.iter().map(async |(what, bytes)| (what, exchange(app.address, bytes.as_bytes()).await));
    let mut wrong = String::new();
    for (what, answer) in futures_util::future::join_all(sent).await {
        if answer.statuses() != [400] || !answer.closed {
            wrong += &format!("{what:?}: {:?}, closed: {}\n", answer.statuses(), answer.closed);
        }
    }
    assert_eq!(wrong, "");
    // An absolute URL of the same host is valid, and so are pipelined requests.
    let absolute = "GET http://LOCALHOST/help HTTP/1.1\r\nHost: localhost\r\n\r\nGET /help HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(app.address, absolute.as_bytes()).await.statuses(), [200, 200]);
}

/// Each with a description of what is ambiguous.
pub fn ambiguous_requests() -> Vec<(String, String)> {
    let smuggled = "GET /help HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let post = |headers: &str, body: &str| {
        format!(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}\r\n\r\n{body}{smuggled}"
        )
    };
    let chunked = "1\r\na\r\n0\r\n\r\n";
    let mut cases: Vec<(String, String)> = Vec::new();
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunkedx",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: \u{b}chunked",
        "Transfer-Encoding:\u{c}chunked",
        "Transfer-Encoding: chunk\r\n ed",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: x\r\n Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: x",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: -0",
        "Content-Length: 0x5",
        "Content-Length: 5x",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length: 1e1",
        "Content-Length:",
        "Content-Length: \"5\"",
        "Content-Length: 99999999999999999999999",
        "Content-Length : 5",
        "Content-Length\u{0}: 5",
        "Content Length: 5",
        "X: x\ry: z",
        "X: a\u{0}b",
        "X(: x",
        "no colon",
        ": no name",
        "Host: other",
    ] {
        cases.push((headers.to_owned(), post(headers, chunked)));
    }
    for chunks in [
        "+5\r\nabcde\r\n0\r\n\r\n",
        "-1\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "g\r\nabcde\r\n0\r\n\r\n",
        "5\nabcde\n0\n\n",
        "5\r\nabcdeXX0\r\n\r\n",
        "\r\n5\r\nabcde\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\nabcde\r\n0\r\n\r\n",
        "5;\nabcde\r\n0\r\n\r\n",
    ] {
        cases.push((chunks.to_owned(), post("Transfer-Encoding: chunked", chunks)));
    }
    for whole in [
        "GET /help\r\n\r\n",
        "GET  /help HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /help HTTP/0.9\r\nHost: localhost\r\n\r\n",
        "GET /help HTTP/1.2\r\nHost: localhost\r\n\r\n",
        "GET /help HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "GET /help HTTP/11.1\r\nHost: localhost\r\n\r\n",
        "GET /help http/1.1\r\nHost: localhost\r\n\r\n",
        "GET /he lp HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET\t/help HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "G\u{0}T /help HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /help HTTP/1.1\r\n\r\n",
        "GET /help HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        "POST /login HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /login HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{0}\u{a5}\u{1}\u{0}\u{0}\u{a1}\u{3}\u{3}",
    ] {
        cases.push((whole.to_owned(), format!("{whole}{smuggled}")));
    }
    // These are framed correctly, but for another host.
    for whole in [
        "GET help HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://evil.example/help HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://evil.example:80/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "POST https://evil.example/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        cases.push((whole.to_owned(), whole.to_owned()));
    }
    cases
}

/// A bare LF also ends a header line (RFC 9112, section 2.2 allows it). The parser applies this consistently, so that
/// no part of a request becomes another request.
#[actix_web::test]
async fn bare_line_feeds_split_no_request() {
    let app = TestApp::start().await;
    let head = "POST /login HTTP/1.1\nHost: localhost\nContent-Length: 36\nConnection: close\n\n";
    let answer =
        exchange(app.address, format!("{head}GET /help HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .await;
    assert_eq!((answer.statuses().len(), answer.closed), (1, true), "{}", answer.text());
}

/// Slow senders: the first head of a connection has 5 s, a form body 15 s.
#[actix_web::test]
async fn slow_senders_are_cut_off() {
    let app = TestApp::start().await;
    let slow = async |first: &str, drip: &[u8]| {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(first.as_bytes()).await.unwrap();
        let (start, mut got, mut buffer) = (Instant::now(), Vec::new(), [0; 4096]);
        // Twice the longest time-out, plus a margin for a busy machine.
        while start.elapsed() < Duration::from_secs(60) {
            match timeout(Duration::from_millis(200), stream.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return Exchange { bytes: got, closed: true },
                Ok(Ok(read)) => got.extend_from_slice(&buffer[..read]),
                Err(_) if !got.is_empty() && start.elapsed() > Duration::from_secs(30) => break,
                Err(_) if stream.write_all(drip).await.is_err() => {
                    return Exchange { bytes: got, closed: true };
                }
                Err(_) => {}
            }
        }
        Exchange { bytes: got, closed: false }
    };
    let form =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let (length, chunked) =
        (format!("{form}Content-Length: 5000\r\n\r\n"), format!("{form}Transfer-Encoding: chunked\r\n\r\n"));
    let (head, nothing, body, chunks) = tokio::join!(
        slow("GET / HTTP/1.1\r\n", b"X: x\r\n"),
        slow("", b""),
        slow(&length, b"x"),
        slow(&chunked, b"1\r\nx\r\n"),
    );
    for (what, answer) in [("head", &head), ("body", &body), ("chunked body", &chunks)] {
        assert_eq!(answer.statuses(), [408], "{what}: {}", answer.text());
    }
    assert_eq!(nothing.text(), "", "nobody asked");
    // actix reads and drops the rest of a chunked body for as long as it comes.
    assert!(head.closed && nothing.closed && body.closed);
}

/// A form that declares a too large size is rejected before its body is sent; without a Content-Length, as soon as it
/// exceeds the limit.
#[actix_web::test]
async fn oversized_forms_are_refused_early() {
    let app = TestApp::start().await;
    let head =
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for sent in [
        format!("{head}Content-Length: 1000000\r\n\r\n"),
        format!("{head}Content-Length: 8193\r\n\r\n"),
        format!("{head}Content-Length: 18446744073709551615\r\n\r\n"),
        format!("{head}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"),
        format!("{head}Transfer-Encoding: chunked\r\n\r\n2001\r\n{}", "x".repeat(0x2001)),
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = vec![0; 4096];
        let start = Instant::now();
        let read = timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("early").unwrap();
        let text = String::from_utf8_lossy(&answer[..read]).replace("HTTP/1.1 100 Continue\r\n\r\n", "");
        assert!(text.starts_with("HTTP/1.1 413 ") || read == 25, "{:.99}: {text}", sent);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

/// A picture over 5 MB is rejected while it is being received, and the form keeps the text.
#[actix_web::test]
async fn a_large_upload_is_refused_before_it_was_all_sent() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let head = format!(
        "POST /microposts HTTP/1.1\r\nHost: localhost\r\nCookie: {}\r\nTransfer-Encoding: chunked\r\n\
         Content-Type: multipart/form-data; boundary=limit\r\n\r\n",
        browser.cookie_header()
    );
    let parts = "--limit\r\nContent-Disposition: form-data; name=\"micropost[content]\"\r\n\r\nmy words\r\n\
                 --limit\r\nContent-Disposition: form-data; name=\"micropost[picture]\"; filename=\"a.png\"\r\n\r\n";
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(format!("{:x}\r\n{parts}\r\n", parts.len()).as_bytes()).await.unwrap();
    let piece = [format!("{:x}\r\n", 64 * 1024).into_bytes(), vec![0; 64 * 1024], b"\r\n".to_vec()].concat();
    for _ in 0..80 {
        stream.write_all(&piece).await.expect("5 MB are read");
    }
    // No response yet: this size is still allowed.
    assert!(timeout(Duration::from_millis(300), stream.readable()).await.is_err());
    stream.write_all(&piece).await.unwrap();
    // The rest of the upload is not sent: the response must arrive without it.
    let mut got = String::new();
    let mut buffer = vec![0; 8192];
    let start = Instant::now();
    while !got.contains("</html>") {
        let read =
            timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.expect("an answer").unwrap();
        assert!(read > 0 && start.elapsed() < Duration::from_secs(30), "{got}");
        got += &String::from_utf8_lossy(&buffer[..read]);
    }
    assert!(got.starts_with("HTTP/1.1 413 "), "{got}");
    assert!(got.contains("Picture should be less than 5MB") && got.contains("my words</textarea>"), "{got}");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
}
