//! Work that keeps a core busy (passwords, pictures) runs on threads of its own, at most as many as there are cores: more
//! at a time would be no faster, only take more memory.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// A bound on threads. Clones share it.
#[derive(Clone)]
pub struct Threads(Arc<Semaphore>);

impl Threads {
    /// As many threads as there are cores.
    #[expect(
        clippy::new_without_default,
        reason = "a default does not ask the machine how many cores it has"
    )]
    pub fn new() -> Threads {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Threads(Arc::new(Semaphore::new(cores)))
    }

    /// Runs the work when a thread is free.
    ///
    /// # Errors
    /// When the work panics.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let permit = self.0.clone().acquire_owned().await.map_err(Error::internal)?;
        // The permit travels with the work: a caller that goes away does not make room for more.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        // Without the panic's message, as in web/guard.rs.
        done.await.map_err(|_panic| Error::internal("work on a thread of its own panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    #[tokio::test]
    async fn no_more_at_a_time_than_there_are_cores() {
        let threads = Threads::new();
        let running = Arc::new(AtomicUsize::new(0));
        let works = (0..200).map(|_| {
            let running = running.clone();
            threads.run(move || {
                let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                at_once
            })
        });
        let most = join_all(works).await.into_iter().map(Result::unwrap).max().unwrap();
        assert!(most <= std::thread::available_parallelism().unwrap().get(), "{most}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_takes_no_room_for_ever() {
        let threads = Threads::new();
        for _ in 0..50 {
            assert!(threads.run(|| panic!("on purpose")).await.is_err());
        }
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
    }
}
