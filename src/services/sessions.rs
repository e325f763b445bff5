//! Sessions of people who are logged in. Nobody else has one: a visitor costs nothing.
//!
//! All sessions of a person end at once by their `sign_in_epoch` (models/user.rs), which the database keeps: that works
//! while Redis is away, too, and no list of sessions can miss one.

mod memory;
mod redis;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::memory::MemorySessions;
use super::redis::Redis;
use crate::error::Result;
use crate::models::values::token::{Digest, Token};
use crate::telemetry::call_stats::CallStats;

/// A session ends when it was not used for so long.
pub const IDLE_LIFETIME: TimeDelta = TimeDelta::hours(2);
/// A session ends so long after its log-in, used or not.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who is logged in.
    pub user_id: i64,
    /// The person's epoch at log-in (models/user.rs); the session is over when theirs moved on.
    pub epoch: i64,
}

/// The store of sessions. Clones share it.
#[derive(Clone)]
pub struct Sessions {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// In the process: for development and a single instance; a restart ends all sessions.
    Memory(MemorySessions),
    /// In Redis: shared by all instances.
    Redis(Redis),
}

impl Sessions {
    /// In Redis if there is one, else in the process.
    pub fn new(redis: Option<Redis>) -> Sessions {
        let backend = redis.map_or_else(|| Backend::Memory(MemorySessions::default()), Backend::Redis);
        Sessions { backend }
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Memory(_) => "in the process",
            Backend::Redis(_) => "Redis",
        }
    }

    /// How it is doing.
    pub fn call_stats(&self) -> &CallStats {
        match &self.backend {
            Backend::Memory(sessions) => &sessions.call_stats,
            Backend::Redis(redis) => redis.call_stats(),
        }
    }

    /// Where it is, without user and password.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Memory(_) => "in the process".to_owned(),
            Backend::Redis(redis) => redis.address(),
        }
    }

    /// Asks whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<()> {
        match &self.backend {
            Backend::Memory(sessions) => {
                sessions.call_stats.note(Duration::ZERO, None::<&String>);
                Ok(())
            }
            Backend::Redis(redis) => redis.ping().await,
        }
    }

    /// Starts a session under a new id, which goes into the cookie; only its digest is kept.
    pub async fn start(&self, session: Session, now: DateTime<Utc>) -> Result<Token> {
        let id = Token::random()?;
        match &self.backend {
            Backend::Memory(sessions) => sessions.start(id.digest(), session, now),
            Backend::Redis(redis) => redis::start(redis, &id.digest(), &session, now).await?,
        }
        Ok(id)
    }

    /// Finds the session with this id, if its time is not over, and notes that it was used.
    pub async fn find(&self, id: &str, now: DateTime<Utc>) -> Result<Option<Session>> {
        let digest = Digest::of(id);
        match &self.backend {
            Backend::Memory(sessions) => Ok(sessions.find(&digest, now)),
            Backend::Redis(redis) => redis::find(redis, &digest, now).await,
        }
    }

    /// Ends the session with this id.
    pub async fn end(&self, id: &str) -> Result<()> {
        match &self.backend {
            Backend::Memory(sessions) => sessions.end(&Digest::of(id)),
            Backend::Redis(redis) => redis::end(redis, &Digest::of(id)).await?,
        }
        Ok(())
    }
}
