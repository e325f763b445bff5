//! How a service is doing, as its own calls tell: what the page /stack and the metrics show.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One point of the plot stands for so long.
pub const BUCKET: Duration = Duration::from_secs(5);
/// Points of the plot: five minutes.
pub const BUCKETS: usize = 60;
/// Characters kept of an error.
const MOST_TEXT: usize = 300;

/// Takes down every call to one service. Clones share it.
#[derive(Clone)]
pub struct CallStats(Arc<Mutex<Record>>);

/// What one bucket saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Calls that were answered.
    pub answered: u32,
    /// Calls that failed.
    pub failed: u32,
    /// The slowest answer.
    pub slowest: Duration,
}

/// How a service is doing at this moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Whether the last call was answered, and how fast; nothing when there was no call yet.
    pub last: Option<Result<Duration, ()>>,
    /// How long ago the last call ended.
    pub last_ended: Option<Duration>,
    /// What the last failure said, and how long ago that was.
    pub last_error: Option<(String, Duration)>,
    /// The last minutes, oldest first; always [`BUCKETS`] of them, the last one still running.
    pub buckets: Vec<Bucket>,
    /// Calls answered and calls failed since the start.
    pub totals: (u64, u64),
}

struct Record {
    last: Option<Result<Duration, ()>>,
    last_ended: Option<Instant>,
    last_error: Option<(String, Instant)>,
    /// Never empty; the newest is at the end.
    buckets: VecDeque<Bucket>,
    newest_began: Instant,
    totals: (u64, u64),
}

impl Default for CallStats {
    fn default() -> CallStats {
        CallStats(Arc::new(Mutex::new(Record {
            last: None,
            last_ended: None,
            last_error: None,
            buckets: VecDeque::from([Bucket::default()]),
            newest_began: Instant::now(),
            totals: (0, 0),
        })))
    }
}

impl CallStats {
    /// Waits for a call to the service and takes down how long it took and whether it failed.
    pub async fn observe<T, E: Display>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let start = Instant::now();
        let answer = call.await;
        self.record(start.elapsed(), answer.as_ref().err());
        answer
    }

    /// Takes down a call that took so long and, perhaps, failed.
    pub fn record(&self, took: Duration, error: Option<&impl Display>) {
        let now = Instant::now();
        let mut record = self.lock();
        record.advance(now);
        record.last_ended = Some(now);
        match error {
            None => {
                record.last = Some(Ok(took));
                record.totals.0 += 1;
            }
            Some(error) => {
                let text = error.to_string().chars().take(MOST_TEXT).collect();
                record.last = Some(Err(()));
                record.last_error = Some((text, now));
                record.totals.1 += 1;
            }
        }
        if let Some(bucket) = record.buckets.back_mut() {
            match error {
                None => bucket.answered += 1,
                Some(_) => bucket.failed += 1,
            }
            bucket.slowest = bucket.slowest.max(took);
        }
    }

    /// How the service is doing.
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut record = self.lock();
        record.advance(now);
        let missing = BUCKETS - record.buckets.len();
        Snapshot {
            last: record.last,
            last_ended: record.last_ended.map(|at| now - at),
            last_error: record.last_error.clone().map(|(text, at)| (text, now - at)),
            buckets: std::iter::repeat_n(Bucket::default(), missing)
                .chain(record.buckets.iter().copied())
                .collect(),
            totals: record.totals,
        }
    }

    /// A panic elsewhere leaves figures that are off by one at worst.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Adds the buckets that have begun since the newest one.
    fn advance(&mut self, now: Instant) {
        let passed = (now - self.newest_began).as_secs() / BUCKET.as_secs();
        for _ in 0..passed.min(BUCKETS as u64) {
            if self.buckets.len() == BUCKETS {
                self.buckets.pop_front();
            }
            self.buckets.push_back(Bucket::default());
        }
        self.newest_began += BUCKET * u32::try_from(passed).unwrap_or(u32::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_down_answers_and_failures() {
        let call_stats = CallStats::default();
        assert_eq!(call_stats.snapshot().last, None);
        call_stats.record(Duration::from_millis(7), None::<&String>);
        call_stats.record(Duration::from_millis(3), None::<&String>);
        call_stats.record(Duration::from_millis(1), Some(&"x".repeat(1000)));
        let pulse = call_stats.snapshot();
        assert_eq!((pulse.last, pulse.totals, pulse.buckets.len()), (Some(Err(())), (2, 1), BUCKETS));
        assert_eq!(pulse.last_error.unwrap().0.len(), MOST_TEXT);
        let seen = Bucket { answered: 2, failed: 1, slowest: Duration::from_millis(7) };
        assert_eq!(pulse.buckets.last(), Some(&seen));
    }

    #[test]
    fn forgets_what_is_older_than_the_plot() {
        let call_stats = CallStats::default();
        call_stats.record(Duration::from_millis(7), None::<&String>);
        call_stats.lock().newest_began -= BUCKET * 3;
        let pulse = call_stats.snapshot();
        assert_eq!((pulse.buckets[BUCKETS - 4].answered, pulse.buckets[BUCKETS - 1].answered), (1, 0));
        call_stats.lock().newest_began -= BUCKET * 1000;
        assert!(call_stats.snapshot().buckets.iter().all(|bucket| *bucket == Bucket::default()));
        assert_eq!(call_stats.snapshot().totals, (1, 0));
    }
}
