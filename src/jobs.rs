//! Background work. The transaction that causes it inserts a row, and a worker processes the row later: mails
//! (mail/outbox.rs), pictures to delete (jobs/picture_deletion.rs), and everything else in the table `jobs`
//! (jobs/job.rs).
//!
//! Every instance runs every worker. A [`Lease`] on a row makes sure that one worker has it at a time, and frees the
//! row when that worker dies.

pub mod cleanup;
pub mod job;
pub mod lease;
pub mod picture_deletion;
pub mod picture_deletion_worker;
pub mod timeline_repair;
pub mod user_deletion;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use lease::{Backoff, Lease, Queue};
use tokio::sync::{Notify, watch};

use crate::error::Result;

/// Wakes a worker that waits for its next round. Clones wake the same worker.
#[derive(Clone, Default)]
pub struct Wakeup(Arc<Signal>);

#[derive(Default)]
struct Signal {
    notify: Notify,
    now: AtomicBool,
}

impl Wakeup {
    /// Call it after the transaction that added work has committed.
    pub fn wake(&self) {
        self.0.notify.notify_one();
    }

    /// Like [`wake`](Self::wake), and ends the pause of a worker that pauses after failures.
    pub fn wake_now(&self) {
        self.0.now.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Whether [`wake_now`](Self::wake_now) was called since the last call of this method.
    pub fn take_now(&self) -> bool {
        self.0.now.swap(false, Ordering::Relaxed)
    }

    /// Waits until the next wake-up; returns at once if there was one since the last wait.
    pub async fn woken(&self) {
        self.0.notify.notified().await;
    }
}

/// Runs `round` at every wake-up, and after `interval` without one, because work may come from another instance or
/// become due. Ends when `stop` turns true or its sender is gone. A long round has to check `stop` itself.
pub async fn run(
    worker: &'static str,
    interval: Duration,
    wakeup: &Wakeup,
    mut stop: watch::Receiver<bool>,
    mut round: impl AsyncFnMut() -> Result<()>,
) {
    while !*stop.borrow() {
        if let Err(error) = round().await {
            tracing::warn!(%error, worker, "a round of the worker failed; trying again");
        }
        tokio::select! {
            () = wakeup.woken() => {}
            () = tokio::time::sleep(interval) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_worker_ends_with_those_who_could_stop_it() {
        let (sender, stop) = watch::channel(false);
        let rounds = Cell::new(0);
        let round = async || {
            rounds.set(rounds.get() + 1);
            Ok(())
        };
        drop(sender);
        let wakeup = Wakeup::default();
        let worker = run("test", Duration::from_secs(3600), &wakeup, stop, round);
        tokio::time::timeout(Duration::from_secs(10), worker).await.unwrap();
        assert_eq!(rounds.get(), 1);
    }
}
