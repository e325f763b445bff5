//! Clusters with several writers: MariaDB Galera and MySQL Group Replication (docs/clusters.md).

use sqlx::{Error, MySqlConnection, Row};

/// What a node says about its cluster.
pub struct Cluster {
    /// Whether a read waits for the writes that other nodes have acknowledged before it.
    pub reads_are_current: bool,
}

/// Servers without the plugin do not have all of these variables, and SHOW leaves those out. It needs no rights.
const SETTINGS: &str = "SHOW VARIABLES WHERE Variable_name IN \
    ('wsrep_on', 'wsrep_sync_wait', 'group_replication_group_name', 'group_replication_consistency')";

impl Cluster {
    /// `None` if the server belongs to no cluster.
    pub async fn of(conn: &mut MySqlConnection) -> Result<Option<Cluster>, Error> {
        let (mut is_node, mut reads_are_current) = (false, false);
        for row in sqlx::raw_sql(SETTINGS).fetch_all(conn).await? {
            let value: String = row.try_get(1)?;
            match row.try_get::<String, _>(0)?.as_str() {
                "wsrep_on" => is_node |= value == "ON",
                "group_replication_group_name" => is_node |= !value.is_empty(),
                // A bit mask; 1 stands for SELECT and BEGIN.
                "wsrep_sync_wait" => reads_are_current |= value.parse().unwrap_or(0) & 1 == 1,
                // The other values are EVENTUAL and BEFORE_ON_PRIMARY_FAILOVER.
                _ => reads_are_current |= matches!(value.as_str(), "BEFORE" | "AFTER" | "BEFORE_AND_AFTER"),
            }
        }
        Ok(is_node.then_some(Cluster { reads_are_current }))
    }
}
