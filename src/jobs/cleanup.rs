//! Deletes expired rows once a day: [`RULES`].

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;

use crate::db::{Db, execute, fetch_all};
use crate::error::Result;
use crate::models::idempotency_key;

pub const INTERVAL: TimeDelta = TimeDelta::days(1);
/// Rows per transaction.
const ROWS_PER_STEP: i64 = 100;

/// Deletes the rows of a table that reach an age. The table needs a column `id` and an index for the condition.
struct Rule {
    table: &'static str,
    /// SQL condition with one parameter, the current time minus `age`.
    is_old: &'static str,
    age: TimeDelta,
}

const RULES: &[Rule] = &[
    // An expired device cannot log anybody in.
    Rule { table: "remembered_devices", is_old: "expires_at < ?", age: TimeDelta::days(1) },
    // Kept for a while, so that an expired link in somebody's mailbox can say that it expired and offer a new one.
    Rule { table: "mail_tokens", is_old: "expires_at < ?", age: TimeDelta::days(30) },
    Rule { table: "email_restores", is_old: "expires_at < ?", age: TimeDelta::zero() },
    // Address, name and password of somebody who never confirmed the sign-up. Another sign-up restarts the period.
    Rule {
        table: "users",
        is_old: "activated_at IS NULL AND updated_at < ? AND deleted_at IS NULL",
        age: TimeDelta::days(30),
    },
    Rule { table: "idempotency_keys", is_old: "created_at < ?", age: idempotency_key::LIFETIME },
    // Failed mails, with their text. An admin can requeue them until then.
    Rule { table: "outbox", is_old: "parked_at < ?", age: TimeDelta::days(30) },
];

/// Deletes one chunk of expired rows. `false` if there were none.
pub async fn step(db: &Db, now: DateTime<Utc>) -> Result<bool> {
    for Rule { table, is_old, age } in RULES {
        let before = now - *age;
        let find = format!("SELECT id FROM {table} WHERE {is_old} LIMIT ?");
        let ids: Vec<(i64,)> =
            fetch_all!(&mut db.conn().await?, AssertSqlSafe(find.clone()), before, ROWS_PER_STEP)?;
        if ids.is_empty() {
            continue;
        }
        let deleted = db.transaction(async |db| {
            let mut deleted = 0;
            for (id,) in &ids {
                // The condition again: the row may have been renewed meanwhile.
                let delete = format!("DELETE FROM {table} WHERE id = ? AND {is_old}");
                deleted += execute!(db, AssertSqlSafe(delete.clone()), id, before)?.rows;
            }
            Ok(deleted)
        });
        let deleted = deleted.await?;
        tracing::info!(table, deleted, "clean-up");
        return Ok(true);
    }
    Ok(false)
}
