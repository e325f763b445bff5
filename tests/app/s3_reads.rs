//! The S3 requests that viewing pictures causes, with a fake store that counts requests and can delay them. The real
//! store: s3.rs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use reqwest::Method;

use crate::support::wait::wait_for;
use crate::support::{Page, Program};

const PICTURE: &[u8] = b"as good as a picture";

#[derive(Clone)]
struct Store {
    address: SocketAddr,
    /// Method and path of each request for an object.
    requests: Arc<Mutex<Vec<String>>>,
}

impl Store {
    /// Answers every request; with `hangs`, all but reads of objects.
    fn start(hangs: bool) -> Store {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Store { address: listener.local_addr().unwrap(), requests: Arc::default() };
        let answering = store.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let store = answering.clone();
                std::thread::spawn(move || store.answer(stream, hangs));
            }
        });
        store
    }

    fn answer(&self, stream: TcpStream, hangs: bool) -> std::io::Result<()> {
        let (mut head, mut reader) = (Vec::new(), BufReader::new(stream));
        while !head.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        reader.read_exact(&mut vec![0; length.map_or(0, |length| length.parse().unwrap())])?;
        let mut words = head.split([' ', '?']);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        if path.starts_with("/uploads/") && path.len() > "/uploads/".len() {
            self.requests.lock().unwrap().push(format!("{method} {path}"));
            if hangs && method == "get" {
                reader.read_exact(&mut [0])?; // nothing comes
            }
        }
        let body = if method == "get" { PICTURE } else { b"" };
        let length = if method == "head" { PICTURE.len() } else { body.len() };
        let start = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        reader.into_inner().write_all(&[start.as_bytes(), body].concat())
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    async fn program(&self) -> Program {
        let program = Program::development()
            .await
            .set("IMAGES_URL", "s3://uploads")
            .set("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1")
            .set("AWS_ENDPOINT_URL_S3", &format!("http://{}", self.address))
            .set("AWS_ACCESS_KEY_ID", "a-key")
            .set("AWS_SECRET_ACCESS_KEY", "a-secret-key");
        program.succeed(&["seed"]);
        program
    }
}

#[actix_web::test]
async fn nothing_is_fetched_that_nobody_needs_and_nothing_twice() {
    let store = Store::start(false);
    let program = store.program().await;
    let mut serving = program.serve();
    let browser = serving.browser();
    let ask = async |method: Method, key: &str, header: (&str, &str)| -> Page {
        let path = format!("/pictures/{key}");
        let request = browser.request(method, &path).header(header.0, header.1);
        browser.clone().send(request, &path).await
    };
    let [known, headed, partial, fetched] =
        ["a", "b", "c", "d"].map(|letter| format!("{}.png", letter.repeat(32)));

    let answer = ask(Method::GET, &known, ("if-none-match", &format!("\"{known}\""))).await;
    assert_eq!((answer.status, store.requests()), (304, vec![]));

    let answer = ask(Method::HEAD, &headed, ("accept", "*/*")).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "20"));
    let answer = ask(Method::GET, &partial, ("range", "bytes=20-")).await;
    assert_eq!((answer.status, answer.header("content-range")), (416, "bytes */20"));
    assert_eq!(store.requests(), [format!("head /uploads/{headed}"), format!("head /uploads/{partial}")]);

    for _ in 0..3 {
        let answer = ask(Method::GET, &fetched, ("accept", "*/*")).await;
        assert_eq!((answer.status, &answer.body[..]), (200, PICTURE));
    }
    assert_eq!(store.requests()[2..], [format!("get /uploads/{fetched}")]);
    serving.stop();
}

#[actix_web::test]
async fn those_who_look_leave_room_for_those_who_post() {
    let store = Store::start(true);
    let program = store.program().await;
    let mut serving = program.serve();
    let mut writer = serving.browser_of_a_writer().await;
    let nobody = serving.browser();
    let looking = join_all((0..40).map(|n| {
        let mut browser = nobody.clone();
        async move { browser.get_only(&format!("/pictures/{n:032x}.png")).await.status }
    }));
    let posting = async {
        // The store answers none of the requests that it has received.
        wait_for(async || match store.requests() {
            requests if requests.len() >= 8 => Ok(()),
            requests => Err(format!("{requests:?}")),
        })
        .await;
        writer.post_picture("Look").await.assert_flash("success", "Micropost created!");
    };
    let (statuses, ()) = tokio::join!(looking, posting);
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
    serving.stop();
}
