//! The stack page shows the real state of the five services, to authorized users only; /metrics does so for machines.

use std::time::Instant;

use chrono::TimeDelta;
use sample_app::mail::messages::Mail;
use sample_app::mail::outbox;
use sample_app::models::user::User;
use serde_json::Value;

use crate::support::people::PASSWORD;
use crate::support::smtp::MailServer;
use crate::support::wait::wait_for;
use crate::support::{Browser, Bucket, Program, Rsyslog, Server, TestApp, redis};

/// Role and state of each service.
async fn states(browser: &mut Browser) -> Vec<(String, String)> {
    let page = browser.get("/stack").await;
    assert_eq!(page.status, 200);
    let roles = page.all(".board-services h2").into_iter();
    roles
        .map(|text| text.rsplit_once(' ').map(|(role, state)| (role.to_owned(), state.to_owned())).unwrap())
        .collect()
}

#[actix_web::test]
async fn everything_embedded() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let states = states(&mut browser).await;
    let roles: Vec<_> = states.iter().map(|(role, _)| role.as_str()).collect();
    assert_eq!(roles, ["Database", "Sessions and cache", "Pictures", "Mail", "Logs"]);
    assert!(states[..4].iter().all(|(_, state)| state == "up" || state == "slow"), "{states:?}");
    let page = browser.get("/stack").await;
    let folder = app.folder.path().display().to_string();
    assert!(page.text().contains(&format!("{folder}/mail")) && page.text().contains("0 mails waiting"));
    assert_eq!(page.attrs("#stack", "data-hx-get"), ["/stack"], "it looks again by itself");
    assert!(page.count(".plot rect") >= 4, "{}", page.text());
}

/// The links of a page to chapters of the walkthrough.
async fn chapters(browser: &mut Browser, path: &str, site: &str) -> Vec<String> {
    let mut links = browser.get(path).await.attrs("main a", "href");
    links.retain(|link| link.starts_with(site));
    links
}

#[actix_web::test]
async fn each_service_leads_to_its_chapter_in_both_languages() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for path in ["/", "/stack"] {
        let links = chapters(&mut browser, path, "/docs/walkthrough/").await;
        for (language, headings) in [
            ("en", ["Database", "Cache", "Pictures", "Mail", "Logs"]),
            ("ko", ["데이터베이스", "캐시", "사진", "메일", "로그"]),
        ] {
            let of_language = format!("/docs/walkthrough/{language}/");
            let links: Vec<_> = links.iter().filter(|link| link.starts_with(&of_language)).collect();
            assert_eq!(links.len(), headings.len(), "{path}: {links:?}");
            for (link, heading) in links.into_iter().zip(headings) {
                let chapter = browser.get(link).await;
                assert_eq!(
                    (chapter.status, chapter.header("content-type")),
                    (200, "text/plain; charset=utf-8"),
                    "{link}"
                );
                let title = chapter.text().lines().next().unwrap().to_lowercase();
                assert!(title.contains(&heading.to_lowercase()), "{link}: {title}");
            }
        }
    }
    assert_eq!(browser.get("/docs/walkthrough/en/../../../Cargo.toml").await.status, 404);
    assert_eq!(browser.get("/docs/walkthrough/checkpoint").await.status, 404);

    let app = TestApp::start_with(&[("WALKTHROUGH_URL", "https://example.com/notes/")]).await;
    let links = chapters(&mut app.browser(), "/stack", "https://example.com/").await;
    assert_eq!(
        links[..2],
        ["en", "ko"].map(|language| format!("https://example.com/notes/{language}/05-database.html"))
    );
}

#[actix_web::test]
async fn one_mail_is_no_mails() {
    let app = TestApp::start().await;
    let text = || "x".to_owned();
    let mail =
        Mail { to: "a@example.com".into(), subject: text(), text: text(), html: text(), domain: text() };
    // Due tomorrow, so that no worker takes it.
    let due = app.app.clock.now() + TimeDelta::days(1);
    outbox::push(&mut app.app.db.conn().await.unwrap(), &mail, due).await.unwrap();
    assert!(app.browser().get("/stack").await.text().contains("1 mail waiting"));
}

#[actix_web::test]
async fn in_production_admins_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folders = ["images", "mail"].map(|name| format!("file:{}/{name}", folder.path().display()));
    let key = "0123456789abcdef".repeat(4);
    let settings = [
        ("APP_ENV", "production"),
        ("SECRET_KEY_BASE", key.as_str()),
        ("REDIS_URL", "memory:"),
        ("IMAGES_URL", &folders[0]),
        ("SMTP_URL", &folders[1]),
    ];
    let app = TestApp::start_with(&settings).await;
    let anna = app.db_person("anna").await;
    assert_eq!(app.browser().get("/stack").await.path, "/login");
    let mut annas = app.logged_in(&anna).await;
    annas.get_only("/stack").await.assert_redirect("/");
    assert!(!annas.get("/").await.has("a[href='/stack']"));
    app.app
        .db
        .transaction(async |db| User::set_admin(db, anna.id, true, app.app.clock.now()).await)
        .await
        .unwrap();
    assert_eq!(annas.get("/stack").await.status, 200);
    assert!(annas.get("/").await.has("a[href='/stack']"));
}

