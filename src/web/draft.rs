//! A post that is not saved yet. Its text is never lost: it is shown again with a form's errors, on an error page and,
//! from a signed cookie, after a log-in that became necessary in between.

use actix_web::{HttpMessage, HttpRequest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::cookies::{CookieName, Cookies};
use crate::models::idempotency_key::IdempotencyKey;

/// Bytes of text that the cookie holds at most; 140 characters take up to 560. Some proxies reject responses with
/// larger headers.
const MAX_COOKIE_TEXT: usize = 1000;

/// The fields of the form, except the picture: browsers do not let a page prefill a file field.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub content: String,
    /// Stays the same when the form is shown again, so that sending it twice creates one post.
    pub idempotency_key: Option<IdempotencyKey>,
    /// Whether a picture was chosen; the user has to choose it again.
    pub has_picture: bool,
}

impl Draft {
    /// Adds an idempotency key if there is none, to show the draft in a form.
    pub fn with_key(mut self) -> Draft {
        self.idempotency_key = self.idempotency_key.or_else(|| IdempotencyKey::random().ok());
        self
    }

    /// Stores a copy in the request's extensions, for an error page.
    pub fn attach(&self, req: &HttpRequest) {
        req.extensions_mut().insert(self.clone());
    }

    /// The copy that [`attach`](Self::attach) stored.
    pub fn attached(req: &HttpRequest) -> Option<Draft> {
        req.extensions().get::<Draft>().cloned()
    }

    /// Stores the text in the cookie. Only `owner` can read it back; `None` if nobody is logged in yet.
    pub fn store(&self, cookies: &Cookies, req: &HttpRequest, owner: Option<i64>) {
        let text = &self.content[..self.content.floor_char_boundary(MAX_COOKIE_TEXT)];
        let value = format!("{} {} {text}", owner.unwrap_or(0), u8::from(self.has_picture));
        cookies.set_signed(req, CookieName::Draft, BASE64_URL_SAFE_NO_PAD.encode(value));
    }

    /// The text in the cookie, if it belongs to this user. One without an owner now becomes this user's.
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
