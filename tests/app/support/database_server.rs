//! A test's own database server, of the same kind as the one under test, so that global settings can be changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection};
use tempfile::TempDir;

use super::TestDatabase;

/// Stopped on drop.
pub struct DatabaseServer {
    /// For DATABASE_URL, without a schema.
    pub url: String,
    folder: TempDir,
}

impl DatabaseServer {
    /// Starts with these options in addition to those of scripts/services.
    pub async fn start(like: &TestDatabase, options: &[&str]) -> DatabaseServer {
        let name = if is_mariadb(like).await { "mariadb" } else { "mysql" };
        let folder = tempfile::tempdir().unwrap();
        DatabaseServer::start_by(services("start", folder.path()), name, folder, options)
    }

    /// A MariaDB for which /etc/pam.d is this folder, and for nobody else. `None` where this may not be mounted.
    pub fn start_with_pam(pam: &Path, options: &[&str]) -> Option<DatabaseServer> {
        let folder = tempfile::tempdir().unwrap();
        let mut private = Command::new("unshare");
        let script = "mount --bind \"$0\" /etc/pam.d && exec \"$@\"";
        private.args(["--mount", "sh", "-c", script]).arg(pam);
        if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
            return None;
        }
        let start = services("start", folder.path());
        private.arg(start.get_program()).args(start.get_args());
        Some(DatabaseServer::start_by(private, "mariadb", folder, options))
    }

    /// The same by another command, which starts scripts/services in this folder.
    pub fn start_by(mut start: Command, name: &str, folder: TempDir, options: &[&str]) -> DatabaseServer {
        let started = start.arg(name).arg("--").args(options).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let env = std::fs::read_to_string(folder.path().join("env")).unwrap();
        let url =
            env.lines().find_map(|line| line.strip_prefix(&format!("TEST_{}_URL=", name.to_uppercase())));
        DatabaseServer { url: url.unwrap().to_owned(), folder }
    }

    /// For DATABASE_CA_FILE.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("tls/ca.pem")
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.url.split('@').nth(1).unwrap().to_owned()
    }

    /// Sends a signal by its name without SIG: KILL as in a power failure, STOP and CONT, TERM.
    pub fn signal(&self, name: &str) {
        let pids = std::fs::read_to_string(self.folder.path().join("pids")).unwrap();
        let pid = pids.lines().last().unwrap().rsplit(' ').next().unwrap();
        assert!(Command::new("kill").args(["-s", name, pid]).status().unwrap().success());
    }

    /// Stops it and leaves its folder.
    pub fn stop(&self) {
        let _ = services("stop", self.folder.path()).status();
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a statement as the administrator.
    pub async fn db_execute(&self, sql: &str) {
        let mut conn = MySqlConnection::connect(&self.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await.unwrap();
    }

    /// The first column of the first row, queried as the administrator.
    pub async fn db_number(&self, sql: &str) -> i64 {
        let mut conn = MySqlConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut conn).await.unwrap()
    }

    /// Waits until the query returns this number.
    pub async fn db_until(&self, sql: &str, number: i64) {
        TestDatabase::on_own_server(&self.url).db_until(sql, number).await;
    }

    /// The same as text.
    pub async fn db_text(&self, sql: &str) -> String {
        let mut conn = MySqlConnection::connect(&self.url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut conn).await.unwrap()
    }

    /// Kills it (SIGKILL), like a power failure.
    pub fn kill(&self) {
        self.signal("KILL");
    }
}

pub async fn is_mariadb(database: &TestDatabase) -> bool {
    database.db_text("SELECT VERSION()").await.contains("MariaDB")
}

/// The script that starts and stops servers, with its first two arguments.
pub fn services(command: &str, folder: &Path) -> Command {
    let mut services = Command::new(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scripts/services"));
    services.arg(command).arg(folder);
    services
}

impl Drop for DatabaseServer {
    fn drop(&mut self) {
        self.stop();
    }
}
