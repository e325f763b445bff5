//! The log of the real program in production: every line is a JSON object, every request has a line, audit events are
//! logged, and no password, token, cookie or mail address appears.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use reqwest::Method;
use serde_json::Value;

use crate::support::Browser;
use crate::support::database::TestDatabase;
use crate::support::mails::{Mail, mails_to};
use crate::support::wait::wait_for;

const ANNA: &str = "canary.anna@example.com";
const EVE: &str = "canary.eve@example.com";
const PASSWORD: &str = "canary password one";
const OTHER_PASSWORD: &str = "canary password two";

/// The program and its output so far.
pub struct Program {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

/// With production settings and every service embedded.
pub fn command(folder: &Path, database: &TestDatabase, log: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sample-app"));
    let path = |name: &str| format!("file:{}", folder.join(name).display());
    command.env_clear().current_dir(folder).envs([
        ("APP_ENV", "production"),
        ("LISTEN", "127.0.0.1:0"),
        ("APP_URL", "http://sample.test"),
        ("SECRET_KEY_BASE", &"canary-secret-".repeat(5)),
        ("DATABASE_URL", &database.url),
        ("REDIS_URL", "memory:"),
        ("IMAGES_URL", &path("images")),
        ("SMTP_URL", &path("mail")),
        ("LOG", log),
    ]);
    command
}

impl Program {
    pub fn start(mut command: Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let reader = std::thread::spawn(move || {
            stdout.lines().for_each(|line| kept.lock().unwrap().push(line.unwrap()))
        });
        Program { child, lines, reader }
    }

    /// The address that it logs on start.
    pub async fn address(&mut self) -> SocketAddr {
        wait_for(async || {
            let lines = self.lines.lock().unwrap().clone();
            if let Some(line) = lines.iter().find(|line| line.contains("\"ready\"")) {
                let line = serde_json::from_str::<Value>(line).unwrap();
                return Ok(line["listening"].as_str().unwrap().parse().unwrap());
            }
            assert!(self.child.try_wait().unwrap().is_none(), "it ended: {lines:?}");
            Err(format!("it does not become ready: {lines:?}"))
        })
        .await
    }

    /// Stops it as a service manager does. Returns all output lines.
    pub fn stop(mut self) -> Vec<String> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "SIGTERM ends it well");
        self.reader.join().unwrap();
        Arc::try_unwrap(self.lines).unwrap().into_inner().unwrap()
    }
}

/// The newest mail to an address. Waits until there are `number`.
async fn mail(folder: &Path, to: &str, number: usize) -> Mail {
    mails_to(&folder.join("mail"), to, number).await.pop().unwrap()
}

fn token_of(mail: &Mail) -> String {
    mail.link().split('/').nth(2).unwrap().to_owned()
}

/// Signs up and activates. Returns the link's token.
async fn join(browser: &mut Browser, folder: &Path, email: &str) -> String {
    let form = browser.get("/signup").await.form("Create my account").set("user[name]", "Canary");
    let form = form.set("user[email]", email).set("user[password]", PASSWORD);
    browser.submit(form.set("user[password_confirmation]", PASSWORD)).await;
    let mail = mail(folder, email, 1).await;
    let page = browser.get(&mail.link()).await;
    browser.submit(page.form("Activate my account")).await.assert_flash("success", "Account activated!");
    token_of(&mail)
}

