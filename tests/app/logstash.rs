//! Log lines on their way to Logstash, from the real program to a real server: as whom they come, what is not in them, and
//! that nothing that happens to the other side, to the network or to the disk is felt by a request (trust rows F30, F31, S87,
//! S89).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use sample_app::config::Config;
use sample_app::services::logs::{Logs, Shipping};
use serde_json::Value;

use crate::log;
use crate::support::database::TestDatabase;
use crate::support::program::{PATIENCE, Serving};
use crate::support::{Browser, Certificates, Program, Rsyslog};

/// As long as the longest pause between two attempts, and then some.
const LONG: Duration = Duration::from_secs(150);
/// Makes a line of 4 kB, in parts that are too short to be taken for secrets.
const LONG_PATH: usize = 110;

async fn program(url: &str) -> Program {
    let program = Program::production().await.set("LOGSTASH_URL", url);
    program.succeed(&["migrate"]);
    program
}

fn rsyslog(program_folder: &Path) -> Rsyslog {
    Rsyslog::start(&program_folder.join("rsyslog"), None)
}

/// A server that was there a moment ago; and the program that is to find it.
async fn with_server_away() -> (Program, Rsyslog) {
    let program = Program::production().await;
    let mut rsyslog = rsyslog(program.folder.path());
    rsyslog.server.kill();
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    (program, rsyslog)
}

/// Asks for pages that are not there, several at a time; gives the slowest answer.
async fn requests(serving: &mut Serving, name: &str, count: usize, parts: usize) -> Duration {
    let tail = "/all-work-and-no-play-makes-jack-dull".repeat(parts);
    let browser = serving.browser();
    let client = |first: usize| {
        let (browser, tail) = (browser.clone(), &tail);
        async move {
            let mut slowest = Duration::ZERO;
            for number in (first..count).step_by(8) {
                let start = Instant::now();
                let request = browser.request(Method::GET, &format!("/{name}/{number}{tail}"));
                assert_eq!(request.send().await.unwrap().status(), 404);
                slowest = slowest.max(start.elapsed());
            }
            slowest
        }
    };
    join_all((0..8).map(client)).await.into_iter().max().unwrap()
}

/// How many of these requests are among the lines.
fn arrived(lines: &[Value], name: &str) -> usize {
    let prefix = format!("/{name}/");
    let number =
        |line: &Value| line["extra"]["path"].as_str()?.strip_prefix(&prefix)?.split('/').next()?.parse().ok();
    lines.iter().filter_map(number).collect::<BTreeSet<usize>>().len()
}

/// Of each run of the program (its lines are numbered from 0): how many different lines came, and how many there were.
fn runs(lines: &[Value]) -> BTreeMap<String, (usize, usize)> {
    let mut runs: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for line in lines {
        let (run, number) = line["extra"]["line_id"].as_str().unwrap().split_once('-').unwrap();
        runs.entry(run.to_owned()).or_default().insert(number.parse().unwrap());
    }
    runs.into_iter().map(|(run, numbers)| (run, (numbers.len(), numbers.last().unwrap() + 1))).collect()
}

/// Lines that came more than once are the same line.
fn doubles(lines: &[Value]) -> usize {
    let mut seen = BTreeMap::new();
    for line in lines {
        let before = seen.insert(line["extra"]["line_id"].as_str().unwrap(), line);
        assert!(before.is_none_or(|before| before == line));
    }
    lines.len() - seen.len()
}

