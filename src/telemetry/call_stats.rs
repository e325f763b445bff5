//! Statistics of the calls to a service, for the page /stack and the metrics.

use std::collections::VecDeque;
use std::fmt::Display;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Time covered by one point of the plot.
pub const BUCKET_LENGTH: Duration = Duration::from_secs(5);
/// Points of the plot; together five minutes.
pub const BUCKET_COUNT: usize = 60;
/// Maximum length of a stored error message, in characters.
const MAX_ERROR_CHARS: usize = 300;

/// Records every call to one service. Clones share the record.
#[derive(Clone)]
pub struct CallStats(Arc<Mutex<Record>>);

/// The calls that ended during one bucket of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub answered: u32,
    pub failed: u32,
    /// The longest call, successful or failed.
    pub slowest: Duration,
}

/// The statistics of a service at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Duration of the last call, `Err` if it failed; `None` before the first call.
    pub last: Option<Result<Duration, ()>>,
    /// Time since the last call ended.
    pub last_ended: Option<Duration>,
    /// The last error message and the time since then.
    pub last_error: Option<(String, Duration)>,
    /// Oldest first; always [`BUCKET_COUNT`] of them. The last one is not complete yet.
    pub buckets: Vec<Bucket>,
    /// Successful and failed calls since the program started.
    pub totals: (u64, u64),
}

struct Record {
    last: Option<Result<Duration, ()>>,
    last_ended: Option<Instant>,
    last_error: Option<(String, Instant)>,
    /// Newest last; never empty.
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
    /// Awaits a call to the service and records its duration and error.
    pub async fn observe<T, E: Display>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let start = Instant::now();
        let answer = call.await;
        self.record(start.elapsed(), answer.as_ref().err());
        answer
    }

    /// Records a call that has ended.
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
                let text = error.to_string().chars().take(MAX_ERROR_CHARS).collect();
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

    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let mut record = self.lock();
        record.advance(now);
        let missing = BUCKET_COUNT - record.buckets.len();
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

    /// Ignores poisoning: after a panic the numbers are off by one at worst.
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// Appends the buckets that have begun since the newest one.
    fn advance(&mut self, now: Instant) {
        let passed = (now - self.newest_began).as_secs() / BUCKET_LENGTH.as_secs();
        for _ in 0..passed.min(BUCKET_COUNT as u64) {
            if self.buckets.len() == BUCKET_COUNT {
                self.buckets.pop_front();
            }
            self.buckets.push_back(Bucket::default());
        }
        self.newest_began += BUCKET_LENGTH * u32::try_from(passed).unwrap_or(u32::MAX);
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
        let snapshot = call_stats.snapshot();
        assert_eq!(
            (snapshot.last, snapshot.totals, snapshot.buckets.len()),
            (Some(Err(())), (2, 1), BUCKET_COUNT)
        );
        assert_eq!(snapshot.last_error.unwrap().0.len(), MAX_ERROR_CHARS);
        let seen = Bucket { answered: 2, failed: 1, slowest: Duration::from_millis(7) };
        assert_eq!(snapshot.buckets.last(), Some(&seen));
    }

    #[test]
    fn forgets_what_is_older_than_the_plot() {
        let call_stats = CallStats::default();
        call_stats.record(Duration::from_millis(7), None::<&String>);
        call_stats.lock().newest_began -= BUCKET_LENGTH * 3;
        let snapshot = call_stats.snapshot();
        assert_eq!(
            (snapshot.buckets[BUCKET_COUNT - 4].answered, snapshot.buckets[BUCKET_COUNT - 1].answered),
            (1, 0)
        );
        call_stats.lock().newest_began -= BUCKET_LENGTH * 1000;
        assert!(call_stats.snapshot().buckets.iter().all(|bucket| *bucket == Bucket::default()));
        assert_eq!(call_stats.snapshot().totals, (1, 0));
    }
}