/// Visits everything that involves secrets. Returns the secrets.
pub async fn walk(address: SocketAddr, folder: &Path, database: &TestDatabase) -> Vec<String> {
    let (mut anna, mut eve) = (Browser::new(address), Browser::new(address));
    let mut canaries = vec![join(&mut anna, folder, ANNA).await, join(&mut eve, folder, EVE).await];
    let status =
        command(folder, database, "info").args(["admin", "grant", ANNA]).stdout(Stdio::null()).status();
    assert!(status.unwrap().success());
    // Every kind of rejection.
    anna.delete("/logout").await;
    assert_eq!(anna.log_in(ANNA, OTHER_PASSWORD).await.status, 422);
    assert_eq!(anna.log_in("canary.nobody@example.com", PASSWORD).await.status, 422);
    assert_eq!(eve.delete("/users/1").await.location().as_deref(), Some("/"));
    assert_eq!(eve.get_only("/users/1/edit").await.location().as_deref(), Some("/"));
    let forged = eve.request(Method::POST, "/microposts").header("origin", "https://evil.example");
    assert_eq!(eve.send(forged.form(&[("micropost[content]", "x")]), "/microposts").await.status, 403);
    // Mail links: valid, used and mangled.
    anna.post("/password_resets", &[("password_reset[email]", ANNA)]).await;
    let reset = mail(folder, ANNA, 2).await;
    let token = token_of(&reset);
    anna.get(&format!("/password_resets/{}/edit?email={ANNA}", &token[..20])).await;
    anna.get(&format!("/password_resets/{token}")).await;
    anna.get(&format!("/password_resets/{token}/edit&email=canary.anna%40example.com")).await;
    anna.get(&format!("/nowhere/{ANNA}/x?password={OTHER_PASSWORD}&token={token}").replace(' ', "+")).await;
    let form = anna.get(&reset.link()).await.form("Update password").set("user[password]", OTHER_PASSWORD);
    let form = form.set("user[password_confirmation]", OTHER_PASSWORD);
    anna.submit(form).await.assert_flash("success", "Password has been reset.");
    anna.get(&reset.link()).await;
    canaries.extend([token[..20].to_owned(), token]);
    anna.log_in_remembered(ANNA, OTHER_PASSWORD).await;
    let form = anna.get("/users/1/edit").await.form("Save changes").set("user[password]", PASSWORD);
    let form =
        form.set("user[password_confirmation]", PASSWORD).set("user[current_password]", OTHER_PASSWORD);
    anna.submit(form).await.assert_flash(
        "success",
        "Profile updated. Your password was changed, and all other devices were logged out.",
    );
    // A log-in by "remember me", and the deletion of an account.
    let session = anna.cookies.remove("session").unwrap();
    assert!(anna.is_logged_in().await);
    assert_eq!(anna.delete("/users/2").await.location().as_deref(), Some("/users"));
    assert_eq!(anna.delete("/users/1").await.location().as_deref(), Some("/users"));
    assert_eq!(anna.get("/users/2").await.status, 404);
    database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    assert_eq!(anna.get("/").await.status, 500);
    for (_, cookie) in
        anna.set_cookies.iter().chain(&eve.set_cookies).filter_map(|cookie| cookie.split_once('='))
    {
        canaries.push(cookie.split(';').next().unwrap().to_owned());
    }
    canaries.push(session);
    canaries.retain(|canary| !canary.is_empty());
    canaries
}

pub fn assert_nothing_secret(lines: &[String], canaries: &[String]) {
    let words =
        ["canary.anna", "canary.eve", "canary.nobody", "canary password", "canary+password", "canary-secret"];
    for line in lines {
        for canary in canaries.iter().map(String::as_str).chain(words).chain([PASSWORD, OTHER_PASSWORD]) {
            assert!(!line.contains(canary), "{canary} is in the log: {line}");
        }
        assert!(!line.contains("$argon2"), "{line}");
    }
}

#[actix_web::test]
async fn the_log_says_what_happened_and_no_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(folder.path()).await;
    let migrated = command(folder.path(), &database, "info").arg("migrate").stdout(Stdio::null()).status();
    assert!(migrated.unwrap().success());
    let mut program = Program::start(command(folder.path(), &database, "info"));
    let address = program.address().await;
    let canaries = walk(address, folder.path(), &database).await;
    assert!(canaries.len() > 20);
    let lines = program.stop();
    database.drop_soon();

    assert_nothing_secret(&lines, &canaries);
    let objects: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object of JSON: {line}")))
        .collect();
    assert!(objects.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    check_requests(&objects);
    check_audit(&objects);

    let fault =
        objects.iter().find(|line| line["message"] == "request failed").expect("the 500 is explained");
    assert!(fault["level"] == "ERROR" && fault["error"].as_str().unwrap().contains("microposts"), "{fault}");
    let request = objects.iter().find(|line| line["message"] == "request" && line["status"] == 500).unwrap();
    assert_eq!(fault["request_id"], request["request_id"], "by one number");
}

