//! What an error of the database means for the statement that met it: the one place that decides what is tried again,
//! what is a 503 and what is a 500.

use sqlx::mysql::MySqlDatabaseError;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The database rolled back in favour of another transaction. The whole transaction is run again.
    LockConflict,
    /// The connection leads to a server that takes no writes (any more), or its session is over. The statement did nothing:
    /// it is run again on a new connection, which may lead to another server.
    StaleConnection,
    /// The connection broke; whether the statement took effect is not known.
    Disconnected,
    /// The server cannot do it now.
    Transient,
    /// A fault of the program or of its configuration.
    Fault,
}

impl Failure {
    /// The meaning of this error.
    pub fn of(error: &sqlx::Error) -> Failure {
        match error {
            sqlx::Error::Database(error) => match error.try_downcast_ref::<MySqlDatabaseError>() {
                Some(mysql) => Failure::of_mysql(mysql.number()),
                None => Failure::of_sqlite(error.code().and_then(|code| code.parse().ok()).unwrap_or(0)),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Failure::Disconnected,
            _ => Failure::Fault,
        }
    }

    /// Numbers of MySQL, MariaDB, Galera and Group Replication, and of proxies in front of them.
    fn of_mysql(number: u16) -> Failure {
        match number {
            // Lock wait time-out, deadlock (also the loser of a conflict between Galera nodes).
            1205 | 1213
            // MariaDB with innodb_snapshot_isolation: the row has changed since the transaction began.
            | 1020
            // Group Replication: rolled back by the certification, found at a statement or at COMMIT.
            | 3101 | 1180
            // The table's definition changed; the statement has to be prepared again.
            | 1412 | 1615 => Failure::LockConflict,
            // read_only, a read-only transaction, read-only mode, innodb_read_only: an Aurora reader, a demoted primary.
            1290 | 1792 | 1836 | 1874
            // A Galera node without quorum.
            | 1047
            // Closed by wait_timeout; a prepared statement that another server behind a proxy does not know.
            | 4031 | 1243 => Failure::StaleConnection,
            // Shutting down, killed, network errors as the server sees them.
            1053 | 1927 | 3169 | 1152 | 1158..=1161
            // Client errors, passed on by MySQL Router.
            | 2002 | 2003 | 2006 | 2013 | 2055 => Failure::Disconnected,
            // Statement time-outs (MySQL, MariaDB), KILL QUERY.
            3024 | 1969 | 1317
            // Too many connections, threads, transactions, locks.
            | 1040 | 1203 | 1226 | 1135 | 1637 | 1206
            // Out of memory, disk full, table full.
            | 1037 | 1038 | 1041 | 1021 | 1114
            // Group Replication cannot commit at the moment.
            | 3100
            // No connection in time: ProxySQL, RDS Proxy.
            | 9001 | 9501 => Failure::Transient,
            _ => Failure::Fault,
        }
    }

    /// Result codes of SQLite; extended ones keep the plain one in their lowest byte.
    fn of_sqlite(code: u32) -> Failure {
        match code & 0xff {
            // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_PROTOCOL (a race for the WAL's locks).
            5 | 6 | 13 | 15 => Failure::Transient,
            _ => Failure::Fault,
        }
    }

    /// Whether the connection is of no further use.
    pub fn ends_connection(self) -> bool {
        matches!(self, Failure::StaleConnection | Failure::Disconnected)
    }

    /// Whether what failed so is run again after this many attempts.
    pub fn is_tried_again_after(self, attempts: usize) -> bool {
        match self {
            Failure::LockConflict => attempts < 3,
            Failure::StaleConnection => attempts < 2,
            Failure::Disconnected | Failure::Transient | Failure::Fault => false,
        }
    }
}
