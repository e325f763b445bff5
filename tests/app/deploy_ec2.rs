//! Deployment to an EC2 instance: which files deploy/ec2/install places and in which order, the units, and a newer
//! program behind the same socket. No systemd runs here; the test passes the socket as systemd does.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use crate::support::tally::Tally;
use crate::support::{Nginx, Program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sample-app");

fn repository(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The files of a machine with Debian's nginx.
fn machine() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let modules = root.path().join("etc/nginx/modules-enabled");
    std::fs::create_dir_all(&modules).unwrap();
    std::fs::write(modules.join("50-mod-http-brotli-static.conf"), "").unwrap();
    let main = "events {\n\tworker_connections 768;\n\t# multi_accept on;\n}\n";
    std::fs::write(root.path().join("etc/nginx/nginx.conf"), main).unwrap();
    root
}

fn install(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(repository("deploy/ec2/install"));
    command.arg("--root").arg(root).args(arguments).output().unwrap()
}

fn said(done: &Output) -> String {
    [String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)].concat()
}

fn read(root: &Path, name: &str) -> String {
    std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn it_installs_in_the_right_order_and_may_be_run_again() {
    let machine = machine();
    let root = machine.path();
    let first = said(&install(root, &[PROGRAM]));
    assert!(first.contains("now fill in /etc/sample-app/sample-app.env"), "{first}");
    assert!(!first.contains("migrate") && !first.contains("systemctl"), "{first}");
    assert!(!root.join("opt/sample-app/sample-app").exists(), "nothing to start yet");
    let settings = root.join("etc/sample-app/sample-app.env");
    assert_eq!(std::fs::metadata(&settings).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(read(root, "etc/sample-app/sample-app.env"), read(&repository("."), ".env.sample"));
    std::fs::write(&settings, "APP_URL=https://mine.example\n").unwrap();

    for run in 0..2 {
        let done = install(root, &[PROGRAM]);
        let told = said(&done);
        assert!(done.status.success(), "{told}");
        let at = |words: &str| told.find(words).unwrap_or_else(|| panic!("{words}: {told}"));
        let order = [
            at("nginx -t"),
            at("sample-app.next migrate"),
            at("daemon-reload"),
            at("enable --quiet --now sample-app.socket"),
            at("restart sample-app.service"),
            at("reload-or-restart nginx"),
        ];
        assert!(order.is_sorted(), "{told}");
        assert!(told.contains("RuntimeMaxSec="), "a migration is not waited for for ever");
        assert_eq!(read(root, "etc/sample-app/sample-app.env"), "APP_URL=https://mine.example\n");
        let installed = root.join("opt/sample-app/sample-app");
        assert!(std::fs::read(&installed).unwrap() == std::fs::read(PROGRAM).unwrap());
        assert_eq!(std::fs::metadata(&installed).unwrap().permissions().mode() & 0o777, 0o755);
        assert!(!root.join("opt/sample-app/sample-app.previous").exists(), "run {run}: it is the same one");
    }
    for (mine, theirs) in [
        ("etc/nginx/conf.d/sample-app.conf", "nginx/sample-app.conf"),
        ("etc/nginx/sample-app/http.conf", "nginx/sample-app/http.conf"),
        ("etc/nginx/sample-app/server.conf", "nginx/sample-app/server.conf"),
        ("etc/nginx/sample-app/headers.conf", "nginx/sample-app/headers.conf"),
        ("etc/nginx/sample-app/logs.conf", "nginx/sample-app/logs.conf"),
        ("etc/nginx/sample-app/refusals.conf", "nginx/sample-app/refusals.conf"),
        ("etc/nginx/sample-app/brotli.conf", "nginx/sample-app/brotli.conf"),
        ("etc/systemd/system/sample-app.socket", "deploy/ec2/sample-app.socket"),
        ("etc/systemd/system/sample-app.service", "deploy/ec2/sample-app.service"),
        ("etc/logrotate.d/sample-app", "deploy/ec2/logrotate"),
    ] {
        assert_eq!(read(root, mine), read(&repository("."), theirs));
    }
    let main = read(root, "etc/nginx/nginx.conf");
    assert!(main.contains("worker_connections 16384;") && main.contains("# multi_accept on;"), "{main}");
    assert!(root.join("opt/sample-app/www/errors/503.html").exists());
    assert!(root.join("var/log/sample-app").is_dir());
}

/// The files on the machine, without those that nothing uses before the switch.
fn in_use(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let is_unused = ["stage", "www", "nginx-test", "sample-app.next"]
                .iter()
                .any(|unused| name == format!("opt/sample-app/{unused}"));
            if path.is_dir() && !is_unused {
                folders.push(path);
            } else if !is_unused {
                found.insert(path.clone(), std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn what_fails_before_the_switch_leaves_all_files_as_they_were() {
    let machine = machine();
    let root = machine.path();
    std::fs::create_dir_all(root.join("etc/sample-app")).unwrap();
    std::fs::write(root.join("etc/sample-app/sample-app.env"), "").unwrap();
    let run = |stub: &str| {
        let mut command = Command::new(repository("deploy/ec2/install"));
        command.arg("--root").arg(root).arg(PROGRAM).env(format!("BASH_FUNC_{stub}%%"), "() { return 1; }");
        let done = command.output().unwrap();
        let told = said(&done);
        assert!(told.contains("everything runs on as it was") && !done.status.success(), "{stub}: {told}");
        assert!(!told.contains("systemctl"), "{stub}: {told}");
    };
    let files = |names: &[&str]| names.iter().map(|name| root.join(name)).collect::<Vec<_>>();
    let of_a_release = files(&[
        "etc/nginx/conf.d/sample-app.conf",
        "etc/nginx/sample-app/old.conf",
        "etc/systemd/system/sample-app.service",
    ]);
    for file in &of_a_release {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "# of the release before").unwrap();
    }
    let before = in_use(root);
    run("nginx");
    run("systemd-run");
    assert_eq!(in_use(root), before);
    assert!(install(root, &[PROGRAM]).status.success());
    let after = in_use(root);
    assert!(of_a_release.iter().all(|file| after.get(file) != before.get(file)));
    assert!(!root.join("opt/sample-app/stage").exists() && !root.join("opt/sample-app/nginx-test").exists());
}

/// The previous version is kept for a rollback, and the static files of both versions.
#[test]
fn the_way_back_is_kept() {
    let machine = machine();
    let root = machine.path();
    std::fs::create_dir_all(root.join("etc/sample-app")).unwrap();
    std::fs::write(root.join("etc/sample-app/sample-app.env"), "").unwrap();
    let older = root.join("older");
    std::fs::write(&older, "#!/bin/sh\nmkdir -p \"$2/0123456789ab\"\n").unwrap();
    std::fs::set_permissions(&older, PermissionsExt::from_mode(0o755)).unwrap();
    assert!(install(root, &[older.to_str().unwrap()]).status.success());
    assert!(install(root, &[PROGRAM]).status.success());
    let previous = root.join("opt/sample-app/sample-app.previous");
    assert!(std::fs::read(&previous).unwrap() == std::fs::read(&older).unwrap());
    assert!(root.join("opt/sample-app/www/0123456789ab").exists());
    assert!(install(root, &[previous.to_str().unwrap()]).status.success());
    assert!(read(root, "opt/sample-app/sample-app").starts_with("#!"));
    assert!(std::fs::read(&previous).unwrap() == std::fs::read(PROGRAM).unwrap());
}

#[test]
fn it_installs_for_tls_and_where_nginx_knows_no_brotli() {
    let machine = machine();
    let root = machine.path();
    std::fs::remove_dir_all(root.join("etc/nginx/modules-enabled")).unwrap();
    std::fs::create_dir_all(root.join("etc/sample-app")).unwrap();
    std::fs::write(root.join("etc/sample-app/sample-app.env"), "").unwrap();
    install(root, &["--tls", "www.mine.example", PROGRAM]);
    let site = read(root, "etc/nginx/conf.d/sample-app.conf");
    assert!(site.contains("server_name www.mine.example;") && !site.contains("www.example.com"), "{site}");
    assert!(!root.join("etc/nginx/sample-app/brotli.conf").exists());
    for wrong in [&["--tls", "a b"][..], &["--nonsense"], &["/nowhere/sample-app"]] {
        assert!(!install(root, wrong).status.success(), "{wrong:?}");
    }
    let help = Command::new(repository("deploy/ec2/install")).arg("--help").output().unwrap();
    assert!(help.status.success() && said(&help).contains("--tls HOST"));
}

/// The values in the units that other files repeat.
#[test]
fn the_units_fit_what_they_start() {
    let files = repository("deploy/ec2");
    let (socket, service) = (read(&files, "sample-app.socket"), read(&files, "sample-app.service"));
    let nginx = read(&repository("nginx"), "sample-app/http.conf");
    let path = socket.lines().find_map(|line| line.strip_prefix("ListenStream=")).unwrap();
    assert!(nginx.contains(&format!("server unix:{path};")));
    assert!(service.contains("ExecStart=/opt/sample-app/sample-app\n"));
    assert!(service.contains("EnvironmentFile=/etc/sample-app/sample-app.env\n"));
    let allowed = service.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).unwrap();
    assert!(allowed.parse::<u64>().unwrap() > sample_app::server::MAX_STOP.as_secs(), "{allowed}");
    // Checked by systemd itself, if installed.
    let Ok(version) = Command::new("systemd-analyze").arg("--version").output() else {
        println!("no systemd-analyze here: not judged");
        return;
    };
    assert!(version.status.success());
    let copies = tempfile::tempdir().unwrap();
    std::fs::write(copies.path().join("sample-app.socket"), socket).unwrap();
    // The program must exist for `verify`.
    let there = service.replace("/opt/sample-app/sample-app\n", "/bin/true\n");
    let unit = copies.path().join("sample-app.service");
    std::fs::write(&unit, there).unwrap();
    let verified = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
    assert_eq!((verified.status.code(), said(&verified).as_str()), (Some(0), ""));
    // The exposure score in tenths: at most 1.5, where 10 means no protection.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15"])
        .arg(&unit)
        .output()
        .unwrap();
    assert!(judged.status.success(), "{}", said(&judged));
}

fn note(tally: &Tally, what: &str, answer: Result<u16, String>, expected: u16) {
    match answer {
        Ok(status) if status == expected => tally.right(),
        other => tally.wrong(format!("{what}: {other:?}")),
    }
}

/// Like `systemctl restart` with the socket unit: no request is refused or fails, with and without nginx.
#[actix_web::test]
async fn a_new_program_behind_the_same_socket_is_noticed_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let program = Program::development().await.set("TRUSTED_PROXIES", "1");
    program.succeed(&["migrate"]);
    let mut serving = program.serve_on(socket.try_clone().unwrap().into());
    let nginx = Nginx::start(folder);
    let asked = Arc::new(Tally::default());

    let mut visitors = Vec::new();
    for number in 0..8 {
        let (asked, address) = (asked.clone(), nginx.server.address);
        visitors.push(tokio::spawn(async move {
            let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
            let client = client.build().unwrap();
            while !asked.is_over() {
                let (request, expected) = if number % 2 == 0 {
                    (client.get(format!("http://{address}/about")), 200)
                } else {
                    let post = client.post(format!("http://{address}/microposts"));
                    (post.header("sec-fetch-site", "same-origin").form(&[("micropost[content]", "x")]), 303)
                };
                let answer = request.send().await;
                let answer =
                    answer.map(|answer| answer.status().as_u16()).map_err(|error| format!("{error:?}"));
                note(&asked, "through nginx", answer, expected);
            }
        }));
    }
    let mut neighbours = Vec::new();
    for _ in 0..4 {
        let (asked, path) = (asked.clone(), path.clone());
        neighbours.push(std::thread::spawn(move || {
            while !asked.is_over() {
                note(&asked, "directly", about(&path), 200);
            }
        }));
    }
    for _ in 0..3 {
        asked.more(100).await;
        serving.stop();
        serving = program.serve_on(socket.try_clone().unwrap().into());
    }
    asked.more(100).await;
    asked.end();
    for visitor in visitors {
        visitor.await.unwrap();
    }
    for neighbour in neighbours {
        neighbour.join().unwrap();
    }
    serving.stop();
    asked.assert_all_right();
}

fn about(path: &Path) -> Result<u16, String> {
    use std::io::{Read, Write};
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(path)?;
        stream.write_all(b"GET /about HTTP/1.1\r\nHost: sample.test\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    answer.get(9..12).and_then(|status| status.parse().ok()).ok_or(answer)
}
