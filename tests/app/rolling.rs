//! Rolling deploys without errors: two instances behind nginx are restarted in turn while visitors read and write.
//! `scripts/soak` sets TEST_ROLLING_ROUNDS and TEST_ROLLING_REQUESTS: 20 rounds and 200,000 requests.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::nginx::client_at;
use crate::support::nginx::{LOAD_BALANCER, Nginx};
use crate::support::tally::Tally;
use crate::support::{Browser, Page, Program, app::APP_URL, env_number, redis};

/// Number of concurrent visitors.
const VISITORS: usize = 8;

/// A logged-in visitor who comes through the load balancer.
struct Visitor {
    client: reqwest::Client,
    address: SocketAddr,
    cookies: String,
    number: usize,
    posted: Arc<AtomicUsize>,
}

impl Visitor {
    async fn log_in(address: SocketAddr, number: usize, posted: Arc<AtomicUsize>) -> Visitor {
        let mut browser = Browser::new(address);
        let page: Page =
            browser.log_in(&format!("example-{}@railstutorial.org", number + 1), "password").await;
        assert_eq!(page.status, 200);
        assert!(browser.is_logged_in().await);
        let cookies = browser.cookie_header();
        Visitor { client: client_at(LOAD_BALANCER), address, cookies, number, posted }
    }

    /// One request in ten is a post.
    async fn act(&self, turn: usize, tally: &Tally) {
        let (path, expected, shows) = match turn % 10 {
            0 => ("/microposts", 303, ""),
            1 => ("/about", 200, "</html>"),
            2 => ("/users/1", 200, "Example User"),
            3 => ("/users", 200, "All users"),
            4 => ("/static/app.css", 200, "{"),
            _ => ("/", 200, "action=\"/microposts\""),
        };
        let url = format!("http://{}{path}", self.address);
        let request = if expected == 303 {
            let text = format!("{} of {}", turn, self.number);
            self.client
                .post(url)
                .header("origin", APP_URL)
                .multipart(reqwest::multipart::Form::new().text("micropost[content]", text))
        } else {
            self.client.get(url)
        };
        // nginx allows 100 requests per second per network, and each visitor here stands for thousands.
        let from = format!("10.{}.{}.{}", self.number, turn / 250 % 250, turn % 250);
        let request = request.header("host", "sample.test").header("cookie", &self.cookies);
        let answer = async {
            let answer = request.header("x-forwarded-for", from).send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        };
        match answer.await {
            Ok((status, body)) if status == expected && body.contains(shows) => {
                tally.right();
                self.posted.fetch_add(usize::from(expected == 303), Ordering::SeqCst);
            }
            Ok((status, body)) => {
                tally.wrong(format!("{path}: {status} {}", body.chars().take(200).collect::<String>()));
            }
            Err::<_, reqwest::Error>(error) => tally.wrong(format!("{path}: {error:?}")),
        }
    }
}

#[actix_web::test]
async fn nobody_notices_that_two_instances_are_restarted_in_turn() {
    let (rounds, requests) =
        (env_number("TEST_ROLLING_ROUNDS").unwrap_or(2), env_number("TEST_ROLLING_REQUESTS").unwrap_or(800));
    let folder = tempfile::tempdir().unwrap();
    let sockets =
        ["app.sock", "app-2.sock"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
    let store = redis::start();
    // In development, because LIMITS=off is needed for so many posts.
    let program = Program::development().await.set("TRUSTED_PROXIES", "1").set("LIMITS", "off");
    let program = program.set("REDIS_URL", &redis::url(&store)).set("LOG", "warn");
    program.succeed(&["seed"]);
    let posts = "SELECT COUNT(*) FROM microposts";
    let before = program.database.db_number(posts).await;
    let start = |socket: &UnixListener| program.serve_on(socket.try_clone().unwrap().into());
    let mut instances = sockets.each_ref().map(start);
    let nginx = Nginx::start(folder);

    let (tally, posted) = (Arc::new(Tally::default()), Arc::new(AtomicUsize::new(0)));
    let mut visitors = Vec::new();
    for number in 0..VISITORS {
        let visitor = Visitor::log_in(nginx.server.address, number, posted.clone()).await;
        let tally = tally.clone();
        visitors.push(tokio::spawn(async move {
            let mut turn = number;
            while !tally.is_over() {
                visitor.act(turn, &tally).await;
                turn += 1;
            }
        }));
    }
    let began = std::time::Instant::now();
    for _ in 0..rounds {
        for (instance, socket) in instances.iter_mut().zip(&sockets) {
            tally.more(requests / rounds / 2).await;
            instance.signal("TERM");
            assert_eq!(instance.ended(), Some(0));
            *instance = start(socket);
        }
    }
    tally.more(100).await;
    tally.end();
    for visitor in visitors {
        visitor.await.unwrap();
    }
    let (answered, posted) = (tally.answered(), posted.load(Ordering::SeqCst));
    println!(
        "{answered} requests answered, {posted} of them posts, {} failed; {} restarts in {:.0} s",
        tally.wrongs(),
        2 * rounds,
        began.elapsed().as_secs_f64()
    );
    tally.assert_all_right();
    assert!(answered >= requests);
    // None lost and none posted twice.
    assert_eq!(program.database.db_number(posts).await - before, posted as i64);
    for instance in instances {
        instance.stop();
    }
}
