//! A message for the next page that the visitor sees; it travels in a signed cookie, so that nobody needs a session.

use actix_web::HttpRequest;

use super::cookies::{Cookies, Name};

/// What kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something to know.
    Info,
    /// It worked.
    Success,
    /// Something is missing.
    Warning,
    /// It did not work.
    Danger,
}

/// A message and its kind.
#[derive(Debug, Clone)]
pub struct Flash {
    /// Shown as `div.alert.alert-KIND`.
    pub kind: Kind,
    /// A whole sentence.
    pub message: String,
}

impl Kind {
    /// The word in the class name.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Info => "info",
            Kind::Success => "success",
            Kind::Warning => "warning",
            Kind::Danger => "danger",
        }
    }

    fn parse(word: &str) -> Option<Kind> {
        [Kind::Info, Kind::Success, Kind::Warning, Kind::Danger]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl Flash {
    /// A message for this page or the next.
    pub fn new(kind: Kind, message: impl Into<String>) -> Flash {
        Flash { kind, message: message.into() }
    }

    /// Keeps the message for the next page.
    pub fn keep(&self, cookies: &Cookies, req: &HttpRequest) {
        cookies.set_signed(req, Name::Flash, format!("{} {}", self.kind.as_str(), self.message));
    }

    /// Takes the message that the last answer left; it is shown once.
    pub fn take(cookies: &Cookies, req: &HttpRequest) -> Option<Flash> {
        let cookie = cookies.get_signed(req, Name::Flash);
        cookies.remove(req, Name::Flash);
        let cookie = cookie?;
        let (kind, message) = cookie.split_once(' ')?;
        Some(Flash::new(Kind::parse(kind)?, message))
    }
}
