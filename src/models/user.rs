//! Users: the table `users`.

use chrono::{DateTime, Utc};

use super::mail_token::MailToken;
use super::values::email::Email;
use super::values::name::Name;
use crate::db::{Conn, execute, fetch_all, fetch_one, fetch_optional, row};
use crate::error::{Error, Result};
use crate::jobs::job::{self, JobKind};

/// A user. The digest never leaves the models and the log-in.
#[derive(Clone)]
pub struct User {
    pub id: i64,
    pub name: String,
    /// In canonical form, see [`Email`].
    pub email: String,
    /// PHC string of the password.
    pub password_digest: String,
    /// May delete other users.
    pub admin: bool,
    /// When the address was confirmed. A user without it is visible to nobody.
    pub activated_at: Option<DateTime<Utc>>,
    /// Sessions carry this number; a session with another one is logged out.
    pub sign_in_epoch: i64,
    pub microposts_count: i64,
    pub following_count: i64,
    pub followers_count: i64,
    /// Whether they ever followed an author with fan-out on read (timeline.rs).
    pub follows_read_through: bool,
}

row!(User {
    id,
    name,
    email,
    password_digest,
    admin,
    activated_at,
    sign_in_epoch,
    microposts_count,
    following_count,
    followers_count,
    follows_read_through,
});

/// `SELECT` of every column of [`User`], by name because a newer schema may have more of them. The condition must
/// exclude deleted users; they are not activated either.
macro_rules! select_user {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, email, password_digest, admin, activated_at, sign_in_epoch, ",
            "microposts_count, following_count, followers_count, follows_read_through FROM users ",
            $rest
        )
    };
}

/// Result of a sign-up.
pub enum SignedUp {
    /// The account with this id exists and waits for its activation.
    Waiting(i64),
    /// An activated account has the address.
    Taken,
    /// A concurrent sign-up took this address; its mail is on its way.
    Racing,
}

impl User {
    /// Finds a user who is not deleted.
    pub async fn find(db: &mut Conn, id: i64) -> Result<Option<User>> {
        fetch_optional!(db, select_user!("WHERE id = ? AND deleted_at IS NULL"), id)
    }

    /// Finds an activated user, whom others may see; [`Error::NotFound`] if there is none.
    pub async fn find_activated(db: &mut Conn, id: i64) -> Result<User> {
        fetch_one!(db, select_user!("WHERE id = ? AND activated_at IS NOT NULL"), id)
    }

    /// Finds a user by address, activated or not.
    pub async fn find_by_email(db: &mut Conn, email: &Email) -> Result<Option<User>> {
        fetch_optional!(db, select_user!("WHERE email = ?"), email.as_str())
    }

    /// Ids and follower counts of the users with the most followers, most first. Without the hint, MySQL may read all
    /// activated users.
    pub async fn most_followed(db: &mut Conn, most: i64) -> Result<Vec<(i64, i64)>> {
        fetch_all!(
            db,
            "SELECT id, followers_count FROM users /*! FORCE INDEX (index_users_on_followers_count) */ \
             WHERE activated_at IS NOT NULL AND followers_count > 0 ORDER BY followers_count DESC, id DESC LIMIT ?",
            most
        )
    }

    /// Signs a user up. An account that was never activated is taken over: the last sign-up before the link is followed
    /// determines the password, and earlier links become invalid.
    pub async fn sign_up(
        db: &mut Conn,
        name: &Name,
        email: &Email,
        password_digest: &str,
        now: DateTime<Utc>,
    ) -> Result<SignedUp> {
        if let Some(user) = Self::find_by_email(db, email).await? {
            let renewed = execute!(
                db,
                "UPDATE users SET name = ?, password_digest = ?, updated_at = ? WHERE id = ? AND activated_at IS NULL",
                name.as_str(),
                password_digest,
                now,
                user.id,
            )?;
            return Ok(if renewed.rows == 1 { SignedUp::Waiting(user.id) } else { SignedUp::Taken });
        }
        let inserted = execute!(
            db,
            "INSERT INTO users (name, email, password_digest, sign_in_epoch, created_at, updated_at) \
             VALUES (?, ?, ?, ?, ?, ?)",
            name.as_str(),
            email.as_str(),
            password_digest,
            // Not 0: MySQL 5.7 may reuse the id of a deleted user, whose sessions must not be valid for the new one.
            now.timestamp_micros(),
            now,
            now,
        );
        match inserted {
            Ok(row) => Ok(SignedUp::Waiting(row.id)),
            Err(error) if error.is_unique_violation() => Ok(SignedUp::Racing),
            Err(error) => Err(error),
        }
    }

