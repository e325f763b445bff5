//! Remembers which browser signed up. Only that browser can activate the account without its password. Otherwise an
//! attacker could sign up with another person's address and a password of their own, and that person's click would
//! activate it.

use super::cookies::CookieName;
use super::visitor::Visitor;
use crate::models::user::User;
use crate::models::values::token::Digest;

/// Binds this browser to the password chosen in it, for as long as an activation link is valid. The password digest has
/// a random salt, so the value is different for each sign-up.
pub fn remember(visitor: &Visitor, email: &str, password_digest: &str) {
    let sign_up = Digest::of(password_digest).to_hex();
    visitor.app.cookies.set_signed(&visitor.req, CookieName::SignUp, format!("{sign_up} {email}"));
}

/// The email address of the sign-up in this browser.
pub fn email(visitor: &Visitor) -> Option<String> {
    Some(cookie(visitor)?.1)
}

/// Whether the account's current password was chosen or entered in this browser.
pub fn is_bound_to(visitor: &Visitor, user: &User) -> bool {
    cookie(visitor).is_some_and(|(sign_up, _)| sign_up == Digest::of(&user.password_digest).to_hex())
}

/// Removes the binding, once the account is active.
pub fn forget(visitor: &Visitor) {
    visitor.app.cookies.remove(&visitor.req, CookieName::SignUp);
}

fn cookie(visitor: &Visitor) -> Option<(String, String)> {
    let cookie = visitor.app.cookies.get_signed(&visitor.req, CookieName::SignUp)?;
    let (sign_up, email) = cookie.split_once(' ')?;
    Some((sign_up.to_owned(), email.to_owned()))
}
