//! Requests for a mail by address alone. The HTTP request inserts one row, whether or not the address has an account,
//! and mail/request_worker.rs looks the address up later (OWASP Forgot Password: uniform response time).

use chrono::{DateTime, Utc};

use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;
use crate::models::mail_token::Purpose;
use crate::models::values::email::Email;

pub struct MailRequest {
    id: i64,
    purpose: String,
    email: String,
}

row!(MailRequest { id, purpose, email });

impl MailRequest {
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

    /// Removes and returns the oldest request. Call it in the transaction that processes it.
    pub async fn take(db: &mut Conn) -> Result<Option<MailRequest>> {
        let oldest: Option<MailRequest> =
            fetch_optional!(db, "SELECT id, purpose, email FROM mail_requests ORDER BY id LIMIT 1")?;
        let Some(request) = oldest else { return Ok(None) };
        // Another instance may have taken it already; the next round sees the next request.
        let taken = execute!(db, "DELETE FROM mail_requests WHERE id = ?", request.id)?;
        Ok((taken.rows == 1).then_some(request))
    }

    /// The purpose and the address. `None` if the row holds a value that this version does not accept.
    pub fn parts(&self) -> Option<(Purpose, Email)> {
        let purposes = [Purpose::PasswordReset, Purpose::Activation];
        let purpose = purposes.into_iter().find(|purpose| purpose.as_str() == self.purpose)?;
        Some((purpose, Email::parse(&self.email).ok()?))
    }
}
