//! A database server of its own, and the statements that arrive there.

use sqlx::{Connection, MySqlConnection};

use super::{DatabaseServer, TestApp};

pub struct StatementLog {
    server: DatabaseServer,
}

impl StatementLog {
    /// Starts such a server, and an application on it with these settings; `None` on SQLite.
    pub async fn start(settings: &[(&str, &str)]) -> Option<(TestApp, StatementLog)> {
        let like = TestApp::start_unmigrated(&[]).await;
        if !like.database.is_mysql_or_says("it is no server") {
            return None;
        }
        let server = DatabaseServer::start(&like.database, &["--general-log=1", "--log-output=TABLE"]).await;
        server.db_execute("CREATE DATABASE sample").await;
        let url = format!("{}/sample", server.url);
        let app = TestApp::start_unmigrated(&[&[("DATABASE_URL", url.as_str())], settings].concat()).await;
        app.app.db.migrate().await.unwrap();
        server.db_execute("TRUNCATE mysql.general_log").await;
        Some((app, StatementLog { server }))
    }

    /// Commands of the protocol since the migrations, such as `Query` and `Execute`, with their statements.
    pub async fn read(&self) -> Vec<(String, String)> {
        let mut conn = MySqlConnection::connect(&self.server.url).await.unwrap();
        // A statement with a digest in it is no valid text.
        let sql = "SELECT CONVERT(command_type USING utf8mb4), COALESCE(CONVERT(argument USING utf8mb4), '') \
                   FROM mysql.general_log";
        let log: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap();
        log.into_iter().filter(|(_, statement)| !statement.contains("general_log")).collect()
    }
}
