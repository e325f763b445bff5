//! Parsers for values: hosts, ports, paths and URLs. Pure functions that know no variable names.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::Secret;

/// An error message about a value, with advice, printed after the variable's name. Static text, so that it cannot quote
/// the value, which may be a secret.
pub(super) type Fault = &'static str;

/// An HTTP origin: scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppUrl(Url);

impl AppUrl {
    /// `https://host`, with the port unless it is the scheme's default.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, unless it is the scheme's default.
    pub fn port(&self) -> Option<u16> {
        self.0.port()
    }

    /// The absolute URL of a path and query, for links in mails.
    pub fn link(&self, path_and_query: &str) -> String {
        format!("{}/{}", self.origin(), path_and_query.strip_prefix('/').unwrap_or(path_and_query))
    }
}

impl FromStr for AppUrl {
    type Err = &'static str;

    /// Parses `http[s]://HOST[:PORT]`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        web_url(text)
            .filter(|url| url.path() == "/")
            .map(AppUrl)
            .ok_or("is not of the form https://HOST[:PORT]; write it so, without path, parameters and user")
    }
}

/// Parses `http[s]://HOST[:PORT][/PATH]`.
fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Parses the URL of a site, `http[s]://HOST[:PORT][/PATH]`, and removes the trailing slash.
pub(super) fn site_url(text: &str) -> Result<String, &'static str> {
    web_url(text)
        .map(|url| url.as_str().trim_end_matches('/').to_owned())
        .ok_or("is not of the form https://HOST[/PATH]; write it so, without parameters and user")
}

/// The parts of a service's URL; user and password are percent-decoded.
pub(super) struct ServiceUrl {
    pub(super) scheme: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Without the leading slash, percent-decoded.
    pub(super) path: String,
}

impl ServiceUrl {
    /// Parses `scheme://[user[:password]@]host[:port][/path]`. Query parameters are rejected: with some libraries they
    /// would override other settings, for example certificate checks.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(|url| url.query().is_none() && url.fragment().is_none())?;
        let user = Some(decode(url.username())?).filter(|user| !user.is_empty());
        let password = match url.password() {
            Some(password) => Some(Secret::from(decode(password)?)),
            None => None,
        };
        Some(ServiceUrl {
            scheme: url.scheme().to_owned(),
            user,
            password,
            host: host(url.host_str()?)?,
            port: url.port(),
            path: decode(url.path().trim_start_matches('/'))?,
        })
        .filter(|url| url.port != Some(0))
    }
}

fn decode(text: &str) -> Option<String> {
    let text = percent_decode_str(text).decode_utf8().ok()?;
    (!text.contains(char::is_control)).then(|| text.into_owned())
}

/// Parses `HOST` or `HOST:PORT`. An IPv6 address before a port must be in brackets.
pub(super) fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    if let Some(host) = host(text) {
        return Some((host, None));
    }
    let (name, port) = text.rsplit_once(':')?;
    // Without brackets, the end of an IPv6 address would be ambiguous.
    let name = Some(name).filter(|name| name.starts_with('[') || !name.contains(':'))?;
    Some((host(name)?, Some(number(port)?)))
}

/// Parses a host name or an IP address. Returns the name in lower case ASCII (punycode), IPv6 without brackets.
pub(super) fn host(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(address.to_string());
    }
    match Host::parse(text).ok()? {
        // URL hosts may contain other characters, such as the quotes that `docker --env-file` leaves around a value.
        Host::Domain(name) => {
            let usual = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            name.chars().all(usual).then_some(name)
        }
        Host::Ipv4(address) => Some(address.to_string()),
        Host::Ipv6(address) => Some(address.to_string()),
    }
}

/// `host:port` as in a URL, with IPv6 addresses in brackets.
pub fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// A port to connect to, so not 0.
pub(super) fn port(text: &str) -> Option<u16> {
    number(text).filter(|port| *port != 0)
}

/// Digits only; `str::parse` alone would also accept `+1`.
pub(super) fn number(text: &str) -> Option<u16> {
    text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok())?
}

/// The path in `scheme:PATH` or `scheme://PATH`, taken literally. Rejects query parameters and `:memory:`, which other
/// programs accept here.
pub(super) fn path_of(text: &str, scheme: &str) -> Option<PathBuf> {
    let rest = text.strip_prefix(scheme)?.strip_prefix(':')?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    (!path.is_empty() && !path.starts_with(':') && !path.contains('?')).then(|| PathBuf::from(path))
}

pub(super) fn proxy_count(text: &str) -> Result<usize, Fault> {
    number(text)
        .map(usize::from)
        .filter(|count| *count <= 10)
        .ok_or("is not a number from 0 to 10; set how many proxies stand in front (2 on Beanstalk with a load balancer)")
}

/// Maximum SHUTDOWN_DELAY in seconds.
pub const MAX_SHUTDOWN_DELAY: u64 = 60;

pub(super) fn shutdown_delay_seconds(text: &str) -> Result<u64, Fault> {
    number(text).map(u64::from).filter(|seconds| *seconds <= MAX_SHUTDOWN_DELAY).ok_or(
        "is not a number from 0 to 60; set for how many seconds to go on serving after the signal to end",
    )
}

pub(super) fn at_least_one(text: &str) -> Result<u16, Fault> {
    number(text).filter(|count| *count > 0).ok_or("is not a number from 1 to 65535; set one")
}

/// An AWS region. Checks the characters, not whether the region exists.
pub(super) fn aws_region(text: &str) -> Result<String, Fault> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.is_empty() && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("is not a region; set one such as eu-central-1")
    }
}

/// Domain of the endpoints in a partition. Regions in China have their own.
pub(super) fn aws_domain(partition: &str) -> Option<&'static str> {
    match partition {
        "aws" | "aws-us-gov" => Some("amazonaws.com"),
        "aws-cn" => Some("amazonaws.com.cn"),
        _ => None,
    }
}

pub(super) fn yes_or_no(text: &str) -> Result<bool, Fault> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("is neither true nor false; set one of the two"),
    }
}
