//! Requests that were answered, counted by route and status: for /metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram, in milliseconds.
pub const BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000];

/// Answers of one route with one status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// How many there were.
    pub count: u64,
    /// The time that they took together.
    pub total: Duration,
    /// How many took at most as long as the bound in the same place says.
    pub within: [u64; BOUNDS.len()],
}

/// The counters. Clones share them.
#[derive(Clone, Default)]
pub struct RequestMetrics(Arc<Mutex<BTreeMap<(String, u16), Answers>>>);

impl RequestMetrics {
    /// Counts an answer. Routes are patterns, so there are only so many; what has none counts as one.
    pub fn record(&self, route: Option<&str>, status: u16, took: Duration) {
        let mut counters = self.lock();
        let answers = counters.entry((route.unwrap_or("none").to_owned(), status)).or_default();
        answers.count += 1;
        answers.total += took;
        for (bound, within) in BOUNDS.into_iter().zip(&mut answers.within) {
            *within += u64::from(took <= Duration::from_millis(bound));
        }
    }

    /// Everything counted so far, by route and status.
    pub fn snapshot(&self) -> BTreeMap<(String, u16), Answers> {
        self.lock().clone()
    }

    /// A panic elsewhere leaves figures that are off by one at worst.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u16), Answers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
