//! All settings: read from the environment once, parsed and validated. Nothing else reads the environment.
//!
//! A setting has its own variable, and some have aliases: the variables that the two tutorials and Elastic Beanstalk
//! export. None takes precedence: two variables of one setting may have equal values; different values are an error.
//! All errors are reported together, each with the variable's name and advice. No message quotes a value, so none can
//! leak a secret. [`SETTINGS`] lists the variables; `--help`, `.env.sample` and the README follow it.

mod database;
mod listen;
mod mail;
mod rate_limits;
mod reader;
mod reference;
mod secret;
mod services;
mod ses_password;
mod settings;
mod values;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use self::reader::Reader;
use self::values::{
    Fault, at_least_one, host_and_port, proxy_count, shutdown_delay_seconds, site_url, yes_or_no,
};

pub use self::database::{Database, MySql, SslMode};
pub use self::listen::Listen;
pub use self::mail::{Mail, SesTopic, Smtp, SmtpTls};
pub use self::rate_limits::RateLimits;
pub use self::reference::{Entry, Reference, Store};
pub use self::secret::Secret;
pub use self::services::{Avatars, Images, Logstash, Redis};
pub use self::ses_password::smtp_password;
pub use self::settings::{SETTINGS, Setting, help, markdown_table};
pub use self::values::{AppUrl, MAX_SHUTDOWN_DELAY, authority};
pub use self::variables::Variables;

/// All settings, complete and checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub env: AppEnv,
    pub listen: Listen,
    /// Public URL of the site: the only source for links in mails and for the `Secure` attribute of cookies.
    pub app_url: AppUrl,
    /// Signs cookies; at least 64 characters.
    pub secret_key_base: Secret,
    /// Folder of the embedded services: database, images, mails, secret.
    pub data_dir: PathBuf,
    /// Users, microposts, relationships, outbox.
    pub database: Database,
    /// Read replica, for pages that may be slightly out of date.
    pub database_reader: Option<MySql>,
    /// Sessions and cache.
    pub redis: Redis,
    /// PEM file of the authorities that sign the Redis certificate. Default: the system's.
    pub redis_ca_file: Option<PathBuf>,
    /// Whether Redis is a cluster (ElastiCache: cluster mode enabled).
    pub redis_cluster: bool,
    /// Pictures of microposts.
    pub images: Images,
    /// Origin from which browsers fetch pictures, for example a CloudFront distribution in front of the bucket.
    /// Default: the application itself.
    pub images_public_url: Option<AppUrl>,
    /// Endpoint of an S3-compatible store. The variable is the AWS SDK's own, AWS_ENDPOINT_URL_S3.
    pub s3_endpoint: Option<AppUrl>,
    pub mail: Mail,
    /// PEM file of the authorities that sign the mail server's certificate. Default: the system's.
    pub smtp_ca_file: Option<PathBuf>,
    /// Maximum rate in mails per second.
    pub smtp_rate: u16,
    /// SES configuration set, named in each mail.
    pub ses_configuration_set: Option<String>,
    pub ses_topic: Option<SesTopic>,
    /// Sender address of all mails.
    pub mail_from: String,
    /// Receives log lines in addition to stdout.
    pub logstash: Option<Logstash>,
    /// PEM file of the authorities that sign the Logstash certificate. Default: the system's.
    pub logstash_ca_file: Option<PathBuf>,
    /// Maximum size of the log lines that wait on disk for Logstash, in MB.
    pub logstash_spool_mb: u16,
    /// Host and port of the Prometheus endpoint; `None` disables it.
    pub metrics_listen: Option<(String, u16)>,
    /// How long to keep serving after the signal to stop, while /readyz answers 503 so that load balancers use other
    /// instances.
    pub shutdown_delay: Duration,
    /// Number of proxies in front of the application: the client's address is that many entries from the right of
    /// X-Forwarded-For.
    pub trusted_proxies: usize,
    /// Whether rate limits are enforced.
    pub rate_limits_enabled: bool,
    /// Number of attempts that each rate limit allows.
    pub rate_limits: RateLimits,
    pub avatars: Avatars,
    /// URL of the site that `scripts/walkthrough` builds, without a trailing slash. Default: the text embedded in this
    /// program.
    pub walkthrough_url: Option<String>,
    /// Log filter, in the syntax of tracing's `EnvFilter`.
    pub log: String,
    /// Settings that are valid but may not do what was intended: one line each, to be printed at start.
    pub warnings: Vec<String>,
    /// Variables whose values are stored in Secrets Manager or Parameter Store.
    pub references: Vec<(&'static str, Reference)>,
}

