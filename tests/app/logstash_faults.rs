//! Faults of the server, the network and the disk while lines are shipped; no request is affected.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::lines::{
    LONG, LONG_PATH, arrived, doubles, dropped, requests, runs, spool_bytes, stop, with_server,
    with_server_away,
};
use crate::support::program::Serving;
use crate::support::wait::PATIENCE;
use crate::support::{Program, Rsyslog};

/// The server is killed while it receives lines, and restarted.
#[actix_web::test]
async fn no_line_is_lost_when_the_server_dies_under_load() {
    let (program, mut rsyslog) = with_server().await;
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
    assert_eq!(complaints.matches("problem with").count(), complaints.lines().count(), "{complaints}");
    assert!(complaints.lines().count() <= 3, "once a minute at most: {complaints}");
    assert_eq!(spool_bytes(program.folder.path()), 0);
}

/// Over the limit, the oldest lines are dropped and counted.
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

/// A server that accepts connections but reads nothing: kernel buffers hold some MB before anybody notices.
#[actix_web::test]
async fn a_frozen_server_slows_no_request() {
    let (program, rsyslog) = with_server().await;
    let mut serving = program.serve();
    let usual = requests(&mut serving, "usual", 2000, LONG_PATH).await;
    rsyslog.server.freeze();
    let frozen = requests(&mut serving, "frozen", 4000, LONG_PATH).await;
    // Until the freeze is noticed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    requests(&mut serving, "noticed", 100, LONG_PATH).await;
    println!("slow requests take {usual:?}, with a frozen server {frozen:?}");
    // A request that logs during that time waits until the server is given up after 2 s, and so does every other
    // client.
    assert!(frozen < usual * 3 + Duration::from_millis(1500), "{usual:?}, {frozen:?}");
    rsyslog.server.thaw();
    let all = [("usual", 2000), ("frozen", 4000), ("noticed", 100)];
    rsyslog
        .wait_for("every request", LONG, |lines| {
            all.iter().all(|(name, count)| arrived(lines, name) == *count)
        })
        .await;
    let complaints = stop(serving);
    assert!(complaints.contains("accepted no data within 2 s"), "{complaints}");
    assert_eq!(dropped(&complaints), 0, "{complaints}");
    println!("{} twice or more often", doubles(&rsyslog.lines()));
}

/// More lines than memory holds, while the disk accepts none: the rest is counted, requests go on.
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
    let is_named = complaints.contains(place) && complaints.contains("DATA_DIR");
    assert!(is_named || complaints.contains("refused"), "{complaints}");
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

/// A disk of 200 kB, mounted for the program only. Prints a note where the system does not allow users to mount.
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

/// The server closes an idle connection, as load balancers do: the next line is not lost in it.
#[actix_web::test]
async fn a_connection_that_was_closed_meanwhile_loses_no_line() {
    let (program, mut rsyslog) = with_server().await;
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
