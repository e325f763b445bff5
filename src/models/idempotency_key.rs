//! Idempotency keys: a form that is sent twice takes effect once. The table `idempotency_keys`.
//!
//! The form carries the key. The table stores a digest of author, key, picture and content, so a repeated form is
//! recognized, while the same key with different content (the back button restores it) is a new post.

use chrono::{DateTime, TimeDelta, Utc};

use super::values::token::{Digest, random_hex};
use crate::db::{Conn, execute};
use crate::error::Result;

/// How long a repeated form is recognized.
pub const LIFETIME: TimeDelta = TimeDelta::days(1);

/// 128 random bits in hexadecimal, a new key for each rendered form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    pub fn random() -> Result<IdempotencyKey> {
        Ok(IdempotencyKey(random_hex::<16>()?))
    }

    /// Parses the key of a form. A form without a valid one (an old page, a client that is not a browser) is accepted
    /// without this protection.
    pub fn parse(sent: &str) -> Option<IdempotencyKey> {
        let is_key = sent.len() == 32 && sent.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_key.then(|| IdempotencyKey(sent.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest that is stored: it binds the key to author, content and picture.
    pub fn bind(&self, user_id: i64, content: &str, picture: Option<Digest>) -> Digest {
        let picture = picture.map(Digest::to_hex).unwrap_or_default();
        Digest::of(&format!("{user_id}:{}:{picture}:{content}", self.0))
    }
}

/// Claims a key; `false` if it was claimed before. Must be the first statement of the transaction that performs the
/// action: a concurrent duplicate then waits here until that transaction ends.
pub async fn claim(db: &mut Conn, digest: Digest, now: DateTime<Utc>) -> Result<bool> {
    let inserted =
        execute!(db, "INSERT INTO idempotency_keys (digest, created_at) VALUES (?, ?)", digest.to_vec(), now);
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}
