//! A message for the next page that the visitor sees; it travels in a signed cookie, so that nobody needs a session.

use actix_web::HttpRequest;

use super::cookies::{CookieName, Cookies};

/// What kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashKind {
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
    pub kind: FlashKind,
    /// A whole sentence.
    pub message: String,
    /// What the reader can do about it.
    pub offer: Option<&'static Offer>,
}

/// A link below a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where it leads.
    pub path: &'static str,
    /// What it says.
    pub text: &'static str,
}

impl Offer {
    /// For those whose activation link does not work.
    pub const NEW_ACTIVATION_LINK: Offer =
        Offer { path: "/account_activations/new", text: "Send a new activation link" };
    /// For those whose password link does not work.
    pub const NEW_PASSWORD_LINK: Offer = Offer { path: "/password_resets/new", text: "Send a new link" };
    const ALL: [&'static Offer; 2] = [&Offer::NEW_ACTIVATION_LINK, &Offer::NEW_PASSWORD_LINK];
}

impl FlashKind {
    /// The word in the class name.
    pub fn as_str(self) -> &'static str {
        match self {
            FlashKind::Info => "info",
            FlashKind::Success => "success",
            FlashKind::Warning => "warning",
            FlashKind::Danger => "danger",
        }
    }

    fn parse(word: &str) -> Option<FlashKind> {
        [FlashKind::Info, FlashKind::Success, FlashKind::Warning, FlashKind::Danger]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

impl Flash {
    /// A message for this page or the next.
    pub fn new(kind: FlashKind, message: impl Into<String>) -> Flash {
        Flash { kind, message: message.into(), offer: None }
    }

    /// The same with a link.
    pub fn offering(self, offer: &'static Offer) -> Flash {
        Flash { offer: Some(offer), ..self }
    }

    /// Keeps the message for the next page.
    pub fn keep(&self, cookies: &Cookies, req: &HttpRequest) {
        let offer = self.offer.map_or("", |offer| offer.path);
        cookies.set_signed(req, CookieName::Flash, format!("{}{offer} {}", self.kind.as_str(), self.message));
    }

    /// Takes the message that the last answer left; it is shown once.
    pub fn take(cookies: &Cookies, req: &HttpRequest) -> Option<Flash> {
        let cookie = cookies.get_signed(req, CookieName::Flash);
        cookies.remove(req, CookieName::Flash);
        let cookie = cookie?;
        let (head, message) = cookie.split_once(' ')?;
        let kind = head.split('/').next()?;
        let offer = Offer::ALL.into_iter().find(|offer| head.strip_prefix(kind) == Some(offer.path));
        Some(Flash { offer, ..Flash::new(FlashKind::parse(kind)?, message) })
    }
}
