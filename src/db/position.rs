//! Positions in the writer's binary log (GTIDs), so that a reader can be asked whether it has applied a write. Neither
//! reading a position nor waiting for one needs a privilege.

use std::time::Duration;

use super::Conn;
use super::query::{fetch_one, fetch_optional};
use crate::error::Result;

/// Longest position for a cookie, in bytes. A server that has had many writers lists them all.
const MAX_LENGTH: usize = 1000;

/// What the writer has committed: `0-1-100` on MariaDB, `UUID:1-100` on MySQL; several are separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position(String);

/// How a writer tells its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    MariaDb,
    MySql,
    /// The readers of a cluster share its storage and apply no binary log.
    Aurora,
}

impl Source {
    pub(super) async fn of(writer: &mut Conn) -> Result<Source> {
        let aurora: Option<(String, String)> =
            fetch_optional!(writer, "SHOW GLOBAL VARIABLES LIKE 'aurora_version'")?;
        if aurora.is_some() {
            return Ok(Source::Aurora);
        }
        let (version,): (String,) = fetch_one!(writer, "SELECT VERSION()")?;
        Ok(if version.contains("MariaDB") { Source::MariaDb } else { Source::MySql })
    }
}

impl Position {
    /// The writer's current position; `None` if it writes no binary log or has no GTIDs.
    pub(super) async fn current(writer: &mut Conn, source: Source) -> Result<Option<Position>> {
        let gtids = match source {
            Source::MariaDb => {
                let (gtids,): (String,) = fetch_one!(writer, "SELECT @@gtid_binlog_pos")?;
                gtids
            }
            Source::MySql => {
                let (server, gtids): (String, String) =
                    fetch_one!(writer, "SELECT @@server_uuid, @@gtid_executed")?;
                own_gtids(&server, &gtids)
            }
            Source::Aurora => String::new(),
        };
        Ok((!gtids.is_empty()).then_some(Position(gtids)))
    }

    /// Waits up to `limit` until the reader has applied everything up to this position.
    pub(super) async fn is_reached(&self, reader: &mut Conn, limit: Duration) -> Result<bool> {
        // A limit of 0 would be no limit on MySQL.
        let limit = limit.as_secs_f64().max(0.001);
        let (timed_out,): (Option<i64>,) = if self.0.contains(':') {
            fetch_one!(reader, "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, ?)", &self.0, limit)?
        } else {
            fetch_one!(reader, "SELECT MASTER_GTID_WAIT(?, ?)", &self.0, limit)?
        };
        Ok(timed_out == Some(0))
    }

    /// Reads a position from a signed cookie.
    pub fn from_text(text: &str) -> Position {
        Position(text.to_owned())
    }

    /// For a cookie; `None` if it is too long for one.
    pub fn as_text(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| text.len() <= MAX_LENGTH)
    }
}

/// The GTIDs that this server itself has assigned: a replica applies them after those that the server has from former
/// writers. All of them where transactions have another id than the server's (Group Replication).
fn own_gtids(server: &str, gtids: &str) -> String {
    let gtids: String = gtids.chars().filter(|c| !c.is_whitespace()).collect();
    let own = gtids.split(',').find(|gtids| gtids.split(':').next() == Some(server));
    own.map(str::to_owned).unwrap_or(gtids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_servers_the_own_gtids_suffice() {
        let all = "11111111-1111-1111-1111-111111111111:1-77,\n22222222-2222-2222-2222-222222222222:1-5:7-9";
        let own = own_gtids("22222222-2222-2222-2222-222222222222", all);
        assert_eq!(own, "22222222-2222-2222-2222-222222222222:1-5:7-9");
        assert_eq!(own_gtids("33333333-3333-3333-3333-333333333333", all), all.replace('\n', ""));
        assert_eq!(own_gtids("33333333-3333-3333-3333-333333333333", ""), "");
    }

    #[test]
    fn a_position_that_is_too_long_for_a_cookie_is_none() {
        assert_eq!(Position::from_text("0-1-100").as_text(), Some("0-1-100"));
        assert_eq!(Position::from_text(&"0-1-100,".repeat(200)).as_text(), None);
    }
}
