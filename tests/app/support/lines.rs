//! Produces log lines by requesting pages, and counts those that arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;

use super::program::Serving;
use super::{Program, Rsyslog};

/// Longer than the longest pause between two connection attempts.
pub const LONG: Duration = Duration::from_secs(150);
/// Gives a log line of 4 kB, made of path segments too short to be taken for tokens.
pub const LONG_PATH: usize = 110;

pub async fn program(url: &str) -> Program {
    let program = Program::production().await.set("LOGSTASH_URL", url);
    program.succeed(&["migrate"]);
    program
}

pub fn rsyslog(program_folder: &Path) -> Rsyslog {
    Rsyslog::start(&program_folder.join("rsyslog"), None)
}

/// Number of concurrent clients.
const CLIENTS: usize = 8;

/// The program, and the log server that it sends to.
pub async fn with_server() -> (Program, Rsyslog) {
    let program = Program::production().await;
    let rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    (program, rsyslog)
}

/// The same, with the server killed after it was up.
pub async fn with_server_away() -> (Program, Rsyslog) {
    let (program, mut rsyslog) = with_server().await;
    rsyslog.server.kill();
    (program, rsyslog)
}

/// Requests pages that do not exist, [`CLIENTS`] at a time. Returns the slowest time, without the [`CLIENTS`] - 1
/// slowest as outliers.
pub async fn requests(serving: &mut Serving, name: &str, count: usize, parts: usize) -> Duration {
    let tail = "/all-work-and-no-play-makes-jack-dull".repeat(parts);
    let browser = serving.browser();
    let client = |first: usize| {
        let (browser, tail) = (browser.clone(), &tail);
        async move {
            let mut took = Vec::new();
            for number in (first..count).step_by(CLIENTS) {
                let start = Instant::now();
                let request = browser.request(Method::GET, &format!("/{name}/{number}{tail}"));
                assert_eq!(request.send().await.unwrap().status(), 404);
                took.push(start.elapsed());
            }
            took
        }
    };
    let mut took = join_all((0..CLIENTS).map(client)).await.concat();
    took.sort_unstable();
    took.into_iter().rev().nth(CLIENTS - 1).unwrap_or_default()
}

/// Number of these requests among the lines.
pub fn arrived(lines: &[Value], name: &str) -> usize {
    let prefix = format!("/{name}/");
    let number = |line: &Value| line["path"].as_str()?.strip_prefix(&prefix)?.split('/').next()?.parse().ok();
    lines.iter().filter_map(number).collect::<BTreeSet<usize>>().len()
}

/// For each run of the program (its lines are numbered from 0): the number of distinct lines received, and of lines
/// sent.
pub fn runs(lines: &[Value]) -> BTreeMap<String, (usize, usize)> {
    let mut runs: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for line in lines {
        let (run, number) = line["line_id"].as_str().unwrap().split_once('-').unwrap();
        runs.entry(run.to_owned()).or_default().insert(number.parse().unwrap());
    }
    runs.into_iter().map(|(run, numbers)| (run, (numbers.len(), numbers.last().unwrap() + 1))).collect()
}

/// Number of lines received more than once. Asserts that duplicates are identical.
pub fn doubles(lines: &[Value]) -> usize {
    let mut seen = BTreeMap::new();
    for line in lines {
        let before = seen.insert(line["line_id"].as_str().unwrap(), line);
        assert!(before.is_none_or(|before| before == line));
    }
    lines.len() - seen.len()
}

/// Stops the program gracefully. Returns its stderr.
pub fn stop(serving: Serving) -> String {
    serving.signal("TERM");
    let (code, complaints) = serving.wait();
    assert_eq!(code, Some(0), "{complaints}");
    // Without the notes on settings printed at start.
    complaints
        .lines()
        .filter(|line| !line.starts_with("Note:"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// The number of dropped lines that the program reports at exit.
pub fn dropped(complaints: &str) -> usize {
    let last = complaints.rsplit_once("dropped since the start: ");
    last.map_or(0, |(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap())
}

pub fn spool_bytes(folder: &Path) -> usize {
    spool(folder).len()
}

/// Contents of the spool on disk.
pub fn spool(folder: &Path) -> String {
    let files = std::fs::read_dir(folder.join("logstash-spool"));
    // A file may be removed during the loop.
    files.into_iter().flatten().filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect()
}
