//! Who is connected to the schema of a test, and what waits for locks.
//!
//! MySQL refuses all of information_schema.processlist and of innodb_trx with error 3854 while any statement on the server,
//! of other tests as well, has a binary value or an emoji. SHOW PROCESSLIST has no such fault.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, MySqlConnection, Row};
use tokio::sync::Mutex;

use super::database::TestDatabase;

/// A connection of MySQL or MariaDB.
pub struct Session {
    pub id: i64,
    pub user: String,
    /// Seconds since its statement began; `None` while it is idle.
    pub running: Option<i64>,
}

/// The connections to a schema, without the one that asks.
pub async fn sessions(conn: &mut MySqlConnection, schema: &str) -> Vec<Session> {
    let (me,): (u64,) = sqlx::query_as("SELECT CONNECTION_ID()").fetch_one(&mut *conn).await.unwrap();
    let rows = sqlx::raw_sql("SHOW PROCESSLIST").fetch_all(conn).await.unwrap();
    let others = rows.iter().filter(|row| {
        let database: Option<String> = row.get_unchecked("db");
        row.get_unchecked::<i64, _>("Id") != me as i64 && database.as_deref() == Some(schema)
    });
    let session = |row: &sqlx::mysql::MySqlRow| {
        let command: String = row.get_unchecked("Command");
        let is_running = matches!(command.as_str(), "Query" | "Execute");
        Session {
            id: row.get_unchecked("Id"),
            user: row.get_unchecked("User"),
            running: is_running.then(|| row.get_unchecked("Time")),
        }
    };
    others.map(session).collect()
}

/// Ends connections.
pub async fn kill(conn: &mut MySqlConnection, sessions: &[Session]) {
    for Session { id, .. } in sessions {
        // One that has ended by itself is an error.
        let _ = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut *conn).await;
    }
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

    /// Waits until a statement of somebody else has run for up to a second, as only one does that waits for a lock, and
    /// that this often: each lock wait ends after 2 s (db/pool.rs), and the statement begins again.
    pub async fn db_lock_waits(&self, times: usize) {
        let start = Instant::now();
        let mut conn = self.db_connect_mysql().await;
        let (mut waits, mut last, mut is_new) = (0, 0, true);
        while waits < times {
            let running = sessions(&mut conn, self.schema()).await;
            let seconds = running.iter().filter_map(|session| session.running).max().unwrap_or(0);
            is_new |= seconds < last;
            if is_new && seconds > 0 {
                waits += 1;
                is_new = false;
            }
            last = seconds;
            assert!(start.elapsed() < Duration::from_secs(30), "nobody waits");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a transaction of somebody else waits for a lock, and returns the number of its row locks.
    pub async fn db_waiting_rows_locked(&self) -> i64 {
        let start = Instant::now();
        let mut conn = self.db_connect_mysql().await;
        loop {
            assert!(start.elapsed() < Duration::from_secs(30), "nobody waits");
            let others = sessions(&mut conn, self.schema()).await;
            // 0 is nobody's.
            let ids = others.iter().fold("0".to_owned(), |ids, session| format!("{ids}, {}", session.id));
            let locked = format!(
                "SELECT CAST(COALESCE(MAX(trx_rows_locked), 0) AS SIGNED) FROM information_schema.innodb_trx \
                 WHERE trx_state = 'LOCK WAIT' AND trx_mysql_thread_id IN ({ids})"
            );
            match innodb_trx(&mut conn, &locked).await {
                0 => {}
                locked => return locked,
            }
        }
    }
}

/// The number that a query of information_schema.innodb_trx returns. The server refreshes this table only if nobody has
/// queried it for 0.1 s, so the tests take turns.
pub async fn innodb_trx(conn: &mut MySqlConnection, sql: &str) -> i64 {
    static TURN: Mutex<()> = Mutex::const_new(());
    for _ in 0..200 {
        let turn = TURN.lock().await;
        tokio::time::sleep(Duration::from_millis(110)).await;
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut *conn).await;
        drop(turn);
        match number {
            Err(sqlx::Error::Database(error)) if error.message().starts_with("Cannot convert string") => (),
            number => return number.unwrap(),
        }
    }
    panic!("information_schema.innodb_trx cannot be read");
}
