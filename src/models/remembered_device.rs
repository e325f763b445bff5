//! "Remember me": one secret a device, rotated whenever it logs somebody in (ASVS 7.2; OWASP Session Management).
//!
//! The next secret is derived from the one that was shown, and that one stays valid until the next one was shown. So an
//! answer that gets lost, or several tabs that reopen at once, all end at the same next secret, whatever the clocks say. A
//! secret that is shown after its successor was shown has been copied.

use chrono::{DateTime, TimeDelta, Utc};

use super::user::User;
use super::values::token::{Digest, Token, random_hex};
use crate::config;
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::{Error, Result};

/// How long a device is remembered after it was last used.
pub const LIFETIME: TimeDelta = TimeDelta::days(30);

/// A device that was found by its cookie.
pub struct RememberedDevice {
    id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// The owner's `sign_in_epoch` at the moment when the device was found.
    pub epoch: i64,
    digest: Vec<u8>,
    previous_digest: Option<Vec<u8>>,
    expires_at: DateTime<Utc>,
}

row!(RememberedDevice { id, user_id, epoch, digest, previous_digest, expires_at });

/// What the cookie of a device is worth.
pub enum Recognition {
    /// Logs its owner in; its secret has to be [rotated](RememberedDevice::rotate) then.
    Known(RememberedDevice),
    /// A secret whose successor is in use: somebody has a copy. The device is forgotten now.
    Replayed {
        /// The person's id.
        user_id: i64,
    },
    /// Not a cookie of ours, or one whose time is over.
    Unknown,
}

impl RememberedDevice {
    /// Remembers a device; gives its cookie.
    ///
    /// # Errors
    /// [`Error::LogInFirst`] when the person was logged out everywhere since this log-in was decided.
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

    /// Says what a cookie is worth.
    pub async fn recognize(db: &mut Conn, cookie: &str, now: DateTime<Utc>) -> Result<Recognition> {
        let Some((selector, secret)) = split(cookie) else { return Ok(Recognition::Unknown) };
        let Some(device) = Self::find(db, selector).await? else { return Ok(Recognition::Unknown) };
        let shown = Digest::of(secret).to_vec();
        if device.expires_at <= now {
            Self::forget(db, cookie).await?;
            return Ok(Recognition::Unknown);
        }
        if device.digest == shown || device.previous_digest == Some(shown) {
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

    /// Replaces the secret in the cookie that was shown. Gives the new cookie; none if the shown secret was replaced by
    /// another one than its successor: by a version of this program that chose at random, or under another key.
    pub async fn rotate(
        &self,
        db: &mut Conn,
        shown: &str,
        key: &config::Secret,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let Some((selector, secret)) = split(shown) else { return Ok(None) };
        let next = Token::derived(key.expose(), &format!("remembered device {shown}"));
        let (shown_digest, next_digest) = (Digest::of(secret).to_vec(), next.digest().to_vec());
        let rotated = execute!(
            db,
            "UPDATE remembered_devices SET digest = ?, previous_digest = ?, rotated_at = ?, expires_at = ? \
             WHERE id = ? AND (digest = ? OR (digest = ? AND previous_digest = ?))",
            &next_digest,
            &shown_digest,
            now,
            now + LIFETIME,
            self.id,
            &shown_digest,
            &next_digest,
            &shown_digest,
        )?;
        Ok((rotated.rows == 1).then(|| cookie(selector, next.expose())))
    }

    /// Forgets the device that a cookie belongs to.
    pub async fn forget(db: &mut Conn, cookie: &str) -> Result<()> {
        let Some((selector, _)) = split(cookie) else { return Ok(()) };
        execute!(db, "DELETE FROM remembered_devices WHERE selector = ?", selector)?;
        Ok(())
    }
}

fn cookie(selector: &str, secret: &str) -> String {
    format!("{selector}.{secret}")
}

/// Selector and secret of a cookie that may be ours. MySQL refuses to compare an ASCII column with anything else.
fn split(cookie: &str) -> Option<(&str, &str)> {
    cookie.split_once('.').filter(|(selector, _)| selector.is_ascii())
}
