//! How tests wait for an effect that comes later: they look again and again, until a time limit.

use std::time::{Duration, Instant};

/// Longer than anything here takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until this holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    wait_for(async move || holds().await.then_some(()).ok_or_else(|| format!("never: {what}")))
}

/// Waits until there is a value, and returns it. An error describes the current state; the test fails with the last one.
#[track_caller]
pub fn wait_for<T>(attempt: impl AsyncFnMut() -> Result<T, String>) -> impl Future<Output = T> {
    wait_up_to(PATIENCE, attempt)
}

/// The same with another time limit.
#[track_caller]
pub fn wait_up_to<T>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let check = checker(limit);
    async move {
        loop {
            match check(attempt().await) {
                Some(value) => return value,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// As [`wait_for`], where nothing is async.
#[track_caller]
pub fn wait_blocking<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let check = checker(PATIENCE);
    loop {
        match check(attempt()) {
            Some(value) => return value,
            None => std::thread::sleep(PAUSE),
        }
    }
}

/// Reads the clock after the attempt: there is always one, even after a stall that takes all of the time.
#[track_caller]
fn checker<T>(limit: Duration) -> impl Fn(Result<T, String>) -> Option<T> {
    let (start, caller) = (Instant::now(), std::panic::Location::caller());
    move |attempt| match attempt {
        Ok(value) => Some(value),
        Err(_) if start.elapsed() < limit => None,
        Err(state) => panic!("{caller}, after {limit:?}: {state}"),
    }
}
