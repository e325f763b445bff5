//! What is too old to be kept, and goes once a day: [`RULES`].

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::AssertSqlSafe;

use crate::db::{Db, execute, fetch_all};
use crate::error::Result;
use crate::models::idempotency_key;

/// From one clean-up to the next.
pub const INTERVAL: TimeDelta = TimeDelta::days(1);
/// Rows that go in one transaction.
const ROWS: i64 = 100;

/// Rows of a table that are deleted at an age. A new rule needs a column `id` and an index for its condition.
struct Rule {
    table: &'static str,
    /// SQL condition with one parameter: what happened before this time is too old.
    is_old: &'static str,
    age: TimeDelta,
}

const RULES: &[Rule] = &[
    // An expired device logs nobody in.
    Rule { table: "remembered_devices", is_old: "expires_at < ?", age: TimeDelta::days(1) },
    // A link that has expired says so, and offers another one, for as long as people look for it in their mail.
    Rule { table: "mail_tokens", is_old: "expires_at < ?", age: TimeDelta::days(30) },
    Rule { table: "email_restores", is_old: "expires_at < ?", age: TimeDelta::zero() },
    // Somebody's address, name and password, without a sign that they want to be here. A new sign-up starts the time anew.
    Rule {
        table: "users",
        is_old: "activated_at IS NULL AND updated_at < ? AND deleted_at IS NULL",
        age: TimeDelta::days(30),
    },
    Rule { table: "idempotency_keys", is_old: "created_at < ?", age: idempotency_key::LIFETIME },
    // Mails that were given up, with their text: an admin had a month to send them again.
    Rule { table: "outbox", is_old: "parked_at < ?", age: TimeDelta::days(30) },
];

/// Deletes some of what is too old. `false` when there was none.
pub async fn step(db: &Db, now: DateTime<Utc>) -> Result<bool> {
    for Rule { table, is_old, age } in RULES {
        let before = now - *age;
        let find = format!("SELECT id FROM {table} WHERE {is_old} LIMIT ?");
        let ids: Vec<(i64,)> = fetch_all!(&mut db.conn().await?, AssertSqlSafe(find.clone()), before, ROWS)?;
        if ids.is_empty() {
            continue;
        }
        let deleted = db.transaction(async |db| {
            let mut deleted = 0;
            for (id,) in &ids {
                // It may have become younger meanwhile.
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
