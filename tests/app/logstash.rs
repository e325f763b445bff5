//! Shipping log lines to Logstash, from the real program to a real server: their format, that they contain no secrets,
//! and the start and end of shipping.

use std::process::Stdio;
use std::time::Duration;

use sample_app::config::Config;
use sample_app::telemetry::logs::{Logs, Shipping};
use serde_json::Value;

use crate::log;
use crate::support::database::TestDatabase;
use crate::support::lines::{
    LONG, LONG_PATH, arrived, doubles, program, requests, rsyslog, runs, spool, spool_bytes, stop,
    with_server, with_server_away,
};
use crate::support::wait::{PATIENCE, wait_for};
use crate::support::{Browser, Certificates, Program, Rsyslog};

/// All sinks at the most verbose level: the spool on disk, the received lines and stdout. The field names fit a
/// pipeline made for Python's handler.
#[actix_web::test]
async fn lines_are_flat_json_and_no_sink_has_secrets() {
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

    let on_disk = wait_for(async || match spool(folder.path()) {
        text if text.contains("/the-last-one") => Ok(text),
        text => Err(format!("the last one is not among {} bytes on disk", text.len())),
    })
    .await;
    rsyslog.server.start_again();
    let lines =
        rsyslog.wait_for("the walk", LONG, |lines| lines.iter().any(|line| line["path"] == "/the-last-one"));
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
    for name in ["@timestamp", "host", "line_id", "logger_name", "message"] {
        assert!(line[name].is_string(), "{name}: {line}");
    }
    assert!(line.as_object().unwrap().values().all(|value| !value.is_object()), "flat: {line}");
    assert!(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"].contains(&line["level"].as_str().unwrap()), "{line}");
    assert_eq!((&line["@version"], &line["program"]), (&"1".into(), &"sample-app".into()));
    assert!(line["pid"].is_u64(), "{line}");
}

fn check_requests(lines: &[Value]) {
    let requests: Vec<_> = lines.iter().filter(|line| line["logger_name"] == "request").collect();
    assert!(requests.len() > 40);
    for line in &requests {
        assert!(line["method"].is_string() && line["path"].as_str().unwrap().starts_with('/'), "{line}");
        assert!(line["status"].is_u64() && line["duration_ms"].is_f64(), "numbers are numbers: {line}");
        assert_eq!(line["request_id"].as_str().unwrap().len(), 16, "{line}");
        assert!(line["route"].is_string() || line["status"] == 404, "{line}");
        assert_eq!(line["client"], "127.0.0.1", "{line}");
    }
    assert!(requests.iter().any(|line| line["user_id"] == 1));
}

fn check_audit(lines: &[Value]) {
    let audit: Vec<_> = lines.iter().filter(|line| line["logger_name"] == "audit").collect();
    for event in ["log_in", "log_in_refused", "refused", "password_changed", "user_deleted"] {
        let found = audit.iter().find(|line| line["event"] == event);
        let found = found.unwrap_or_else(|| panic!("{event} did not arrive"));
        assert_eq!(found["request_id"].as_str().unwrap().len(), 16, "of its request: {found}");
    }
}

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
    // Another authority; another host name; a server without TLS.
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
        assert_eq!(complaints.matches("problem with").count(), 1, "{complaints}");
        assert!(complaints.contains(why), "{complaints}");
        for rsyslog in [&rsyslog, &plain] {
            assert_eq!(rsyslog.lines().len(), 0, "{url}");
            assert!(!rsyslog.rest().contains("refused") && !rsyslog.rest().contains("program"), "{url}");
        }
    }
    // With the right authority all lines arrive, including the waiting ones.
    program = set(program, &format!("tls://localhost:{port}"), &ours);
    let mut serving = program.serve();
    requests(&mut serving, "trusted", 100, LONG_PATH).await;
    stop(serving);
    let whole = |lines: &[Value]| arrived(lines, "trusted") == 100 && arrived(lines, "refused") == 50;
    let lines = rsyslog.wait_for("all lines by TLS", PATIENCE, whole).await;
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
    assert_eq!(rsyslog.rest(), "");
}

