//! Every cookie of the application: its name, its flags, and its way into the answer.
//!
//! All are HttpOnly, SameSite=Lax, for the whole site and no other host (ASVS 3.3). With an https address they are
//! Secure and carry the prefix `__Host-`, which keeps other hosts of the domain from setting them (RFC 6265bis).

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, body::BoxBody};

use crate::config::Config;

/// The cookies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// Id of the session; ends with the browser.
    Session,
    /// The device's secret, for "remember me".
    RememberMe,
    /// A message for the next page.
    Flash,
    /// The page that asked for a log-in.
    ReturnTo,
    /// A link from a mail, between following it and pressing the button.
    MailLink,
    /// A post that was refused for want of a log-in.
    Draft,
}

impl Name {
    fn with_prefix(self) -> &'static str {
        match self {
            Name::Session => "__Host-session",
            Name::RememberMe => "__Host-remember_me",
            Name::Flash => "__Host-flash",
            Name::ReturnTo => "__Host-return_to",
            Name::MailLink => "__Host-mail_link",
            Name::Draft => "__Host-draft",
        }
    }

    fn lifetime(self) -> Option<Duration> {
        match self {
            Name::Session => None,
            Name::RememberMe => Some(Duration::days(30)),
            Name::Flash => Some(Duration::minutes(5)),
            Name::ReturnTo | Name::MailLink | Name::Draft => Some(Duration::minutes(30)),
        }
    }
}

/// Reads and writes cookies the way the configuration wants them.
#[derive(Clone)]
pub struct Cookies {
    https: bool,
    key: Key,
}

/// Cookies on their way into the answer; the last one of a name counts.
#[derive(Default)]
struct Outgoing(Vec<(Name, Cookie<'static>)>);

impl Outgoing {
    fn find(&self, name: Name) -> Option<&(Name, Cookie<'static>)> {
        self.0.iter().find(|(other, _)| *other == name)
    }
}

impl Cookies {
    /// For this configuration.
    pub fn new(config: &Config) -> Cookies {
        Cookies {
            https: config.app_url.is_https(),
            key: Key::derive_from(config.secret_key_base.expose().as_bytes()),
        }
    }

    /// What the browser has: what this answer gives it, or else what it sent. A request that came back by its remembered
    /// device has a session that the browser has not heard of yet.
    pub fn get(&self, req: &HttpRequest, name: Name) -> Option<String> {
        if let Some((_, cookie)) = req.extensions().get::<Outgoing>().and_then(|outgoing| outgoing.find(name))
        {
            let is_taken_away = cookie.max_age() == Some(Duration::ZERO);
            return (!is_taken_away).then(|| cookie.value().to_owned());
        }
        req.cookie(self.full_name(name)).map(|cookie| cookie.value().to_owned())
    }

    /// What the browser sent, if it is what we once gave it.
    pub fn get_signed(&self, req: &HttpRequest, name: Name) -> Option<String> {
        let cookie = req.cookie(self.full_name(name))?;
        let cookie = CookieJar::new().signed(&self.key).verify(cookie)?;
        Some(cookie.value().to_owned())
    }

    /// Sends a cookie with the answer to this request.
    pub fn set(&self, req: &HttpRequest, name: Name, value: String) {
        self.send(req, name, value, name.lifetime());
    }

    /// Sends a cookie that the browser cannot change.
    pub fn set_signed(&self, req: &HttpRequest, name: Name, value: String) {
        let mut jar = CookieJar::new();
        let full_name = self.full_name(name);
        jar.signed_mut(&self.key).add(Cookie::new(full_name, value));
        if let Some(signed) = jar.get(full_name) {
            self.set(req, name, signed.value().to_owned());
        }
    }

    /// Takes a cookie away, if the browser has it; it does not get one that is on its way.
    pub fn remove(&self, req: &HttpRequest, name: Name) {
        if let Some(outgoing) = req.extensions_mut().get_mut::<Outgoing>() {
            outgoing.0.retain(|(other, _)| *other != name);
        }
        if req.cookie(self.full_name(name)).is_some() {
            self.send(req, name, String::new(), Some(Duration::ZERO));
        }
    }

    fn send(&self, req: &HttpRequest, name: Name, value: String, lifetime: Option<Duration>) {
        let mut cookie = Cookie::build(self.full_name(name), value)
            .path("/")
            .http_only(true)
            .secure(self.https)
            .same_site(SameSite::Lax)
            .finish();
        cookie.set_max_age(lifetime);
        let mut extensions = req.extensions_mut();
        if !extensions.contains::<Outgoing>() {
            extensions.insert(Outgoing::default());
        }
        if let Some(outgoing) = extensions.get_mut::<Outgoing>() {
            outgoing.0.retain(|(other, _)| *other != name);
            outgoing.0.push((name, cookie));
        }
    }

    fn full_name(&self, name: Name) -> &'static str {
        let name = name.with_prefix();
        if self.https { name } else { name.strip_prefix("__Host-").unwrap_or(name) }
    }
}

/// Puts the cookies that were set along the way into the answer, whichever it is.
pub async fn send(req: ServiceRequest, next: Next<BoxBody>) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let mut res = next.call(req).await?;
    let outgoing = res.request().extensions_mut().remove::<Outgoing>().unwrap_or_default();
    for (_, cookie) in outgoing.0 {
        if let Ok(value) = HeaderValue::from_str(&cookie.encoded().to_string()) {
            res.headers_mut().append(SET_COOKIE, value);
        }
    }
    Ok(res)
}
