//! The browser in which somebody signed up. It alone may activate the account without the password that was chosen there:
//! whoever signs up with a stranger's address must not have the stranger press the button.

use super::cookies::CookieName;
use super::visitor::Visitor;
use crate::models::user::User;
use crate::models::values::token::Digest;

/// Binds this browser to the password that was chosen in it, for as long as an activation link is good. The digest has a
/// random salt, so no two sign-ups give the same.
pub fn remember(visitor: &Visitor, email: &str, password_digest: &str) {
    let sign_up = Digest::of(password_digest).to_hex();
    visitor.app.cookies.set_signed(&visitor.req, CookieName::SignUp, format!("{sign_up} {email}"));
}

/// The address that somebody signed up with in this browser.
pub fn email(visitor: &Visitor) -> Option<String> {
    Some(cookie(visitor)?.1)
}

/// Whether the password that the account has was chosen, or typed, in this browser.
pub fn is_bound_to(visitor: &Visitor, user: &User) -> bool {
    cookie(visitor).is_some_and(|(sign_up, _)| sign_up == Digest::of(&user.password_digest).to_hex())
}

/// Ends it, once the account is active.
pub fn forget(visitor: &Visitor) {
    visitor.app.cookies.remove(&visitor.req, CookieName::SignUp);
}

fn cookie(visitor: &Visitor) -> Option<(String, String)> {
    let cookie = visitor.app.cookies.get_signed(&visitor.req, CookieName::SignUp)?;
    let (sign_up, email) = cookie.split_once(' ')?;
    Some((sign_up.to_owned(), email.to_owned()))
}