/// Ends it well; gives what it complained of.
fn stop(serving: Serving) -> String {
    serving.signal("TERM");
    let (code, complaints) = serving.wait();
    assert_eq!(code, Some(0), "{complaints}");
    // What it says of its settings at the start is not the subject here.
    complaints
        .lines()
        .filter(|line| !line.starts_with("Note:"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// What the program said of drops at its end.
fn dropped(complaints: &str) -> usize {
    let last = complaints.lines().rfind(|line| line.contains("dropped since the start"));
    let numbers = |line: &str| line.split(' ').filter_map(|word| word.parse().ok()).collect::<Vec<usize>>();
    last.map_or(0, |line| *numbers(line).last().unwrap())
}

fn spool_bytes(folder: &Path) -> usize {
    spool(folder).len()
}

/// What waits on disk.
fn spool(folder: &Path) -> String {
    let files = std::fs::read_dir(folder.join("logstash-spool"));
    // One may go away in between.
    files.into_iter().flatten().filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok()).collect()
}

/// Row S87 over all sinks, at the most talkative level: what waits on disk, what arrives, what stdout says. And the lines
/// have the names that a pipeline made for Python's handler takes.
#[actix_web::test]
async fn lines_have_the_names_of_python_and_no_secrets_in_any_sink() {
    let folder = tempfile::tempdir().unwrap();
    let mut rsyslog = rsyslog(folder.path());
    rsyslog.server.kill();
    let mut database = TestDatabase::create(folder.path()).await;
    let command = |log: &str| {
        let mut command = log::command(folder.path(), &database, log);
        command.env("LOGSTASH_URL", rsyslog.url()).env("DATA_DIR", folder.path());
        command
    };
    assert!(command("info").arg("migrate").stdout(Stdio::null()).status().unwrap().success());
    let mut program = log::Program::start(command("debug"));
    let address = program.address().await;
    let canaries = log::walk(address, folder.path(), &database).await;
    assert_eq!(Browser::new(address).get("/the-last-one").await.status, 404);

    let start = Instant::now();
    let on_disk = loop {
        let text = spool(folder.path());
        if text.contains("/the-last-one") {
            break text;
        }
        assert!(start.elapsed() < PATIENCE, "nothing on disk");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    rsyslog.server.start_again();
    let lines = rsyslog.wait_for("the walk", LONG, |lines| {
        lines.iter().any(|line| line["extra"]["path"] == "/the-last-one")
    });
    lines.await;
    let stdout = program.stop();
    let lines = rsyslog.lines();
    database.drop_soon();

    assert_eq!(rsyslog.rest(), "");
    log::assert_nothing_secret(&stdout, &canaries);
    log::assert_nothing_secret(&on_disk.lines().map(str::to_owned).collect::<Vec<_>>(), &canaries);
    log::assert_nothing_secret(&lines.iter().map(Value::to_string).collect::<Vec<_>>(), &canaries);
    assert!(lines.len() >= stdout.len() && on_disk.lines().count() > 40, "{} {}", lines.len(), stdout.len());
    for line in &lines {
        check_names(line);
    }
    check_requests(&lines);
    check_audit(&lines);
    crate::logstash_files::check_fields(&lines);
}

fn check_names(line: &Value) {
    let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "@timestamp",
        "@version",
        "extra",
        "host",
        "level",
        "logsource",
        "message",
        "pid",
        "program",
        "type",
    ];
    assert_eq!(names, expected, "{line}");
    for name in ["@timestamp", "host", "logsource", "message"] {
        assert!(line[name].is_string(), "{name}: {line}");
    }
    assert!(["DEBUG", "INFO", "WARNING", "ERROR"].contains(&line["level"].as_str().unwrap()), "{line}");
    assert_eq!((&line["@version"], &line["type"]), (&"1".into(), &"python-logstash".into()));
    assert!(line["pid"].is_u64() && line["program"] == "sample-app", "{line}");
    let extra = &line["extra"];
    assert!(
        extra["logger_name"].is_string() && extra["line"].is_u64() && extra["path"].is_string(),
        "{line}"
    );
}

fn check_requests(lines: &[Value]) {
    let requests: Vec<_> = lines.iter().filter(|line| line["extra"]["logger_name"] == "request").collect();
    assert!(requests.len() > 40);
    for line in &requests {
        let extra = &line["extra"];
        assert!(extra["method"].is_string() && extra["path"].as_str().unwrap().starts_with('/'), "{line}");
        assert!(extra["status"].is_u64() && extra["duration_ms"].is_f64(), "numbers are numbers: {line}");
        assert_eq!(extra["request_id"].as_str().unwrap().len(), 16, "{line}");
        assert!(extra["route"].is_string() || extra["status"] == 404, "{line}");
        assert_eq!(extra["client"], "127.0.0.1", "{line}");
    }
    assert!(requests.iter().any(|line| line["extra"]["user_id"] == 1));
}

fn check_audit(lines: &[Value]) {
    let audit: Vec<_> = lines.iter().filter(|line| line["extra"]["logger_name"] == "audit").collect();
    for event in ["log_in", "log_in_refused", "refused", "password_changed", "user_deleted"] {
        let found = audit.iter().find(|line| line["extra"]["event"] == event);
        let found = found.unwrap_or_else(|| panic!("{event} did not arrive"));
        assert_eq!(found["extra"]["request_id"].as_str().unwrap().len(), 16, "of the span: {found}");
    }
}

/// Row S89.
#[actix_web::test]
async fn tls_is_verified_and_nothing_is_ever_sent_without() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Certificates::create(&folder.path().join("ours"));
    let theirs = Certificates::create(&folder.path().join("theirs"));
    let rsyslog = Rsyslog::start(&folder.path().join("tls"), Some(&ours));
    let plain = Rsyslog::start(&folder.path().join("plain"), None);
    let port = rsyslog.server.address.port();
    let set = |program: Program, url: &str, ca: &Certificates| {
        program.set("LOGSTASH_URL", url).set("LOGSTASH_CA_FILE", ca.ca.to_str().unwrap())
    };
    let mut program = program("tls://localhost").await;
    // Another authority; another name; a server that speaks no TLS.
    for (url, ca, why) in [
        (format!("tls://localhost:{port}"), &theirs, "LOGSTASH_CA_FILE"),
        (format!("tls://127.0.0.2:{port}"), &ours, "certificate"),
        (format!("tls://{}", plain.server.address), &ours, ""),
    ] {
        program = set(program, &url, ca);
        let mut serving = program.serve();
        requests(&mut serving, "refused", 50, 0).await;
        // Long enough for a second attempt.
        tokio::time::sleep(Duration::from_secs(3)).await;
        requests(&mut serving, "refused", 50, 0).await;
        let complaints = stop(serving);
        assert_eq!(complaints.matches("trouble with").count(), 1, "{complaints}");
        assert!(complaints.contains(why), "{complaints}");
        for rsyslog in [&rsyslog, &plain] {
            assert_eq!(rsyslog.lines().len(), 0, "{url}");
            assert!(!rsyslog.rest().contains("refused") && !rsyslog.rest().contains("program"), "{url}");
        }
    }
    // With the right one everything comes, what waited as well.
    program = set(program, &format!("tls://localhost:{port}"), &ours);
    let mut serving = program.serve();
    requests(&mut serving, "trusted", 100, LONG_PATH).await;
    stop(serving);
    let whole = |lines: &[Value]| arrived(lines, "trusted") == 100 && arrived(lines, "refused") == 50;
    let lines = rsyslog.wait_for("all lines by TLS", PATIENCE, whole).await;
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
    assert_eq!(rsyslog.rest(), "");
}

/// Row F30: killed while lines are on their way, and back.
#[actix_web::test]
async fn no_line_is_lost_when_the_server_dies_under_load() {
    let program = Program::production().await;
    let mut rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    requests(&mut serving, "before", 500, 10).await;
    for round in 0..3 {
        let name = format!("during{round}");
        let kill = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            rsyslog.server.kill();
        };
        tokio::join!(requests(&mut serving, &name, 500, 10), kill);
        requests(&mut serving, &format!("away{round}"), 500, 10).await;
        rsyslog.server.start_again();
    }
    requests(&mut serving, "after", 500, 10).await;
    let all = ["before", "during0", "away0", "during1", "away1", "during2", "away2", "after"];
    rsyslog.wait_for("every request", LONG, |lines| all.iter().all(|name| arrived(lines, name) == 500)).await;
    let complaints = stop(serving);
    let lines = rsyslog.lines();
    let runs = runs(&lines);
    assert!(runs.len() == 1 && runs.values().all(|(came, made)| came == made), "{runs:?}");
    println!("{} lines, {} of them twice or more often", lines.len(), doubles(&lines));
    assert_eq!(rsyslog.rest(), "");
    assert_eq!(dropped(&complaints), 0, "{complaints}");
    assert_eq!(complaints.matches("trouble with").count(), complaints.lines().count(), "{complaints}");
    assert!(complaints.lines().count() <= 3, "once a minute at most: {complaints}");
    assert_eq!(spool_bytes(program.folder.path()), 0);
}

