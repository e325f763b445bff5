//! Starting, listening and stopping the real program: health checks, and that SIGTERM and SIGINT finish requests in
//! progress and exit with 0.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::wait::{PATIENCE, wait_blocking};
use crate::support::{Browser, Program};

/// How long the program waits for requests in progress (server.rs).
const DRAIN: Duration = Duration::from_secs(30);

/// Sends a request with "Connection: close" and reads until the server closes.
fn ask(mut stream: impl Read + Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: sample.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[actix_web::test]
async fn serve_says_where_to_go() {
    let program = Program::development().await.set("APP_URL", "http://localhost:4711");
    let mut serving = program.serve();
    let ready = serving.wait_for("ready");
    assert!(
        ready.starts_with("Sample App is ready: http://localhost:4711 (listening on 127.0.0.1:"),
        "{ready}"
    );
    let inbox = serving.wait_for("read them at");
    assert!(inbox.ends_with("http://localhost:4711/inbox"), "{inbox}");
    serving.wait_for("cargo run -- seed");
    let answer = ask(TcpStream::connect(serving.address()).unwrap(), "/livez");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok\n"), "{answer}");
    serving.stop();
}

/// In production every line on stdout is a JSON object, from the first to the last.
#[actix_web::test]
async fn production_says_everything_as_json() {
    let program = Program::production().await;
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    assert_eq!(Browser::new(serving.address()).get("/").await.status, 200);
    assert_eq!(Browser::new(serving.address()).get("/nowhere").await.status, 404);
    serving.signal("TERM");
    serving.wait_for("finishing");
    serving.wait_for("\"status\":404");
    for line in &serving.lines {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line.get("timestamp").is_some() && line.get("level").is_some(), "{line}");
    }
    assert_eq!(serving.wait().0, Some(0));
}

/// A form that is half sent when the signal arrives is accepted, and its sender gets the response.
async fn finishes_what_is_under_way(signal: &str) {
    let program = Program::development().await;
    program.succeed(&["seed"]);
    let mut serving = program.serve();
    let address = serving.address();
    let mut browser = serving.browser();
    browser.log_in("example-1@railstutorial.org", "password").await;
    let body =
        "--x\r\nContent-Disposition: form-data; name=\"micropost[content]\"\r\n\r\nlast words\r\n--x--\r\n";
    let head = format!(
        "POST /microposts HTTP/1.1\r\nHost: sample.test\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        browser.cookie_header(),
        body.len()
    );
    // Idle connections must not delay the stop.
    let mut idle = TcpStream::connect(address).unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: sample.test\r\n\r\n").unwrap();
    assert!(idle.read(&mut [0; 1000]).unwrap() > 0);
    let silent = TcpStream::connect(address).unwrap();
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(head.as_bytes()).unwrap();
    // After "100 Continue" the handler is reading the body: the request is in progress.
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    slow.write_all(&body.as_bytes()[..40]).unwrap();

    serving.signal(signal);
    serving.wait_for("Finishing requests in progress");
    wait_blocking(|| if is_served(address) { Err("somebody new is let in".to_owned()) } else { Ok(()) });
    slow.write_all(&body.as_bytes()[40..]).unwrap();
    let mut answer = Vec::new();
    let _ = slow.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}\n{:#?}", serving.lines);
    let answered = Instant::now();
    let (code, complaints) = serving.wait();
    assert_eq!(code, Some(0), "{complaints}");
    assert!(answered.elapsed() < DRAIN, "idle connections held it up: {:?}", answered.elapsed());
    let posted = "SELECT COUNT(*) FROM microposts WHERE content = 'last words'";
    assert_eq!(program.database.db_number(posted).await, 1);
    drop((idle, silent));
}

/// Whether a new connection gets a response. The kernel may accept a connection that the program never sees.
fn is_served(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let sent = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: sample.test\r\nConnection: close\r\n\r\n");
    sent.is_ok() && matches!(stream.read(&mut [0; 100]), Ok(1..))
}

#[actix_web::test]
async fn sigterm_finishes_what_is_under_way() {
    finishes_what_is_under_way("TERM").await;
}

#[actix_web::test]
async fn sigint_finishes_what_is_under_way() {
    finishes_what_is_under_way("INT").await;
}

async fn readiness(browser: &mut Browser) -> (u16, Value) {
    let page = browser.get("/readyz").await;
    (page.status, serde_json::from_str(&page.text()).unwrap())
}

fn state(ready: bool, database: &str) -> Value {
    json!({
        "ready": ready, "database": database, "sessions": "up", "pictures": "up", "mail": "up", "logs": "up"
    })
}

