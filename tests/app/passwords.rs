//! Passwords: which are accepted, and how they are stored.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use futures_util::future::join_all;

use crate::support::TestApp;
use crate::support::people::PASSWORD;
use crate::support::wait::wait_for;

const TODAY: &str = "$argon2id$v=19$m=19456,t=2,p=1$";
const DIGEST: &str = "SELECT password_digest FROM users";

#[actix_web::test]
async fn digests_are_argon2id_with_todays_parameters() {
    let app = TestApp::start_with_full_hashing(&[]).await;
    app.browser().sign_up("Archer", "archer@example.com", PASSWORD).await.assert_at(200, "/");
    let digest = app.database.db_text(DIGEST).await;
    assert!(digest.starts_with(TODAY), "{digest}");
    assert!(!digest.contains(PASSWORD));
}

#[actix_web::test]
async fn an_older_digest_is_renewed_at_log_in() {
    let app = TestApp::start_with_full_hashing(&[]).await;
    let michael = app.db_person("michael").await;
    let params = Params::new(64, 1, 1, None).unwrap();
    let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password(PASSWORD.as_bytes());
    let old = old.unwrap().to_string();
    app.database.db_execute(&format!("UPDATE users SET password_digest = '{old}'")).await;
    app.browser().log_in(&michael.email, "wrong password").await.assert_at(422, "/login");
    assert_eq!(app.database.db_text(DIGEST).await, old);

    let mut browser = app.logged_in(&michael).await;
    let renewed = app.database.db_text(DIGEST).await;
    assert!(renewed.starts_with(TODAY), "{renewed}");
    assert!(browser.is_logged_in().await, "nobody is logged out for it");
    app.logged_in(&michael).await;
    assert_eq!(app.database.db_text(DIGEST).await, renewed, "once is enough");
}

