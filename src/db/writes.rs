//! Tells whether a piece of work, such as a request, has written to the database.

use std::cell::Cell;
use std::future::Future;

tokio::task_local! {
    static WROTE: Cell<bool>;
}

/// Runs `work` and tells whether it has run a statement that writes, committed or not.
pub async fn observe_writes<T>(work: impl Future<Output = T>) -> (T, bool) {
    WROTE.scope(Cell::new(false), async { (work.await, WROTE.with(Cell::get)) }).await
}

/// For `execute!`, and for what counts as a write. Does nothing outside of [`observe_writes`].
pub fn note_write() {
    let _ = WROTE.try_with(|wrote| wrote.set(true));
}