/// Row F31: what is beyond the cap is counted, and is the oldest.
#[actix_web::test]
async fn beyond_the_cap_the_oldest_lines_are_dropped_and_counted() {
    let (program, mut rsyslog) = with_server_away().await;
    let program = program.set("LOGSTASH_SPOOL_MB", "1");
    let mut serving = program.serve();
    let (mut most, count) = (0, 5);
    for round in 0..count {
        requests(&mut serving, &format!("round{round}"), 150, LONG_PATH).await;
        most = most.max(spool_bytes(program.folder.path()));
    }
    assert!((500_000..=1_000_000).contains(&most), "{most}");
    rsyslog.server.start_again();
    rsyslog.wait_for("the newest", LONG, |lines| arrived(lines, "round4") == 150).await;
    let complaints = stop(serving);
    let lines = rsyslog.lines();
    let runs = runs(&lines);
    let (came, made) = *runs.values().next().unwrap();
    println!("{made} lines, {came} came, {} were dropped", dropped(&complaints));
    assert_eq!(came + dropped(&complaints), made, "{complaints}");
    assert_eq!(arrived(&lines, "round0"), 0, "the oldest");
    assert_eq!((spool_bytes(program.folder.path()), rsyslog.rest()), (0, String::new()));
}

/// A server that takes connections and then nothing: the kernels between them take some MB before anybody notices.
#[actix_web::test]
async fn a_frozen_server_slows_no_request() {
    let program = Program::production().await;
    let rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    let start = Instant::now();
    let usual = requests(&mut serving, "usual", 2000, LONG_PATH).await;
    let usual_all = start.elapsed();
    rsyslog.server.freeze();
    let start = Instant::now();
    let frozen = requests(&mut serving, "frozen", 4000, LONG_PATH).await;
    let frozen_all = start.elapsed() / 2;
    // Until it is noticed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    requests(&mut serving, "noticed", 100, LONG_PATH).await;
    println!(
        "2000 requests: {usual_all:?}, frozen {frozen_all:?}; the slowest: {usual:?}, frozen {frozen:?}"
    );
    // A request that waits for a line would wait for seconds, for 2 s each time the server is given up.
    assert!(frozen_all < usual_all * 3 + Duration::from_secs(1), "{usual_all:?}, frozen {frozen_all:?}");
    rsyslog.server.thaw();
    let all = [("usual", 2000), ("frozen", 4000), ("noticed", 100)];
    rsyslog
        .wait_for("every request", LONG, |lines| {
            all.iter().all(|(name, count)| arrived(lines, name) == *count)
        })
        .await;
    let complaints = stop(serving);
    assert!(complaints.contains("does not take what is sent within 2 s"), "{complaints}");
    assert_eq!(dropped(&complaints), 0, "{complaints}");
    println!("{} twice or more often", doubles(&rsyslog.lines()));
}

