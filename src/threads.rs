//! Work that keeps a core busy (passwords, pictures) runs on threads of its own, half as many as there are cores: the other
//! half is for whoever only wants a page meanwhile.
//!
//! Not on tokio's threads for blocking work, however few of them at a time: what is freed on a thread stays with it for its
//! next piece of work (glibc, "arenas"), and tokio takes another thread each time. A hundred small pictures left 150 MB.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use crate::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// Threads that end when nobody can give them work any more. Clones share them.
#[derive(Clone)]
pub struct Threads(Sender<Work>);

impl Threads {
    /// Half as many threads as there are cores, one at least.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn new() -> Result<Threads> {
        let (give, take) = channel();
        let take = Arc::new(Mutex::new(take));
        for _ in 0..thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)) {
            let take = take.clone();
            let named = thread::Builder::new().name("busy".into());
            named
                .spawn(move || {
                    while let Some(work) = next(&take) {
                        work()
                    }
                })
                .map_err(Error::internal)?;
        }
        Ok(Threads(give))
    }

    /// Runs the work when a thread is free; not at all if nobody waits for it by then.
    ///
    /// # Errors
    /// When the work panics.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        let work = move || {
            if !answer.is_closed() {
                // What the work had is dropped with the panic; the thread itself has nothing that could be left half-way.
                let done = catch_unwind(AssertUnwindSafe(work));
                // Nobody waits any more.
                let _ = answer.send(done);
            }
        };
        self.0.send(Box::new(work)).map_err(|_gone| Error::internal("there are no threads"))?;
        // Without the panic's message, as in web/guard.rs.
        let panicked = || Error::internal("work on a thread of its own panicked");
        answered.await.map_err(Error::internal)?.map_err(|_panic| panicked())
    }
}

/// One thread at a time waits for work, the others for their turn.
fn next(take: &Mutex<Receiver<Work>>) -> Option<Work> {
    take.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    #[tokio::test]
    async fn no_more_at_a_time_than_there_are_cores() {
        let threads = Threads::new().unwrap();
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
        let threads = Threads::new().unwrap();
        for _ in 0..50 {
            assert!(threads.run(|| panic!("on purpose")).await.is_err());
        }
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
    }
}
