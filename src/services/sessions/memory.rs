//! Sessions in process memory, with a bounded number.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::{IDLE_LIFETIME, LIFETIME, Session};
use crate::models::values::token::Digest;
use crate::telemetry::call_stats::CallStats;

/// Maximum number of sessions, about 150 bytes each.
const CAPACITY: usize = 100_000;

struct Entry {
    session: Session,
    started_at: DateTime<Utc>,
    used_at: DateTime<Utc>,
}

#[derive(Clone, Default)]
pub(super) struct MemorySessions {
    entries: Arc<Mutex<HashMap<Digest, Entry>>>,
    pub(super) call_stats: CallStats,
}

impl MemorySessions {
    pub(super) fn start(&self, digest: Digest, session: Session, now: DateTime<Utc>) {
        let mut entries = self.lock();
        if entries.len() >= CAPACITY {
            make_room(&mut entries, now);
        }
        entries.insert(digest, Entry { session, started_at: now, used_at: now });
    }

    pub(super) fn find(&self, digest: &Digest, now: DateTime<Utc>) -> Option<Session> {
        let mut entries = self.lock();
        match entries.get_mut(digest) {
            Some(entry) if entry.is_alive(now) => {
                entry.used_at = now;
                Some(entry.session.clone())
            }
            Some(_) => {
                entries.remove(digest);
                None
            }
            None => None,
        }
    }

    pub(super) fn end(&self, digest: &Digest) {
        self.lock().remove(digest);
    }

    /// Ignores poisoning: each change of the map is a single call, so a panic leaves it consistent.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn is_alive(&self, now: DateTime<Utc>) -> bool {
        now < self.used_at + IDLE_LIFETIME && now < self.started_at + LIFETIME
    }
}

/// Drops expired sessions. If that is not enough, drops the least recently used half.
fn make_room(entries: &mut HashMap<Digest, Entry>, now: DateTime<Utc>) {
    entries.retain(|_, entry| entry.is_alive(now));
    if entries.len() >= CAPACITY {
        let mut used: Vec<_> = entries.values().map(|entry| entry.used_at).collect();
        let (_, median, _) = used.select_nth_unstable(CAPACITY / 2);
        let median = *median;
        entries.retain(|_, entry| entry.used_at > median);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::models::values::token::Token;

    const ANNA: Session = Session { user_id: 1, epoch: 0 };

    fn started(sessions: &MemorySessions, now: DateTime<Utc>) -> Digest {
        let digest = Token::random().unwrap().digest();
        sessions.start(digest, ANNA, now);
        digest
    }

    #[test]
    fn ends_after_idling_and_after_its_whole_life() {
        let (sessions, start) = (MemorySessions::default(), Utc::now());
        let idle = started(&sessions, start);
        let almost = start + IDLE_LIFETIME - TimeDelta::seconds(1);
        assert_eq!(sessions.find(&idle, almost), Some(ANNA));
        assert_eq!(sessions.find(&idle, almost + IDLE_LIFETIME), None);

        let busy = started(&sessions, start);
        for hour in 1..24 {
            assert_eq!(sessions.find(&busy, start + TimeDelta::hours(hour)), Some(ANNA));
        }
        assert_eq!(sessions.find(&busy, start + LIFETIME), None);
    }

    #[test]
    fn stays_within_its_capacity() {
        let (sessions, start) = (MemorySessions::default(), Utc::now());
        for n in 0..CAPACITY as i64 + 10 {
            started(&sessions, start + TimeDelta::milliseconds(n));
        }
        assert!(sessions.lock().len() < CAPACITY);
    }
}
