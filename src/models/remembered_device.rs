//! "Remember me": one secret per device, rotated whenever it logs the user in (ASVS 7.2; OWASP Session Management).
//!
//! The next secret is derived from the one presented, which stays valid until the next one is presented. So after a
//! lost response, or when several tabs reopen at once, every request gets the same next secret, without relying on
//! clocks. If a secret is presented after its successor was, somebody has copied it.

use chrono::{DateTime, TimeDelta, Utc};

use super::user::User;
use super::values::token::{Digest, Token, random_hex};
use crate::config;
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::{Error, Result};

/// How long a device is remembered after its last use.
pub const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A device found by its cookie.
pub struct RememberedDevice {
    id: i64,
    pub user_id: i64,
    /// The owner's `sign_in_epoch` when the device was found.
    pub epoch: i64,
    digest: Vec<u8>,
    previous_digest: Option<Vec<u8>>,
    expires_at: DateTime<Utc>,
}

row!(RememberedDevice { id, user_id, epoch, digest, previous_digest, expires_at });

/// Result of checking a device cookie.
pub enum Recognition {
    /// Valid: logs its owner in. The caller must then [rotate](RememberedDevice::rotate) the secret.
    Known(RememberedDevice),
    /// A secret whose successor is in use, so somebody has a copy. The device has been forgotten.
    Replayed {
        /// The owner of the device.
        user_id: i64,
    },
    /// Not a cookie of ours, or an expired one.
    Unknown,
}

impl RememberedDevice {
    /// Remembers a device and returns its cookie. [`Error::LogInFirst`] if the user was logged out everywhere since
    /// `user` was loaded.
    pub async fn remember(db: &mut Conn, user: &User, now: DateTime<Utc>) -> Result<String> {
        let selector = random_hex::<16>()?;
        let secret = Token::random()?;
        let inserted = execute!(
            db,
            "INSERT INTO remembered_devices (user_id, selector, digest, rotated_at, expires_at) \
             SELECT id, ?, ?, ?, ? FROM users WHERE id = ? AND sign_in_epoch = ?",
            &selector,
            secret.digest().to_vec(),
            now,
            now + LIFETIME,
            user.id,
            user.sign_in_epoch,
        )?;
        if inserted.rows == 1 { Ok(cookie(&selector, secret.expose())) } else { Err(Error::LogInFirst) }
    }

    /// Checks a device cookie. Forgets the device if it has expired or its secret was replayed.
    pub async fn recognize(db: &mut Conn, cookie: &str, now: DateTime<Utc>) -> Result<Recognition> {
        let Some((selector, secret)) = split(cookie) else { return Ok(Recognition::Unknown) };
        let Some(device) = Self::find(db, selector).await? else { return Ok(Recognition::Unknown) };
        let presented = Digest::of(secret).to_vec();
        if device.expires_at <= now {
            Self::forget(db, cookie).await?;
            return Ok(Recognition::Unknown);
        }
        if device.digest == presented || device.previous_digest == Some(presented) {
            Ok(Recognition::Known(device))
        } else {
            Self::forget(db, cookie).await?;
            Ok(Recognition::Replayed { user_id: device.user_id })
        }
    }

    async fn find(db: &mut Conn, selector: &str) -> Result<Option<RememberedDevice>> {
        fetch_optional!(
            db,
            "SELECT d.id, d.user_id, u.sign_in_epoch AS epoch, d.digest, d.previous_digest, d.expires_at \
             FROM remembered_devices d JOIN users u ON u.id = d.user_id WHERE d.selector = ?",
            selector
        )
    }

    /// Replaces the presented secret and returns the new cookie. `None` if the secret was already replaced by a secret
    /// other than its derived successor: one that a version of this program chose at random, or derived with another
    /// key.
    pub async fn rotate(
        &self,
        db: &mut Conn,
        presented: &str,
        key: &config::Secret,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let Some((selector, secret)) = split(presented) else { return Ok(None) };
        let next = Token::derived(key.expose(), &format!("remembered device {presented}"));
        let (presented_digest, next_digest) = (Digest::of(secret).to_vec(), next.digest().to_vec());
        let rotated = execute!(
            db,
            "UPDATE remembered_devices SET digest = ?, previous_digest = ?, rotated_at = ?, expires_at = ? \
             WHERE id = ? AND (digest = ? OR (digest = ? AND previous_digest = ?))",
            &next_digest,
            &presented_digest,
            now,
            now + LIFETIME,
            self.id,
            &presented_digest,
            &next_digest,
            &presented_digest,
        )?;
        Ok((rotated.rows == 1).then(|| cookie(selector, next.expose())))
    }

    /// Forgets the device of this cookie.
    pub async fn forget(db: &mut Conn, cookie: &str) -> Result<()> {
        let Some((selector, _)) = split(cookie) else { return Ok(()) };
        execute!(db, "DELETE FROM remembered_devices WHERE selector = ?", selector)?;
        Ok(())
    }
}

fn cookie(selector: &str, secret: &str) -> String {
    format!("{selector}.{secret}")
}

/// Selector and secret of a cookie. The selector must be ASCII: MySQL refuses to compare an ASCII column with other
/// text.
fn split(cookie: &str) -> Option<(&str, &str)> {
    cookie.split_once('.').filter(|(selector, _)| selector.is_ascii())
}
