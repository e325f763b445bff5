//! Links from mails. The link itself changes nothing, since mail scanners follow links too: it leads to a page with a
//! button. And the token leaves the address bar at once, for the browser's history and the Referer to forget: it waits in
//! a signed cookie, and the button's form says [`STASHED`] in its place, with the address that it is about: several links may
//! be open at the same time.

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

/// Stands in a path for the token that the cookie keeps.
pub const STASHED: &str = "kept";
/// Links in the cookie at most, the oldest go first: cookies have room for 4096 bytes, and a link takes up to 400.
const MAX_LINKS: usize = 4;

/// What following or using a link came to.
pub enum LinkStatus {
    /// It is good.
    Good(MailToken),
    /// Its time is over.
    Expired,
    /// It activated its account.
    Used,
    /// It never was, was used, or a newer one replaced it.
    Unknown,
}

/// A link in the cookie. It is written `purpose token email`; none of the three can hold a blank or a comma.
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

    /// Whether it is such a link; an empty address stands for any.
    fn is_about(&self, purpose: Purpose, email: &str) -> bool {
        self.purpose == purpose.as_str()
            && (email.is_empty() || Email::parse(email) == Email::parse(self.email))
    }
}

/// Answers the link itself: keeps the token and goes on to the page without it. What cannot be a link of ours is not
/// stashed, however long it is: the page then says that it is none.
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

/// Finds the link that a page or its button is about: of those that were stashed the one for `email`, or the newest; or, as
/// in the original, the one that the path and the form name.
///
/// # Errors
/// [`Error::BadRequest`] when the form names another address than the links; else when the database does not answer.
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

/// Forgets the link for `email`, or all of the kind if that is empty.
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

/// What to do about a link that is not whole.
#[derive(Template)]
#[template(path = "shared/incomplete_link.html")]
struct Incomplete {
    layout: Layout,
    again: Option<(&'static str, &'static str)>,
}

/// Answers what is left of a link that a mail program cut in two.
pub fn incomplete(visitor: &Visitor, purpose: Purpose, token: &str) -> Result<HttpResponse> {
    // A form that was refused and is now loaded again by its address.
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
