//! A message that the next page shows once. A signed cookie carries it, so it needs no session.

use actix_web::HttpRequest;

use super::cookies::{CookieName, Cookies};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashKind {
    Info,
    Success,
    Warning,
    Danger,
}

#[derive(Debug, Clone)]
pub struct Flash {
    /// Shown as the class `alert-KIND`.
    pub kind: FlashKind,
    pub message: String,
    /// A link to what the visitor can do about it.
    pub offer: Option<&'static Offer>,
}

/// A link below a message.
#[derive(Debug, PartialEq, Eq)]
pub struct Offer {
    pub path: &'static str,
    pub text: &'static str,
}

impl Offer {
    pub const NEW_ACTIVATION_LINK: Offer =
        Offer { path: "/account_activations/new", text: "Send a new activation link" };
    pub const NEW_PASSWORD_LINK: Offer = Offer { path: "/password_resets/new", text: "Send a new link" };
    const ALL: [&'static Offer; 2] = [&Offer::NEW_ACTIVATION_LINK, &Offer::NEW_PASSWORD_LINK];
}

impl FlashKind {
    /// The name in the CSS class and in the cookie.
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
    pub fn new(kind: FlashKind, message: impl Into<String>) -> Flash {
        Flash { kind, message: message.into(), offer: None }
    }

    pub fn offering(self, offer: &'static Offer) -> Flash {
        Flash { offer: Some(offer), ..self }
    }

    /// Stores the message in the cookie, for the next page.
    pub fn keep(&self, cookies: &Cookies, req: &HttpRequest) {
        let offer = self.offer.map_or("", |offer| offer.path);
        cookies.set_signed(req, CookieName::Flash, format!("{}{offer} {}", self.kind.as_str(), self.message));
    }

    /// Takes the message that an earlier response stored and deletes the cookie.
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
