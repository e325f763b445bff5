//! Visitors who post and read without a pause, and a ledger of the posts that the application acknowledged.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::people::PASSWORD;
use super::tally::Tally;
use super::{Browser, TestDatabase};

/// Counts an acknowledged post as a right response.
#[derive(Default)]
pub struct Ledger {
    pub posts: Tally,
    /// Whether a 503 is an error: false while no server can take the write.
    is_strict: AtomicBool,
    /// Whether a 503 for a read is one.
    reads_are_strict: AtomicBool,
    acknowledged: Mutex<BTreeSet<String>>,
    slowest: Mutex<Duration>,
    refused: Mutex<usize>,
}

/// The visitors of one instance.
pub struct Visitors(Vec<JoinHandle<()>>);

impl Ledger {
    /// Each e-mail address is that of a visitor, who logs in and then posts and reads in turn.
    pub async fn visit(self: &Arc<Self>, browser: &Browser, emails: &[String]) -> Visitors {
        let mut visitors = Vec::new();
        for email in emails {
            let mut browser = browser.clone();
            assert_eq!(browser.log_in(email, PASSWORD).await.status, 200);
            let (ledger, email) = (self.clone(), email.clone());
            visitors.push(tokio::spawn(async move {
                for n in 0.. {
                    if ledger.posts.is_over() {
                        break;
                    }
                    let text = format!("{n} of {email}");
                    let (start, was_strict) = (Instant::now(), ledger.is_strict.load(Ordering::SeqCst));
                    let posted = browser.post("/microposts", &[("micropost[content]", &text)]).await.status;
                    ledger.answered(start.elapsed());
                    match posted {
                        303 => {
                            ledger.acknowledged.lock().unwrap().insert(text);
                            ledger.posts.right();
                        }
                        503 if !(was_strict && ledger.is_strict.load(Ordering::SeqCst)) => {
                            *ledger.refused.lock().unwrap() += 1
                        }
                        other => ledger.posts.wrong(format!("{text}: {other}")),
                    }
                    let (start, was_strict) =
                        (Instant::now(), ledger.reads_are_strict.load(Ordering::SeqCst));
                    let read = browser.get_only("/").await.status;
                    ledger.answered(start.elapsed());
                    let is_strict = was_strict && ledger.reads_are_strict.load(Ordering::SeqCst);
                    if read != 200 && (read != 503 || is_strict) {
                        ledger.posts.wrong(format!("the feed: {read}"));
                    }
                }
            }));
        }
        Visitors(visitors)
    }

    fn answered(&self, took: Duration) {
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = took.max(*slowest);
    }

    /// From now on, whether writes and reads have to be answered by other than 503. Those in progress may be answered
    /// as before or as after.
    pub fn expect_answers(&self, writes: bool, reads: bool) {
        self.is_strict.store(writes, Ordering::SeqCst);
        self.reads_are_strict.store(reads, Ordering::SeqCst);
    }

    /// Ends the visits and asserts that every response was right and every acknowledged post is there, once. Returns a
    /// line with figures.
    pub async fn close(&self, visitors: Vec<Visitors>, database: &TestDatabase) -> String {
        self.posts.end();
        for visitor in visitors.into_iter().flat_map(|visitors| visitors.0) {
            visitor.await.unwrap();
        }
        self.posts.assert_all_right();
        let stored = database
            .db_text(
                "SELECT COALESCE(GROUP_CONCAT(content ORDER BY content SEPARATOR '\n'), '') FROM microposts",
            )
            .await;
        let acknowledged = self.acknowledged.lock().unwrap().clone();
        for text in &acknowledged {
            let times = stored.lines().filter(|line| line == text).count();
            assert_eq!(times, 1, "the acknowledged post {text:?}");
        }
        database.db_assert_counts().await;
        format!(
            "{} posts acknowledged, 0 lost, {} refused, the slowest answer after {:.1} s",
            acknowledged.len(),
            self.refused.lock().unwrap(),
            self.slowest.lock().unwrap().as_secs_f64()
        )
    }
}
