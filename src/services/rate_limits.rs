//! Rate limits with fixed time windows (OWASP ASVS 6.3.1). Redis counts for all instances together; while it is down,
//! each instance counts by itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::redis::{PREFIX, Redis};
use crate::config::RateLimits;
use crate::error::{Error, Result};
use crate::models::values::token::Digest;

/// A maximum number of attempts per time window, for each account, address or client.
pub struct Limit {
    /// The name in keys and in the audit log.
    pub name: &'static str,
    max: fn(&RateLimits) -> u16,
    within: TimeDelta,
}

/// Log-ins, by account and by client. The limit by client stops attempts of one password on many accounts.
pub const LOG_IN: Limit =
    Limit { name: "log_in", max: |numbers| numbers.log_ins, within: TimeDelta::minutes(5) };
/// New accounts, by client.
pub const SIGN_UP: Limit =
    Limit { name: "sign_up", max: |numbers| numbers.sign_ups, within: TimeDelta::hours(1) };
/// Mails that anybody can trigger, by recipient address.
pub const MAIL: Limit =
    Limit { name: "mail", max: |numbers| numbers.mails_to, within: TimeDelta::minutes(30) };
/// The same mails, by sender: client and account.
pub const MAIL_BY_SENDER: Limit =
    Limit { name: "mail_by_sender", max: |numbers| numbers.mails_by, within: TimeDelta::hours(1) };
/// Posts, by author.
pub const POST: Limit = Limit { name: "post", max: |numbers| numbers.posts, within: TimeDelta::minutes(1) };

/// Maximum number of counters in process memory, about 100 bytes each.
const CAPACITY: usize = 100_000;

/// Counts an attempt and returns the count and the seconds left in the window. A script, because it is atomic: with
/// separate commands, a key that expires between them would leave a counter without expiry, which refuses for ever. A
/// counter that has no expiry for any other reason gets one.
const COUNT: &str = "local count = redis.call('INCR', KEYS[1]) \
    local seconds = redis.call('TTL', KEYS[1]) \
    if seconds < 0 then seconds = tonumber(ARGV[1]) redis.call('EXPIRE', KEYS[1], seconds) end \
    return {count, seconds}";

/// Clones share the counters.
#[derive(Clone, Default)]
pub struct Limits {
    redis: Option<Redis>,
    numbers: RateLimits,
    here: Arc<Mutex<HashMap<Digest, Window>>>,
}

#[derive(Clone, Copy)]
struct Window {
    count: u32,
    ends_at: DateTime<Utc>,
}

impl Limits {
    /// Counts in Redis if given, else in process memory.
    pub fn new(redis: Option<Redis>, numbers: RateLimits) -> Limits {
        Limits { redis, numbers, here: Arc::default() }
    }

    /// Counts one attempt by `subject`, of which only a digest is stored.
    ///
    /// # Errors
    /// [`Error::TooMany`] when the limit is exceeded; it says when the next attempt is allowed.
    pub async fn count(&self, limit: &Limit, subject: &str, now: DateTime<Utc>) -> Result<()> {
        let key = Digest::of(&format!("{}:{subject}", limit.name));
        let (count, seconds_left) = match &self.redis {
            Some(redis) => match count_in(redis, limit, &key).await {
                Ok(counted) => counted,
                Err(_) => self.count_here(limit, key, now),
            },
            None => self.count_here(limit, key, now),
        };
        if count > (limit.max)(&self.numbers).into() {
            Err(Error::TooMany { retry_after: seconds_left })
        } else {
            Ok(())
        }
    }

    fn count_here(&self, limit: &Limit, key: Digest, now: DateTime<Utc>) -> (u32, u64) {
        // Ignores poisoning: each change of the map is a single call, so a panic leaves it consistent.
        let mut windows = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= CAPACITY {
            windows.retain(|_, window| now < window.ends_at);
            // Still full (many one-off addresses): drop counters that are at 1, keep the others.
            if windows.len() >= CAPACITY {
                windows.retain(|_, window| window.count > 1);
            }
            if windows.len() >= CAPACITY {
                windows.clear();
            }
        }
        let new = Window { count: 0, ends_at: now + limit.within };
        let window = windows.entry(key).or_insert(new);
        if now >= window.ends_at {
            *window = new;
        }
        window.count = window.count.saturating_add(1);
        (window.count, (window.ends_at - now).num_seconds().max(1).unsigned_abs())
    }
}

async fn count_in(redis: &Redis, limit: &Limit, key: &Digest) -> Result<(u32, u64)> {
    let key = format!("{PREFIX}limit:{}:{}", limit.name, key.to_hex());
    let mut count = redis::pipe();
    count.cmd("EVAL").arg(COUNT).arg(1).arg(key).arg(limit.within.num_seconds());
    let ((count, seconds_left),): ((u32, i64),) = redis.run(&count).await?;
    Ok((count, seconds_left.max(1).unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn counts_each_for_himself_and_anew_after_the_window() {
        let (limits, start) = (Limits::default(), Utc::now());
        for _ in 0..RateLimits::default().mails_to {
            limits.count(&MAIL, "anna", start).await.unwrap();
        }
        let later = start + TimeDelta::minutes(29);
        let refused = limits.count(&MAIL, "anna", later).await;
        assert!(matches!(refused, Err(Error::TooMany { retry_after: 60 })), "{refused:?}");
        limits.count(&MAIL, "berta", start).await.unwrap();
        limits.count(&POST, "anna", start).await.unwrap();
        limits.count(&MAIL, "anna", start + TimeDelta::minutes(30)).await.unwrap();
    }

    #[tokio::test]
    async fn a_flood_of_strangers_frees_nobody() {
        let (limits, start) = (Limits::default(), Utc::now());
        for _ in 0..=RateLimits::default().mails_to {
            let _ = limits.count(&MAIL, "anna", start).await;
        }
        for n in 0..CAPACITY + 10 {
            limits.count(&MAIL, &n.to_string(), start).await.unwrap();
        }
        assert!(limits.here.lock().unwrap().len() <= CAPACITY);
        assert!(limits.count(&MAIL, "anna", start).await.is_err());
    }
}