/// Decides how missing settings are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppEnv {
    /// Every setting has a default.
    Development,
    /// Services, public address and secret must be set.
    Production,
}

/// All errors in the settings, one line each: `NAME: what is wrong; what to do`.
#[derive(Debug, thiserror::Error)]
#[error("The settings need attention:\n  {}", .0.join("\n  "))]
pub struct ConfigErrors(Vec<String>);

impl Config {
    /// Reads the settings from `vars`, which contain no references to secrets in AWS.
    ///
    /// # Errors
    /// As for [`Config::read`].
    pub fn load(vars: &BTreeMap<String, String>) -> Result<Config, ConfigErrors> {
        Config::read(&Variables::from(vars.clone()))
    }

    /// Reads the settings from `vars`. An empty value counts as absent. The only side effect: in development without a
    /// SECRET_KEY_BASE, one is created and stored in DATA_DIR.
    ///
    /// # Errors
    /// All missing, malformed and contradictory settings together.
    pub fn read(vars: &Variables) -> Result<Config, ConfigErrors> {
        let mut reader = Reader::new(vars);
        let r = &mut reader;

        let env = app_env(r);
        let (listen, port) = listen::listen(r, vars);
        let app_url = app_url(r, port);
        let secret = secret_key_base(r);
        let data_dir = r.text("DATA_DIR").map_or_else(|| PathBuf::from("var"), PathBuf::from);
        let database = database::database(r, &data_dir);
        let database_reader = database::reader(r, database.as_ref());
        let redis = services::redis(r);
        let redis_ca_file = r.text("REDIS_CA_FILE").map(PathBuf::from);
        if redis_ca_file.is_some() && redis.as_ref().is_some_and(|redis| !redis.has_tls()) {
            r.error(
                "REDIS_CA_FILE",
                "is set, and there is no TLS to Redis; set REDIS_URL to rediss://.., or remove it",
            );
        }
        let redis_cluster = r.value("REDIS_CLUSTER", yes_or_no).unwrap_or(false);
        let images = services::images(r, &data_dir);
        let images_public_url = r.value("IMAGES_PUBLIC_URL", str::parse);
        let s3_endpoint = r.value("AWS_ENDPOINT_URL_S3", str::parse);
        let mail = mail::mail(r, &data_dir);
        let smtp_ca_file = r.text("SMTP_CA_FILE").map(PathBuf::from);
        let smtp_rate = r.value("SMTP_RATE", at_least_one).unwrap_or(10);
        let ses_configuration_set = r.value("SES_CONFIGURATION_SET", mail::configuration_set);
        let ses_topic = mail::ses_topic(r);
        let mail_from = mail::mail_from(r, app_url.as_ref(), mail.as_ref());
        let logstash = services::logstash(r);
        let logstash_ca_file = r.text("LOGSTASH_CA_FILE").map(PathBuf::from);
        if logstash_ca_file.is_some() && !logstash.as_ref().is_some_and(|logstash| logstash.tls) {
            r.error(
                "LOGSTASH_CA_FILE",
                "is set, and there is no TLS to Logstash; set LOGSTASH_URL to tls://.., or remove it",
            );
        }
        let logstash_spool_mb = r.value("LOGSTASH_SPOOL_MB", at_least_one).unwrap_or(256);
        let metrics_listen = r.value("METRICS_LISTEN", |text| match host_and_port(text) {
            Some((host, Some(port))) => Ok((host, port)),
            _ => Err("is not HOST:PORT; write it so, 127.0.0.1:9000 for example"),
        });
        let shutdown_delay = r.value("SHUTDOWN_DELAY", shutdown_delay_seconds).unwrap_or(match env {
            AppEnv::Development => 0,
            AppEnv::Production => 5,
        });
        let trusted_proxies = r.value("TRUSTED_PROXIES", proxy_count).unwrap_or(0);
        let rate_limits_enabled = rate_limits::enabled(r);
        let rate_limits = rate_limits::numbers(r);
        let avatars = services::avatars(r);
        let walkthrough_url = r.value("WALKTHROUGH_URL", site_url);
        let log = r.text("LOG").unwrap_or("info").to_owned();

        let (errors, warnings) = reader.finish();
        let (Some(app_url), Some(database), Some(redis), Some(images), Some(mail), []) =
            (app_url, database, redis, images, mail, errors.as_slice())
        else {
            return Err(ConfigErrors(errors));
        };
        let references = vars.references().into_iter();
        let references = references.filter_map(|(name, reference)| Some((name, reference.ok()?)));
        // Last, so that nothing is written if the settings are invalid.
        let secret_key_base = match secret {
            Some(secret) => secret,
            None => secret::load_or_create(&data_dir).map_err(|error| {
                ConfigErrors(vec![format!(
                    "SECRET_KEY_BASE: cannot be kept in DATA_DIR ({}: {error}); repair that, or set it",
                    data_dir.display()
                )])
            })?,
        };
        Ok(Config {
            env,
            listen,
            app_url,
            secret_key_base,
            data_dir,
            database,
            database_reader,
            redis,
            redis_ca_file,
            redis_cluster,
            images,
            images_public_url,
            s3_endpoint,
            mail,
            smtp_ca_file,
            smtp_rate,
            ses_configuration_set,
            ses_topic,
            mail_from,
            logstash,
            logstash_ca_file,
            logstash_spool_mb,
            metrics_listen,
            shutdown_delay: Duration::from_secs(shutdown_delay),
            trusted_proxies,
            rate_limits_enabled,
            rate_limits,
            avatars,
            walkthrough_url,
            log,
            warnings,
            references: references.collect(),
        })
    }
}

