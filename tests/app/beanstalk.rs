//! The source bundle for Elastic Beanstalk: its contents, and that it starts and serves when handled as the platform
//! handles bundles. No AWS is involved, so a real deployment remains to be tested.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use reqwest::Method;
use sqlx::Connection;

use crate::support::beanstalk::{Instance, bundle, source, test_bundle};
use crate::support::mails::mails_to;
use crate::support::nginx::SECURITY_HEADERS;
use crate::support::people::PASSWORD;
use crate::support::posts::png;
use crate::support::{Browser, Page};

/// https ends at the load balancer.
const URL: &str = "https://sample.test";

async fn launch(more: &[(&str, &str)]) -> Instance {
    let secret = "0123456789abcdef".repeat(4);
    let needed = [("APP_URL", URL), ("SECRET_KEY_BASE", secret.as_str()), ("REDIS_URL", "memory:")];
    Instance::launch(&[&needed, more].concat()).await
}

/// Lines of `unzip -Z`: mode, size, name.
fn listing(zip: &Path) -> BTreeMap<String, String> {
    let listed = Command::new("unzip").arg("-Z").arg(zip).output().unwrap();
    assert!(listed.status.success());
    let text = String::from_utf8(listed.stdout).unwrap();
    let entries = text.lines().filter(|line| line.starts_with('-'));
    entries.map(|line| (line.rsplit(' ').next().unwrap().to_owned(), line[..10].to_owned())).collect()
}

#[test]
fn the_bundle_holds_what_it_should_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("built");
    fs::write(&binary, "any program").unwrap();
    let (one, two) = (folder.path().join("one.zip"), folder.path().join("two.zip"));
    let said = bundle(&binary, &one);
    bundle(&binary, &two);
    assert!(said.starts_with(&format!("{}: 0.0 MB", one.display())), "{said}");
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the same input makes the same bytes");
    let modes = listing(&one);
    let is_executable =
        |name: &str| modes.get(name).unwrap_or_else(|| panic!("{name} in {modes:?}")) == "-rwxr-xr-x";
    assert!(is_executable("sample-app") && !is_executable("Procfile"));
    for name in modes.keys() {
        assert_eq!(is_executable(name), name == "sample-app" || name.contains("hooks/"), "{name}");
        assert!(!name.ends_with(".sample"), "{name}");
    }
    // nginx forwards to the first process of the Procfile.
    assert!(fs::read_to_string(source().join("Procfile")).unwrap().starts_with("web: ./sample-app\n"));
}

async fn sign_up(instance: &mut Instance) -> Browser {
    let mut browser = instance.visitor("203.0.113.9");
    browser.sign_up("Michael", "michael@example.com", PASSWORD).await;
    let folder = instance.folder.path().join("var/lib/sample-app/mail");
    let mails = mails_to(&folder, "michael@example.com", 1).await;
    let link = mails[0].text.lines().find_map(|line| line.trim().strip_prefix(URL)).unwrap();
    let form = browser.get(link).await.form("Activate my account");
    let page = browser.submit(form).await;
    page.assert_flash("success", "Account activated!");
    browser
}

async fn post_picture(browser: &mut Browser, text: &str, bytes: Vec<u8>) -> Page {
    let form = browser.get("/").await.form("Post").set("micropost[content]", text);
    browser.submit(form.attach("micropost[picture]", "kitten.png", bytes)).await
}

/// A picture padded with zeros to this many bytes.
fn padded(bytes: usize) -> Vec<u8> {
    let mut picture = png(20, 10);
    picture.resize(bytes, 0);
    picture
}