/// Waits until the page and /readyz agree. The target of 5 s is printed, not asserted, because this machine may be
/// busy.
async fn until_role_is(browser: &mut Browser, role: &str, wanted: &str) {
    let start = Instant::now();
    wait_for(async || {
        let states = states(browser).await;
        let down = |found: &str| wanted == "down" && found == role;
        let is_wanted = states.iter().all(|(found, state)| down(found) == (state == "down"));
        let told = readyz(browser).await;
        // On a busy machine, a probe of another service may have timed out.
        if is_wanted && told.iter().all(|found| down(found)) && told.len() == usize::from(wanted == "down") {
            Ok(())
        } else {
            Err(format!("{role} is not {wanted}: {states:?}; /readyz says {told:?}"))
        }
    })
    .await;
    println!("{role} {wanted} after {:?}", start.elapsed());
}

/// The roles that /readyz reports as down; its status is 200 anyway.
async fn readyz(browser: &mut Browser) -> Vec<&'static str> {
    let page = browser.get("/readyz").await;
    assert_eq!(page.status, 200, "one service must not take every instance out");
    let told: Value = serde_json::from_slice(&page.body).unwrap();
    let names = [
        ("database", "Database"),
        ("sessions", "Sessions and cache"),
        ("pictures", "Pictures"),
        ("mail", "Mail"),
        ("logs", "Logs"),
    ];
    names.into_iter().filter(|(name, _)| told[name] != "up").map(|(_, role)| role).collect()
}

/// An existing folder in which not even root can write.
#[actix_web::test]
async fn a_folder_in_which_nothing_can_be_written_is_down() {
    let app = TestApp::start_with(&[("IMAGES_URL", "file:/proc"), ("SMTP_URL", "file:/proc")]).await;
    let mut browser = app.browser();
    assert_eq!(readyz(&mut browser).await, ["Pictures", "Mail"]);
    let down: Vec<_> = states(&mut browser).await.into_iter().filter(|(_, state)| state == "down").collect();
    assert_eq!(down.len(), 2, "{down:?}");
}

#[actix_web::test]
async fn each_of_the_four_can_be_stopped_and_started() {
    let mut bucket = Bucket::start();
    let mut mail = MailServer::start();
    let mut sessions = redis::start();
    let folder = tempfile::tempdir().unwrap();
    let mut logs = Rsyslog::start(folder.path(), None);
    let mut program: Program = bucket.program().await;
    for (name, value) in mail.settings() {
        program = program.set(name, &value);
    }
    let program = program.set("REDIS_URL", &redis::url(&sessions)).set("LOGSTASH_URL", &logs.url());
    let mut serving = program.serve();
    let mut browser = serving.browser();
    for role in ["Database", "Sessions and cache", "Pictures", "Mail", "Logs"] {
        until_role_is(&mut browser, role, "up").await;
    }
    let servers: [(&str, &mut Server); 4] = [
        ("Sessions and cache", &mut sessions),
        ("Pictures", &mut bucket.server),
        ("Mail", &mut mail.server),
        ("Logs", &mut logs.server),
    ];
    for (role, server) in servers {
        server.kill();
        until_role_is(&mut browser, role, "down").await;
        let page = browser.get("/stack").await;
        assert_eq!(page.count(".service-down .error"), 1, "says why: {}", page.text());
        assert_eq!(browser.get("/help").await.status, 200);
        server.start_again();
        until_role_is(&mut browser, role, "up").await;
    }
    let page = browser.get("/stack").await.text();
    assert!(!page.contains("canary") && page.contains("s3://uploads"), "{page}");
    serving.stop();
}

#[actix_web::test]
async fn figures_for_prometheus_have_an_address_of_their_own() {
    let app = TestApp::start_with(&[("METRICS_LISTEN", "127.0.0.1:0")]).await;
    assert_eq!(app.browser().get("/metrics").await.status, 404, "not where visitors are");
    assert_eq!(app.browser().get("/users/999").await.status, 404);
    app.logged_in(&app.db_person("anna").await).await;
    let mut prometheus = Browser::new(app.metrics_address().unwrap());
    let figures = prometheus.get("/metrics").await;
    assert_eq!(
        (figures.status, figures.header("content-type")),
        (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let text = figures.text();
    let value = |line: &str| -> f64 {
        let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
    };
    let users = "route=\"/users/{id}\",status=\"404\"";
    assert_eq!(value(&format!("http_request_duration_seconds_count{{{users}}}")), 1.0);
    assert_eq!(value(&format!("http_request_duration_seconds_bucket{{le=\"+Inf\",{users}}}")), 1.0);
    assert!(value(&format!("http_request_duration_seconds_sum{{{users}}}")) > 0.0);
    assert_eq!(value(&format!("http_requests_total{{{users}}}")), 1.0);
    assert!(value("process_cpu_seconds_total") > 0.0 && value("process_open_fds") > 5.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("sample_app_database_connections_max") >= 2.0);
    assert_eq!(value("sample_app_outbox_waiting"), 0.0);
    value("sample_app_service_calls_total{service=\"sessions\",result=\"failed\"}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let known = ["sample_app_", "http_request", "process_"].iter().any(|prefix| name.starts_with(prefix));
        assert!(known && value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(!text.contains(PASSWORD) && !text.contains("anna"));
    assert_eq!(prometheus.get("/").await.status, 404);
}
