//! Tests of the settings. This file tests complete environments: an empty one, those of the two tutorials, and an
//! incomplete production environment. Each submodule tests one topic.

mod database;
mod documents;
mod iam;
mod names;
mod references;
mod secrets;
mod services;
mod ses_password;

use std::collections::BTreeSet;

use super::*;

type Vars = BTreeMap<String, String>;
type Tested = Result<(), Box<dyn std::error::Error>>;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// All of the Rails sample's variables, unchanged, preceded by those that production always needs.
const BOOK: &[(&str, &str)] = &[
    ("APP_ENV", "production"),
    ("SECRET_KEY_BASE", KEY),
    ("AWS_INTRO_SAMPLE_HOST", "www.example.com"),
    ("AWS_INTRO_SAMPLE_DATABASE_PASSWORD", "hunter2-db"),
    ("AWS_INTRO_SAMPLE_S3_REGION", "eu-central-1"),
    ("AWS_INTRO_SAMPLE_S3_BUCKET", "book-uploads"),
    ("AWS_INTRO_SAMPLE_REDIS_ADDRESS", "redis.home"),
    ("AWS_INTRO_SAMPLE_SMTP_DOMAIN", "example.com"),
    ("AWS_INTRO_SAMPLE_SMTP_ADDRESS", "email-smtp.eu-central-1.amazonaws.com"),
    ("AWS_INTRO_SAMPLE_SMTP_USERNAME", "AKIA"),
    ("AWS_INTRO_SAMPLE_SMTP_PASSWORD", "hunter2-smtp"),
];

/// The Beanstalk tutorial's variables. It has no variables for pictures and mail; here both go to folders.
const BEANSTALK: &[(&str, &str)] = &[
    ("APP_ENV", "production"),
    ("SECRET_KEY_BASE", KEY),
    ("PORT", "5000"),
    ("APP_URL", "http://sample.eu-central-1.elasticbeanstalk.com"),
    ("MYSQL_DATABASE_HOST", "mysql.example.com"),
    ("MYSQL_DATABASE_USER", "django"),
    ("MYSQL_DATABASE_PASSWORD", "hunter2-db"),
    ("MYSQL_DATABASE_DB", "django_db"),
    ("REDIS_HOST", "redis.example.com"),
    ("LOGSTASH_HOST", "logstash.example.com"),
    ("IMAGES_URL", "file:/srv/images"),
    ("SMTP_URL", "file:/srv/mail"),
];

/// A database attached to a Beanstalk environment.
const RDS: &[(&str, &str)] = &[
    ("RDS_HOSTNAME", "db.abc.eu-central-1.rds.amazonaws.com"),
    ("RDS_PORT", "3307"),
    ("RDS_DB_NAME", "ebdb"),
    ("RDS_USERNAME", "eb"),
    ("RDS_PASSWORD", "hunter2-rds"),
];

fn vars(parts: &[&[(&str, &str)]]) -> Vars {
    parts.iter().copied().flatten().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Loads these variables in development, with a secret, so that no secret file is written.
fn load(set: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    Config::load(&vars(&[&[("SECRET_KEY_BASE", KEY)], set]))
}

/// Errors of these variables in development.
fn errors(set: &[(&str, &str)]) -> Vec<String> {
    load(set).map_or_else(|errors| errors.0, |_| Vec::new())
}

fn names(lines: &[String]) -> Vec<&str> {
    lines.iter().filter_map(|line| line.split_once(": ")).map(|(name, _)| name).collect()
}

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn mysql(config: Config) -> Option<MySql> {
    match config.database {
        Database::MySql(mysql) => Some(mysql),
        Database::Sqlite(_) => None,
    }
}

/// Errors of these variables alone, without a secret.
fn errors_alone(set: &[(&str, &str)]) -> Vec<String> {
    Config::load(&vars(&[set])).map_or_else(|errors| errors.0, |_| Vec::new())
}

fn known_names() -> BTreeSet<&'static str> {
    let also = SETTINGS.iter().flat_map(|setting| setting.also.split(", "));
    SETTINGS.iter().map(|setting| setting.name).chain(also).filter(|name| !name.is_empty()).collect()
}

#[test]
fn nothing_set_is_development_with_everything_embedded() -> Tested {
    let config = load(&[])?;
    assert_eq!(config.env, AppEnv::Development);
    assert_eq!(config.listen, Listen::Tcp { host: "127.0.0.1".into(), port: 3000 });
    assert_eq!(config.app_url.origin(), "http://localhost:3000");
    assert_eq!(config.database, Database::Sqlite("var/sample_app.db".into()));
    assert_eq!(config.redis, Redis::Memory);
    assert_eq!(config.images, Images::Folder("var/images".into()));
    assert_eq!(config.mail, Mail::Folder("var/mail".into()));
    assert_eq!(config.mail_from, "no-reply@localhost");
    assert_eq!((config.logstash, config.trusted_proxies, config.avatars), (None, 0, Avatars::Drawn));
    assert_eq!((config.log.as_str(), config.warnings), ("info", Vec::new()));

    let moved = load(&[("DATA_DIR", "/srv/data")])?;
    assert_eq!(moved.database, Database::Sqlite("/srv/data/sample_app.db".into()));
    assert_eq!(moved.images, Images::Folder("/srv/data/images".into()));
    assert_eq!(moved.mail, Mail::Folder("/srv/data/mail".into()));
    Ok(())
}

