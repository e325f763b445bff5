//! Random input to everything that parses what visitors send, through the real program: the files in tests/corpus/
//! unchanged, and a fixed number of mutations from a fixed seed. `scripts/fuzz` runs longer, with other seeds.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestError, TestRng, TestRunner};
use tokio::runtime::Handle;

use crate::support::people::PASSWORD;
use crate::support::wait::{PATIENCE, wait_for};
use crate::support::{Browser, Program, TestDatabase, env_number};

/// Mutations per reader and round.
const CASES: u32 = 120;
/// Maximum response time. `scripts/fuzz` has the machine to itself.
const LONGEST: Duration = Duration::from_secs(2);
const MAX_MEMORY_KB: u64 = 256 * 1024;
/// In bytes. Larger corpus files are for other tests.
const MAX_SEED: usize = 10_000;

/// Fragments that parsers stumble over, inserted into or replacing parts of the input.
const WORDS: [&[u8]; 29] = [
    b"",
    b"&",
    b"=",
    b"[",
    b"]",
    b"[]",
    b"%",
    b"%00",
    b"%ff",
    b"%F0%9F%98%80",
    b"+",
    b"\0",
    b"\r\n",
    b"\"",
    b";",
    b",",
    b"--",
    b"\xff",
    b"\xc3\x28",
    b"\xf0\x9f\x98\x80",
    b"\xe2\x80\xae",
    b"..",
    b"/",
    b"?",
    b"-1",
    b"0",
    b"99999999999999999999",
    b"_method=delete",
    b"\r\n--limit--\r\n",
];

/// The lines of a file, or the files in a folder.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap().lines().map(|line| line.as_bytes().to_vec()).collect();
    }
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds = files.iter().map(|file| std::fs::read(file).unwrap());
    seeds.filter(|seed| seed.len() <= MAX_SEED).collect()
}

/// Replaces up to five pieces of a seed.
fn mutated(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![select(WORDS.map(<[u8]>::to_vec).to_vec()), vec(any::<u8>(), 0..8)];
    let edit = (any::<Index>(), prop_oneof![3 => 0..4_usize, 1 => 0..200_usize], word);
    (select(seeds), vec(edit, 1..=5)).prop_map(|(mut bytes, edits)| {
        for (at, length, word) in edits {
            let start = at.index(bytes.len() + 1);
            let end = (start + length).min(bytes.len());
            bytes.splice(start..end, word);
        }
        bytes
    })
}

/// One header line: the bytes without line ends.
fn line(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect()
}

fn get(path: &[u8], cookie: &[u8]) -> Vec<u8> {
    let path = [&b"GET "[..], &line(path)].concat();
    let rest = &b" HTTP/1.1\r\nHost: sample.test\r\nConnection: close\r\nCookie: "[..];
    [&path, rest, &line(cookie), b"\r\n\r\n"].concat()
}

