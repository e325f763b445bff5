//! Request ids, for the log and the error page.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const DIGITS: usize = 16;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// 16 hexadecimal digits. Not a secret: it only has to be unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; DIGITS]);

impl RequestId {
    /// A new id, unique in this process.
    pub fn next() -> RequestId {
        /// Starts at a random number in each process.
        static NUMBER: LazyLock<AtomicU64> =
            LazyLock::new(|| AtomicU64::new(getrandom::u64().unwrap_or_default()));
        // Multiplying by an odd constant is a bijection mod 2^64: ids stay unique but do not look sequential.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut digits = [0; DIGITS];
        for (at, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(number >> (4 * at)) as usize & 15];
        }
        RequestId(digits)
    }

    /// The id of the current task's request.
    pub fn current() -> Option<RequestId> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// Runs `work` so that its log lines carry this id. Tasks that it spawns do not inherit the id.
    pub fn scope<T>(self, work: impl Future<Output = T>) -> impl Future<Output = T> {
        CURRENT.scope(self, work)
    }

    /// Like [`scope`](Self::scope), for synchronous code.
    pub fn sync_scope<T>(self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self, work)
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_are_the_same() {
        let ids: HashSet<String> = (0..10_000).map(|_| RequestId::next().as_str().to_owned()).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit())));
    }
}