#[actix_web::test]
async fn readyz_tells_who_comes_to_go_elsewhere() {
    let program = Program::production().await.set("SHUTDOWN_DELAY", "60");
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    let mut browser = serving.browser();
    assert_eq!(readiness(&mut browser).await, (200, state(true, "up")));
    assert_eq!(browser.get("/readyz").await.header("connection"), "", "kept");

    serving.signal("TERM");
    serving.wait_for("finishing requests in progress");
    assert_eq!(readiness(&mut browser).await, (503, state(false, "up")));
    assert_eq!(browser.get("/livez").await.status, 200, "still alive");
    let page = browser.get("/").await;
    assert_eq!(page.status, 200, "and still serving those who are here");
    assert_eq!(page.header("connection"), "close", "who keeps connections has to make a new one, elsewhere");

    serving.signal("TERM");
    assert_eq!(serving.wait().0, Some(0), "a second one ends the wait");
}

#[actix_web::test]
async fn a_missing_database_takes_no_instance_out() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("mysql://me:secret@{nobody}/sample_app");
    let program = Program::production().await.set("DATABASE_URL", &url);
    let mut serving = program.serve();
    serving.wait_for("the database does not answer yet");
    let mut browser = serving.browser();
    assert_eq!(readiness(&mut browser).await, (200, state(true, "down")));
    assert_eq!(browser.get("/livez").await.status, 200);
    assert_eq!(browser.get("/about").await.status, 200);
    assert_eq!(browser.get("/users/1").await.status, 503);
    assert!(serving.lines.iter().all(|line| !line.contains("secret")), "{:?}", serving.lines);
    serving.stop();
}

#[actix_web::test]
async fn a_port_in_use_is_said_clearly() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let program = Program::development().await.set("LISTEN", &address);
    let said = program.fail(&["serve"]);
    assert!(said.contains(&format!("cannot listen on {address}: Address already in use")), "{said}");
    assert!(said.contains("set LISTEN to another"), "{said}");
}

#[actix_web::test]
async fn it_listens_on_a_unix_socket_and_replaces_a_stale_one() {
    let program = Program::development().await;
    let socket = program.folder.path().join("app.sock");
    let program = program.set("LISTEN", &format!("unix:{}", socket.display()));
    // A stale socket file without a listener.
    drop(UnixListener::bind(&socket).unwrap());
    assert!(UnixStream::connect(&socket).is_err());
    for _ in 0..2 {
        let mut serving = program.serve();
        let ready = serving.wait_for("listening on");
        assert!(ready.ends_with(&format!("(listening on unix:{})", socket.display())), "{ready}");
        let answer = ask(UnixStream::connect(&socket).unwrap(), "/about");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Killed, so that the next process finds its socket file.
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
    }
    let mut serving = program.serve();
    serving.wait_for("listening on");
    serving.stop();

    let precious = program.folder.path().join("precious");
    std::fs::write(&precious, "not a socket").unwrap();
    let program = program.set("LISTEN", &format!("unix:{}", precious.display()));
    assert!(program.fail(&["serve"]).contains("cannot listen on unix:"));
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "not a socket");
}

/// As systemd passes it (sd_listen_fds): descriptor 3, and the process id, which `exec` keeps.
#[actix_web::test]
async fn it_serves_on_the_socket_that_systemd_hands_over() {
    let program = Program::development().await;
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let serving = program.serve_on(tcp.into());
    assert!(ask(TcpStream::connect(address).unwrap(), "/about").starts_with("HTTP/1.1 200"));
    serving.stop();

    let path = program.folder.path().join("systemd.sock");
    let serving = program.serve_on(UnixListener::bind(&path).unwrap().into());
    assert!(ask(UnixStream::connect(&path).unwrap(), "/about").starts_with("HTTP/1.1 200"));
    serving.stop();
}

/// Time to the first response. Printed, not asserted, because it depends on the machine. (The target of 100 ms is for a
/// release build on SQLite.)
#[actix_web::test]
async fn the_first_answer_comes_soon() {
    let program = Program::development().await;
    program.succeed(&["migrate"]);
    let mut best = PATIENCE;
    for _ in 0..3 {
        let start = Instant::now();
        let mut serving = program.serve();
        let answer = ask(TcpStream::connect(serving.address()).unwrap(), "/");
        best = best.min(start.elapsed());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        serving.stop();
    }
    println!("start to first answer, debug build, best of 3: {best:?}");
    assert!(best < Duration::from_secs(20));
}
