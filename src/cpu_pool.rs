//! A thread pool for CPU-bound work (passwords, pictures). It has half as many threads as there are cores, so that the
//! other half can serve pages. Its threads have a higher nice value, so the kernel prefers the threads that serve pages
//! when both need a core.
//!
//! Not `spawn_blocking`: glibc keeps freed memory per thread (arenas) and tokio rotates threads, so 100 small pictures
//! left 150 MB behind.
//!
//! The queue is bounded in length and time, and a request whose client has disconnected gives up its place, so a flood
//! of log-ins does not make other log-ins wait for minutes. Passwords and pictures have a pool each, so that neither
//! waits for the other.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::client_gone::client_gone;
use crate::error::{Error, Result};

/// Queue length per thread. A password takes about 20 ms, so the last one in the queue waits for 2 s.
const QUEUE_PER_THREAD: usize = 100;
/// Nice value of the threads. Linux gives a busy thread at 5 a third of the CPU time of a busy thread at 0 (sched(7)).
const NICENESS: i32 = 5;

type Work = Box<dyn FnOnce() + Send>;

/// Clones share the threads. These end when the last clone is dropped.
#[derive(Clone)]
pub struct CpuPool {
    sender: Sender<Work>,
    count: usize,
    /// Work that cannot start within this time is refused.
    max_wait: Duration,
    /// One permit per idle thread.
    idle_threads: Arc<Semaphore>,
    /// One permit per free slot in the queue.
    queue_slots: Arc<Semaphore>,
}

impl CpuPool {
    /// Starts half as many threads as there are cores, rounded up.
    pub fn new(max_wait: Duration) -> Result<CpuPool> {
        let (sender, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let count = thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        for _ in 0..count {
            let receiver = receiver.clone();
            let named = thread::Builder::new().name("cpu-pool".into());
            named
                .spawn(move || {
                    // On Linux each thread has its own nice value; this sets that of the calling thread. After an error
                    // it stays at 0.
                    let _ = rustix::process::setpriority_process(None, NICENESS);
                    while let Some(work) = next(&receiver) {
                        work()
                    }
                })
                .map_err(Error::internal)?;
        }
        let idle_threads = Arc::new(Semaphore::new(count));
        let queue_slots = Arc::new(Semaphore::new(count * QUEUE_PER_THREAD));
        Ok(CpuPool { sender, count, max_wait, idle_threads, queue_slots })
    }

    /// Runs the work when a thread is free, first come, first served.
    ///
    /// # Errors
    /// [`Error::Busy`] when the queue is full, the work cannot start in time, or the client has disconnected; an
    /// internal error when the work panics.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let thread = match self.idle_threads.clone().try_acquire_owned() {
            Ok(thread) => thread,
            Err(_none_is_free) => {
                let _slot = self.queue_slots.try_acquire().map_err(|_full| Error::Busy)?;
                tokio::select! {
                    thread = timeout(self.max_wait, self.idle_threads.clone().acquire_owned()) => {
                        thread.map_err(|_late| Error::Busy)?.map_err(Error::internal)?
                    }
                    () = client_gone() => return Err(Error::Busy),
                }
            }
        };
        let (answer, answered) = oneshot::channel();
        let work = move || {
            // Unwind safe: a panic drops everything the work owns, and the thread itself has no state.
            let done = catch_unwind(AssertUnwindSafe(work));
            drop(thread);
            // Fails if the caller no longer waits.
            let _ = answer.send(done);
        };
        self.sender.send(Box::new(work)).map_err(|_gone| Error::internal("there are no threads"))?;
        // Omits the panic message, as web/middleware/run_detached.rs does.
        let panicked = || Error::internal("work in the CPU pool panicked");
        answered.await.map_err(Error::internal)?.map_err(|_panic| panicked())
    }

    /// Fails at once when the queue is full, so that a caller can skip the work it does before [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn check_capacity(&self) -> Result<()> {
        if self.queue_slots.available_permits() == 0 { Err(Error::Busy) } else { Ok(()) }
    }

    /// Number of threads.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Current length and capacity of the queue.
    pub fn queue(&self) -> (usize, usize) {
        let length = self.count * QUEUE_PER_THREAD;
        (length.saturating_sub(self.queue_slots.available_permits()), length)
    }
}

/// One thread at a time waits for work; the others wait for the lock.
fn next(receiver: &Mutex<Receiver<Work>>) -> Option<Work> {
    receiver.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures_util::future::join_all;
    use futures_util::poll;

    #[tokio::test]
    async fn no_more_at_a_time_than_there_are_cores() {
        let threads = CpuPool::new(Duration::from_secs(2)).unwrap();
        let running = Arc::new(AtomicUsize::new(0));
        let works = (0..threads.queue().1).map(|_| {
            let running = running.clone();
            threads.run(move || {
                let at_once = running.fetch_add(1, Ordering::SeqCst) + 1;
                std::thread::yield_now();
                running.fetch_sub(1, Ordering::SeqCst);
                at_once
            })
        });
        let most = join_all(works).await.into_iter().map(Result::unwrap).max().unwrap();
        assert!(most <= threads.count(), "{most}");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_a_dropped_wait_gives_its_place_back() {
        let threads = CpuPool::new(Duration::from_secs(2)).unwrap();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let hold = || {
            let released = released.clone();
            threads.run(move || drop(released.lock().map(|released| released.recv())))
        };
        let mut held: Vec<_> = (0..threads.count()).map(|_| Box::pin(hold())).collect();
        let (_, length) = threads.queue();
        let mut waiting: Vec<_> = (0..length).map(|_| Box::pin(threads.run(|| 7))).collect();
        for work in &mut held {
            assert!(poll!(work).is_pending());
        }
        for work in &mut waiting {
            assert!(poll!(work).is_pending());
        }
        assert_eq!(threads.queue(), (length, length));
        assert!(matches!(poll!(Box::pin(threads.run(|| 7))), Poll::Ready(Err(Error::Busy))));
        waiting.pop();
        assert_eq!(threads.queue(), (length - 1, length));
        assert!(poll!(Box::pin(threads.run(|| 7))).is_pending());
        drop(release);
        join_all(held).await.into_iter().for_each(Result::unwrap);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_takes_no_room_for_ever() {
        let threads = CpuPool::new(Duration::from_secs(2)).unwrap();
        for _ in 0..50 {
            assert!(threads.run(|| panic!("on purpose")).await.is_err());
        }
        assert_eq!(threads.run(|| 7).await.unwrap(), 7);
        assert_eq!(threads.queue().0, 0);
    }
}