#[test]
fn the_books_variables_work_unchanged() -> Tested {
    let config = Config::load(&vars(&[BOOK]))?;
    assert_eq!(config.env, AppEnv::Production);
    assert_eq!(config.app_url.origin(), "https://www.example.com");
    let region = Some("eu-central-1".to_owned());
    assert_eq!(config.images, Images::S3 { bucket: "book-uploads".into(), region });
    assert_eq!(config.redis, Redis::Server(secret("redis://redis.home:6379")));
    let smtp = Smtp {
        tls: SmtpTls::Implicit,
        host: "email-smtp.eu-central-1.amazonaws.com".into(),
        port: 465,
        username: Some("AKIA".into()),
        password: Some(secret("hunter2-smtp")),
    };
    assert_eq!(config.mail, Mail::Smtp(smtp));
    assert_eq!(config.mail_from, "no-reply@example.com");
    assert_eq!(
        names(&config.warnings),
        ["DATABASE_SSL_MODE"],
        "the book knows nothing of TLS to the database"
    );
    let expected = MySql {
        host: "db.home".into(),
        port: 3306,
        user: "sample_app".into(),
        password: secret("hunter2-db"),
        database: "sample_app".into(),
        ssl_mode: SslMode::Preferred,
        ca_file: None,
        by_proxy: false,
        iam_region: None,
        secret: None,
    };
    assert_eq!(config.database, Database::MySql(expected.clone()));

    let overrides = [
        ("AWS_INTRO_SAMPLE_DATABASE_HOST", "other:3307"),
        ("AWS_INTRO_SAMPLE_DATABASE_USERNAME", "me"),
        ("AWS_INTRO_SAMPLE_DATABASE_NAME", "mine"),
    ];
    let expected =
        MySql { host: "other".into(), port: 3307, user: "me".into(), database: "mine".into(), ..expected };
    assert_eq!(mysql(Config::load(&vars(&[BOOK, &overrides]))?), Some(expected));
    Ok(())
}

#[test]
fn the_beanstalk_tutorials_variables_work_unchanged() -> Tested {
    let config = Config::load(&vars(&[BEANSTALK]))?;
    assert_eq!(config.listen, Listen::Tcp { host: "127.0.0.1".into(), port: 5000 });
    assert_eq!(config.redis, Redis::Server(secret("redis://redis.example.com:6379")));
    let logstash = Logstash { tls: false, host: "logstash.example.com".into(), port: 5044 };
    assert_eq!(config.logstash, Some(logstash));
    assert_eq!(config.images, Images::Folder("/srv/images".into()));
    assert_eq!(config.mail, Mail::Folder("/srv/mail".into()));
    assert_eq!(names(&config.warnings), ["APP_URL", "DATABASE_SSL_MODE"], "allowed, and pointed out");
    let mysql = mysql(config).ok_or("not MySQL")?;
    assert_eq!((mysql.host.as_str(), mysql.port), ("mysql.example.com", 3306));
    assert_eq!((mysql.user.as_str(), mysql.database.as_str()), ("django", "django_db"));
    assert_eq!(mysql.password, secret("hunter2-db"));
    Ok(())
}

#[test]
fn production_names_everything_that_is_missing_at_once() {
    let needed = ["APP_URL", "SECRET_KEY_BASE", "DATABASE_URL", "REDIS_URL", "IMAGES_URL", "SMTP_URL"];
    let half = [("APP_ENV", "production"), ("SHUTDOWN_DELAY", "61"), ("TRUSTED_PROXIES", "many")];
    let told = errors_alone(&half);
    assert_eq!(names(&told), [&needed[..], &["SHUTDOWN_DELAY", "TRUSTED_PROXIES"]].concat());
    let shown = ConfigErrors(told).to_string();
    assert!(
        shown.starts_with("The settings need attention:\n  APP_URL: is missing; set the address"),
        "{shown}"
    );
    assert_eq!(shown.lines().count(), 9);

    let misspelt = errors_alone(&[("APP_ENV", "prod")]);
    assert_eq!(
        names(&misspelt),
        [&["APP_ENV"], &needed[..]].concat(),
        "a misspelt production is no development"
    );
}

#[test]
fn production_takes_embedded_services_by_their_scheme() -> Tested {
    let embedded = [
        ("APP_ENV", "production"),
        ("APP_URL", "https://example.com"),
        ("DATABASE_URL", "sqlite:/srv/app.db"),
        ("REDIS_URL", "memory:"),
        ("IMAGES_URL", "file:/srv/images"),
        ("SMTP_URL", "file:/srv/mail"),
    ];
    let config = load(&embedded)?;
    assert_eq!(config.database, Database::Sqlite("/srv/app.db".into()));
    assert_eq!(config.warnings, Vec::<String>::new());
    Ok(())
}

#[test]
fn an_empty_value_counts_as_absent() -> Tested {
    let empty: Vec<(&str, &str)> = known_names().into_iter().map(|name| (name, "")).collect();
    assert_eq!(
        format!("{:?}", Config::load(&vars(&[&empty, &[("SECRET_KEY_BASE", KEY)]]))?),
        format!("{:?}", load(&[])?)
    );
    assert_eq!(names(&errors_alone(&[("APP_ENV", "production"), ("REDIS_URL", "")])).len(), 6);
    Ok(())
}
