//! Links that restore the former address of an account. Anyone who knows the password can change the address and
//! confirm the new one, so the former address gets a link that no later change revokes (ASVS 6.3.7).

use chrono::{DateTime, TimeDelta, Utc};

use super::mail_token::{MailToken, Purpose};
use super::user::User;
use super::values::email::Email;
use super::values::token::{Digest, Token};
use crate::db::{Conn, execute, fetch_optional};
use crate::error::Result;

/// How long a link is valid.
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// Result of using a link.
pub enum Restored {
    /// The account has its former address, a new password and no sessions.
    Done,
    /// This link was used already, or one for an earlier address was.
    Used,
    /// Another account has the address now. The link stays valid.
    Taken,
}

/// Creates a link for the current address.
pub async fn issue(db: &mut Conn, user_id: i64, email: &str, now: DateTime<Utc>) -> Result<Token> {
    let secret = Token::random()?;
    execute!(
        db,
        "INSERT INTO email_restores (user_id, digest, email, expires_at) VALUES (?, ?, ?, ?)",
        user_id,
        secret.digest().to_vec(),
        email,
        now + LIFETIME,
    )?;
    Ok(secret)
}

/// Finds a link, which may have expired.
pub async fn find(db: &mut Conn, token: &str, email: &str) -> Result<Option<MailToken>> {
    fetch_optional!(
        db,
        "SELECT id, user_id, email, expires_at FROM email_restores WHERE digest = ? AND email = ?",
        Digest::of(token).to_vec(),
        email,
    )
}

/// Uses a link: restores the address, sets the new password, ends every session, and revokes every link that was sent
/// to a later address of the account.
pub async fn apply(db: &mut Conn, link: &MailToken, digest: &str, now: DateTime<Utc>) -> Result<Restored> {
    // The same order as in a change of address, which consumes its link and then updates the user. So the later of two
    // concurrent transactions sees the changes of the earlier one.
    MailToken::revoke(db, link.user_id, Purpose::EmailChange).await?;
    // Of several concurrent requests, only one uses the link. An UPDATE and not a DELETE, because the link stays valid
    // if the address is taken.
    if execute!(db, "UPDATE email_restores SET user_id = user_id WHERE id = ?", link.id)?.rows == 0 {
        return Ok(Restored::Used);
    }
    if !User::change_email(db, link.user_id, &link.email, now).await? {
        return Ok(Restored::Taken);
    }
    User::change_password(db, link.user_id, digest, now).await?;
    execute!(
        db,
        "DELETE FROM email_restores WHERE user_id = ? AND (id >= ? OR email = ?)",
        link.user_id,
        link.id,
        &link.email,
    )?;
    Ok(Restored::Done)
}

/// Whether another activated account has the address.
pub async fn is_taken(db: &mut Conn, link: &MailToken) -> Result<bool> {
    let Ok(email) = Email::parse(&link.email) else { return Ok(false) };
    let owner = User::find_by_email(db, &email).await?;
    Ok(owner.is_some_and(|owner| owner.id != link.user_id && owner.activated_at.is_some()))
}
