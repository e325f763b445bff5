//! A pool of connections for every thread that asks. A connection lives on the event loop of the thread that made it: used
//! from another one, every answer would wake both, which costs more than the answer.

use deadpool::managed::{Manager, Pool};
use thread_local::ThreadLocal;

use crate::error::Result;

/// See the module. A pool is built when its thread first asks, and stays with it.
pub struct ThreadLocalPool<M: Manager> {
    pools: ThreadLocal<Pool<M>>,
    build: Box<dyn Fn() -> Result<Pool<M>> + Send + Sync>,
}

impl<M: Manager> ThreadLocalPool<M> {
    /// Pools that are built so; this thread's at once, to know that they can be.
    pub fn new(build: impl Fn() -> Result<Pool<M>> + Send + Sync + 'static) -> Result<ThreadLocalPool<M>> {
        let pools = ThreadLocalPool { pools: ThreadLocal::new(), build: Box::new(build) };
        pools.here()?;
        Ok(pools)
    }

    /// This thread's.
    pub fn here(&self) -> Result<&Pool<M>> {
        self.pools.get_or_try(&self.build)
    }

    /// Those of all threads, as far as they asked.
    pub fn all(&self) -> impl Iterator<Item = &Pool<M>>
    where
        M::Type: Send,
    {
        self.pools.iter()
    }
}
