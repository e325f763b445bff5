//! Dockerfile and compose.yaml, checked without a container engine: linters, the schema, and that they match the
//! application. Nothing is built or started here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use sample_app::config::{Config, SETTINGS};
use sample_app::tls;
use serde_json::Value;
use tokio_rustls::TlsConnector;

use crate::support::Certificates;
use crate::support::beanstalk::yaml;
use crate::support::server::tool;
use crate::support::tls_front::TlsFront;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// Runs a checker on this text as a file of this name.
fn check(command: &mut Command, name: &str, text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    command.arg(path).output().unwrap()
}

fn hadolint(text: &str) -> Output {
    check(&mut Command::new(tool("python/bin/hadolint")), "Dockerfile", text)
}

fn schema(text: &str) -> Output {
    let mut command = Command::new(tool("python/bin/check-jsonschema"));
    check(command.args(["--builtin-schema", "vendor.compose-spec"]), "compose.yaml", text)
}

#[test]
fn the_dockerfile_is_sound() {
    let text = read("Dockerfile");
    let found = hadolint(&text);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    assert!(!hadolint(&text.replace(":1.95-slim-bookworm", "")).status.success(), "a mistake is noticed");

    let image = text.split("FROM scratch\n").nth(1).expect("nothing but the program is in it");
    let user = image.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    assert!(
        user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)),
        "a number that is not root's: {user}"
    );
    assert!(image.contains("\nENTRYPOINT [\"/sample-app\"]\n"), "no shell in between, so signals arrive");
    let settings = image.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    for setting in settings.split(' ') {
        let name = setting.split('=').next().unwrap();
        assert!(SETTINGS.iter().any(|setting| setting.name == name), "{name} is no setting");
    }
    let compiler: Vec<u32> = version(&text, "FROM rust:", "-");
    assert!(compiler >= version(&read("Cargo.toml"), "rust-version = \"", "\""), "{compiler:?} is too old");
}

fn version(text: &str, before: &str, after: &str) -> Vec<u32> {
    let rest = text.split(before).nth(1).unwrap();
    rest.split(after).next().unwrap().split('.').map(|number| number.parse().unwrap()).collect()
}

/// The image must get all source files and no secrets.
#[test]
fn the_image_gets_what_git_has() {
    let ignored = read(".dockerignore");
    let listed = Command::new("git").arg("-C").arg(root()).args(["ls-files"]).output().unwrap();
    assert!(listed.status.success(), "this test needs git: {}", String::from_utf8_lossy(&listed.stderr));
    for file in String::from_utf8(listed.stdout).unwrap().lines() {
        let first = file.split('/').next().unwrap();
        assert!(!ignored.lines().any(|line| line == first), "{file} is left out");
    }
    for name in [".git", ".env", "target", "var"] {
        assert!(ignored.lines().any(|line| line == name), "{name} is taken along");
    }
}

fn compose() -> Value {
    yaml(&read("compose.yaml"))
}

#[test]
fn compose_has_its_schema_and_nothing_dangles() {
    let text = read("compose.yaml");
    let found = schema(&text);
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    assert!(!schema(&text.replace("read_only:", "readonly:")).status.success(), "a mistake is noticed");

    let compose = compose();
    let services = compose["services"].as_object().unwrap();
    for (name, service) in services {
        for (other, wait) in service["depends_on"].as_object().into_iter().flatten() {
            let other = services.get(other).unwrap_or_else(|| panic!("{name} waits for {other}"));
            let checked = wait["condition"] != "service_healthy" || other["healthcheck"].is_object();
            assert!(checked, "{name} waits for ever");
        }
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let source = volume.as_str().unwrap().split(':').next().unwrap();
            let there = match source.strip_prefix("./") {
                Some(path) => root().join(path).exists(),
                None => compose["volumes"].get(source).is_some(),
            };
            assert!(there, "{name}: {source}");
        }
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name} is open to everybody: {port}");
        }
        let image = service["image"].as_str().unwrap();
        let tag = image.split('@').next().unwrap().rsplit_once(':').map(|(_, tag)| tag);
        assert!(
            image == "sample-app" || tag.is_some_and(|tag| tag != "latest"),
            "{name}: {image} may be anything"
        );
    }
    let allowed = services["app"]["stop_grace_period"].as_str().unwrap().trim_end_matches('s');
    assert!(allowed.parse::<u64>().unwrap() > sample_app::server::MAX_STOP.as_secs(), "{allowed}");
    for name in ["app", "migrate"] {
        assert_eq!(services[name]["read_only"], true, "{name}");
        assert_eq!(services[name]["cap_drop"][0], "ALL", "{name}");
    }
}

