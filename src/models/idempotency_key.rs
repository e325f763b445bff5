//! Keys that make a form count once: the table `idempotency_keys`.
//!
//! The key travels in the form. What is stored is a digest over the author, the key and the content, so the same form sent
//! twice is recognized, and the same key with another text (the back button restores it) is another post.

use chrono::{DateTime, TimeDelta, Utc};

use super::values::token::{Digest, random_hex};
use crate::db::{Conn, execute};
use crate::error::Result;

/// How long a repeated form is recognized.
pub const LIFETIME: TimeDelta = TimeDelta::days(1);

/// 128 random bits in hexadecimal, one for each form that is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A new key.
    pub fn random() -> Result<IdempotencyKey> {
        Ok(IdempotencyKey(random_hex::<16>()?))
    }

    /// Reads the key of a form. A form without one, or with something else in its place, is taken without protection: an old
    /// page, or a client that is no browser.
    pub fn parse(sent: &str) -> Option<IdempotencyKey> {
        let is_key = sent.len() == 32 && sent.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_key.then(|| IdempotencyKey(sent.to_owned()))
    }

    /// For the form.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key as it is stored, bound to who posts what.
    pub fn bind(&self, user_id: i64, content: &str, picture: Option<Digest>) -> Digest {
        let picture = picture.map(Digest::to_hex).unwrap_or_default();
        Digest::of(&format!("{user_id}:{}:{picture}:{content}", self.0))
    }
}

/// Claims a key; `false` if that was done before. The first statement of the transaction that does what the form asks for: of
/// two at the same time, the second waits here for the first one's end.
pub async fn claim(db: &mut Conn, digest: Digest, now: DateTime<Utc>) -> Result<bool> {
    let inserted =
        execute!(db, "INSERT INTO idempotency_keys (digest, created_at) VALUES (?, ?)", digest.to_vec(), now);
    match inserted {
        Ok(_) => Ok(true),
        Err(error) if error.is_unique_violation() => Ok(false),
        Err(error) => Err(error),
    }
}
