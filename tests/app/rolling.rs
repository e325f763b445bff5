//! Deploys that nobody notices (trust rows F33, F41): two instances behind nginx, each restarted in turn, again and again,
//! while people read and write. `scripts/test` runs it once more with the program that is deployed, twenty rounds and
//! 200,000 requests: TEST_PROGRAM, TEST_ROLLING_ROUNDS and TEST_ROLLING_REQUESTS.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::nginx::{LOAD_BALANCER, Nginx};
use crate::support::program::PATIENCE;
use crate::support::{Browser, Page, Program, app::APP_URL, redis};

/// People who do something all the time.
const VISITORS: usize = 8;

/// What became of all that was asked.
#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    posted: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    done: AtomicBool,
}

impl Tally {
    /// Waits until so many more were answered.
    async fn more(&self, count: usize) {
        let until = self.answered.load(Ordering::SeqCst) + count;
        let (mut seen, mut since) = (0, std::time::Instant::now());
        while self.answered.load(Ordering::SeqCst) < until && self.wrong.lock().unwrap().is_empty() {
            let answered = self.answered.load(Ordering::SeqCst);
            if answered > seen {
                (seen, since) = (answered, std::time::Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "nothing is answered any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Somebody who is logged in, and comes through the load balancer from an address of their own.
struct Visitor {
    client: reqwest::Client,
    address: SocketAddr,
    cookies: String,
    number: usize,
}

impl Visitor {
    async fn log_in(address: SocketAddr, number: usize) -> Visitor {
        let mut browser = Browser::new(address);
        let page: Page =
            browser.log_in(&format!("example-{}@railstutorial.org", number + 1), "password").await;
        assert_eq!(page.status, 200);
        assert!(browser.is_logged_in().await);
        let cookies: Vec<String> =
            browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.local_address(LOAD_BALANCER.parse::<IpAddr>().unwrap()).build().unwrap();
        Visitor { client, address, cookies: cookies.join("; "), number }
    }

    /// One in ten of what people do is a post.
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
        // nginx lets a hundred requests a second in from one network, and there is one visitor here for thousands.
        let from = format!("10.{}.{}.{}", self.number, turn / 250 % 250, turn % 250);
        let request = request.header("host", "sample.test").header("cookie", &self.cookies);
        let answer = async {
            let answer = request.header("x-forwarded-for", from).send().await?;
            Ok((answer.status().as_u16(), answer.text().await?))
        };
        match answer.await {
            Ok((status, body)) if status == expected && body.contains(shows) => {
                tally.posted.fetch_add(usize::from(expected == 303), Ordering::SeqCst);
                tally.answered.fetch_add(1, Ordering::SeqCst);
            }
            Ok((status, body)) => {
                let begin: String = body.chars().take(200).collect();
                tally.wrong.lock().unwrap().push(format!("{path}: {status} {begin}"));
            }
            Err::<_, reqwest::Error>(error) => {
                tally.wrong.lock().unwrap().push(format!("{path}: {error:?}"));
            }
        }
    }
}

fn asked_for(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

#[actix_web::test]
async fn nobody_notices_that_two_instances_are_restarted_in_turn() {
    let (rounds, requests) = (asked_for("TEST_ROLLING_ROUNDS", 2), asked_for("TEST_ROLLING_REQUESTS", 800));
    let folder = tempfile::tempdir().unwrap();
    let sockets =
        ["app.sock", "app-2.sock"].map(|name| UnixListener::bind(folder.path().join(name)).unwrap());
    let store = redis::start();
    // Development for its LIMITS=off: nobody posts as much as these.
    let program = Program::development().await.set("TRUSTED_PROXIES", "1").set("LIMITS", "off");
    let program = program.set("REDIS_URL", &redis::url(&store)).set("LOG", "warn");
    program.succeed(&["seed"]);
    let posts = "SELECT COUNT(*) FROM microposts";
    let before = program.database.db_number(posts).await;
    let start = |socket: &UnixListener| program.serve_on(socket.try_clone().unwrap().into());
    let mut instances = sockets.each_ref().map(start);
    let nginx = Nginx::start(folder);

    let tally = Arc::new(Tally::default());
    let mut visitors = Vec::new();
    for number in 0..VISITORS {
        let (visitor, tally) = (Visitor::log_in(nginx.server.address, number).await, tally.clone());
        visitors.push(tokio::spawn(async move {
            let mut turn = number;
            while !tally.done.load(Ordering::SeqCst) {
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
    tally.done.store(true, Ordering::SeqCst);
    for visitor in visitors {
        visitor.await.unwrap();
    }
    let (answered, posted) = (tally.answered.load(Ordering::SeqCst), tally.posted.load(Ordering::SeqCst));
    let wrong = tally.wrong.lock().unwrap();
    println!(
        "{answered} requests answered, {posted} of them posts, {} failed; {} restarts in {:.0} s",
        wrong.len(),
        2 * rounds,
        began.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{} of {answered}: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
    assert!(answered >= requests);
    // Not one lost, and none sent twice.
    assert_eq!(program.database.db_number(posts).await - before, posted as i64);
    for instance in instances {
        instance.stop();
    }
}
