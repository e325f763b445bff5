//! One connection pool per thread. A connection lives on the event loop of the thread that opened it; if another thread
//! used it, every reply would wake both threads, which costs more than the reply itself.

use std::fmt::Display;

use deadpool::managed::{Manager, Pool, PoolError, TimeoutType};
use thread_local::ThreadLocal;

use crate::error::Result;

/// Builds a thread's pool when that thread first needs it.
pub struct ThreadLocalPool<M: Manager> {
    pools: ThreadLocal<Pool<M>>,
    build: Box<dyn Fn() -> Result<Pool<M>> + Send + Sync>,
}

impl<M: Manager> ThreadLocalPool<M> {
    /// Builds the pool of the calling thread at once, so that an error shows early.
    pub fn new(build: impl Fn() -> Result<Pool<M>> + Send + Sync + 'static) -> Result<ThreadLocalPool<M>> {
        let pools = ThreadLocalPool { pools: ThreadLocal::new(), build: Box::new(build) };
        pools.local()?;
        Ok(pools)
    }

    /// The pool of the calling thread.
    pub fn local(&self) -> Result<&Pool<M>> {
        self.pools.get_or_try(&self.build)
    }

    /// The pools of all threads that have one.
    pub fn iter(&self) -> impl Iterator<Item = &Pool<M>>
    where
        M::Type: Send,
    {
        self.pools.iter()
    }
}

/// Why a pool has no connection, for log lines and error messages.
pub fn describe(error: &PoolError<impl Display>) -> String {
    match error {
        PoolError::Timeout(TimeoutType::Wait) => "no connection was free in time".to_owned(),
        PoolError::Timeout(TimeoutType::Create) => "no connection could be opened in time".to_owned(),
        PoolError::Timeout(TimeoutType::Recycle) => "an open connection did not answer in time".to_owned(),
        PoolError::Backend(error) => error.to_string(),
        other => other.to_string(),
    }
}
