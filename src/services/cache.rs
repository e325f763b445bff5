//! Answers that are kept for a while: lazy loading (asked for, missing, loaded, kept) and write-through (changed, kept
//! anew). In Redis, shared by all instances; in the process where there is none or it is away. Nothing here may decide
//! what somebody may do: it can be as old as its time to live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::redis::{PREFIX, Redis};
use super::single_flight::SingleFlight;
use crate::error::{Error, Result};

/// Answers held in the process; a full cache is emptied.
const CAPACITY: usize = 10_000;

/// The cache. Clones share it.
#[derive(Clone, Default)]
pub struct Cache {
    redis: Option<Redis>,
    here: Arc<Mutex<HashMap<String, (Instant, String)>>>,
    flights: SingleFlight,
}

impl Cache {
    /// Kept in Redis if there is one, else in the process.
    pub fn new(redis: Option<Redis>) -> Cache {
        Cache { redis, ..Cache::default() }
    }

    /// The answer under this key; if it is missing it is loaded and kept for `ttl`.
    ///
    /// # Errors
    /// What the loading says. A store that is away is no error: what it does not know is loaded.
    pub async fn get_or_load<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        ttl: Duration,
        load: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(found) = self.get(key).await {
            return Ok(found);
        }
        // On the heap: it is rarely run, and would make every page's future as large as its queries' together.
        let load = Box::pin(async {
            // Somebody may have loaded it meanwhile.
            if let Some(found) = self.get(key).await {
                return Ok(found);
            }
            let loaded = load().await?;
            self.put(key, ttl, &loaded).await?;
            Ok(loaded)
        });
        self.flights.run(key, load).await
    }

    /// Keeps an answer that has just changed (write-through); call it after the transaction.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub async fn put<T: Serialize>(&self, key: &str, ttl: Duration, value: &T) -> Result<()> {
        let json = serde_json::to_string(value).map_err(Error::internal)?;
        if let Some(redis) = &self.redis {
            let mut set = redis::pipe();
            set.set_ex(name(key), &json, ttl.as_secs().max(1)).ignore();
            if redis.run::<()>(&set).await.is_ok() {
                return Ok(());
            }
        }
        let mut here = self.lock();
        if here.len() >= CAPACITY {
            here.clear();
        }
        here.insert(key.to_owned(), (Instant::now() + ttl, json));
        Ok(())
    }

    /// Drops an answer that is no longer true.
    pub async fn forget(&self, key: &str) {
        self.lock().remove(key);
        if let Some(redis) = &self.redis {
            let mut delete = redis::pipe();
            delete.del(name(key)).ignore();
            // Away: it is forgotten at the end of its time.
            let _ = redis.run::<()>(&delete).await;
        }
    }

    /// The answer under this key. `None` also when the store is away and the process does not know it.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        // What another version wrote may look otherwise: then it is missing.
        serde_json::from_str(&self.read(key).await?).ok()
    }

    async fn read(&self, key: &str) -> Option<String> {
        if let Some(redis) = &self.redis {
            let mut get = redis::pipe();
            get.get(name(key));
            if let Ok((found,)) = redis.run(&get).await {
                return found;
            }
        }
        self.get_here(key)
    }

    fn get_here(&self, key: &str) -> Option<String> {
        let here = self.lock();
        here.get(key).filter(|(until, _)| Instant::now() < *until).map(|(_, json)| json.clone())
    }

    /// A panic elsewhere leaves the map whole: each change of it is one call.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, String)>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(key: &str) -> String {
    format!("{PREFIX}cache:{key}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn of_many_that_miss_at_once_one_loads() {
        let (cache, loads) = (Cache::default(), AtomicUsize::new(0));
        let load = async || {
            loads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(7)
        };
        let asking = (0..50).map(|_| cache.get_or_load("key", TTL, load));
        let found = futures_util::future::join_all(asking).await;
        assert!(found.into_iter().all(|found| found.unwrap() == 7));
        assert_eq!(loads.load(Ordering::Relaxed), 1);
        assert!(cache.flights.is_idle(), "nothing is left of it");
    }

    #[tokio::test]
    async fn a_load_that_fails_or_is_dropped_leaves_the_next_one_its_turn() {
        let cache = Cache::default();
        let failing = cache.get_or_load::<i64>("key", TTL, async || Err(Error::NotFound)).await;
        assert!(failing.is_err());
        let hanging = cache.get_or_load::<i64>("key", TTL, async || std::future::pending().await);
        assert!(tokio::time::timeout(Duration::from_millis(5), hanging).await.is_err());
        assert_eq!(cache.get_or_load("key", TTL, async || Ok(1)).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn what_was_put_is_found_until_it_is_forgotten_or_over() {
        let cache = Cache::default();
        cache.put("key", TTL, &1).await.unwrap();
        assert_eq!(cache.get_or_load("key", TTL, async || Ok(2)).await.unwrap(), 1);
        cache.forget("key").await;
        assert_eq!(cache.get_or_load("key", Duration::ZERO, async || Ok(2)).await.unwrap(), 2);
        assert_eq!(cache.get_or_load("key", TTL, async || Ok(3)).await.unwrap(), 3);
        // Written by another version.
        cache.put("key", TTL, &"text").await.unwrap();
        assert_eq!(cache.get_or_load("key", TTL, async || Ok(4)).await.unwrap(), 4);
    }
}
