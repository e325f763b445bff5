//! An open-loop load generator: it sends requests at a fixed rate, whether or not the earlier ones are answered, as
//! visitors do. A closed loop (wrk) slows down together with the server and hides the queue.
//!
//! Reads a plan from stdin, `{"address": "127.0.0.1:80", "seconds": 5, "loads": [{"rate": 100.0, "requests": ["GET .."],
//! "until": 3}]}`, and prints a line of JSON per load: for each second, the responses by status with their p50 and p99.
//! Times are in microseconds, from the moment when the request was due.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Requests are sent in batches of a millisecond.
const TICK: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_secs(10);
/// The status of a request that got no response.
const LOST: u16 = 0;

#[derive(Deserialize)]
struct Plan {
    address: SocketAddr,
    seconds: f64,
    /// Whether each request opens a connection.
    #[serde(default)]
    connect: bool,
    loads: Vec<Load>,
}

#[derive(Deserialize)]
struct Load {
    rate: f64,
    /// Complete requests, which take turns.
    requests: Vec<String>,
    /// When this load begins and ends, in seconds.
    #[serde(default)]
    from: f64,
    until: Option<f64>,
}

/// By second and status.
type Times = BTreeMap<(u64, u16), Vec<u64>>;

#[derive(Default)]
struct Generator {
    idle: RefCell<Vec<TcpStream>>,
    times: RefCell<Vec<Times>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan: Plan = serde_json::from_reader(std::io::stdin())?;
    let generator = Rc::new(Generator::default());
    generator.times.borrow_mut().resize_with(plan.loads.len(), Times::default);
    LocalSet::new().run_until(send_all(plan, generator.clone())).await;
    for times in generator.times.take() {
        let mut seconds = BTreeMap::<u64, BTreeMap<u16, serde_json::Value>>::new();
        for ((second, status), mut times) in times {
            times.sort_unstable();
            let [p50, p99] = [50, 99].map(|percent| times[times.len() * percent / 100]);
            let figures = json!({"count": times.len(), "p50": p50, "p99": p99, "max": times.last()});
            seconds.entry(second).or_default().insert(status, figures);
        }
        println!("{}", json!(seconds));
    }
    Ok(())
}

async fn send_all(plan: Plan, generator: Rc<Generator>) {
    let start = Instant::now();
    let loads: Vec<_> = plan
        .loads
        .into_iter()
        .map(|load| {
            let requests: Vec<Rc<str>> = load.requests.into_iter().map(Rc::from).collect();
            (load.rate, load.from, load.until.unwrap_or(plan.seconds), requests)
        })
        .collect();
    let mut sent = vec![0_u64; loads.len()];
    while start.elapsed().as_secs_f64() < plan.seconds {
        let now = start.elapsed().as_secs_f64();
        for (index, (rate, from, until, requests)) in loads.iter().enumerate() {
            while (sent[index] as f64) < rate * (now.min(*until) - from) {
                let due = start + Duration::from_secs_f64(from + sent[index] as f64 / rate);
                let request = requests[sent[index] as usize % requests.len()].clone();
                sent[index] += 1;
                let second = (due - start).as_secs();
                let generator = generator.clone();
                let work = async move {
                    let exchange = tokio::time::timeout(
                        TIMEOUT,
                        generator.exchange(plan.address, &request, plan.connect),
                    );
                    let status = exchange.await.ok().and_then(Result::ok).unwrap_or(LOST);
                    let micros = due.elapsed().as_micros() as u64;
                    generator.times.borrow_mut()[index].entry((second, status)).or_default().push(micros);
                };
                tokio::task::spawn_local(work);
            }
        }
        tokio::time::sleep(TICK).await;
    }
    // Each exchange in progress has a clone.
    while Rc::strong_count(&generator) > 2 {
        tokio::time::sleep(TICK).await;
    }
}

impl Generator {
    /// Sends a request on an idle connection or on a new one, and returns the status of the response.
    async fn exchange(&self, address: SocketAddr, request: &str, connect: bool) -> std::io::Result<u16> {
        let idle = self.idle.borrow_mut().pop();
        let mut stream = match idle {
            Some(stream) => stream,
            None => TcpStream::connect(address).await?,
        };
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::with_capacity(16 * 1024);
        let (status, keep) = loop {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(complete) = complete(&bytes) {
                break complete;
            }
        };
        if keep && !connect {
            self.idle.borrow_mut().push(stream);
        }
        Ok(status)
    }
}

/// Status of a complete response, and whether its connection stays open.
fn complete(bytes: &[u8]) -> Option<(u16, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let length: usize = head.split("\r\ncontent-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    (bytes.len() >= end + 4 + length).then_some((status, !head.contains("\r\nconnection: close")))
}
