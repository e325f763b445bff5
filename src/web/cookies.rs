//! All cookies of the application: names, attributes, and how they reach the response.
//!
//! All are HttpOnly and SameSite=Lax, with `Path=/` and no `Domain` (ASVS 3.3). If APP_URL is https, they are also
//! Secure and have the prefix `__Host-`, so that other hosts of the domain cannot set them (RFC 6265bis).
//!
//! Browsers send a host's cookies to all of its ports (RFC 6265, 8.5), so programs on other ports see our cookies and
//! we see theirs. Our names therefore contain the program's name and, if APP_URL has one, the port; and a malformed
//! foreign cookie does not keep us from reading ours.

use std::sync::Arc;

use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, CookieJar, Key, SameSite};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{COOKIE, HeaderValue, SET_COOKIE};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, body::BoxBody};
use percent_encoding::percent_decode;

use crate::clock::Clock;
use crate::config::{AppUrl, Config};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieName {
    /// Session id; the browser deletes it when it closes.
    Session,
    /// Token of a remembered device ("remember me").
    RememberMe,
    Flash,
    /// The page that required a log-in.
    ReturnTo,
    /// Links from mails, from opening a link until its button is pressed.
    MailLink,
    /// A post that was refused because nobody was logged in.
    Draft,
    /// The sign-up made in this browser, until the account is active.
    SignUp,
    /// Position or time of this browser's last write, until the reader has certainly applied it.
    LastWrite,
}

impl CookieName {
    const ALL: [CookieName; 8] = [
        CookieName::Session,
        CookieName::RememberMe,
        CookieName::Flash,
        CookieName::ReturnTo,
        CookieName::MailLink,
        CookieName::Draft,
        CookieName::SignUp,
        CookieName::LastWrite,
    ];

    /// The name in the Cookie and Set-Cookie headers.
    fn full_name(self, app_url: &AppUrl) -> String {
        let program = if app_url.is_https() { "__Host-" } else { "sample_app_" };
        let port = app_url.port().map(|port| format!("{port}_")).unwrap_or_default();
        let name = match self {
            CookieName::Session => "session",
            CookieName::RememberMe => "remember_me",
            CookieName::Flash => "flash",
            CookieName::ReturnTo => "return_to",
            CookieName::MailLink => "mail_link",
            CookieName::Draft => "draft",
            CookieName::SignUp => "sign_up",
            CookieName::LastWrite => "last_write",
        };
        format!("{program}{port}{name}")
    }

    fn lifetime(self) -> Option<Duration> {
        match self {
            CookieName::Session => None,
            CookieName::RememberMe => Some(Duration::days(30)),
            CookieName::Flash => Some(Duration::minutes(5)),
            CookieName::ReturnTo | CookieName::MailLink | CookieName::Draft => Some(Duration::minutes(30)),
            CookieName::SignUp => Some(Duration::days(3)),
            // Longer than a reader in use may lag (db/reader.rs).
            CookieName::LastWrite => Some(Duration::seconds(60)),
        }
    }
}

/// Reads and writes cookies with the names and attributes that follow from the configuration.
#[derive(Clone)]
pub struct Cookies {
    https: bool,
    names: Arc<[String; CookieName::ALL.len()]>,
    key: Key,
    clock: Clock,
}