/// More than memory holds, while the disk takes nothing: the rest is counted, requests go on.
async fn goes_on_without_a_disk(program: &Program, mut serving: Serving, rsyslog: &mut Rsyslog, place: &str) {
    requests(&mut serving, "first", 100, LONG_PATH).await;
    requests(&mut serving, "more", 2900, LONG_PATH).await;
    rsyslog.server.start_again();
    rsyslog.wait_for("the first", LONG, |lines| arrived(lines, "first") == 100).await;
    requests(&mut serving, "after", 100, 0).await;
    rsyslog.wait_for("the last", LONG, |lines| arrived(lines, "after") == 100).await;
    let complaints = stop(serving);
    let (came, made) = *runs(&rsyslog.lines()).values().next().unwrap();
    println!("{made} lines, {came} came, {} were dropped", dropped(&complaints));
    assert!(dropped(&complaints) > 100, "{complaints}");
    assert_eq!(came + dropped(&complaints), made, "{complaints}");
    assert!(complaints.contains(place) || complaints.contains("refused"), "{complaints}");
    assert!(!complaints.contains("panic"), "{complaints}");
    assert_eq!(program.fail(&["admin", "grant", "nobody@example.com"]).matches("trouble").count(), 0);
}

#[actix_web::test]
async fn a_spool_that_cannot_be_written_stops_nothing() {
    let (program, mut rsyslog) = with_server_away().await;
    std::fs::write(program.folder.path().join("logstash-spool"), "in the way").unwrap();
    let serving = program.serve();
    goes_on_without_a_disk(&program, serving, &mut rsyslog, "logstash-spool").await;
}

