//! Sessions of logged-in users. Anonymous visitors have no session.
//!
//! All sessions of a user end at once when `users.sign_in_epoch` is incremented (models/user.rs). That works while Redis
//! is down, too, and needs no list of sessions that could miss one.

mod memory;
mod redis;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use self::memory::MemorySessions;
use super::redis::Redis;
use crate::error::Result;
use crate::models::values::token::{Digest, Token};
use crate::telemetry::call_stats::CallStats;

/// A session ends when it is unused for this time.
pub const IDLE_LIFETIME: TimeDelta = TimeDelta::hours(2);
/// A session ends this time after the log-in, used or not.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub user_id: i64,
    /// The user's `sign_in_epoch` at log-in. The session is invalid once the user's value differs.
    pub epoch: i64,
}

/// The secret of a session and the user's id: `TOKEN.USER_ID`. The store knows the digest of both, so nobody can put
/// another user's id there.
pub struct SessionId(String);

impl SessionId {
    fn new(user_id: i64) -> Result<SessionId> {
        Ok(SessionId(format!("{}.{user_id}", Token::random()?.expose())))
    }

    /// For the cookie.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The user whose session a received id is, if there is such a session.
    pub fn user_id(received: &str) -> Option<i64> {
        let (token, user_id) = received.split_once('.')?;
        Token::is_like(token).then(|| user_id.parse().ok())?
    }
}

/// The session store. Clones share it.
#[derive(Clone)]
pub struct Sessions {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// In process memory, for development and a single instance. A restart ends all sessions.
    Memory(MemorySessions),
    /// Shared by all instances.
    Redis(Redis),
}

impl Sessions {
    /// Stores sessions in Redis if given, else in process memory.
    pub fn new(redis: Option<Redis>) -> Sessions {
        let backend = redis.map_or_else(|| Backend::Memory(MemorySessions::default()), Backend::Redis);
        Sessions { backend }
    }

    /// The backend, for people.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Memory(_) => "in the process",
            Backend::Redis(_) => "Redis",
        }
    }

    pub fn call_stats(&self) -> &CallStats {
        match &self.backend {
            Backend::Memory(sessions) => &sessions.call_stats,
            Backend::Redis(redis) => redis.call_stats(),
        }
    }

    /// The location, without user name and password.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Memory(_) => "in the process".to_owned(),
            Backend::Redis(redis) => redis.address(),
        }
    }

    /// Health check.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn ping(&self) -> Result<()> {
        match &self.backend {
            Backend::Memory(sessions) => {
                sessions.call_stats.record(Duration::ZERO, None::<&String>);
                Ok(())
            }
            Backend::Redis(redis) => redis.ping().await,
        }
    }

    /// Starts a session and returns its new id. Only a digest of the id is stored.
    pub async fn start(&self, session: Session, now: DateTime<Utc>) -> Result<SessionId> {
        let id = SessionId::new(session.user_id)?;
        let digest = Digest::of(id.expose());
        match &self.backend {
            Backend::Memory(sessions) => sessions.start(digest, session, now),
            Backend::Redis(redis) => redis::start(redis, &digest, &session, now).await?,
        }
        Ok(id)
    }

    /// Finds the session with this id unless it has expired, and restarts its idle time.
    pub async fn find(&self, id: &str, now: DateTime<Utc>) -> Result<Option<Session>> {
        let digest = Digest::of(id);
        match &self.backend {
            Backend::Memory(sessions) => Ok(sessions.find(&digest, now)),
            Backend::Redis(redis) => redis::find(redis, &digest, now).await,
        }
    }

    pub async fn end(&self, id: &str) -> Result<()> {
        match &self.backend {
            Backend::Memory(sessions) => sessions.end(&Digest::of(id)),
            Backend::Redis(redis) => redis::end(redis, &Digest::of(id)).await?,
        }
        Ok(())
    }
}
