//! One connection pool per thread. A connection lives on the event loop of the thread that opened it; if another thread
//! used it, every reply would wake both threads, which costs more than the reply itself.

use deadpool::managed::{Manager, Pool};
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
