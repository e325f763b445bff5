//! Counts right and wrong responses to concurrent visitors.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::wait::PATIENCE;

#[derive(Default)]
pub struct Tally {
    right: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl Tally {
    /// Records a correct response.
    pub fn right(&self) {
        self.right.fetch_add(1, Ordering::SeqCst);
    }

    /// Records a wrong or missing response.
    pub fn wrong(&self, what: String) {
        self.wrong.lock().unwrap().push(what);
    }

    /// Number of correct responses so far.
    pub fn answered(&self) -> usize {
        self.right.load(Ordering::SeqCst)
    }

    /// Number of wrong ones.
    pub fn wrongs(&self) -> usize {
        self.wrong.lock().unwrap().len()
    }

    /// Waits until there are this many more correct responses, or one is wrong.
    pub async fn more(&self, count: usize) {
        let until = self.answered() + count;
        let (mut seen, mut since) = (0, Instant::now());
        while self.answered() < until && self.wrongs() == 0 {
            if self.answered() > seen {
                (seen, since) = (self.answered(), Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "nothing is answered any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Tells the visitors to stop.
    pub fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    /// Whether the visitors should stop.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub fn assert_all_right(&self) {
        let wrong = self.wrong.lock().unwrap();
        let some = &wrong[..wrong.len().min(10)];
        assert!(wrong.is_empty(), "{} beside {} right ones: {some:#?}", wrong.len(), self.answered());
    }
}
