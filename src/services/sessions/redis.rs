//! Sessions in Redis. The key contains the digest of the session id; its time to live is the idle timeout.

use chrono::{DateTime, Utc};

use super::{IDLE_LIFETIME, LIFETIME, Session};
use crate::error::Result;
use crate::models::values::token::Digest;
use crate::services::redis::{PREFIX, Redis};

pub(super) async fn start(
    redis: &Redis,
    digest: &Digest,
    session: &Session,
    now: DateTime<Utc>,
) -> Result<()> {
    let value = format!("{}:{}:{}", session.user_id, session.epoch, now.timestamp());
    let mut set = redis::pipe();
    set.set_ex(key(digest), value, IDLE_LIFETIME.num_seconds().unsigned_abs()).ignore();
    redis.run(&set).await
}

pub(super) async fn find(redis: &Redis, digest: &Digest, now: DateTime<Utc>) -> Result<Option<Session>> {
    let mut get = redis::pipe();
    get.get(key(digest)).expire(key(digest), IDLE_LIFETIME.num_seconds()).ignore();
    let (value,): (Option<String>,) = redis.run(&get).await?;
    let Some(value) = value else { return Ok(None) };
    match parse(&value) {
        Some((session, started_at)) if now.timestamp() < started_at + LIFETIME.num_seconds() => {
            Ok(Some(session))
        }
        // The session has reached its maximum lifetime, or the value is invalid.
        _ => end(redis, digest).await.map(|()| None),
    }
}

pub(super) async fn end(redis: &Redis, digest: &Digest) -> Result<()> {
    let mut delete = redis::pipe();
    delete.del(key(digest)).ignore();
    redis.run(&delete).await
}

fn key(digest: &Digest) -> String {
    format!("{PREFIX}session:{}", digest.to_hex())
}

fn parse(value: &str) -> Option<(Session, i64)> {
    let mut parts = value.split(':').map(|part| part.parse::<i64>().ok());
    let mut next = || parts.next().flatten();
    let (user_id, epoch, started_at) = (next()?, next()?, next()?);
    parts.next().is_none().then_some((Session { user_id, epoch }, started_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_values_and_no_others() {
        assert_eq!(parse("7:2:1700000000"), Some((Session { user_id: 7, epoch: 2 }, 1_700_000_000)));
        for other in ["", "7:2", "7:2:x", "7:2:3:4", "{}"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
