//! CPU overload: password hashing and picture decoding have bounded queues.

use std::time::{Duration, Instant};

use sample_app::cpu_pool::CpuPool;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::people::{PASSWORD, Person};
use crate::support::posts::png;
use crate::support::wait::wait_for;
use crate::support::{Browser, Page, TestApp};

/// Keeps every thread busy until it is dropped.
pub struct Held(Vec<std::sync::mpsc::Sender<()>>);

pub async fn hold(threads: &CpuPool) -> Held {
    let mut held = Held(Vec::new());
    for _ in 0..threads.count() {
        let ((release, released), (start, started)) =
            (std::sync::mpsc::channel(), tokio::sync::oneshot::channel());
        let threads = threads.clone();
        actix_web::rt::spawn(async move {
            let work = move || {
                start.send(()).unwrap();
                let _ = released.recv();
            };
            threads.run(work).await
        });
        started.await.unwrap();
        held.0.push(release);
    }
    held
}

pub async fn until_so_many_wait(threads: &CpuPool, waiting: usize) {
    wait_for(async || match threads.queue() {
        queue if queue.0 == waiting => Ok(()),
        queue => Err(format!("{queue:?} wait")),
    })
    .await;
}

async fn log_in(app: &TestApp, person: &Person) -> Page {
    let fields = [("session[email]", person.email.as_str()), ("session[password]", PASSWORD)];
    app.browser().post("/login", &fields).await
}

#[actix_web::test]
async fn what_cannot_start_soon_is_refused_and_the_rest_goes_on() {
    let app = TestApp::start().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let (mut with_picture, mut without) = (app.logged_in(&anna).await, app.logged_in(&berta).await);
    let post = async |browser: &mut Browser, picture: Option<Vec<u8>>| {
        let mut form = browser.get("/").await.form("Post").set("micropost[content]", "my words");
        if let Some(picture) = picture {
            form = form.attach("micropost[picture]", "a.png", picture);
        }
        browser.submit_only(form).await
    };

    let passwords = hold(app.app.passwords.threads()).await;
    post(&mut with_picture, Some(png(20, 10))).await.assert_redirect("/");
    let pictures = hold(&app.app.picture_decoder.threads).await;
    let (log_in_refused, picture_refused, posted, page) = tokio::join!(
        log_in(&app, &anna),
        post(&mut with_picture, Some(png(20, 10))),
        post(&mut without, None),
        async { app.browser().get("/help").await.status },
    );
    assert_eq!((posted.status, page), (303, 200));
    for refused in [&log_in_refused, &picture_refused] {
        assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    }
    assert!(log_in_refused.one("section.error_page").contains("wait a few seconds"));
    assert_eq!(picture_refused.one("#micropost_content"), "my words");
    drop(passwords);
    assert_eq!(log_in(&app, &anna).await.status, 303, "whatever pictures there are");
    drop(pictures);
    post(&mut with_picture, Some(png(20, 10))).await.assert_redirect("/");
}

/// Twenty rounds, compared with the time that they would take if the places stayed occupied.
#[actix_web::test]
async fn who_hangs_up_gives_the_place_in_the_queue_back() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    app.db_person("anna").await;
    let threads = app.app.passwords.threads();
    let held = hold(threads).await;
    let body = "session%5Bemail%5D=anna%40example.com&session%5Bpassword%5D=wrong";
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: sample.test\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let start = Instant::now();
    for _ in 0..20 {
        let mut client = TcpStream::connect(app.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        until_so_many_wait(threads, 1).await;
        drop(client);
        until_so_many_wait(threads, 0).await;
    }
    assert!(start.elapsed() < Duration::from_secs(20), "each waited for its turn: {:?}", start.elapsed());
    drop(held);
}
