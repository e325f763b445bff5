//! A writer and its replica, both of the kind under test, with an end point for the replica that can be frozen.

use super::database_server::{DatabaseServer, is_mariadb};
use super::{Proxy, TestDatabase};

pub struct Replicated {
    pub writer: DatabaseServer,
    pub reader: DatabaseServer,
    /// What DATABASE_READER_URL leads to.
    pub end_point: Proxy,
    is_mariadb: bool,
}

impl Replicated {
    /// `None` on SQLite, which has no replicas. Both servers have an empty schema "test" and the user "app".
    pub async fn start() -> Option<Replicated> {
        let folder = tempfile::tempdir().unwrap();
        let mut like = TestDatabase::create(folder.path()).await;
        if !like.is_mysql_or_says("a file has no replica") {
            return None;
        }
        let is_mariadb = is_mariadb(&like).await;
        let gtids: &[&str] = match is_mariadb {
            true => &["--log-slave-updates=ON", "--binlog-format=ROW"],
            false => &["--gtid-mode=ON", "--enforce-gtid-consistency=ON"],
        };
        let writer =
            DatabaseServer::start(&like, &[&["--server-id=1", "--log-bin=bin"], gtids].concat()).await;
        let reader =
            DatabaseServer::start(&like, &[&["--server-id=2", "--log-bin=bin"], gtids].concat()).await;
        like.drop_soon();
        let end_point = Proxy::to(reader.address());
        let pair = Replicated { writer, reader, end_point, is_mariadb };
        pair.begin().await;
        Some(pair)
    }

    /// Replicates from now on: what is there already is the administrator's password.
    async fn begin(&self) {
        self.writer
            .db_execute("CREATE USER repl IDENTIFIED BY 'secret'; GRANT REPLICATION SLAVE ON *.* TO repl")
            .await;
        let address = self.writer.address();
        let port = address.rsplit(':').next().unwrap();
        let begin = if self.is_mariadb {
            let position = self.writer.db_text("SELECT @@gtid_binlog_pos").await;
            format!(
                "RESET MASTER; SET GLOBAL gtid_slave_pos = '{position}'; CHANGE MASTER TO MASTER_HOST = '127.0.0.1', \
                 MASTER_PORT = {port}, MASTER_USER = 'repl', MASTER_PASSWORD = 'secret', MASTER_USE_GTID = slave_pos; \
                 START SLAVE; SET GLOBAL read_only = 1"
            )
        } else {
            let position = self.writer.db_text("SELECT @@gtid_executed").await;
            format!(
                "RESET BINARY LOGS AND GTIDS; SET GLOBAL gtid_purged = '{position}'; \
                 CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, SOURCE_USER = 'repl', \
                 SOURCE_PASSWORD = 'secret', SOURCE_AUTO_POSITION = 1, SOURCE_SSL = 1, SOURCE_CONNECT_RETRY = 1; \
                 START REPLICA; SET GLOBAL super_read_only = 1"
            )
        };
        self.reader.db_execute(&begin).await;
        self.writer
            .db_execute(
                "CREATE DATABASE test; CREATE USER app IDENTIFIED BY 'secret'; GRANT ALL ON test.* TO app",
            )
            .await;
    }

    /// The reader applies what is this old.
    pub async fn delay(&self, seconds: u32) {
        let sql = match self.is_mariadb {
            true => format!("STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = {seconds}; START SLAVE"),
            false => {
                format!("STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}; START REPLICA")
            }
        };
        self.reader.db_execute(&sql).await;
    }

    /// The reader goes on receiving and applies nothing.
    pub async fn stop_applying(&self) {
        let word = if self.is_mariadb { "SLAVE" } else { "REPLICA" };
        self.reader.db_execute(&format!("STOP {word} SQL_THREAD")).await;
    }

    pub async fn start_applying(&self) {
        let word = if self.is_mariadb { "SLAVE" } else { "REPLICA" };
        self.reader.db_execute(&format!("START {word} SQL_THREAD")).await;
    }

    /// For DATABASE_URL and DATABASE_READER_URL.
    pub fn urls(&self) -> [String; 2] {
        [self.writer.address(), self.end_point.address.to_string()]
            .map(|address| format!("mysql://app:secret@{address}/test"))
    }
}
