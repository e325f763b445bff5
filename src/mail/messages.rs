//! The mails that people get: what each says, from templates/mail.

use askama::Template;

use crate::config::{AppUrl, Config};
use crate::error::{Error, Result};
use crate::models::mail_token::Purpose;
use crate::models::user::User;
use crate::models::values::token::Token;

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

/// For mails to addresses that nobody has confirmed.
const NO_NAME: &str = "";

/// What a mail says besides its greeting.
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

/// The link that activates an account. Nobody has shown yet that the address is theirs, so the mail holds no name: whoever
/// signs up with a stranger's address could write to them in it.
pub fn activation(config: &Config, to: &str, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::Activation, token, to);
    compose(config, MessageKind::Activation, to, NO_NAME, &link, to)
}

/// The link that leads to a new password.
pub fn password_reset(config: &Config, user: &User, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::PasswordReset, token, &user.email);
    let name = if user.activated_at.is_some() { &user.name } else { NO_NAME };
    compose(config, MessageKind::PasswordReset, &user.email, name, &link, &user.email)
}

/// The link that confirms a new address; goes there, without a name as in [`activation`].
pub fn email_change(config: &Config, new_email: &str, token: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailChange, token, new_email);
    compose(config, MessageKind::EmailChange, new_email, NO_NAME, &link, new_email)
}

/// Tells the present address that a new one was asked for, with the link that keeps the present one (ASVS 6.3.7).
pub fn email_is_changing(config: &Config, user: &User, new_email: &str, restore: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailRestore, restore, &user.email);
    compose(config, MessageKind::EmailIsChanging, &user.email, &user.name, &link, new_email)
}

/// Tells the former address, which `user` still holds, that the new one counts now, with the link that undoes it.
pub fn email_has_changed(config: &Config, user: &User, new_email: &str, restore: &Token) -> Result<Mail> {
    let link = token_link(&config.app_url, Purpose::EmailRestore, restore, &user.email);
    compose(config, MessageKind::EmailHasChanged, &user.email, &user.name, &link, new_email)
}

/// Tells an address that the account has its former one back.
pub fn email_restored(config: &Config, to: &str) -> Result<Mail> {
    compose(config, MessageKind::EmailRestored, to, NO_NAME, &config.app_url.link("/contact"), to)
}

/// Tells the owner that the password was changed (ASVS 6.3.7).
pub fn password_changed(config: &Config, user: &User) -> Result<Mail> {
    let link = config.app_url.link("/password_resets/new");
    compose(config, MessageKind::PasswordChanged, &user.email, &user.name, &link, &user.email)
}

/// Tells the owner of an address that somebody tried to use it for an account.
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

/// `https://HOST/password_resets/TOKEN/edit?email=ESCAPED`, as in the original.
fn token_link(app_url: &AppUrl, purpose: Purpose, token: &Token, email: &str) -> String {
    let email: String = url::form_urlencoded::byte_serialize(email.as_bytes()).collect();
    app_url.link(&format!("/{}/{}/edit?email={email}", purpose.as_str(), token.expose()))
}