#[actix_web::test]
async fn a_bundle_comes_up_and_serves_behind_its_nginx() {
    let mut instance = launch(&[]).await;
    instance.deploy(test_bundle());

    // The load balancer's health check: plain http, with the instance's address as Host.
    let probe = Browser::new(instance.address).request(Method::GET, "/livez").header("host", "10.0.3.7");
    let answer = probe.header("user-agent", "ELB-HealthChecker/2.0").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, "ok\n"));

    // https ends at the load balancer, which appends the visitor's address to the X-Forwarded-For that the visitor
    // sent.
    let mut visitor = instance.visitor("6.6.6.6, 203.0.113.9");
    let request = visitor.request(Method::GET, "/help").header("x-forwarded-proto", "https");
    assert_eq!(visitor.send(request, "/help").await.status, 200);
    let line = instance.web().wait_for("\"/help\"");
    assert!(line.contains("\"client\":\"203.0.113.9\""), "{line}");

    let mut browser = sign_up(&mut instance).await;
    assert!(browser.set_cookies.iter().all(|cookie| cookie.contains("Secure")), "{:?}", browser.set_cookies);

    // nginx's default limit is 1 MB, ours is 5 MB; a post slightly over it keeps its text.
    let page = post_picture(&mut browser, "a large kitten", padded(5_000_000)).await;
    page.assert_flash("success", "Micropost created!");
    let page = post_picture(&mut browser, "too large a kitten", padded(5_600_000)).await;
    assert_eq!(page.status, 413);
    assert!(page.text().contains("too large a kitten"), "{}", page.text());

    // Far over the limit, nginx itself rejects the request with the same status.
    let page = post_picture(&mut browser, "far too large", padded(7_000_000)).await;
    assert!(page.status == 413 && !page.text().contains("far too large"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{:?}", page.headers);
    assert_eq!((page.header("x-content-type-options"), page.header("server")), ("nosniff", "nginx"));
    let request = browser.request(Method::GET, "/help").header("x-forwarded-proto", "https");
    let ours = browser.send(request, "/help").await;
    let large = browser.request(Method::POST, "/microposts").header("x-forwarded-proto", "https");
    let its_own = browser.send(large.body(vec![b'x'; 7_000_000]), "/microposts").await;
    assert_eq!((ours.status, its_own.status), (200, 413));
    for name in SECURITY_HEADERS {
        for page in [&ours, &its_own] {
            assert_eq!(page.headers.get_all(name).iter().count(), 1, "{name} once: {:?}", page.headers);
        }
    }

    // Another site on the same domain may set many cookies; 32 kB of them must reach the application.
    for (bytes, status) in [(30_000, 200), (40_000, 431)] {
        let request =
            browser.request(Method::GET, "/help").header("cookie", format!("other={}", "x".repeat(bytes)));
        let page = browser.send(request, "/help").await;
        assert_eq!(page.status, status, "{bytes} bytes of cookies");
        assert!(
            page.header("content-security-policy").starts_with("default-src 'none'"),
            "{:?}",
            page.headers
        );
        assert_eq!(page.all("h1") == ["Too many cookies"], status == 431, "{}", page.text());
    }

    // Pages are compressed, also for requests through CloudFront.
    let request = browser
        .request(Method::GET, "/help")
        .header("accept-encoding", "gzip")
        .header("via", "1.1 cloudfront");
    let page = browser.send(request, "/help").await;
    assert_eq!((page.header("content-encoding"), page.header("vary")), ("gzip", "Accept-Encoding"));

    let log = instance.health_log();
    assert!(log.lines().any(|line| line.contains("\"/livez\"200\"")), "{log}");
}

/// Older platform versions set more directives in the `server` block; the bundle must not repeat them.
#[actix_web::test]
async fn the_configuration_fits_older_versions_of_the_platform() {
    let instance = launch(&[]).await;
    instance.unpack(test_bundle());
    instance.configure_nginx("client_header_timeout 60; client_body_timeout 60; keepalive_timeout 60;");
}

#[actix_web::test]
async fn two_instances_migrate_at_once_and_none_waits_for_ever() {
    let instance = launch(&[("MIGRATE_SECONDS", "1")]).await;
    instance.unpack(test_bundle());
    // While another connection holds the lock.
    let mut holder = Holder::take(&instance).await;
    let stopped = instance.migration().output().unwrap();
    assert_eq!(stopped.status.code(), Some(124), "{stopped:?}");
    holder.release().await;

    let instance = launch(&[]).await;
    instance.unpack(test_bundle());
    let both = [(); 2].map(|()| {
        let mut migration = instance.migration();
        migration.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for running in both {
        let finished = running.wait_with_output().unwrap();
        assert!(finished.status.success(), "{finished:?}");
    }
    let applied = instance.database.db_number("SELECT COUNT(*) FROM _sqlx_migrations WHERE success").await;
    let files = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/mysql")).unwrap().count();
    assert_eq!(usize::try_from(applied).unwrap(), files, "each once");
}

/// A migration that does not finish.
enum Holder {
    Sqlite(sqlx::SqliteConnection),
    MySql(sqlx::MySqlConnection),
}

impl Holder {
    async fn take(instance: &Instance) -> Holder {
        if instance.database.is_mysql() {
            let mut conn = instance.database.db_connect_mysql().await;
            let lock = "SELECT GET_LOCK(CONCAT('sample_app migrate ', LEFT(DATABASE(), 40)), 0)";
            assert_eq!(sqlx::query_scalar::<_, i64>(lock).fetch_one(&mut conn).await.unwrap(), 1);
            return Holder::MySql(conn);
        }
        fs::write(instance.folder.path().join("test.db"), "").unwrap();
        let mut conn = instance.database.db_connect_sqlite().await;
        sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut conn).await.unwrap();
        Holder::Sqlite(conn)
    }

    async fn release(&mut self) {
        match self {
            Holder::Sqlite(conn) => drop(sqlx::raw_sql("ROLLBACK").execute(conn).await.unwrap()),
            Holder::MySql(conn) => conn.ping().await.unwrap(),
        }
    }
}

#[actix_web::test]
async fn a_second_version_takes_over_what_the_first_one_kept() {
    let mut instance = launch(&[]).await;
    instance.deploy(test_bundle());
    let mut browser = sign_up(&mut instance).await;
    let picture = browser.post_picture("kept").await.newest_picture();
    let first = instance.web().child.id();

    instance.deploy(test_bundle());
    assert_ne!(instance.web().child.id(), first);
    let mut browser = instance.visitor("203.0.113.9");
    let page = browser.log_in("michael@example.com", PASSWORD).await;
    assert!(page.text().contains("kept"));
    assert_eq!(browser.get(&picture).await.status, 200);
}