fn app_env(r: &mut Reader<'_>) -> AppEnv {
    let stated = r.value("APP_ENV", |text| match text {
        "development" => Ok(AppEnv::Development),
        "production" => Ok(AppEnv::Production),
        _ => Err("is neither development nor production; set one of the two"),
    });
    r.env = match stated {
        Some(env) => env,
        // Misspelt, possibly in production: validate the rest as strictly as in production.
        None if r.is_set("APP_ENV") => AppEnv::Production,
        None => AppEnv::Development,
    };
    r.env
}

fn app_url(r: &mut Reader<'_>, port: Option<u16>) -> Option<AppUrl> {
    let given = [r.given("APP_URL", str::parse), r.given("AWS_INTRO_SAMPLE_HOST", url_of_host)];
    let Some(url) = r.one_of("public address (a host name alone means https://)", given) else {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let local = format!("http://localhost{port}").parse().ok()?;
        return r.absent("APP_URL", local, "set the address that people will type, https://HOST");
    };
    if r.env == AppEnv::Production && !url.value.is_https() {
        r.warn(
            url.by,
            "is http://, so passwords and cookies travel readable; what is missing is a certificate: give the load \
             balancer one (AWS Certificate Manager) and a listener on 443, then write https:// here",
        );
    }
    Some(url.value)
}

/// The tutorial sets a host name, which means https; a complete URL is accepted too.
fn url_of_host(text: &str) -> Result<AppUrl, Fault> {
    if text.contains("://") { text.parse() } else { format!("https://{text}").parse() }
        .map_err(|_| "is not a host name; set HOST, or https://HOST, without path")
}

/// `None` in development means that a secret must be created.
fn secret_key_base(r: &mut Reader<'_>) -> Option<Secret> {
    let secret = r.value("SECRET_KEY_BASE", |text| match text.chars().count() {
        secret::MIN_CHARS.. => Ok(Secret::from(text.to_owned())),
        _ => Err("is shorter than 64 characters; set one that `sample-app secret` made"),
    });
    if secret.is_none() {
        r.absent("SECRET_KEY_BASE", (), "set one that `sample-app secret` made, the same on every instance");
    }
    secret
}