    pub async fn activate(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "UPDATE users SET activated_at = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL",
            now,
            now,
            id
        )?;
        Ok(())
    }

    pub async fn rename(db: &mut Conn, id: i64, name: &Name, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "UPDATE users SET name = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL",
            name.as_str(),
            now,
            id
        )?;
        Ok(())
    }

    /// Changes the address, which the user has confirmed. Deletes an account with this address that was never
    /// activated, and revokes links sent to the old address. `false` if another account has the address now.
    pub async fn change_email(db: &mut Conn, id: i64, email: &str, now: DateTime<Utc>) -> Result<bool> {
        MailToken::revoke_all(db, id).await?;
        execute!(db, "DELETE FROM users WHERE email = ? AND activated_at IS NULL", email)?;
        let changed = execute!(
            db,
            "UPDATE users SET email = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL",
            email,
            now,
            id
        );
        match changed {
            Ok(changed) => Ok(changed.rows == 1),
            Err(error) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes the password and logs the user out everywhere (ASVS 7.4.3). Revokes mail links as well: a change of
    /// address that somebody else requested must not outlast the new password.
    pub async fn change_password(db: &mut Conn, id: i64, digest: &str, now: DateTime<Utc>) -> Result<()> {
        execute!(
            db,
            "UPDATE users SET password_digest = ?, updated_at = ? WHERE id = ? AND deleted_at IS NULL",
            digest,
            now,
            id
        )?;
        MailToken::revoke_all(db, id).await?;
        Self::log_out_everywhere(db, id).await
    }

    /// Replaces the digest of an unchanged password by one with current parameters.
    pub async fn renew_digest(db: &mut Conn, id: i64, old: &str, new: &str) -> Result<()> {
        execute!(
            db,
            "UPDATE users SET password_digest = ? WHERE id = ? AND password_digest = ?",
            new,
            id,
            old
        )?;
        Ok(())
    }

    /// Locks the user's row until the transaction ends, before a change that relies on data read earlier.
    /// [`Error::LogInFirst`] if the user was logged out everywhere in between, for example by a new password.
    pub async fn lock_current(db: &mut Conn, user: &User) -> Result<()> {
        let locked = execute!(
            db,
            "UPDATE users SET updated_at = updated_at WHERE id = ? AND sign_in_epoch = ?",
            user.id,
            user.sign_in_epoch
        )?;
        if locked.rows == 1 { Ok(()) } else { Err(Error::LogInFirst) }
    }

    /// Ends every session and remembered device of a user.
    pub async fn log_out_everywhere(db: &mut Conn, id: i64) -> Result<()> {
        execute!(db, "UPDATE users SET sign_in_epoch = sign_in_epoch + 1 WHERE id = ?", id)?;
        execute!(db, "DELETE FROM remembered_devices WHERE user_id = ?", id)?;
        Ok(())
    }

    /// Marks a user as deleted: nobody sees them any more, their sessions end and their address is free. A job deletes
    /// their data afterwards (jobs/user_deletion.rs). `false` if this is the last admin, who stays. [`Error::NotFound`]
    /// if there is no such user.
    pub async fn delete(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<bool> {
        // Locks the row: a concurrent write for this user comes before the mark, or not at all.
        if execute!(db, "UPDATE users SET updated_at = ? WHERE id = ? AND deleted_at IS NULL", now, id)?.rows
            == 0
        {
            return Err(Error::NotFound);
        }
        let user = Self::find(db, id).await?.ok_or(Error::NotFound)?;
        if user.admin && !Self::has_other_admin(db, id, now).await? {
            return Ok(false);
        }
        // The previous version does not know `deleted_at`; to it this is an account that was never activated.
        execute!(
            db,
            "UPDATE users SET deleted_at = ?, activated_at = NULL, admin = FALSE, name = '', email = ?, \
             password_digest = '', sign_in_epoch = sign_in_epoch + 1 WHERE id = ?",
            now,
            format!("deleted {id}"),
            id
        )?;
        MailToken::revoke_all(db, id).await?;
        job::push(db, JobKind::UserDeletion, id, now).await?;
        Ok(true)
    }

    /// Grants or revokes admin rights. `false` if this is the last admin, who keeps them.
    pub async fn set_admin(db: &mut Conn, id: i64, admin: bool, now: DateTime<Utc>) -> Result<bool> {
        if !admin && !Self::has_other_admin(db, id, now).await? {
            return Ok(false);
        }
        execute!(db, "UPDATE users SET admin = ? WHERE id = ? AND deleted_at IS NULL", admin, id)?;
        Ok(true)
    }

    /// Whether there is an admin besides this one. Locks the others until the transaction ends, so that two requests
    /// cannot each rely on the admin that the other one removes. It is an UPDATE, because a SELECT would read a
    /// snapshot. It changes the rows, because the nodes of a cluster compare changes, not locks.
    async fn has_other_admin(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<bool> {
        let others = execute!(db, "UPDATE users SET updated_at = ? WHERE admin = TRUE AND id <> ?", now, id)?;
        Ok(others.rows > 0)
    }

    pub fn is(&self, id: i64) -> bool {
        self.id == id
    }
}