/// Cookies to add to the response; a later one replaces an earlier one of the same name.
#[derive(Default)]
struct Outgoing(Vec<(CookieName, Cookie<'static>)>);

impl Outgoing {
    fn find(&self, name: CookieName) -> Option<&(CookieName, Cookie<'static>)> {
        self.0.iter().find(|(other, _)| *other == name)
    }
}

impl Cookies {
    pub fn new(config: &Config, clock: Clock) -> Cookies {
        Cookies {
            https: config.app_url.is_https(),
            names: Arc::new(CookieName::ALL.map(|name| name.full_name(&config.app_url))),
            key: Key::derive_from(config.secret_key_base.expose().as_bytes()),
            clock,
        }
    }

    /// The value the browser will have after this response: a cookie set during this request, else the one it sent. For
    /// example, a request that is authenticated by a remembered device gets a session whose cookie the browser does not
    /// have yet.
    pub fn get(&self, req: &HttpRequest, name: CookieName) -> Option<String> {
        if let Some((_, cookie)) = req.extensions().get::<Outgoing>().and_then(|outgoing| outgoing.find(name))
        {
            let is_removed = cookie.max_age() == Some(Duration::ZERO);
            return (!is_removed).then(|| cookie.value().to_owned());
        }
        self.sent(req, name)
    }

    /// The value the browser sent, if its signature is valid for this cookie's name and it has not expired.
    pub fn get_signed(&self, req: &HttpRequest, name: CookieName) -> Option<String> {
        let cookie = Cookie::new("", self.sent(req, name)?);
        let cookie = CookieJar::new().signed(&self.key).verify(cookie)?;
        let signed = cookie.value().strip_prefix(self.full_name(name))?;
        let (expires, value) = signed.strip_prefix(' ')?.split_once(' ')?;
        (self.clock.now().timestamp() < expires.parse().ok()?).then(|| value.to_owned())
    }

    /// Sets a cookie in the response to this request.
    pub fn set(&self, req: &HttpRequest, name: CookieName, value: String) {
        self.queue(req, name, value, name.lifetime());
    }

    /// Sets a signed cookie: readable by the browser, but any change to it is detected.
    pub fn set_signed(&self, req: &HttpRequest, name: CookieName, value: String) {
        let full_name = self.full_name(name);
        let lifetime = name.lifetime().unwrap_or(Duration::ZERO).whole_seconds();
        let expires = self.clock.now().timestamp() + lifetime;
        // Name and expiry are signed too: else the value would be valid under any other name, and for ever.
        let bound = format!("{full_name} {expires} {value}");
        let mut jar = CookieJar::new();
        jar.signed_mut(&self.key).add(Cookie::new(full_name.to_owned(), bound));
        if let Some(signed) = jar.get(full_name) {
            self.set(req, name, signed.value().to_owned());
        }
    }

    /// Deletes a cookie in the browser, if it sent one, and drops one that this request has set.
    pub fn remove(&self, req: &HttpRequest, name: CookieName) {
        if let Some(outgoing) = req.extensions_mut().get_mut::<Outgoing>() {
            outgoing.0.retain(|(other, _)| *other != name);
        }
        if sent(req, self.full_name(name)).next().is_some() {
            self.queue(req, name, String::new(), Some(Duration::ZERO));
        }
    }

    fn queue(&self, req: &HttpRequest, name: CookieName, value: String, lifetime: Option<Duration>) {
        let mut cookie = Cookie::build(self.full_name(name).to_owned(), value)
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

    fn sent(&self, req: &HttpRequest, name: CookieName) -> Option<String> {
        let decoded = |value| Some(percent_decode(value).decode_utf8().ok()?.into_owned());
        sent(req, self.full_name(name)).find_map(decoded)
    }

    fn full_name(&self, name: CookieName) -> &str {
        &self.names[name as usize]
    }
}

/// The values that the browser sent under this name. Does not use actix's parser, which fails for all cookies if one of
/// them is not UTF-8.
fn sent<'a>(req: &'a HttpRequest, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let pairs =
        req.headers().get_all(COOKIE).flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?.trim_ascii_start();
        Some(value.strip_prefix(b"=")?.trim_ascii())
    })
}

/// Adds the cookies set during the request to the response, also to an error.
pub async fn write_cookies(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let mut res = next.call(req).await?;
    let outgoing = res.request().extensions_mut().remove::<Outgoing>().unwrap_or_default();
    for (_, cookie) in outgoing.0 {
        if let Ok(value) = HeaderValue::from_str(&cookie.encoded().to_string()) {
            res.headers_mut().append(SET_COOKIE, value);
        }
    }
    Ok(res)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use chrono::TimeDelta;

    fn cookies(app_url: &str) -> Cookies {
        let app_url = app_url.parse().unwrap();
        let names = Arc::new(CookieName::ALL.map(|name| name.full_name(&app_url)));
        Cookies { https: app_url.is_https(), names, key: Key::derive_from(&[7; 32]), clock: Clock::default() }
    }

    /// A request that presents the signed cookie `given_as` under the name of `as_name`.
    fn presented(cookies: &Cookies, given_as: CookieName, value: &str, as_name: CookieName) -> HttpRequest {
        let req = TestRequest::default().to_http_request();
        cookies.set_signed(&req, given_as, value.to_owned());
        let cookie = Cookie::new(cookies.full_name(as_name), cookies.get(&req, given_as).unwrap());
        TestRequest::default().insert_header((COOKIE, cookie.encoded().to_string())).to_http_request()
    }

    #[test]
    fn a_signature_is_good_for_one_name_and_for_its_time() {
        let cookies = cookies("https://sample.example");
        let req = presented(&cookies, CookieName::Flash, "info é; 1", CookieName::Flash);
        assert_eq!(cookies.get_signed(&req, CookieName::Flash).as_deref(), Some("info é; 1"));
        for other in [CookieName::ReturnTo, CookieName::MailLink] {
            let req = presented(&cookies, CookieName::Flash, "info", other);
            assert_eq!(cookies.get_signed(&req, other), None);
        }
        cookies.clock.advance(TimeDelta::minutes(5));
        assert_eq!(cookies.get_signed(&req, CookieName::Flash), None);
    }

    #[test]
    fn names_say_program_and_port() {
        for (app_url, name) in [
            ("https://sample.example", "__Host-session"),
            ("https://sample.example:8443", "__Host-8443_session"),
            ("http://localhost", "sample_app_session"),
            ("http://localhost:3000", "sample_app_3000_session"),
        ] {
            assert_eq!(cookies(app_url).full_name(CookieName::Session), name);
        }
    }
}
