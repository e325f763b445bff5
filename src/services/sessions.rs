//! Sessions of people who are logged in. Nobody else has one: a visitor costs nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::error::Result;
use crate::models::secret::{Digest, Secret};

/// A session ends when it was not used for so long.
pub const IDLE_LIFETIME: TimeDelta = TimeDelta::hours(2);
/// A session ends so long after its log-in, used or not.
pub const LIFETIME: TimeDelta = TimeDelta::hours(24);
/// Sessions held in the process; some 150 bytes each.
const CAPACITY: usize = 100_000;

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Who is logged in.
    pub user_id: i64,
    /// The person's epoch at log-in (models/user.rs); the session is over when theirs moved on.
    pub epoch: i64,
}

struct Entry {
    session: Session,
    started_at: DateTime<Utc>,
    used_at: DateTime<Utc>,
}

/// The store of sessions. Clones share it.
#[derive(Clone)]
pub struct Sessions {
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// In the process: for development and a single instance; a restart ends all sessions.
    Memory(Arc<Mutex<HashMap<Digest, Entry>>>),
}

impl Sessions {
    /// The store inside the process.
    pub fn in_memory() -> Sessions {
        Sessions { backend: Backend::Memory(Arc::default()) }
    }

    /// Starts a session under a new id, which goes into the cookie; only its digest is kept.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn start(&self, session: Session, now: DateTime<Utc>) -> Result<Secret> {
        let id = Secret::random()?;
        let Backend::Memory(entries) = &self.backend;
        let mut entries = lock(entries);
        if entries.len() >= CAPACITY {
            make_room(&mut entries, now);
        }
        entries.insert(id.digest(), Entry { session, started_at: now, used_at: now });
        Ok(id)
    }

    /// Finds the session with this id, if its time is not over, and notes that it was used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn find(&self, id: &str, now: DateTime<Utc>) -> Result<Option<Session>> {
        let digest = Digest::of(id);
        let Backend::Memory(entries) = &self.backend;
        let mut entries = lock(entries);
        match entries.get_mut(&digest) {
            Some(entry) if entry.is_alive(now) => {
                entry.used_at = now;
                Ok(Some(entry.session.clone()))
            }
            Some(_) => {
                entries.remove(&digest);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Ends the session with this id.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn end(&self, id: &str) -> Result<()> {
        let Backend::Memory(entries) = &self.backend;
        lock(entries).remove(&Digest::of(id));
        Ok(())
    }
}

impl Entry {
    fn is_alive(&self, now: DateTime<Utc>) -> bool {
        now < self.used_at + IDLE_LIFETIME && now < self.started_at + LIFETIME
    }
}

/// Drops what is over; if that is not enough, the half that was not used for longest.
fn make_room(entries: &mut HashMap<Digest, Entry>, now: DateTime<Utc>) {
    entries.retain(|_, entry| entry.is_alive(now));
    if entries.len() >= CAPACITY {
        let mut used: Vec<_> = entries.values().map(|entry| entry.used_at).collect();
        let (_, median, _) = used.select_nth_unstable(CAPACITY / 2);
        let median = *median;
        entries.retain(|_, entry| entry.used_at > median);
    }
}

/// A panic elsewhere leaves the map whole: each change of it is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNA: Session = Session { user_id: 1, epoch: 0 };

    #[tokio::test]
    async fn ends_after_idling_and_after_its_whole_life() {
        let sessions = Sessions::in_memory();
        let start = Utc::now();
        let idle = sessions.start(ANNA, start).await.unwrap();
        let almost = start + IDLE_LIFETIME - TimeDelta::seconds(1);
        assert_eq!(sessions.find(idle.expose(), almost).await.unwrap(), Some(ANNA));
        assert_eq!(sessions.find(idle.expose(), almost + IDLE_LIFETIME).await.unwrap(), None);

        let busy = sessions.start(ANNA, start).await.unwrap();
        for hour in 1..24 {
            assert_eq!(
                sessions.find(busy.expose(), start + TimeDelta::hours(hour)).await.unwrap(),
                Some(ANNA)
            );
        }
        assert_eq!(sessions.find(busy.expose(), start + LIFETIME).await.unwrap(), None);
    }

    #[tokio::test]
    async fn stays_within_its_capacity() {
        let sessions = Sessions::in_memory();
        let start = Utc::now();
        for n in 0..CAPACITY as i64 + 10 {
            sessions.start(ANNA, start + TimeDelta::milliseconds(n)).await.unwrap();
        }
        let Backend::Memory(entries) = &sessions.backend;
        assert!(lock(entries).len() < CAPACITY);
    }
}
