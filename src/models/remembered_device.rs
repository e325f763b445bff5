//! "Remember me": one secret a device, rotated whenever it logs somebody in (ASVS 7.2; OWASP Session Management).

use chrono::{DateTime, TimeDelta, Utc};

use super::secret::{Digest, Secret, random_hex};
use crate::db::{Conn, execute, fetch_optional, row};
use crate::error::Result;

/// How long a device is remembered after it was last used.
pub const LIFETIME: TimeDelta = TimeDelta::days(30);
/// A browser that opens several tabs at once sends the same secret several times; for so long the one before the last
/// rotation still counts. After that it can only be a copy, and the device is forgotten.
pub const ROTATION_GRACE: TimeDelta = TimeDelta::seconds(10);

/// A device that was found by its cookie.
pub struct RememberedDevice {
    id: i64,
    /// Whose it is.
    pub user_id: i64,
    digest: Vec<u8>,
    previous_digest: Option<Vec<u8>>,
    rotated_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

row!(RememberedDevice { id, user_id, digest, previous_digest, rotated_at, expires_at });

/// What the cookie of a device is worth.
pub enum Recognition {
    /// Logs its owner in; its secret has to be [rotated](RememberedDevice::rotate) then.
    Known(RememberedDevice),
    /// A secret that was replaced long ago: somebody has a copy. The device is forgotten now.
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
    /// When the database does not answer.
    pub async fn remember(db: &mut Conn, user_id: i64, now: DateTime<Utc>) -> Result<String> {
        let selector = random_hex::<16>()?;
        let secret = Secret::random()?;
        execute!(
            db,
            "INSERT INTO remembered_devices (user_id, selector, digest, rotated_at, expires_at) VALUES (?, ?, ?, ?, ?)",
            user_id,
            &selector,
            secret.digest().to_vec(),
            now,
            now + LIFETIME,
        )?;
        Ok(cookie(&selector, &secret))
    }

    /// Says what a cookie is worth.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recognize(db: &mut Conn, cookie: &str, now: DateTime<Utc>) -> Result<Recognition> {
        let Some((selector, secret)) = split(cookie) else { return Ok(Recognition::Unknown) };
        let Some(device) = Self::find(db, selector).await? else { return Ok(Recognition::Unknown) };
        let shown = Digest::of(secret).to_vec();
        if device.expires_at <= now {
            Self::forget(db, cookie).await?;
            return Ok(Recognition::Unknown);
        }
        let just_replaced =
            device.previous_digest.as_ref() == Some(&shown) && now < device.rotated_at + ROTATION_GRACE;
        if device.digest == shown || just_replaced {
            Ok(Recognition::Known(device))
        } else {
            Self::forget(db, cookie).await?;
            Ok(Recognition::Replayed { user_id: device.user_id })
        }
    }

    async fn find(db: &mut Conn, selector: &str) -> Result<Option<RememberedDevice>> {
        fetch_optional!(
            db,
            "SELECT id, user_id, digest, previous_digest, rotated_at, expires_at FROM remembered_devices \
             WHERE selector = ?",
            selector
        )
    }

    /// Replaces the secret in the cookie that was shown. Gives the new cookie; none when another request was first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rotate(&self, db: &mut Conn, shown: &str, now: DateTime<Utc>) -> Result<Option<String>> {
        let Some((selector, shown)) = split(shown) else { return Ok(None) };
        let shown = Digest::of(shown).to_vec();
        let secret = Secret::random()?;
        let rotated = execute!(
            db,
            "UPDATE remembered_devices SET digest = ?, previous_digest = ?, rotated_at = ?, expires_at = ? \
             WHERE id = ? AND digest = ?",
            secret.digest().to_vec(),
            &shown,
            now,
            now + LIFETIME,
            self.id,
            &shown,
        )?;
        Ok((rotated.rows == 1).then(|| cookie(selector, &secret)))
    }

    /// Forgets the device that a cookie belongs to.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget(db: &mut Conn, cookie: &str) -> Result<()> {
        let Some((selector, _)) = split(cookie) else { return Ok(()) };
        execute!(db, "DELETE FROM remembered_devices WHERE selector = ?", selector)?;
        Ok(())
    }
}

fn cookie(selector: &str, secret: &Secret) -> String {
    format!("{selector}.{}", secret.expose())
}

/// Selector and secret of a cookie that may be ours. MySQL refuses to compare an ASCII column with anything else.
fn split(cookie: &str) -> Option<(&str, &str)> {
    cookie.split_once('.').filter(|(selector, _)| selector.is_ascii())
}
