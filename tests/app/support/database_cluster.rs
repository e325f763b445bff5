//! A cluster of three servers that all take writes: MariaDB Galera or MySQL Group Replication, whichever is of the kind
//! under test. With the settings that docs/clusters.md recommends, and short time-outs.

use std::fs::{Permissions, set_permissions, write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::future::join_all;
use sqlx::{Connection, MySqlConnection};
use tempfile::TempDir;

use super::TestDatabase;
use super::database_server::{DatabaseServer, is_mariadb, services};
use super::server::free_address;
use super::wait::wait_for;

const NODES: usize = 3;
/// From the package galera-4.
const GALERA: &str = "--wsrep-provider=/usr/lib/galera/libgalera_smm.so";

/// In place of a state transfer between nodes. All nodes start with a copy of the same data, so what a new one lacks are
/// the last transactions (IST), which Galera sends by itself once this script has answered on both sides.
const NO_STATE_TRANSFER: &str = r#"#!/usr/bin/env bash
case " $* " in
    *' --role joiner '*) echo 'ready 127.0.0.1'; echo '00000000-0000-0000-0000-000000000000:-1' ;;
    *) while [ "$1" != --gtid ]; do shift; done; echo "done $2" ;;
esac
"#;

pub struct DatabaseCluster {
    pub nodes: Vec<DatabaseServer>,
    pub is_galera: bool,
    _folder: TempDir,
}

impl DatabaseCluster {
    /// `None` on SQLite. The user "app" may use every schema.
    pub async fn start() -> Option<DatabaseCluster> {
        let folder = tempfile::tempdir().unwrap();
        let mut like = TestDatabase::create(folder.path()).await;
        if !like.is_mysql_or_says("a file is no cluster") {
            return None;
        }
        let is_galera = is_mariadb(&like).await;
        let nodes = if is_galera { galera(folder.path()) } else { group_replication(&like).await };
        like.drop_soon();
        let cluster = DatabaseCluster { nodes, is_galera, _folder: folder };
        join_all((0..NODES).map(|node| cluster.is_joined(node))).await;
        cluster.nodes[0].db_execute("CREATE USER app IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO app").await;
        Some(cluster)
    }

    /// For DATABASE_URL, at this address.
    pub fn url(address: &str, schema: &str) -> String {
        format!("mysql://app:secret@{address}/{schema}")
    }

    /// Waits until this node sees all others. Before, a node refuses queries.
    async fn is_joined(&self, node: usize) {
        let sql = match self.is_galera {
            true => {
                "SELECT CAST(variable_value AS SIGNED) FROM information_schema.global_status \
                 WHERE variable_name = 'wsrep_cluster_size'"
            }
            false => {
                "SELECT COUNT(*) FROM performance_schema.replication_group_members WHERE member_state = 'ONLINE'"
            }
        };
        wait_for(async || match self.number(node, sql).await {
            Ok(number) if number == NODES as i64 => Ok(()),
            other => Err(format!("node {node} does not join: {other:?}")),
        })
        .await;
    }

    async fn number(&self, node: usize, sql: &'static str) -> sqlx::Result<i64> {
        let mut conn = MySqlConnection::connect(&self.nodes[node].url).await?;
        sqlx::query_scalar(sql).fetch_one(&mut conn).await
    }

    /// Makes a node that has lost the others a cluster of its own, as an administrator does.
    pub async fn bootstrap(&self, node: usize) {
        let sql = match self.is_galera {
            true => "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'",
            false => {
                "STOP GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION"
            }
        };
        self.nodes[node].db_execute(sql).await;
    }
}

fn galera(folder: &Path) -> Vec<DatabaseServer> {
    let script = folder.join("wsrep_sst_none_needed");
    write(&script, NO_STATE_TRANSFER).unwrap();
    for path in [folder, &script] {
        set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let addresses: Vec<_> = (0..NODES).map(|_| free_address()).collect();
    let members = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let start = |node: usize, data: Option<&Path>, is_first: bool| {
        let own = tempfile::tempdir().unwrap();
        let mut start = services("start", own.path());
        start.env("PATH", format!("{}:{}", std::env::var("PATH").unwrap(), folder.display()));
        start.args(data.map(|_| "--data")).args(data);
        let provider_options = format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://{};ist.recv_addr={};gcache.size=16M;pc.recovery=false;\
             evs.keepalive_period=PT0.3S;evs.inactive_check_period=PT0.3S;evs.suspect_timeout=PT1S;\
             evs.inactive_timeout=PT3S",
            addresses[node],
            free_address()
        );
        let cluster_address = format!("--wsrep-cluster-address=gcomm://{members}");
        let mut options = vec![
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            "--wsrep-on=ON",
            GALERA,
            "--wsrep-cluster-name=test",
            &cluster_address,
            "--wsrep-node-address=127.0.0.1",
            "--wsrep-sync-wait=7",
            "--wsrep-sst-method=none_needed",
            &provider_options,
        ];
        options.extend(is_first.then_some("--wsrep-new-cluster"));
        DatabaseServer::start_by(start, "mariadb", own, &options)
    };
    let origin = start(0, None, true);
    origin.stop();
    let data = origin.folder().join("mariadb");
    (0..NODES).map(|node| start(node, Some(&data), node == 0)).collect()
}

async fn group_replication(like: &TestDatabase) -> Vec<DatabaseServer> {
    let addresses: Vec<_> = (0..NODES).map(|_| free_address().to_string()).collect();
    let seeds = format!("--loose-group-replication-group-seeds={}", addresses.join(","));
    let mut nodes = Vec::new();
    for (node, address) in addresses.iter().enumerate() {
        let id = format!("--server-id={}", node + 1);
        let local = format!("--loose-group-replication-local-address={address}");
        let options = [
            &id,
            "--log-bin=bin",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--performance-schema=ON",
            "--report-host=127.0.0.1",
            "--plugin-load-add=group_replication.so",
            "--loose-group-replication-group-name=aaaaaaaa-0000-4000-8000-000000000001",
            &local,
            &seeds,
            "--loose-group-replication-ip-allowlist=127.0.0.1",
            "--loose-group-replication-single-primary-mode=OFF",
            "--loose-group-replication-start-on-boot=OFF",
            "--loose-group-replication-recovery-get-public-key=ON",
            "--loose-group-replication-consistency=BEFORE",
            "--loose-group-replication-unreachable-majority-timeout=1",
            "--loose-group-replication-autorejoin-tries=0",
        ];
        nodes.push(DatabaseServer::start(like, &options).await);
    }
    // The password of its administrator, which each server has set at its start, is no transaction of the group.
    let prepare = "RESET BINARY LOGS AND GTIDS; SET SQL_LOG_BIN = 0; CREATE USER repl IDENTIFIED BY 'secret'; \
        GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO repl; \
        SET SQL_LOG_BIN = 1; CHANGE REPLICATION SOURCE TO SOURCE_USER = 'repl', SOURCE_PASSWORD = 'secret' \
        FOR CHANNEL 'group_replication_recovery'";
    join_all(nodes.iter().map(|node| node.db_execute(prepare))).await;
    nodes[0]
        .db_execute(
            "SET GLOBAL group_replication_bootstrap_group = ON; START GROUP_REPLICATION; \
             SET GLOBAL group_replication_bootstrap_group = OFF",
        )
        .await;
    join_all(nodes[1..].iter().map(|node| node.db_execute("START GROUP_REPLICATION"))).await;
    nodes
}