/// A disk of 200 kB, mounted for the program alone. Where the system forbids that to ordinary people, this says so.
#[actix_web::test]
async fn a_full_disk_stops_nothing() {
    let (program, mut rsyslog) = with_server_away().await;
    let spool = program.folder.path().join("logstash-spool");
    std::fs::create_dir(&spool).unwrap();
    let own = |script: &str| {
        let script = format!("mount -t tmpfs -o size=200k tmpfs '{}' && {script}", spool.display());
        let mut own = Command::new("unshare");
        own.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]);
        own
    };
    if !own("true").status().is_ok_and(|status| status.success()) {
        println!("NOT RUN: a full disk needs a mount of its own, and this system allows none");
        return;
    }
    let command = program.command();
    let mut full = own("exec \"$@\"");
    full.arg(command.get_program()).env_clear().current_dir(program.folder.path());
    full.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    full.env("PATH", std::env::var_os("PATH").unwrap());
    let mut serving = Serving::start(full);
    serving.wait_for("listening");
    goes_on_without_a_disk(&program, serving, &mut rsyslog, "No space left").await;
}

/// What a killed program left on disk comes with the next one.
#[actix_web::test]
async fn the_next_start_ships_what_the_last_one_could_not() {
    let (program, mut rsyslog) = with_server_away().await;
    for (name, signal) in [("killed", "KILL"), ("ended", "TERM")] {
        let mut serving = program.serve();
        requests(&mut serving, name, 300, 10).await;
        let start = Instant::now();
        // Until the disk has the last one of them; ending it well takes care of that by itself.
        while signal == "KILL" && spool(program.folder.path()).matches("/killed/").count() < 300 {
            assert!(start.elapsed() < PATIENCE, "{} bytes on disk", spool_bytes(program.folder.path()));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        serving.signal(signal);
        serving.wait();
    }
    rsyslog.server.start_again();
    let mut serving = program.serve();
    requests(&mut serving, "next", 10, 0).await;
    rsyslog
        .wait_for("lines of all three", PATIENCE, |lines| {
            [("killed", 300), ("ended", 300), ("next", 10)]
                .iter()
                .all(|(name, count)| arrived(lines, name) == *count)
        })
        .await;
    stop(serving);
    let lines = rsyslog.lines();
    let runs = runs(&lines);
    assert!(runs.len() == 3 && runs.values().all(|(came, made)| came == made), "{runs:?}");
    assert_eq!((doubles(&lines), spool_bytes(program.folder.path()), rsyslog.rest()), (0, 0, String::new()));
}

/// An end by SIGTERM delivers what is in the channel, and so does a command; nothing is left behind.
#[actix_web::test]
async fn the_end_delivers_everything_and_so_does_a_command() {
    let program = Program::production().await;
    let rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    program.succeed(&["seed", "--force"]);
    let mut serving = program.serve();
    requests(&mut serving, "last", 1000, 10).await;
    assert_eq!(stop(serving), "", "nothing to complain of");
    program.succeed(&["admin", "grant", "example-1@railstutorial.org"]);
    // It has read them all: the program waits for that. What is left is its own writing.
    let lines = rsyslog
        .wait_for("the command's act", PATIENCE, |lines| {
            lines.iter().any(|line| line["extra"]["event"] == "admin_granted")
        })
        .await;
    assert!(lines.iter().any(|line| line["message"].as_str().unwrap().starts_with("finishing")));
    assert_eq!((arrived(&lines, "last"), doubles(&lines)), (1000, 0));
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
    assert_eq!(spool_bytes(program.folder.path()), 0);
}

/// A connection that the other side closed while nothing was said, as load balancers do: the next line is not lost in it.
#[actix_web::test]
async fn a_connection_that_was_closed_meanwhile_loses_no_line() {
    let program = Program::production().await;
    let mut rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    for round in 0..3 {
        let name = format!("idle{round}");
        requests(&mut serving, &name, 1, 0).await;
        rsyslog.wait_for("a line", LONG, |lines| arrived(lines, &name) == 1).await;
        rsyslog.server.kill();
        rsyslog.server.start_again();
    }
    stop(serving);
    let ended =
        |lines: &[Value]| lines.iter().any(|line| line["message"].as_str().unwrap().starts_with("finishing"));
    let lines = rsyslog.wait_for("the end", PATIENCE, ended).await;
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
}

/// A server that is frozen at the end does not keep the program, and the lines that it may never read are kept on disk.
#[actix_web::test]
async fn an_end_while_the_server_is_frozen_loses_no_line() {
    let program = Program::production().await;
    let mut rsyslog = rsyslog(program.folder.path());
    let url = rsyslog.url();
    let program = program.set("LOGSTASH_URL", &url);
    program.succeed(&["migrate"]);
    let mut serving = program.serve();
    requests(&mut serving, "read", 1, 0).await;
    rsyslog.wait_for("a line", LONG, |lines| arrived(lines, "read") == 1).await;
    rsyslog.server.freeze();
    requests(&mut serving, "unread", 100, 0).await;
    stop(serving);
    assert_eq!(spool(program.folder.path()).matches("/unread/").count(), 100);
    // It never wakes up.
    rsyslog.server.start_again();
    stop(program.serve());
    let lines = rsyslog.wait_for("the next start", PATIENCE, |lines| runs(lines).len() == 2).await;
    assert_eq!(arrived(&lines, "unread"), 100);
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
}

/// What /stack and the metrics ask.
#[actix_web::test]
async fn says_whether_it_can_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let mut rsyslog = rsyslog(folder.path());
    let settings = |url: &str| {
        let settings = [("LOGSTASH_URL", url), ("DATA_DIR", folder.path().to_str().unwrap())];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Config::load(&settings).unwrap()
    };
    let logs = Logs::new(&settings("")).unwrap();
    assert_eq!((logs.address().as_str(), logs.shipping()), ("standard output", None));
    assert!(logs.ping().await.is_ok());
    let logs = Logs::new(&settings(&rsyslog.url())).unwrap();
    assert_eq!((logs.address(), logs.shipping()), (rsyslog.url(), Some(Shipping::default())));
    assert!(logs.ping().await.is_ok());
    assert!(matches!(logs.vitals().pulse().last, Some(Ok(_))));
    rsyslog.server.kill();
    assert!(logs.ping().await.unwrap_err().to_string().contains("refused"));
    assert!(logs.vitals().pulse().last_error.is_some());
}
