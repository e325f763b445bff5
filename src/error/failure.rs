//! Classifies database errors: the one place that decides what is retried, what is a 503 and what is a 500.

use std::time::Duration;

use sqlx::mysql::MySqlDatabaseError;

/// Upper bound of a pause between two attempts, times their number.
const BACKOFF: Duration = Duration::from_millis(20);

/// The class of a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The database rolled back in favour of another transaction. The whole transaction runs again.
    LockConflict,
    /// The same after a wait of 1 s, on MySQL up to 3 s.
    LockTimeout,
    /// The connection's server takes no writes, or its session has ended. The statement had no effect: it runs again on
    /// a new connection, which may reach another server.
    StaleConnection,
    /// The connection broke; whether the statement took effect is unknown.
    Disconnected,
    /// The server cannot run the statement now.
    Transient,
    /// A fault of the program or of its configuration.
    Fault,
}

impl Failure {
    pub fn of(error: &sqlx::Error) -> Failure {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
                Some(mysql) => Failure::of_mysql(mysql.number(), mysql.message()),
                None => Failure::of_sqlite(error.code().and_then(|code| code.parse().ok()).unwrap_or(0)),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Failure::Disconnected,
            _ => Failure::Fault,
        }
    }

    /// Error numbers of MySQL, MariaDB, Galera and Group Replication, and of proxies in front of them.
    fn of_mysql(number: u16, message: &str) -> Failure {
        match number {
            // COMMIT failed. With 149 (HA_ERR_LOCK_DEADLOCK) a cluster rolled it back by certification. With any other
            // cause, such as a lost quorum, the other nodes may have committed it.
            1180 if message.contains("error 149") => Failure::LockConflict,
            1180 => Failure::Transient,
            1205 => Failure::LockTimeout,
            // Deadlock, also the loser of a write conflict between Galera nodes.
            1213
            // MariaDB with innodb_snapshot_isolation: the row has changed since the transaction began.
            | 1020
            // Group Replication: rolled back by certification, reported at a statement or at COMMIT.
            | 3101
            // The table definition changed; the statement must be prepared again.
            | 1412 | 1615 => Failure::LockConflict,
            // read_only, read-only transaction, read-only mode, innodb_read_only: an Aurora reader, a demoted primary.
            1290 | 1792 | 1836 | 1874
            // A Galera node without quorum; offline_mode; a member of Group Replication that is not online, or cannot
            // reach the others, before it begins a transaction.
            | 1047 | 3032 | 3796..=3799
            // Closed by wait_timeout; a prepared statement unknown to this server, because a proxy switched servers.
            | 4031 | 1243 => Failure::StaleConnection,
            // Server shutdown, connection killed, network errors on the server's side.
            1053 | 1927 | 3169 | 1152 | 1158..=1161
            // Client error numbers, passed on by MySQL Router.
            | 2002 | 2003 | 2006 | 2013 | 2055 => Failure::Disconnected,
            // Statement time-outs (MySQL, MariaDB), KILL QUERY.
            3024 | 1969 | 1317
            // Too many connections, threads, transactions or locks.
            | 1040 | 1203 | 1226 | 1135 | 1637 | 1206
            // Out of memory, disk full, table full.
            | 1037 | 1038 | 1041 | 1021 | 1114
            // Group Replication cannot commit now.
            | 3100
            // ProxySQL and RDS Proxy: no backend connection in time.
            | 9001 | 9501 => Failure::Transient,
            _ => Failure::Fault,
        }
    }

    /// SQLite result codes; an extended code has its primary code in the lowest byte.
    fn of_sqlite(code: u32) -> Failure {
        match code & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_PROTOCOL (a race for the WAL's locks).
            5 | 6 | 13 | 15 => Failure::Transient,
            _ => Failure::Fault,
        }
    }

    /// Whether the connection cannot be used again.
    pub fn ends_connection(self) -> bool {
        matches!(self, Failure::StaleConnection | Failure::Disconnected)
    }

    /// How long to wait before that. Random, so that two nodes of a cluster do not conflict again and again; the first
    /// retry is immediate.
    pub fn backoff(self, attempts: usize) -> Duration {
        let mut random = [0];
        if self != Failure::LockConflict || attempts < 2 || getrandom::fill(&mut random).is_err() {
            return Duration::ZERO;
        }
        BACKOFF * attempts as u32 * u32::from(random[0]) / 255
    }

    /// Whether to run the statement or transaction again after this many failed attempts.
    pub fn is_tried_again_after(self, attempts: usize) -> bool {
        match self {
            // Two nodes of a cluster that change one row all the time need more than two.
            Failure::LockConflict => attempts < 8,
            Failure::LockTimeout => attempts < 3,
            Failure::StaleConnection => attempts < 2,
            Failure::Disconnected | Failure::Transient | Failure::Fault => false,
        }
    }
}
