//! Links from mails. Opening a link changes nothing, because mail scanners open links too: it leads to a page with a
//! button. The token must not stay in the browser's history or reach the Referer, so a redirect removes it from the
//! URL: it is stored in a signed cookie, and the page and its form use [`STASHED`] in its place, with the email address
//! of the link, because several links can be open at once.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, REFERRER_POLICY};
use askama::Template;

use super::visitor::Visitor;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::values::email::Email;
use crate::models::values::token::Token;
use crate::views::Layout;

/// Path segment that replaces the token while the token is in the cookie.
pub const STASHED: &str = "kept";
/// Most links in the cookie; the oldest are dropped. A cookie holds 4096 bytes, and a link takes up to 400.
const MAX_LINKS: usize = 4;

/// The state of a link that was opened or used.
pub enum LinkStatus {
    Good(MailToken),
    Expired,
    /// An activation link whose account is active already.
    Used,
    /// It never existed, was used, or was replaced by a newer one.
    Unknown,
}

/// A link in the cookie, stored as `purpose token email`. None of the three can contain a space or a comma.
struct StashedLink<'a> {
    purpose: &'a str,
    token: &'a str,
    email: &'a str,
}

impl StashedLink<'_> {
    fn parse(text: &str) -> Option<StashedLink<'_>> {
        let mut words = text.split(' ');
        Some(StashedLink { purpose: words.next()?, token: words.next()?, email: words.next()? })
    }

    /// Whether the link has this purpose and address; an empty `email` matches every address.
    fn is_about(&self, purpose: Purpose, email: &str) -> bool {
        self.purpose == purpose.as_str()
            && (email.is_empty() || Email::parse(email) == Email::parse(self.email))
    }
}

/// Handles the request for the link itself: stores the token and redirects to the page without it. A token that cannot
/// be one of ours is not stored, so its length does not matter; the page then says that the link is invalid.
pub fn stash(visitor: &Visitor, purpose: Purpose, token: &str, email: &str) -> Result<HttpResponse> {
    if Token::is_like(token) {
        if Email::parse(email).is_err() {
            return incomplete(visitor, purpose, token);
        }
        let cookie = visitor.mail_links().unwrap_or_default();
        let others = cookie
            .split(',')
            .filter_map(StashedLink::parse)
            .filter(|stashed| !stashed.is_about(purpose, email));
        write(visitor, others, Some(StashedLink { purpose: purpose.as_str(), token, email }));
    } else {
        forget(visitor, purpose, "");
    }
    let mut answer = visitor.redirect(&format!("/{}/{STASHED}/edit", purpose.as_str()))?;
    answer.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(answer)
}

/// Finds the link of a page or of its form. For [`STASHED`], it is the stored link for `email`, or the newest one;
/// else, as in the original application, the one with the token in the path and the address in the form.
///
/// # Errors
/// [`Error::BadRequest`] if the form names an address that no stored link has; or an error of the database.
pub async fn find(
    visitor: &Visitor,
    purpose: Purpose,
    token: &str,
    email: &str,
    db: &mut Conn,
) -> Result<LinkStatus> {
    let cookie = visitor.mail_links().unwrap_or_default();
    let (token, email) = if token == STASHED {
        let newest = |email: &str| {
            cookie.rsplit(',').filter_map(StashedLink::parse).find(|stashed| stashed.is_about(purpose, email))
        };
        match newest(email) {
            Some(stashed) => (stashed.token, stashed.email),
            None if newest("").is_some() => {
                let reason =
                    "The form is about another address than the link. Open the link in the mail again.";
                return Err(Error::BadRequest(reason.into()));
            }
            None => ("", ""),
        }
    } else {
        (token, email)
    };
    let Ok(email) = Email::parse(email) else { return Ok(LinkStatus::Unknown) };
    Ok(match MailToken::find(db, purpose, token, email.as_str()).await? {
        Some(found) if found.is_expired(visitor.app.clock.now()) => LinkStatus::Expired,
        Some(found) => LinkStatus::Good(found),
        None if purpose == Purpose::Activation => {
            let used = MailToken::find(db, Purpose::UsedActivation, token, email.as_str()).await?;
            used.map_or(LinkStatus::Unknown, |_| LinkStatus::Used)
        }
        None => LinkStatus::Unknown,
    })
}

/// Removes the link for `email` from the cookie, or all links of this purpose if `email` is empty.
pub fn forget(visitor: &Visitor, purpose: Purpose, email: &str) {
    let cookie = visitor.mail_links().unwrap_or_default();
    let others =
        cookie.split(',').filter_map(StashedLink::parse).filter(|stashed| !stashed.is_about(purpose, email));
    write(visitor, others, None);
}

fn write<'a>(
    visitor: &Visitor,
    others: impl Iterator<Item = StashedLink<'a>>,
    newest: Option<StashedLink<'a>>,
) {
    let links: Vec<String> = others
        .chain(newest)
        .map(|StashedLink { purpose, token, email }| format!("{purpose} {token} {email}"))
        .collect();
    let first = links.len().saturating_sub(MAX_LINKS);
    visitor.keep_mail_links(links.get(first..).unwrap_or_default().join(","));
}

/// Tells the visitor what to do about a truncated link.
#[derive(Template)]
#[template(path = "shared/incomplete_link.html")]
struct Incomplete {
    layout: Layout,
    again: Option<(&'static str, &'static str)>,
}

/// Handles the rest of a link that a mail program has broken across lines.
pub fn incomplete(visitor: &Visitor, purpose: Purpose, token: &str) -> Result<HttpResponse> {
    // The visitor reloads the URL of a form that was refused.
    if token == STASHED {
        return visitor.redirect(&format!("/{}/{STASHED}/edit", purpose.as_str()));
    }
    let again = match purpose {
        Purpose::Activation | Purpose::UsedActivation => {
            Some(("/account_activations/new", "Send a new activation link"))
        }
        Purpose::PasswordReset => Some(("/password_resets/new", "Send a new link")),
        Purpose::EmailChange | Purpose::EmailRestore => None,
    };
    let page = Incomplete { layout: visitor.layout("This link is not complete"), again };
    visitor.render_with_status(StatusCode::NOT_FOUND, &page)
}
