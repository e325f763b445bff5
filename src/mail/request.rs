//! Mails that somebody asked for by an address alone. The request writes one row, whether or not the address has an account;
//! the worker of mail/request_worker.rs finds out (OWASP Forgot Password: the same time for both).

use chrono::{DateTime, Utc};

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;
use crate::models::mail_token::Purpose;
use crate::models::values::email::Email;

/// A request that waits for the worker.
pub struct MailRequest {
    id: i64,
    purpose: String,
    email: String,
}

row!(MailRequest { id, purpose, email });

impl MailRequest {
    /// Writes a request down.
    pub async fn push(db: &mut Conn, purpose: Purpose, email: &Email, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "INSERT INTO mail_requests (purpose, email, created_at) VALUES (?, ?, ?)",
            purpose.as_str(),
            email.as_str(),
            now,
        )?;
        Ok(())
    }

    /// Takes the oldest request away; call it in the transaction that answers it.
    pub async fn take(db: &mut Conn) -> Result<Option<MailRequest>> {
        let oldest: Option<MailRequest> =
            fetch_optional!(db, "SELECT id, purpose, email FROM mail_requests ORDER BY id LIMIT 1")?;
        let Some(request) = oldest else { return Ok(None) };
        // Another instance may have been faster; the next round sees the next request.
        let taken = execute!(db, "DELETE FROM mail_requests WHERE id = ?", request.id)?;
        Ok((taken.rows == 1).then_some(request))
    }

    /// What it asks for, and the address.
    pub fn parts(&self) -> Option<(Purpose, Email)> {
        let purposes = [Purpose::PasswordReset, Purpose::Activation];
        let purpose = purposes.into_iter().find(|purpose| purpose.as_str() == self.purpose)?;
        Some((purpose, Email::parse(&self.email).ok()?))
    }
}
