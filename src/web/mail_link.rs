//! Links from mails. The link itself changes nothing, since mail scanners follow links too: it leads to a page with a
//! button. And the token leaves the address bar at once, for the browser's history and the Referer to forget: it waits in
//! a signed cookie, and the button's form says [`KEPT`] in its place.

use actix_web::HttpResponse;
use actix_web::http::header::{HeaderValue, REFERRER_POLICY};

use super::visitor::Visitor;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::models::email::Email;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::secret::Secret;

/// Stands in a path for the token that the cookie keeps.
pub const KEPT: &str = "kept";

/// What following or using a link came to.
pub enum Followed {
    /// It is good.
    Good(MailToken),
    /// Its time is over.
    Expired,
    /// It never was, was used, or a newer one replaced it.
    Unknown,
}

/// Answers the link itself: keeps the token and goes on to the page without it. What cannot be a link of ours is not
/// kept, however long it is: the page then says that it is none.
///
/// # Errors
/// None; a `Result` as all answers.
pub fn keep(visitor: &Visitor, purpose: Purpose, token: &str, email: &str) -> Result<HttpResponse> {
    if Secret::is_like(token) && Email::parse(email).is_ok() {
        visitor.keep_mail_link(format!("{} {token} {email}", purpose.as_str()));
    } else {
        visitor.forget_mail_link();
    }
    let mut answer = visitor.go(&format!("/{}/{KEPT}/edit", purpose.as_str()))?;
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// Finds the link that a page or its button is about: the one that was kept, or, as in the original, the one that the
/// path and the form name.
///
/// # Errors
/// [`Error::BadRequest`] when the form names another address than the link; else when the database does not answer.
pub async fn find(
    visitor: &Visitor,
    purpose: Purpose,
    token: &str,
    email: &str,
    db: &mut Conn,
) -> Result<Followed> {
    let kept = visitor.mail_link().unwrap_or_default();
    let (token, email) = if token == KEPT {
        let (token, kept_email) = kept
            .strip_prefix(purpose.as_str())
            .and_then(|kept| kept.trim_start().split_once(' '))
            .unwrap_or_default();
        // The form says the address for password managers; it must not be about somebody else.
        if !email.is_empty() && !kept_email.is_empty() && Email::parse(email) != Email::parse(kept_email) {
            let reason = "The form is about another address than the link. Open the link in the mail again.";
            return Err(Error::BadRequest(reason.into()));
        }
        (token, kept_email)
    } else {
        (token, email)
    };
    let Ok(email) = Email::parse(email) else { return Ok(Followed::Unknown) };
    Ok(match MailToken::find(db, purpose, token, email.as_str()).await? {
        Some(found) if found.is_expired(visitor.app.clock.now()) => Followed::Expired,
        Some(found) => Followed::Good(found),
        None => Followed::Unknown,
    })
}
