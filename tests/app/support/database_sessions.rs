//! Who is connected to the schema of a test, and what waits for locks.
//!
//! MySQL refuses all of information_schema.processlist and of innodb_trx with error 3854 while any statement on the server,
//! of other tests as well, has a binary value or an emoji. SHOW PROCESSLIST and SHOW ENGINE INNODB STATUS have no such fault.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, MySqlConnection, Row};

use super::database::TestDatabase;
use super::wait::wait_for;

/// A connection of MySQL or MariaDB.
pub struct Session {
    pub id: i64,
    pub user: String,
}

/// The connections to a schema, without the one that asks.
pub async fn sessions(conn: &mut MySqlConnection, schema: &str) -> Vec<Session> {
    let (me,): (u64,) = sqlx::query_as("SELECT CONNECTION_ID()").fetch_one(&mut *conn).await.unwrap();
    let rows = sqlx::raw_sql("SHOW PROCESSLIST").fetch_all(conn).await.unwrap();
    let others = rows.iter().filter(|row| {
        let database: Option<String> = row.get_unchecked("db");
        row.get_unchecked::<i64, _>("Id") != me as i64 && database.as_deref() == Some(schema)
    });
    others.map(|row| Session { id: row.get_unchecked("Id"), user: row.get_unchecked("User") }).collect()
}

/// Ends connections.
pub async fn kill(conn: &mut MySqlConnection, sessions: &[Session]) {
    for Session { id, .. } in sessions {
        // One that has ended by itself is an error.
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut *conn).await;
    }
}

/// A transaction of InnoDB that is open.
struct OpenTransaction {
    /// `Session::id`.
    session: i64,
    /// Number of its last statement, which no other statement of the server has.
    statement: u64,
    waits_for_a_lock: bool,
    row_locks: i64,
}

/// The open transactions of the whole server.
async fn open_transactions(conn: &mut MySqlConnection) -> Vec<OpenTransaction> {
    let row = sqlx::raw_sql("SHOW ENGINE INNODB STATUS").fetch_one(conn).await.unwrap();
    let status: String = row.get_unchecked("Status");
    status.split("---TRANSACTION ").skip(1).filter_map(open_transaction).collect()
}

/// Reads "2 row lock(s)", "LOCK WAIT" and "MySQL thread id 5, OS thread handle 140405233071808, query id 8 localhost".
/// `None` is a session without a transaction.
fn open_transaction(text: &str) -> Option<OpenTransaction> {
    let (_, session) = text.split_once(" thread id ")?;
    let (_, statement) = session.split_once("query id ")?;
    let (row_locks, _) = text.split_once(" row lock(s)")?;
    Some(OpenTransaction {
        session: session.split(',').next()?.parse().ok()?,
        statement: statement.split_whitespace().next()?.parse().ok()?,
        waits_for_a_lock: text.lines().any(|line| line.starts_with("LOCK WAIT")),
        row_locks: row_locks.rsplit(' ').next()?.parse().ok()?,
    })
}

impl TestDatabase {
    /// The connections of others to this schema.
    pub async fn db_sessions(&self) -> Vec<Session> {
        sessions(&mut self.db_connect_mysql().await, self.schema()).await
    }

    /// Ends these connections.
    pub async fn db_kill(&self, sessions: &[Session]) {
        kill(&mut self.db_connect_mysql().await, sessions).await;
    }

    /// Number of row locks of the transaction that a connection has open.
    pub async fn db_row_locks(&self, session: i64) -> i64 {
        let open = open_transactions(&mut self.db_connect_mysql().await).await;
        open.iter()
            .find(|transaction| transaction.session == session)
            .expect("a transaction is open")
            .row_locks
    }

    /// Waits until this many statements of others have waited for a lock, and returns the number of row locks of the
    /// last one's transaction.
    pub async fn db_lock_waits(&self, times: usize) -> i64 {
        let mut conn = self.db_connect_mysql().await;
        let mut waits = HashSet::new();
        wait_for(async || {
            let here: Vec<i64> =
                sessions(&mut conn, self.schema()).await.iter().map(|other| other.id).collect();
            for transaction in open_transactions(&mut conn).await {
                if transaction.waits_for_a_lock && here.contains(&transaction.session) {
                    waits.insert(transaction.statement);
                    if waits.len() == times {
                        return Ok(transaction.row_locks);
                    }
                }
            }
            Err(format!("{} of {times} waits", waits.len()))
        })
        .await
    }
}
