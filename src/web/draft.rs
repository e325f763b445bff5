//! A post that is being written. What was typed comes back whatever happens: with the errors of the form, on an error page,
//! and, in a signed cookie, after a log-in that became necessary meanwhile.

use actix_web::{HttpMessage, HttpRequest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::cookies::{CookieName, Cookies};
use crate::models::idempotency_key::IdempotencyKey;

/// How much of a text the cookie holds, in bytes: 140 characters take at most 560. Longer answers do not pass every proxy.
const MAX_COOKIE_TEXT: usize = 1000;

/// The fields of the form but for the picture, which a browser does not let a page fill in.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The text, as typed.
    pub content: String,
    /// Stays the same when the form comes back, so that it is safe to send it again.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Whether a picture was chosen, which has to be chosen again.
    pub has_picture: bool,
}

impl Draft {
    /// For a form: with a key, if it has none yet.
    pub fn with_key(mut self) -> Draft {
        self.idempotency_key = self.idempotency_key.or_else(|| IdempotencyKey::random().ok());
        self
    }

    /// Keeps a copy with the request, for its error page.
    pub fn attach(&self, req: &HttpRequest) {
        req.extensions_mut().insert(self.clone());
    }

    /// The copy that was kept with the request.
    pub fn attached(req: &HttpRequest) -> Option<Draft> {
        req.extensions().get::<Draft>().cloned()
    }

    /// Keeps the text in the browser; `owner` is who may see it, unless that is still to log in.
    pub fn store(&self, cookies: &Cookies, req: &HttpRequest, owner: Option<i64>) {
        let text = &self.content[..self.content.floor_char_boundary(MAX_COOKIE_TEXT)];
        let value = format!("{} {} {text}", owner.unwrap_or(0), u8::from(self.has_picture));
        cookies.set_signed(req, CookieName::Draft, BASE64_URL_SAFE_NO_PAD.encode(value));
    }

    /// The text that was kept in the browser, if it is this person's: whoever logs in first owns it from then on.
    pub fn stored(cookies: &Cookies, req: &HttpRequest, user_id: i64) -> Option<Draft> {
        let value = BASE64_URL_SAFE_NO_PAD.decode(cookies.get_signed(req, CookieName::Draft)?).ok()?;
        let value = String::from_utf8(value).ok()?;
        let (owner, rest) = value.split_once(' ')?;
        let (has_picture, content) = rest.split_once(' ')?;
        let draft =
            Draft { content: content.to_owned(), idempotency_key: None, has_picture: has_picture == "1" };
        match owner.parse() {
            Ok(0) => draft.store(cookies, req, Some(user_id)),
            Ok(owner) if owner == user_id => {}
            _ => return None,
        }
        Some(draft)
    }
}
