//! The mails that users get, rendered from templates/mail.

use askama::Template;

use crate::config::{AppUrl, Config};
use crate::error::{Error, Result};
use crate::models::mail_token::Purpose;
use crate::models::user::User;
use crate::models::values::token::Token;

/// A mail ready for the outbox.
pub struct Mail {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The domain of the Message-ID.
    pub domain: String,
}

/// For mails to unconfirmed addresses.
const NO_NAME: &str = "";

#[derive(Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Activation,
    PasswordReset,
    EmailChange,
    EmailIsChanging,
    EmailHasChanged,
    EmailRestored,
    PasswordChanged,
    AddressTaken,
}

#[derive(Template)]
#[template(path = "mail/mail.txt")]
struct Text<'a> {
    kind: MessageKind,
    name: &'a str,
    link: &'a str,
    email: &'a str,
}

#[derive(Template)]
#[template(path = "mail/mail.html")]
struct Html<'a> {
    kind: MessageKind,
    name: &'a str,
    link: &'a str,
    email: &'a str,
}

/// The link that activates an account. The address is unconfirmed, so the mail contains no name: otherwise anybody
/// could send text to a stranger by signing up with the stranger's address.
pub fn activation(config: &Config, to: &str, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::Activation, token, to);
    compose(config, MessageKind::Activation, to, NO_NAME, &link, to)
}

pub fn password_reset(config: &Config, user: &User, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::PasswordReset, token, &user.email);
    let name = if user.activated_at.is_some() { &user.name } else { NO_NAME };
    compose(config, MessageKind::PasswordReset, &user.email, name, &link, &user.email)
}

/// The link that confirms a new address. Sent to that address, without a name for the same reason as in [`activation`].
pub fn email_change(config: &Config, new_email: &str, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailChange, token, new_email);
    compose(config, MessageKind::EmailChange, new_email, NO_NAME, &link, new_email)
}

/// Tells the current address that a change was requested, with a link that keeps the current one (ASVS 6.3.7).
pub fn email_is_changing(config: &Config, user: &User, new_email: &str, restore: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailRestore, restore, &user.email);
    compose(config, MessageKind::EmailIsChanging, &user.email, &user.name, &link, new_email)
}

/// Tells the former address that it was replaced, with a link that undoes the change. `user` must still hold the former
/// address.
pub fn email_has_changed(config: &Config, user: &User, new_email: &str, restore: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailRestore, restore, &user.email);
    compose(config, MessageKind::EmailHasChanged, &user.email, &user.name, &link, new_email)
}

/// Tells the address `to` that the account has its former address back.
pub fn email_restored(config: &Config, to: &str) -> Result<Mail> {
    compose(config, MessageKind::EmailRestored, to, NO_NAME, &config.app_url.link("/contact"), to)
}

/// Tells the owner that the password was changed (ASVS 6.3.7).
pub fn password_changed(config: &Config, user: &User) -> Result<Mail> {
    let link = config.app_url.link("/password_resets/new");
    compose(config, MessageKind::PasswordChanged, &user.email, &user.name, &link, &user.email)
}

/// Tells the account's owner that somebody tried to sign up with the same address.
pub fn address_taken(config: &Config, owner: &User) -> Result<Mail> {
    let link = config.app_url.link("/password_resets/new");
    compose(config, MessageKind::AddressTaken, &owner.email, &owner.name, &link, &owner.email)
}

fn compose(
    config: &Config,
    kind: MessageKind,
    to: &str,
    name: &str,
    link: &str,
    email: &str,
) -> Result<Mail> {
    let subject = match kind {
        MessageKind::Activation => "Account activation",
        MessageKind::PasswordReset => "Password reset",
        MessageKind::EmailChange => "Confirm your new address",
        MessageKind::EmailIsChanging => "Your address is about to change",
        MessageKind::EmailHasChanged => "Your address was changed",
        MessageKind::EmailRestored => "Your account has its former address again",
        MessageKind::PasswordChanged => "Your password was changed",
        MessageKind::AddressTaken => "You already have an account",
    };
    Ok(Mail {
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: Text { kind, name, link, email }.render().map_err(Error::internal)?,
        html: Html { kind, name, link, email }.render().map_err(Error::internal)?,
        domain: config.mail_from.rsplit('@').next().unwrap_or("localhost").to_owned(),
    })
}

/// `https://HOST/password_resets/TOKEN/edit?email=ESCAPED`, as in the Rails sample.
fn token_link(app_url: &AppUrl, purpose: Purpose, token: &Token, email: &str) -> String {
    let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    app_url.link(&format!("/{}/{}/edit?email={email}", purpose.as_str(), token.expose()))
}
