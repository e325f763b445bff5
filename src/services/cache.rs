//! A cache with lazy loading (cache-aside) and write-through. Redis shares it among all instances; process memory
//! replaces Redis if there is none or it is down. Never base authorization on it: a value can be stale for its whole
//! time to live.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::redis::{PREFIX, Redis};
use super::single_flight::SingleFlight;
use crate::error::{Error, Result};

/// Maximum number of entries in process memory. A full cache is emptied.
const CAPACITY: usize = 10_000;

/// Clones share the cache.
#[derive(Clone, Default)]
pub struct Cache {
    redis: Option<Redis>,
    here: Arc<Mutex<HashMap<String, (Instant, String)>>>,
    flights: SingleFlight,
}

impl Cache {
    /// Stores entries in Redis if given, else in process memory.
    pub fn new(redis: Option<Redis>) -> Cache {
        Cache { redis, ..Cache::default() }
    }

    /// The cached value, else the result of `load`, which is then cached for `ttl`.
    ///
    /// # Errors
    /// Those of `load`. If Redis is down, that is not an error but a miss.
    pub async fn get_or_load<T: Serialize + DeserializeOwned>(
        &self,
        key: &str,
        ttl: Duration,
        load: impl AsyncFnOnce() -> Result<T>,
    ) -> Result<T> {
        if let Some(found) = self.get(key).await {
            return Ok(found);
        }
        // Boxed, because it rarely runs: otherwise every page's future would reserve space for all its queries.
        let load = Box::pin(async {
            // Another request may have loaded it meanwhile.
            if let Some(found) = self.get(key).await {
                return Ok(found);
            }
            let loaded = load().await?;
            self.put(key, ttl, &loaded).await?;
            Ok(loaded)
        });
        self.flights.run(key, load).await
    }

    /// Caches a value that has just changed (write-through). Call it after the transaction has committed.
    ///
    /// # Errors
    /// When the value cannot be serialized to JSON.
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

    /// Removes a stale entry.
    pub async fn forget(&self, key: &str) {
        self.lock().remove(key);
        if let Some(redis) = &self.redis {
            let mut delete = redis::pipe();
            delete.del(name(key)).ignore();
            // If Redis is down, the entry stays until it expires.
            let _ = redis.run::<()>(&delete).await;
        }
    }

    /// The cached value. If Redis is down, looks in process memory only.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        // Another version may have written another format; that counts as a miss.
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

    /// Ignores poisoning: each change of the map is a single call, so a panic leaves it consistent.
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