/// In a separate process, so that its memory can be measured.
#[actix_web::test]
async fn two_hundred_log_ins_at_once_stay_within_their_memory() {
    let app = TestApp::start_with_full_hashing(&[]).await;
    let michael = app.db_person("michael").await;
    let socket = app.folder.path().join("socket");
    let process = Process(
        Command::new(env!("CARGO_BIN_EXE_sample-app"))
            .env_clear()
            .env("LISTEN", format!("unix:{}", socket.display()))
            .env("DATABASE_URL", &app.database.url)
            .env("DATA_DIR", app.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let client = reqwest::Client::builder().unix_socket(socket.as_path()).build().unwrap();
    let alive = async || client.get("http://localhost/livez").send().await;
    wait_for(async || alive().await.map_err(|error| format!("it does not start: {error:?}"))).await;
    let fields = [("session[email]", michael.email.as_str()), ("session[password]", "wrong password")];
    let before = process.peak_memory();
    let answers =
        join_all((0..200).map(|_| client.post("http://localhost/login").form(&fields).send())).await;
    let refused = answers.iter().filter(|answer| answer.as_ref().unwrap().status() == 422).count();
    assert!(refused > 0, "none was answered");
    let grown = process.peak_memory() - before;
    // 19 MiB per core, plus what 200 requests themselves need; without a bound it would be several times that.
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert!(grown < (19 * cores + 100) * 1024, "{grown} kB more for {refused} log-ins");
}

struct Process(Child);

impl Process {
    /// In kB.
    fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[actix_web::test]
async fn a_password_has_8_to_128_characters() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for (password, problem) in [
        ("ünïcöd€".to_owned(), "Password is too short (minimum is 8 characters)"),
        ("x".repeat(129), "Password is too long (maximum is 128 characters)"),
        (" ".repeat(8), "Password can't be blank"),
        (String::new(), "Password can't be blank"),
        ("line\u{7}feeds".to_owned(), "Password contains characters that cannot be used"),
    ] {
        let page = browser.sign_up("Archer", "archer@example.com", &password).await;
        page.assert_at(422, "/users");
        assert_eq!(page.errors(), [problem]);
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 0);
    for (n, password) in ["ünïcöd€!".to_owned(), "é".repeat(128)].iter().enumerate() {
        browser.sign_up("Archer", &format!("archer{n}@example.com"), password).await.assert_at(200, "/");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 2);
}

#[actix_web::test]
async fn nothing_of_a_password_is_cut_off_or_changed() {
    let app = TestApp::start().await;
    let long: String = ('a'..='z').cycle().take(128).collect();
    for (n, password) in [long.as_str(), "  spaces around  ", "MixedCase and é"].into_iter().enumerate() {
        let email = format!("archer{n}@example.com");
        app.browser().sign_up("Archer", &email, password).await.assert_at(200, "/");
        app.database.db_execute("UPDATE users SET activated_at = created_at").await;
        let shorter: String = password.chars().take(password.chars().count() - 1).collect();
        for wrong in
            [shorter.as_str(), password.trim_start(), &password.to_lowercase(), &format!("{password}x")]
        {
            if wrong != password {
                app.browser().log_in(&email, wrong).await.assert_at(422, "/login");
            }
        }
        assert_eq!(app.browser().log_in(&email, password).await.status, 200, "{password}");
    }
    // Another keyboard may produce the decomposed form; composed and decomposed are equal.
    let page = app.browser().log_in("archer2@example.com", "MixedCase and e\u{301}").await;
    assert_eq!(page.status, 200);
}

/// Macs type some letters as two code points; the limit counts characters.
#[actix_web::test]
async fn the_longest_password_logs_in_however_it_is_typed() {
    let app = TestApp::start().await;
    let in_parts = "e\u{301}".repeat(128);
    app.browser().sign_up("Archer", "archer@example.com", &in_parts).await.assert_at(200, "/");
    app.database.db_execute("UPDATE users SET activated_at = created_at").await;
    for password in [&in_parts, &"é".repeat(128)] {
        assert_eq!(app.browser().log_in("archer@example.com", password).await.status, 200);
    }
}

#[actix_web::test]
async fn common_passwords_are_refused_wherever_one_is_chosen() {
    let app = TestApp::start().await;
    let problem = ["Password is one of the most common ones; please choose another"];
    for common in ["password123", "PassWord123", "12345678"] {
        let page = app.browser().sign_up("Archer", "archer@example.com", common).await;
        assert_eq!((page.status, page.errors()), (422, problem.map(str::to_owned).to_vec()), "{common}");
    }
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let form = form.set("user[password]", "password123").set("user[password_confirmation]", "password123");
    assert_eq!(browser.submit(form.set("user[current_password]", PASSWORD)).await.errors(), problem);

    browser.ask_reset(&michael.email).await;
    let link = app.mail_to(&michael.email, 1).await.link();
    let form = browser.get(&link).await.form("Update password");
    let form = form.set("user[password]", "password123").set("user[password_confirmation]", "password123");
    assert_eq!(browser.submit(form).await.errors(), problem);
}

#[actix_web::test]
async fn an_oversized_password_is_refused_before_any_hashing() {
    let app = TestApp::start_with_full_hashing(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    let megabyte = "x".repeat(1024 * 1024);
    for (path, field) in [("/login", "session[password]"), ("/users", "user[password]")] {
        let page = browser.post(path, &[(field, &megabyte)]).await;
        assert_eq!(page.status, 413, "{path}");
    }
    // Input that fits into a form field but not into a password. Measured alternately with a log-in that is hashed.
    let oversized = "x".repeat(4000);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        for (times, password) in times.iter_mut().zip([oversized.as_str(), "wrong password"]) {
            let start = Instant::now();
            let fields = [("session[email]", michael.email.as_str()), ("session[password]", password)];
            assert_eq!(browser.post("/login", &fields).await.status, 422);
            times.push(start.elapsed());
        }
    }
    let [oversized, hashed] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    assert!(oversized < hashed, "{oversized:?} for nothing, {hashed:?} with hashing");
}
