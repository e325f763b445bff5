//! Response counts and durations by route and status, for /metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram, in milliseconds.
pub const BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000];

/// Responses of one route with one status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub count: u64,
    /// Sum of their durations.
    pub total: Duration,
    /// Number of responses within each of [`BOUNDS`], cumulative.
    pub within: [u64; BOUNDS.len()],
}

/// The counters. Clones share them.
#[derive(Clone, Default)]
pub struct RequestMetrics(Arc<Mutex<BTreeMap<(String, u16), Answers>>>);

impl RequestMetrics {
    /// Counts a response. Routes are patterns, so their number is bounded; requests without one count as "none".
    pub fn record(&self, route: Option<&str>, status: u16, took: Duration) {
        let mut counters = self.lock();
        let answers = counters.entry((route.unwrap_or("none").to_owned(), status)).or_default();
        answers.count += 1;
        answers.total += took;
        for (bound, within) in BOUNDS.into_iter().zip(&mut answers.within) {
            *within += u64::from(took <= Duration::from_millis(bound));
        }
    }

    /// All counters, by route and status.
    pub fn snapshot(&self) -> BTreeMap<(String, u16), Answers> {
        self.lock().clone()
    }

    /// Ignores poisoning: after a panic the numbers are off by one at worst.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, u16), Answers>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
