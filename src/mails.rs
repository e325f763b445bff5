//! The mails that people get: what each says, from templates/mail.

use askama::Template;

use crate::config::{AppUrl, Config};
use crate::error::{Error, Result};
use crate::models::mail_token::Purpose;
use crate::models::secret::Secret;
use crate::models::user::User;

/// A mail ready for the outbox.
pub struct Mail {
    /// To whom.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The part in plain text.
    pub text: String,
    /// The part in HTML.
    pub html: String,
    /// What follows the @ in its Message-ID.
    pub domain: String,
}

/// What a mail says besides its greeting.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Activation,
    PasswordReset,
    EmailChange,
    EmailIsChanging,
    AddressTaken,
}

#[derive(Template)]
#[template(path = "mail/mail.txt")]
struct Text<'a> {
    kind: Kind,
    name: &'a str,
    link: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "mail/mail.html")]
struct Html<'a> {
    kind: Kind,
    name: &'a str,
    link: &'a str,
    email: &'a str,
}

/// The link that activates an account.
///
/// # Errors
/// When a template fails.
pub fn activation(config: &Config, to: &str, name: &str, token: &Secret) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::Activation, token, to);
    compose(config, Kind::Activation, to, name, &link, to)
}

/// The link that leads to a new password.
///
/// # Errors
/// When a template fails.
pub fn password_reset(config: &Config, user: &User, token: &Secret) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::PasswordReset, token, &user.email);
    compose(config, Kind::PasswordReset, &user.email, &user.name, &link, &user.email)
}

/// The link that confirms a new address; goes there.
///
/// # Errors
/// When a template fails.
pub fn email_change(config: &Config, user: &User, new_email: &str, token: &Secret) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailChange, token, new_email);
    compose(config, Kind::EmailChange, new_email, &user.name, &link, new_email)
}

/// Tells the old address that a new one was asked for (ASVS 6.3.7).
///
/// # Errors
/// When a template fails.
pub fn email_is_changing(config: &Config, user: &User, new_email: &str) -> Result<Mail> {
    let link = config.app_url.link("/password_resets/new");
    compose(config, Kind::EmailIsChanging, &user.email, &user.name, &link, new_email)
}

/// Tells the owner of an address that somebody tried to use it for an account.
///
/// # Errors
/// When a template fails.
pub fn address_taken(config: &Config, owner: &User) -> Result<Mail> {
    let link = config.app_url.link("/password_resets/new");
    compose(config, Kind::AddressTaken, &owner.email, &owner.name, &link, &owner.email)
}

fn compose(config: &Config, kind: Kind, to: &str, name: &str, link: &str, email: &str) -> Result<Mail> {
    let subject = match kind {
        Kind::Activation => "Account activation",
        Kind::PasswordReset => "Password reset",
        Kind::EmailChange => "Confirm your new address",
        Kind::EmailIsChanging => "Your address is about to change",
        Kind::AddressTaken => "You already have an account",
    };
    Ok(Mail {
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: Text { kind, name, link, email }.render().map_err(Error::internal)?,
        html: Html { kind, name, link, email }.render().map_err(Error::internal)?,
        domain: config.mail_from.rsplit('@').next().unwrap_or("localhost").to_owned(),
    })
}

/// `https://HOST/password_resets/TOKEN/edit?email=ESCAPED`, as in the original.
fn token_link(app_url: &AppUrl, purpose: Purpose, token: &Secret, email: &str) -> String {
    let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    app_url.link(&format!("/{}/{}/edit?email={email}", purpose.as_str(), token.expose()))
}