fn post(path: &str, content_type: &str, cookie: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: sample.test\r\nOrigin: http://sample.test\r\nConnection: close\r\n\
         Cookie: {cookie}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Builds complete requests from an input.
type Requests = Box<dyn Fn(&[u8]) -> Vec<Vec<u8>> + Send>;

/// A parser under test: its seeds, and how its input becomes requests.
struct Reader {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    requests: Requests,
}

/// `cookie` belongs to a logged-in user; `cookies` are others that the application issued.
fn readers(cookie: &str, cookies: &[String]) -> Vec<Reader> {
    const MULTIPART: &str = "multipart/form-data; boundary=limit";
    let cookie = || cookie.to_owned();
    let reader = |name, seeds, requests| Reader { name, seeds, requests };
    let form = cookie();
    let (multipart, picture, path) = (cookie(), cookie(), cookie());
    let all_cookies = cookies.iter().map(|cookie| cookie.clone().into_bytes()).chain(corpus("cookies.txt"));
    vec![
        reader(
            "forms",
            corpus("forms.txt"),
            Box::new(move |body| {
                let paths = ["/microposts", "/users", "/login", "/password_resets", "/relationships"];
                let post = |path| post(path, "application/x-www-form-urlencoded", &form, body);
                paths.into_iter().map(post).collect()
            }),
        ),
        reader(
            "multipart",
            corpus("multipart"),
            Box::new(move |body| vec![post("/microposts", MULTIPART, &multipart, body)]),
        ),
        reader(
            "pictures",
            corpus("pictures"),
            Box::new(move |bytes| {
                let head = b"--limit\r\nContent-Disposition: form-data; name=\"micropost[content]\"\r\n\r\npicture\r\n\
                             --limit\r\nContent-Disposition: form-data; name=\"micropost[picture]\"; filename=\"a\"\r\n\r\n";
                let body = [&head[..], bytes, b"\r\n--limit--\r\n"].concat();
                vec![post("/microposts", MULTIPART, &picture, &body)]
            }),
        ),
        reader("paths", corpus("paths.txt"), Box::new(move |at| vec![get(at, path.as_bytes())])),
        reader("mail links", corpus("mail_links.txt"), Box::new(|path| vec![get(path, b"a=b")])),
        reader(
            "cookies",
            all_cookies.collect(),
            Box::new(|cookie| vec![get(b"/", cookie), get(b"/password_resets/kept/edit", cookie)]),
        ),
    ]
}

/// The program under test, used from a thread that may block.
struct Target {
    address: SocketAddr,
    database: TestDatabase,
    runtime: Handle,
    longest: Duration,
    /// The last count of stored rows. Only a POST may change it.
    stored: Cell<i64>,
}

impl Target {
    /// The status of the response, or 0 if there was none.
    fn send(&self, request: &[u8]) -> u16 {
        let exchange = || {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request)?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            std::io::copy(&mut stream, &mut std::io::sink())?;
            Ok::<_, std::io::Error>(answer)
        };
        let answer = exchange().unwrap_or_default();
        std::str::from_utf8(&answer[9..]).ok().and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    /// Number of stored rows that visitors can create.
    fn stored(&self) -> i64 {
        const ALL: &str = "SELECT (SELECT COUNT(*) FROM users) + (SELECT COUNT(*) FROM microposts) + \
                           (SELECT COUNT(*) FROM relationships) + (SELECT COUNT(*) FROM remembered_devices)";
        self.runtime.block_on(self.database.db_number(ALL))
    }

    /// Asserts that nothing fails or takes long, and that rejected requests store nothing.
    fn assert_takes(&self, reader: &Reader, input: &[u8]) -> TestCaseResult {
        for request in (reader.requests)(input) {
            let start = Instant::now();
            let status = self.send(&request);
            let took = start.elapsed();
            prop_assert!((200..500).contains(&status), "status {status}");
            prop_assert!(took < self.longest, "{took:?}");
            if request.starts_with(b"POST ") {
                let stored = self.stored();
                let before = self.stored.replace(stored);
                prop_assert!(status < 400 || stored == before, "{status}, and something was stored");
            }
        }
        Ok(())
    }

    /// Sends the corpus unchanged, then mutations of it.
    fn fuzz(&self, reader: &Reader, seed: u64) {
        for input in &reader.seeds {
            let done = self.assert_takes(reader, input);
            assert!(done.is_ok(), "{}: {done:?} for {}", reader.name, input.escape_ascii());
        }
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config =
            Config { cases: CASES, max_shrink_iters: 300, failure_persistence: None, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, rng);
        match runner.run(&mutated(reader.seeds.clone()), |input| self.assert_takes(reader, &input)) {
            Ok(()) => {}
            // The smallest failing input.
            Err(TestError::Fail(why, input)) => panic!(
                "{}, FUZZ_SEED={seed}: {why} for {}\nMend it, and put this input into tests/corpus.",
                reader.name,
                input.escape_ascii()
            ),
            Err(TestError::Abort(why)) => panic!("{}: {why}", reader.name),
        }
    }
}

/// Cookies issued by the application, of every kind that a visitor can get.
async fn cookies(mut browser: Browser) -> Vec<String> {
    let mut cookies = Vec::new();
    for (path, form) in [
        ("/login", [("session[email]", "michael@example.com"), ("session[password]", "wrong")]),
        ("/microposts", [("micropost[content]", "a draft"), ("", "")]),
        ("/users", [("user[name]", "Berta"), ("user[email]", "berta@example.com")]),
    ] {
        browser.post(path, &form).await;
        cookies.push(browser.cookie_header());
    }
    let token = "0123456789abcdef".repeat(3);
    browser.get_only(&format!("/password_resets/{token}/edit?email=michael%40example.com")).await;
    cookies.push(browser.cookie_header());
    browser.log_in_remembered("michael@example.com", PASSWORD).await;
    cookies.push(browser.cookie_header());
    cookies
}

#[actix_web::test]
async fn no_input_breaks_a_reader() {
    let program = Program::development().await.set("LIMITS", "off");
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    let mut browser = serving.browser();
    browser.sign_up("Michael", "michael@example.com", PASSWORD).await;
    program.database.db_execute("UPDATE users SET activated_at = created_at").await;
    browser.log_in("michael@example.com", PASSWORD).await;
    let readers = readers(&browser.cookie_header(), &cookies(serving.browser()).await);

    let (until, seed) =
        (env_number("FUZZ_SECONDS").map(Duration::from_secs), env_number("FUZZ_SEED").unwrap_or(1));
    let target = Target {
        address: serving.address(),
        database: program.database.clone(),
        runtime: Handle::current(),
        longest: until.map_or(PATIENCE, |_| LONGEST),
        stored: Cell::default(),
    };
    let fuzzing = move || {
        target.stored.set(target.stored());
        let start = Instant::now();
        for round in 0.. {
            readers.iter().for_each(|reader| target.fuzz(reader, seed + round));
            if start.elapsed() >= until.unwrap_or_default() {
                return round + 1;
            }
        }
        0
    };
    let rounds = tokio::task::spawn_blocking(fuzzing).await.unwrap();
    let memory = serving.memory_kb("VmHWM");
    println!(
        "{rounds} rounds of {CASES} mutations for each reader from FUZZ_SEED={seed}: {memory} kB at most"
    );
    assert!(memory < MAX_MEMORY_KB, "{memory} kB");
    // Every stored picture has a post; rejected ones are deleted.
    let pictures = "SELECT COUNT(*) FROM microposts WHERE picture IS NOT NULL";
    let pictures = program.database.db_number(pictures).await;
    let folder = program.folder.path().join("images");
    wait_for(async || match std::fs::read_dir(&folder).unwrap().count() as i64 {
        files if files == pictures => Ok(()),
        files => Err(format!("{files} files; {pictures} posts have pictures")),
    })
    .await;
    serving.browser().get("/about").await;
    serving.wait_for("/about");
    let errors: Vec<_> = serving.lines.iter().filter(|line| line.contains("ERROR")).collect();
    assert!(errors.is_empty(), "{errors:?}");
    serving.stop();
}
