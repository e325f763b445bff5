//! Secrets for cookies and mail links: the browser or the mail holds 256 random bits, the server only their SHA-256, so
//! nobody can log in with what they read in the database or the session store.

use ring::hmac;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// A random secret of 64 hexadecimal digits. It has no `Display` or `Debug`, so that it cannot get into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// SHA-256 of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Token {
    /// A new secret from the operating system's generator.
    pub fn random() -> Result<Token> {
        Ok(Token(random_hex::<32>()?))
    }

    /// Derives a secret from a text: always the same one, and unpredictable without the key (HMAC, RFC 2104).
    pub fn derived(key: &str, text: &str) -> Token {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
        Token(hex::encode(hmac::sign(&key, text.as_bytes())))
    }

    /// Whether a text has the format of a secret; others need no lookup.
    pub fn is_like(text: &str) -> bool {
        text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The secret itself, for a cookie or a link.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the server stores.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl Digest {
    /// Digest of a received secret. The timing of a lookup leaks nothing useful: the secret itself is not compared.
    pub fn of(text: &str) -> Digest {
        Digest(Sha256::digest(text.as_bytes()).into())
    }

    /// Digest of data that was hashed in pieces.
    pub fn finish(hasher: Sha256) -> Digest {
        Digest(hasher.finalize().into())
    }

    /// For keys that are text.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// For the database.
    pub fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// `N` random bytes in hexadecimal.
pub fn random_hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(Error::internal)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_random_and_long() {
        let (one, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(one.expose(), other.expose());
        assert_eq!(one.expose().len() * 4, 256, "bits, as hexadecimal digits");
    }
}
