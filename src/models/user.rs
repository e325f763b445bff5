//! People: the table `users`.

use chrono::{DateTime, Utc};

use super::mail_token::MailToken;
use super::values::email::Email;
use super::values::name::Name;
use crate::db::{Conn, execute, fetch_all, fetch_one, fetch_optional, row};
use crate::error::{Error, Result};
use crate::jobs::job::{self, JobKind};

/// A person. The digest never leaves the models and the log-in.
#[derive(Clone)]
pub struct User {
    /// Number in the URLs.
    pub id: i64,
    /// As they want to be called.
    pub name: String,
    /// In its one spelling, see [`Email`].
    pub email: String,
    /// PHC string of the password.
    pub password_digest: String,
    /// May delete people.
    pub admin: bool,
    /// When the address was confirmed; nobody sees a person without it.
    pub activated_at: Option<DateTime<Utc>>,
    /// Sessions and devices carry it; those with another one are logged out.
    pub sign_in_epoch: i64,
    /// How many posts they have.
    pub microposts_count: i64,
    /// How many people they follow.
    pub following_count: i64,
    /// How many people follow them.
    pub followers_count: i64,
    /// Whether they ever followed somebody whose posts are in nobody's timeline (timeline.rs).
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

/// `SELECT` of every column of [`User`], named one by one: a newer schema may have more of them. Deleted people, who are
/// not activated either, must not be among the rows.
macro_rules! select_user {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, email, password_digest, admin, activated_at, sign_in_epoch, ",
            "microposts_count, following_count, followers_count, follows_read_through FROM users ",
            $rest
        )
    };
}

/// What became of a sign-up.
pub enum SignedUp {
    /// The account is there and waits for its activation; it has this id.
    Waiting(i64),
    /// The address has an activated account already.
    Taken,
    /// Somebody signs up with this address at this very moment; their mail is on its way.
    Racing,
}

impl User {
    /// Finds anybody who is not deleted.
    pub async fn find(db: &mut Conn, id: i64) -> Result<Option<User>> {
        fetch_optional!(db, select_user!("WHERE id = ? AND deleted_at IS NULL"), id)
    }

    /// Finds somebody whom others may see.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person, or not yet.
    pub async fn find_activated(db: &mut Conn, id: i64) -> Result<User> {
        fetch_one!(db, select_user!("WHERE id = ? AND activated_at IS NOT NULL"), id)
    }

    /// Finds anybody by their address.
    pub async fn find_by_email(db: &mut Conn, email: &Email) -> Result<Option<User>> {
        fetch_optional!(db, select_user!("WHERE email = ?"), email.as_str())
    }

    /// Ids of those with the most followers and how many these are, most first. Looks at everybody: not for every page.
    pub async fn most_followed(db: &mut Conn, most: i64) -> Result<Vec<(i64, i64)>> {
        fetch_all!(
            db,
            "SELECT id, followers_count FROM users WHERE activated_at IS NOT NULL AND followers_count > 0 \
             ORDER BY followers_count DESC, id DESC LIMIT ?",
            most
        )
    }

    /// Signs somebody up. An account that was never activated is taken over: the last to sign up before the link is
    /// followed decides the password, and earlier links die.
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
            // Not 0: MySQL 5.7 may give the id of somebody who was deleted, whose sessions must not count for this person.
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

    /// Makes an account visible and usable.
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

    /// Changes the name.
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

    /// Changes the address, which was shown to be theirs: a sign-up with it that was never activated gives way, and links
    /// that went to the old address end. `false`: somebody else has it by now.
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

    /// Changes the password and logs the person out everywhere (ASVS 7.4.3). Their links end as well: a change of address
    /// that somebody else asked for must not outlast the new password.
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

    /// Renews the digest of an unchanged password, with today's parameters.
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

    /// Locks a person's row until the transaction ends, for a change that was decided on what was read of it before.
    ///
    /// # Errors
    /// [`Error::LogInFirst`] when the person was logged out everywhere since, by a new password for example.
    pub async fn lock_current(db: &mut Conn, user: &User) -> Result<()> {
        let locked = execute!(
            db,
            "UPDATE users SET updated_at = updated_at WHERE id = ? AND sign_in_epoch = ?",
            user.id,
            user.sign_in_epoch
        )?;
        if locked.rows == 1 { Ok(()) } else { Err(Error::LogInFirst) }
    }

    /// Ends every session and remembered device of a person.
    pub async fn log_out_everywhere(db: &mut Conn, id: i64) -> Result<()> {
        execute!(db, "UPDATE users SET sign_in_epoch = sign_in_epoch + 1 WHERE id = ?", id)?;
        execute!(db, "DELETE FROM remembered_devices WHERE user_id = ?", id)?;
        Ok(())
    }

    /// Marks a person as deleted: nobody sees them any more, their sessions are over and their address is free. What is
    /// theirs goes afterwards, by a job (jobs/user_deletion.rs). `false`: that is the last admin, who stays.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such person.
    pub async fn delete(db: &mut Conn, id: i64, now: DateTime<Utc>) -> Result<bool> {
        // Holds the person: what somebody writes for them at this moment comes before the mark, or not at all.
        if execute!(db, "UPDATE users SET updated_at = ? WHERE id = ? AND deleted_at IS NULL", now, id)?.rows
            == 0
        {
            return Err(Error::NotFound);
        }
        let user = Self::find(db, id).await?.ok_or(Error::NotFound)?;
        if user.admin && !Self::has_other_admin(db, id).await? {
            return Ok(false);
        }
        // The version before does not know `deleted_at`; to it this is an account that was never activated.
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

    /// Makes somebody an admin, or an ordinary person again. `false`: that is the last admin, who stays one.
    pub async fn set_admin(db: &mut Conn, id: i64, admin: bool) -> Result<bool> {
        if !admin && !Self::has_other_admin(db, id).await? {
            return Ok(false);
        }
        execute!(db, "UPDATE users SET admin = ? WHERE id = ? AND deleted_at IS NULL", admin, id)?;
        Ok(true)
    }

    /// Whether there is an admin besides this one. Holds the others until the transaction ends, so that two requests
    /// cannot each take the other's admin for the one who stays; an UPDATE because a SELECT would see a past state.
    async fn has_other_admin(db: &mut Conn, id: i64) -> Result<bool> {
        let others =
            execute!(db, "UPDATE users SET updated_at = updated_at WHERE admin = TRUE AND id <> ?", id)?;
        Ok(others.rows > 0)
    }

    /// Whether this is the same person.
    pub fn is(&self, id: i64) -> bool {
        self.id == id
    }
}