fn check_requests(objects: &[Value]) {
    let requests: Vec<&Value> = objects.iter().filter(|line| line["message"] == "request").collect();
    assert!(requests.len() > 40);
    for line in &requests {
        let text = |name: &str| line[name].as_str().unwrap_or_else(|| panic!("no {name}: {line}"));
        assert!(matches!(text("method"), "GET" | "POST") && text("path").starts_with('/'), "{line}");
        assert!((200..600).contains(&line["status"].as_u64().unwrap()), "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() >= 0.0, "{line}");
        assert_eq!((text("request_id").len(), text("client")), (16, "127.0.0.1"), "{line}");
        assert!(line["route"].is_string() || line["status"] == 404, "what a route takes names it: {line}");
    }
    let mut ids: Vec<&str> = requests.iter().map(|line| line["request_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), requests.len());
    let has = |path: &str, route: &str, user_id: Option<u64>| {
        let fits = |line: &&&Value| {
            line["path"] == path && line["route"] == route && line["user_id"].as_u64() == user_id
        };
        assert!(requests.iter().find(fits).is_some(), "{path} {route} {user_id:?}");
    };
    has("/password_resets/:token/edit", "/password_resets/{token}/edit", None);
    has("/account_activations/:token/edit", "/account_activations/{token}/edit", None);
    has("/account_activations/:token", "/account_activations/{token}", None);
    has("/users/1/edit", "/users/{id}/edit", Some(2));
    has("/users/1/edit", "/users/{id}/edit", Some(1));
    has("/", "/", Some(1));
    has("/login", "/login", None);
}

fn check_audit(objects: &[Value]) {
    let audit: Vec<&Value> = objects.iter().filter(|line| line["target"] == "audit").collect();
    let count = |event: &str, user_id: Option<u64>| {
        audit.iter().filter(|line| line["event"] == event && line["user_id"].as_u64() == user_id).count()
    };
    for (event, user_id, at_least) in [
        ("log_in", Some(1), 3),
        ("log_in", Some(2), 1),
        ("log_out", Some(1), 1),
        ("log_in_refused", Some(1), 1),
        ("log_in_refused", None, 1),
        ("refused", Some(2), 2),
        ("refused_from_another_site", None, 1),
        ("password_reset", Some(1), 1),
        ("password_changed", Some(1), 1),
        ("remembered", Some(1), 1),
        ("user_deleted", Some(2), 1),
        ("user_not_deleted", Some(1), 1),
    ] {
        assert!(count(event, user_id) >= at_least, "{event} {user_id:?} is missing: {audit:#?}");
    }
    let deleted = audit.iter().find(|line| line["event"] == "user_deleted").unwrap();
    assert_eq!(deleted["by"], 1, "an admin's act says whose it was");
    for line in audit {
        let id = line["request_id"].as_str().unwrap_or_default();
        assert_eq!(id.len(), 16, "an event leads to its request, and so to the address: {line}");
    }
}

/// Admin changes from the command line are audited too.
#[actix_web::test]
async fn granting_and_revoking_leave_an_audit_event() {
    let app = crate::support::TestApp::start().await;
    let (admin, bob) = (app.db_admin("canary.admin").await, app.db_person("bob").await);
    for (change, event) in [("grant", "admin_granted"), ("revoke", "admin_revoked")] {
        let mut command = command(app.folder.path(), &app.database, "info");
        command.args(["admin", change, &bob.email]);
        // On another thread: the application's workers run on this one and may be in a transaction.
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let output = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        let line =
            output.lines().find(|line| line.contains("\"audit\"")).unwrap_or_else(|| panic!("{output}"));
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["event"], &line["user_id"]), (&event.into(), &bob.id.into()));
    }
    assert_eq!(admin.id, 1);
}

/// Enabling all log levels to find a bug must not log secrets.
#[actix_web::test]
async fn the_debugging_log_has_no_secrets_either() {
    let folder = tempfile::tempdir().unwrap();
    let mut database = TestDatabase::create(folder.path()).await;
    let migrated = command(folder.path(), &database, "info").arg("migrate").stdout(Stdio::null()).status();
    assert!(migrated.unwrap().success());
    let mut program = Program::start(command(folder.path(), &database, "debug"));
    let address = program.address().await;
    let canaries = walk(address, folder.path(), &database).await;
    let lines = program.stop();
    database.drop_soon();
    assert_nothing_secret(&lines, &canaries);
}
