//! The settings for Redis, images, Logstash and avatars. Each selects an embedded substitute or a remote service.

use std::fmt;
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::Secret;
use super::reader::{Given, Reader};
use super::values::{Fault, ServiceUrl, authority, aws_region, host_and_port, number, path_of};

/// The store for sessions and cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redis {
    /// Process memory: not shared between instances, lost on exit.
    Memory,
    /// The URL of a server, `redis[s]://[user]:password@host:port[/number]`, always with a port; user and password are
    /// percent-encoded. `Display` omits them.
    Server(Secret),
}

/// The store for pictures of microposts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Images {
    Folder(PathBuf),
    S3 {
        bucket: String,
        /// `None` leaves the region to the SDK's provider chain.
        region: Option<String>,
    },
}

/// Logstash's TCP input, to which log lines are shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logstash {
    pub tls: bool,
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// Default: 5044.
    pub port: u16,
}

/// Where avatars come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Avatars {
    /// SVGs drawn by the application.
    Drawn,
    /// From gravatar.com, which then learns who visits the site.
    Gravatar,
}

impl Redis {
    pub(super) fn has_tls(&self) -> bool {
        matches!(self, Redis::Server(url) if url.expose().starts_with("rediss://"))
    }
}

impl fmt::Display for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Redis::Memory => return f.write_str("memory:"),
            Redis::Server(url) => url.expose(),
        };
        let (scheme, rest) = url.split_once("://").unwrap_or(("redis", ""));
        let address = rest.rsplit_once('@').map_or(rest, |(_credentials, address)| address);
        write!(f, "{scheme}://{address}")
    }
}

// ---- Redis

const REDIS_FORM: Fault = "is not of the form redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/NUMBER] or memory:; write it so, \
    with / ? # @ : and % of user and password percent-encoded and without parameters";

pub(super) fn redis(r: &mut Reader<'_>) -> Option<Redis> {
    let url = r.given("REDIS_URL", redis_url);
    if r.is_set("REDIS_PORT") {
        r.required("REDIS_HOST", "REDIS_PORT");
    }
    let address = r.host_and_port("REDIS_HOST", Some("REDIS_PORT"), 6379);
    let address = address.map(|(host, port)| Given { by: host.by, value: redis_at(&host.value, port.value) });
    let book = r.given("AWS_INTRO_SAMPLE_REDIS_ADDRESS", redis_address);
    match r.one_of("Redis server", [url, address, book]) {
        Some(redis) => Some(redis.value),
        None => r.absent("REDIS_URL", Redis::Memory, "set redis[s]://HOST[:PORT], or REDIS_HOST, or memory:"),
    }
}

fn redis_url(text: &str) -> Result<Redis, Fault> {
    if text == "memory:" {
        return Ok(Redis::Memory);
    }
    let url = ServiceUrl::parse(text).filter(|url| matches!(url.scheme.as_str(), "redis" | "rediss"));
    let url = url.ok_or(REDIS_FORM)?;
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let credentials = match (&url.user, &url.password) {
        (user, Some(password)) => {
            format!("{}:{}@", encoded(user.as_deref().unwrap_or_default()), encoded(password.expose()))
        }
        (None, None) => String::new(),
        // redis://PASSWORD@HOST, a common mistake: clients take it for a user without a password.
        (Some(_), None) => return Err(REDIS_FORM),
    };
    let database = match url.path.as_str() {
        "" | "0" => String::new(),
        other => format!("/{}", number(other).ok_or(REDIS_FORM)?),
    };
    let address = authority(&url.host, url.port.unwrap_or(6379));
    Ok(Redis::Server(Secret::from(format!("{}://{credentials}{address}{database}", url.scheme))))
}

fn redis_at(host: &str, port: u16) -> Redis {
    Redis::Server(Secret::from(format!("redis://{}", authority(host, port))))
}