/// Expands `${NAME:-value}` with no variables set.
fn unset(text: &str) -> String {
    let Some((before, rest)) = text.split_once("${") else { return text.to_owned() };
    let (variable, after) = rest.split_once('}').unwrap();
    format!("{before}{}{}", variable.split_once(":-").unwrap().1, unset(after))
}

fn app_settings() -> BTreeMap<String, String> {
    let compose = compose();
    let environment = compose["services"]["app"]["environment"].as_object().unwrap();
    environment.iter().map(|(name, value)| (name.clone(), unset(value.as_str().unwrap()))).collect()
}

#[test]
fn the_application_takes_what_compose_tells_it() {
    let settings = app_settings();
    for name in settings.keys().filter(|name| !name.starts_with("AWS_")) {
        let known = SETTINGS
            .iter()
            .any(|known| known.name == name || known.also.split(", ").any(|also| also == name));
        assert!(known, "{name} is no setting");
    }
    let load = |settings: &BTreeMap<String, String>| {
        Config::load(settings).unwrap_or_else(|errors| panic!("{errors}"))
    };
    assert!(load(&settings).logstash.is_none());
    let mut with_logs = settings.clone();
    with_logs.insert("LOGSTASH_URL".into(), "tcp://logstash:5044".into());
    assert!(load(&with_logs).logstash.is_some());
    // Every host that is named exists, and both sides use the same secrets.
    let compose = compose();
    for host in ["mysql", "valkey", "s3", "mail", "logstash"] {
        assert!(compose["services"][host].is_object(), "{host}");
    }
    let of = |service: &str, name: &str| {
        unset(compose["services"][service]["environment"][name].as_str().unwrap())
    };
    assert_eq!(settings["MYSQL_DATABASE_PASSWORD"], of("mysql", "MYSQL_PASSWORD"));
    assert_eq!(settings["AWS_SECRET_ACCESS_KEY"], of("s3", "ROOT_SECRET_KEY"));
    assert_eq!(settings["AWS_ACCESS_KEY_ID"], of("s3", "ROOT_ACCESS_KEY"));
    assert_eq!(settings["SMTP_CA_FILE"], of("mail", "MP_SMTP_TLS_CERT"));
}

/// The application accepts the certificate that compose creates for the mail catcher, for that name only.
#[actix_web::test]
async fn the_mail_catchers_certificate_is_good() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    let script = compose()["services"]["certificates"]["command"][0]
        .as_str()
        .unwrap()
        .replace("/certificates", &place);
    let made = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (cert, key) = (folder.path().join("mail.pem"), folder.path().join("mail.key"));
    let certificates = Certificates { ca: cert.clone(), cert, key };
    let echo = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = TlsFront::to(echo.local_addr().unwrap(), &certificates);
    let connector = TlsConnector::from(Arc::clone(&tls::client(Some(&certificates.ca)).unwrap()));
    for (name, is_good) in [("mail", true), ("other", false)] {
        let stream = tokio::net::TcpStream::connect(front.address).await.unwrap();
        let connected = connector.connect(ServerName::try_from(name).unwrap(), stream).await;
        assert_eq!(connected.is_ok(), is_good, "{name}: {:?}", connected.err());
    }
}