/// The next start ships what a killed program left on disk.
#[actix_web::test]
async fn the_next_start_ships_what_the_last_one_could_not() {
    let (program, mut rsyslog) = with_server_away().await;
    for (name, signal) in [("killed", "KILL"), ("ended", "TERM")] {
        let mut serving = program.serve();
        requests(&mut serving, name, 300, 10).await;
        // A graceful stop ensures by itself that the last line is on disk.
        if signal == "KILL" {
            wait_for(async || match spool(program.folder.path()).matches("/killed/").count() {
                lines if lines >= 300 => Ok(()),
                lines => Err(format!("{lines} lines on disk")),
            })
            .await;
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

/// A stop by SIGTERM delivers all queued lines, and so does a command; nothing is left behind.
#[actix_web::test]
async fn the_end_delivers_everything_and_so_does_a_command() {
    let (program, rsyslog) = with_server().await;
    program.succeed(&["seed", "--force"]);
    let mut serving = program.serve();
    requests(&mut serving, "last", 1000, 10).await;
    assert_eq!(stop(serving), "", "nothing to complain of");
    program.succeed(&["admin", "grant", "example-1@railstutorial.org"]);
    // The server has read all lines, because the program waits for that; only its own writing may be pending.
    let lines = rsyslog
        .wait_for("the command's act", PATIENCE, |lines| {
            lines.iter().any(|line| line["event"] == "admin_granted")
        })
        .await;
    assert!(lines.iter().any(|line| line["message"].as_str().unwrap().starts_with("finishing")));
    assert_eq!((arrived(&lines, "last"), doubles(&lines)), (1000, 0));
    assert!(runs(&lines).values().all(|(came, made)| came == made), "{:?}", runs(&lines));
    assert_eq!(spool_bytes(program.folder.path()), 0);
}

/// When run as root, a command would leave spool files that the service cannot open.
#[actix_web::test]
async fn a_command_leaves_the_spool_alone() {
    let (program, mut rsyslog) = with_server_away().await;
    program.succeed(&["seed", "--force"]);
    let said = program.succeed(&["admin", "grant", "example-1@railstutorial.org"]);
    assert!(said.contains("admin_granted"), "on standard output all the same: {said}");
    assert!(!program.folder.path().join("logstash-spool").exists());
    // It does not ship what the service left there either.
    let mut serving = program.serve();
    requests(&mut serving, "waiting", 10, 0).await;
    stop(serving);
    rsyslog.server.start_again();
    let before = spool(program.folder.path());
    program.succeed(&["admin", "revoke", "example-1@railstutorial.org"]);
    assert!(before.contains("/waiting/") && spool(program.folder.path()) == before);
}

/// A stop during a pause between attempts makes one more attempt.
#[actix_web::test]
async fn the_end_delivers_what_waits_on_disk_to_a_server_that_just_came_back() {
    let (program, mut rsyslog) = with_server_away().await;
    let mut serving = program.serve();
    requests(&mut serving, "waiting", 300, 10).await;
    rsyslog.server.start_again();
    stop(serving);
    rsyslog.wait_for("all", PATIENCE, |lines| arrived(lines, "waiting") == 300).await;
    assert_eq!(spool_bytes(program.folder.path()), 0);
}

/// A server that is frozen at the stop does not block the program. Lines that the server may never read stay on disk.
#[actix_web::test]
async fn an_end_while_the_server_is_frozen_loses_no_line() {
    let (program, mut rsyslog) = with_server().await;
    let mut serving = program.serve();
    requests(&mut serving, "read", 1, 0).await;
    rsyslog.wait_for("a line", LONG, |lines| arrived(lines, "read") == 1).await;
    rsyslog.server.freeze();
    requests(&mut serving, "unread", 100, 0).await;
    stop(serving);
    assert_eq!(spool(program.folder.path()).matches("/unread/").count(), 100);
    // The frozen process is killed, never continued.
    rsyslog.server.start_again();
    stop(program.serve());
    let whole = |lines: &[Value]| {
        let runs = runs(lines);
        arrived(lines, "unread") == 100 && runs.len() == 2 && runs.values().all(|(came, made)| came == made)
    };
    rsyslog.wait_for("all lines of both starts", PATIENCE, whole).await;
}

/// The check behind /stack and the metrics.
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
    assert!(matches!(logs.call_stats().snapshot().last, Some(Ok(_))));
    rsyslog.server.kill();
    assert!(logs.ping().await.unwrap_err().to_string().contains("refused"));
    assert!(logs.call_stats().snapshot().last_error.is_some());
}