/// The Rails sample's variable: a host, or a URL to use TLS.
fn redis_address(text: &str) -> Result<Redis, Fault> {
    if text.contains("://") {
        return redis_url(text);
    }
    match host_and_port(text) {
        Some((_, Some(0))) | None => {
            Err("is not HOST, HOST:PORT or redis[s]://HOST; write it as one of them")
        }
        Some((host, port)) => Ok(redis_at(&host, port.unwrap_or(6379))),
    }
}

// ---- Images

pub(super) fn images(r: &mut Reader<'_>, data_dir: &Path) -> Option<Images> {
    let url = r.given("IMAGES_URL", images_url);
    let book = r.given("AWS_INTRO_SAMPLE_S3_BUCKET", |text| {
        bucket(text).ok_or("is not the name of a bucket; set the name alone, 3 to 63 of a-z 0-9 . -")
    });
    let region = r.given("AWS_INTRO_SAMPLE_S3_REGION", aws_region);
    let images = r.one_of("place for images", [url, book]);
    match (images, region) {
        (Some(Given { value: Images::S3 { bucket, .. }, .. }), region) => {
            Some(Images::S3 { bucket, region: region.map(|region| region.value) })
        }
        (Some(Given { by, value }), region) => {
            if let Some(region) = region {
                r.contradiction("place for images", region.by, by);
            }
            Some(value)
        }
        (None, Some(region)) if !r.is_set("IMAGES_URL") => {
            r.required("AWS_INTRO_SAMPLE_S3_BUCKET", region.by);
            None
        }
        (None, _) => {
            let folder = Images::Folder(data_dir.join("images"));
            r.absent("IMAGES_URL", folder, "set s3://BUCKET, or AWS_INTRO_SAMPLE_S3_BUCKET, or file:PATH")
        }
    }
}

fn images_url(text: &str) -> Result<Images, Fault> {
    const FORM: Fault = "is not of the form s3://BUCKET or file:PATH; write it so, without folder and parameters \
        (the region goes in AWS_INTRO_SAMPLE_S3_REGION or AWS_REGION)";
    match text.strip_prefix("s3://") {
        Some(name) => bucket(name.trim_end_matches('/')).ok_or(FORM),
        None => path_of(text, "file").map(Images::Folder).ok_or(FORM),
    }
}

fn bucket(name: &str) -> Option<Images> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    let valid = (3..=63).contains(&name.len()) && name.chars().all(allowed);
    valid.then(|| Images::S3 { bucket: name.to_owned(), region: None })
}

// ---- Logstash and avatars

pub(super) fn logstash(r: &mut Reader<'_>) -> Option<Logstash> {
    let url = r.given("LOGSTASH_URL", logstash_url);
    let address = r.host_and_port("LOGSTASH_HOST", None, 5044).map(|(host, port)| Given {
        by: host.by,
        value: Logstash { tls: false, host: host.value, port: port.value },
    });
    r.one_of("Logstash", [url, address]).map(|logstash| logstash.value)
}

fn logstash_url(text: &str) -> Result<Logstash, Fault> {
    const FORM: Fault = "is not of the form tcp://HOST[:5044] or tls://HOST[:5044]; write it so";
    let url = ServiceUrl::parse(text)
        .filter(|url| url.path.is_empty() && url.user.is_none() && url.password.is_none())
        .filter(|url| matches!(url.scheme.as_str(), "tcp" | "tls"))
        .ok_or(FORM)?;
    Ok(Logstash { tls: url.scheme == "tls", host: url.host, port: url.port.unwrap_or(5044) })
}

pub(super) fn avatars(r: &mut Reader<'_>) -> Avatars {
    let stated = r.value("AVATARS", |text| match text {
        "drawn" => Ok(Avatars::Drawn),
        "gravatar" => Ok(Avatars::Gravatar),
        _ => Err("is neither drawn nor gravatar; set one of the two"),
    });
    stated.unwrap_or(Avatars::Drawn)
}
