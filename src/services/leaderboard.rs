//! Members ranked by score: a sorted set in Redis, or a map in process memory. The database is the source of truth: a
//! missing list is rebuilt from it, and every list expires, so missed updates heal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::redis::{PREFIX, Redis};
use super::single_flight::SingleFlight;
use crate::error::Result;

/// Number of members to rebuild a list with. More than are shown, so that the list stays long enough if some are
/// removed.
pub const MEMBERS: i64 = 100;
/// Lifetime of a list; then it is rebuilt.
const TTL: Duration = Duration::from_secs(10 * 60);

/// Updates a score only if the list exists. Otherwise ZADD would create a list with one member.
const RECORD: &str =
    "if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]) end";

/// Clones share the list.
#[derive(Clone)]
pub struct Leaderboard {
    key: String,
    redis: Option<Redis>,
    here: Arc<Mutex<Option<List>>>,
    flights: SingleFlight,
}

struct List {
    until: Instant,
    scores: HashMap<i64, i64>,
}

impl Leaderboard {
    /// Stores the list in Redis if given, else in process memory.
    pub fn new(name: &str, redis: Option<Redis>) -> Leaderboard {
        let key = format!("{PREFIX}leaderboard:{name}");
        Leaderboard { key, redis, here: Arc::default(), flights: SingleFlight::default() }
    }

    /// The first `count` members and their scores, highest first. Rebuilds a missing list.
    ///
    /// # Errors
    /// Those of `rebuild`.
    pub async fn first(
        &self,
        count: usize,
        rebuild: impl AsyncFnOnce() -> Result<Vec<(i64, i64)>>,
    ) -> Result<Vec<(i64, i64)>> {
        if let Some(first) = self.look(count).await {
            return Ok(first);
        }
        // Boxed for the same reason as in cache.rs.
        let rebuild = Box::pin(async {
            if let Some(first) = self.look(count).await {
                return Ok(first);
            }
            let mut members = rebuild().await?;
            self.keep(&members).await;
            members.truncate(count);
            Ok(members)
        });
        self.flights.run(&self.key, rebuild).await
    }

    /// Updates a member's score. Call it after the transaction has committed.
    pub async fn record(&self, member: i64, score: i64) {
        if let Some(list) = self.lock().as_mut() {
            list.scores.insert(member, score);
        }
        let mut record = redis::pipe();
        record.cmd("EVAL").arg(RECORD).arg(1).arg(&self.key).arg(score).arg(member).ignore();
        self.tell(&record).await;
    }

    /// Lowers a member's score by 1, for callers that do not know the new score. Call it after the transaction has
    /// committed. The score may be off by one if the list was rebuilt in between, updates arrive in another order or
    /// Redis loses the reply; that heals when the list expires.
    pub async fn decrement(&self, member: i64) {
        if let Some(score) = self.lock().as_mut().and_then(|list| list.scores.get_mut(&member)) {
            *score -= 1;
        }
        let mut decrement = redis::pipe();
        // XX: only a member of the list.
        decrement.cmd("ZADD").arg(&self.key).arg("XX").arg("INCR").arg(-1).arg(member).ignore();
        self.tell(&decrement).await;
    }

    pub async fn remove(&self, member: i64) {
        if let Some(list) = self.lock().as_mut() {
            list.scores.remove(&member);
        }
        let mut remove = redis::pipe();
        remove.zrem(&self.key, member).ignore();
        self.tell(&remove).await;
    }

    async fn look(&self, count: usize) -> Option<Vec<(i64, i64)>> {
        let Some(redis) = &self.redis else { return self.look_here(count) };
        let mut look = redis::pipe();
        look.zrevrange_withscores(&self.key, 0, isize::try_from(count).ok()? - 1);
        match redis.run::<(Vec<(i64, f64)>,)>(&look).await {
            // Redis deletes empty sets, so an empty result means that the list is missing.
            Ok((first,)) if first.is_empty() => None,
            Ok((first,)) => Some(first.into_iter().map(|(member, score)| (member, score as i64)).collect()),
            Err(_) => self.look_here(count),
        }
    }

    fn look_here(&self, count: usize) -> Option<Vec<(i64, i64)>> {
        let here = self.lock();
        let list = here.as_ref().filter(|list| Instant::now() < list.until)?;
        let mut first: Vec<_> = list.scores.iter().map(|(member, score)| (*member, *score)).collect();
        first.sort_unstable_by_key(|(member, score)| std::cmp::Reverse((*score, *member)));
        first.truncate(count);
        Some(first)
    }

    async fn keep(&self, members: &[(i64, i64)]) {
        let list = List { until: Instant::now() + TTL, scores: members.iter().copied().collect() };
        *self.lock() = Some(list);
        if members.is_empty() {
            return;
        }
        let scores: Vec<_> = members.iter().map(|(member, score)| (*score, *member)).collect();
        let mut keep = redis::pipe();
        keep.atomic().del(&self.key).ignore().zadd_multiple(&self.key, &scores).ignore();
        keep.expire(&self.key, TTL.as_secs().cast_signed()).ignore();
        self.tell(&keep).await;
    }

    /// Ignores poisoning: each change of the list is a single call, so a panic leaves it consistent.
    fn lock(&self) -> MutexGuard<'_, Option<List>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ignores errors: a lost update heals when the list expires.
    async fn tell(&self, commands: &redis::Pipeline) {
        if let Some(redis) = &self.redis {
            let _ = redis.run::<()>(commands).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_built_once_and_follows_what_is_noted() {
        let board = Leaderboard::new("test", None);
        board.record(1, 100).await;
        let built = board.first(2, async || Ok(vec![(3, 5), (2, 4), (1, 3)])).await.unwrap();
        assert_eq!(built, [(3, 5), (2, 4)], "what was noted before there was a list is in the database");
        let never = async || panic!("it is there");
        board.record(1, 6).await;
        assert_eq!(board.first(2, never).await.unwrap(), [(1, 6), (3, 5)]);
        board.decrement(3).await;
        board.decrement(9).await;
        board.remove(1).await;
        assert_eq!(
            board.first(3, never).await.unwrap(),
            [(3, 4), (2, 4)],
            "latest member first among equals"
        );
    }
}
