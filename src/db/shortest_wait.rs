//! How long this thread's work waits for a connection. The shortest wait of an interval tells a queue from a burst.

use std::cell::Cell;
use std::time::Duration;

use thread_local::ThreadLocal;

#[derive(Default)]
pub(super) struct ShortestWait(ThreadLocal<Cell<Option<Duration>>>);

impl ShortestWait {
    pub(super) fn record(&self, wait: Duration) {
        let shortest = self.0.get_or_default();
        shortest.set(Some(shortest.get().map_or(wait, |shortest| shortest.min(wait))));
    }

    /// The shortest wait since the last call, if there was one.
    pub(super) fn take(&self) -> Option<Duration> {
        self.0.get_or_default().take()
    }
}
