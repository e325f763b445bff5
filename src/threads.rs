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
