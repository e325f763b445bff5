//! One task per key at a time: if many tasks need the same value, one fetches it and the others wait. moka does this
//! too, and adds eight crates for the three small maps of this program.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Locks = HashMap<String, Arc<tokio::sync::Mutex<()>>>;

/// The keys with running work on this instance. Clones share them.
#[derive(Clone, Default)]
pub struct SingleFlight(Arc<Mutex<Locks>>);

impl SingleFlight {
    /// Runs `work` once no other work for `key` is running.
    pub async fn run<T>(&self, key: &str, work: impl Future<Output = T>) -> T {
        let lock = self.locks().entry(key.to_owned()).or_default().clone();
        let result = {
            let _guard = lock.lock().await;
            work.await
        };
        let mut locks = self.locks();
        // Only the map and this call hold a reference, so no other task is waiting.
        if Arc::strong_count(&lock) == 2 {
            locks.remove(key);
        }
        result
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.locks().is_empty()
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
