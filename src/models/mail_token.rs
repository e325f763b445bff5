//! Links sent by mail: valid once, only the newest, and for a limited time (OWASP Forgot Password Cheat Sheet; ASVS
//! 6.4).

use chrono::{DateTime, TimeDelta, Utc};

use super::email_restore;
use super::values::token::{Digest, Token};
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Activates an account. Valid for 3 days.
    Activation,
    /// Sets a new password. Valid for 2 hours.
    PasswordReset,
    /// Confirms a new address. Valid for 3 days.
    EmailChange,
    /// Restores the former address of an account. Has its own table (email_restore.rs).
    EmailRestore,
    /// An activation link whose account is active, kept so that the page can explain why it no longer works.
    UsedActivation,
}

impl Purpose {
    /// How long a link is valid.
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Purpose::Activation | Purpose::EmailChange | Purpose::UsedActivation => TimeDelta::days(3),
            Purpose::PasswordReset => TimeDelta::hours(2),
            Purpose::EmailRestore => email_restore::LIFETIME,
        }
    }

    /// The value in the table, and the first path segment of the link.
    pub fn as_str(self) -> &'static str {
        match self {
            Purpose::Activation => "account_activations",
            Purpose::PasswordReset => "password_resets",
            Purpose::EmailChange => "email_changes",
            Purpose::EmailRestore => "email_restores",
            Purpose::UsedActivation => "used_activations",
        }
    }
}

/// A link found in the database.
#[derive(Debug, Clone)]
pub struct MailToken {
    pub(super) id: i64,
    pub user_id: i64,
    /// The address that the link was sent to.
    pub email: String,
    expires_at: DateTime<Utc>,
}

row!(MailToken { id, user_id, email, expires_at });

impl MailToken {
    /// Creates a link and revokes an earlier one with the same purpose.
    pub async fn issue(
        db: &mut Conn,
        user_id: i64,
        purpose: Purpose,
        email: &str,
        now: DateTime<Utc>,
    ) -> Result<Token> {
        let secret = Token::random()?;
        Self::revoke(db, user_id, purpose).await?;
        execute!(
            db,
            "INSERT INTO mail_tokens (user_id, purpose, digest, email, expires_at) VALUES (?, ?, ?, ?, ?)",
            user_id,
            purpose.as_str(),
            secret.digest().to_vec(),
            email,
            now + purpose.lifetime(),
        )?;
        Ok(secret)
    }

    /// Finds the link with this token and this address. It may have expired.
    pub async fn find(
        db: &mut Conn,
        purpose: Purpose,
        token: &str,
        email: &str,
    ) -> Result<Option<MailToken>> {
        if purpose == Purpose::EmailRestore {
            return email_restore::find(db, token, email).await;
        }
        fetch_optional!(
            db,
            "SELECT id, user_id, email, expires_at FROM mail_tokens WHERE digest = ? AND purpose = ? AND email = ?",
            Digest::of(token).to_vec(),
            purpose.as_str(),
            email,
        )
    }

    /// Consumes the link. Of several concurrent requests, only one gets `true`.
    pub async fn consume(&self, db: &mut Conn) -> Result<bool> {
        Ok(execute!(db, "DELETE FROM mail_tokens WHERE id = ?", self.id)?.rows == 1)
    }

    /// Revokes the user's link with this purpose, if there is one.
    pub async fn revoke(db: &mut Conn, user_id: i64, purpose: Purpose) -> Result<()> {
        execute!(db, "DELETE FROM mail_tokens WHERE user_id = ? AND purpose = ?", user_id, purpose.as_str())?;
        Ok(())
    }

    /// Revokes all links of this table that the user has, except the records of used activations.
    pub async fn revoke_all(db: &mut Conn, user_id: i64) -> Result<()> {
        execute!(
            db,
            "DELETE FROM mail_tokens WHERE user_id = ? AND purpose <> ?",
            user_id,
            Purpose::UsedActivation.as_str(),
        )?;
        Ok(())
    }

    /// Records that the user needs no activation link any more: a password reset has activated the account.
    pub async fn retire_activation(db: &mut Conn, user_id: i64) -> Result<()> {
        execute!(
            db,
            "UPDATE mail_tokens SET purpose = ? WHERE user_id = ? AND purpose = ?",
            Purpose::UsedActivation.as_str(),
            user_id,
            Purpose::Activation.as_str(),
        )?;
        Ok(())
    }

    /// Consumes an activation link and records that it was used. Of several concurrent requests, only one gets `true`.
    pub async fn use_activation(&self, db: &mut Conn) -> Result<bool> {
        let used = execute!(
            db,
            "UPDATE mail_tokens SET purpose = ? WHERE id = ? AND purpose = ?",
            Purpose::UsedActivation.as_str(),
            self.id,
            Purpose::Activation.as_str(),
        )?;
        Ok(used.rows == 1)
    }

    /// The new address that the user requested and has not confirmed yet.
    pub async fn pending_email(db: &mut Conn, user_id: i64, now: DateTime<Utc>) -> Result<Option<String>> {
        let pending: Option<(String,)> = fetch_optional!(
            db,
            "SELECT email FROM mail_tokens WHERE user_id = ? AND purpose = ? AND expires_at > ?",
            user_id,
            Purpose::EmailChange.as_str(),
            now,
        )?;
        Ok(pending.map(|(email,)| email))
    }

    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at <= now
    }
}
