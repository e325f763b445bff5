//! Links sent by mail: single use, newest only, they expire (OWASP Forgot Password Cheat Sheet; ASVS 6.4).

use chrono::{DateTime, TimeDelta, Utc};

use super::email_restore;
use super::values::token::{Digest, Token};
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Activates an account. Good for 3 days.
    Activation,
    /// Sets a new password. Good for 2 hours.
    PasswordReset,
    /// Confirms a new address. Good for 3 days.
    EmailChange,
    /// Gives an account its former address back; kept in a table of its own (email_restore.rs).
    EmailRestore,
    /// What an activation link turns into once the account is active, so that following it again can be explained.
    UsedActivation,
}

impl Purpose {
    /// How long a link is good.
    pub fn lifetime(self) -> TimeDelta {
        match self {
            Purpose::Activation | Purpose::EmailChange | Purpose::UsedActivation => TimeDelta::days(3),
            Purpose::PasswordReset => TimeDelta::hours(2),
            Purpose::EmailRestore => email_restore::LIFETIME,
        }
    }

    /// How it is written in the table, and the first segment of its link.
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

/// A link that was found.
#[derive(Debug, Clone)]
pub struct MailToken {
    pub(super) id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// The address that it went to.
    pub email: String,
    expires_at: DateTime<Utc>,
}

row!(MailToken { id, user_id, email, expires_at });

impl MailToken {
    /// Makes a link for somebody; an earlier one of the same kind is good no more.
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

    /// Finds the link that somebody followed: the token and the address in it must fit together. It may have expired.
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

    /// Uses the link up. Of any number of requests at the same time, one gets `true`.
    pub async fn consume(&self, db: &mut Conn) -> Result<bool> {
        Ok(execute!(db, "DELETE FROM mail_tokens WHERE id = ?", self.id)?.rows == 1)
    }

    /// Ends the link of that kind that somebody may have.
    pub async fn revoke(db: &mut Conn, user_id: i64, purpose: Purpose) -> Result<()> {
        execute!(db, "DELETE FROM mail_tokens WHERE user_id = ? AND purpose = ?", user_id, purpose.as_str())?;
        Ok(())
    }

    /// Ends all links of this table that somebody may have: what they lead to, or where they went, is theirs no more.
    pub async fn revoke_all(db: &mut Conn, user_id: i64) -> Result<()> {
        execute!(
            db,
            "DELETE FROM mail_tokens WHERE user_id = ? AND purpose <> ?",
            user_id,
            Purpose::UsedActivation.as_str(),
        )?;
        Ok(())
    }

    /// Uses an activation link up and remembers that it was used. Of any number of requests at the same time, one gets
    /// `true`.
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

    /// The new address that somebody asked for and has not confirmed yet.
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

    /// Whether its time is over.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at <= now
    }
}
