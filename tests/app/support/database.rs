//! A database for one test: a SQLite file or, if TEST_DATABASE_URL names a MySQL or MariaDB server, a schema with a
//! random name.

use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, MySqlConnection, SqliteConnection};

use super::database_sessions;
use super::wait::wait_for;

#[derive(Clone)]
pub struct TestDatabase {
    /// For DATABASE_URL.
    pub url: String,
    server: Option<(String, String)>,
}

impl TestDatabase {
    pub async fn create(folder: &Path) -> TestDatabase {
        let Some(server) = server() else {
            return TestDatabase {
                url: format!("sqlite:{}", folder.join("test.db").display()),
                server: None,
            };
        };
        let name = format!("test_{}", sample_app::models::values::token::random_hex::<8>().unwrap());
        on_server(&server, &format!("CREATE DATABASE {name}")).await;
        TestDatabase { url: format!("{server}/{name}"), server: Some((server, name)) }
    }

    /// A schema on a server of the test's own, with which it disappears.
    pub fn on_own_server(url: &str) -> TestDatabase {
        TestDatabase { url: url.to_owned(), server: Some(Default::default()) }
    }

    pub fn is_mysql(&self) -> bool {
        self.server.is_some()
    }

    /// On MySQL or MariaDB.
    pub fn schema(&self) -> &str {
        self.url.rsplit('/').next().unwrap()
    }

    /// Whether this is MySQL or MariaDB. If not, prints why the calling test ends here.
    pub fn is_mysql_or_says(&self, why: &str) -> bool {
        if !self.is_mysql() {
            eprintln!("nothing to test on SQLite: {why}");
        }
        self.is_mysql()
    }

    /// A connection of its own, as another program would have.
    pub async fn db_connect_mysql(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url).await.unwrap()
    }

    /// The same for SQLite.
    pub async fn db_connect_sqlite(&self) -> SqliteConnection {
        SqliteConnection::connect(&self.url).await.unwrap()
    }

    /// Another program's open transaction, which has changed this row (on SQLite: holds the write lock).
    pub async fn db_hold_row(&self, table: &str, id: i64) -> HeldRow {
        if self.is_mysql() {
            let mut conn = self.db_connect_mysql().await;
            let hold = format!("BEGIN; UPDATE {table} SET id = id WHERE id = {id}");
            sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut conn).await.unwrap();
            HeldRow::MySql(conn)
        } else {
            let mut conn = self.db_connect_sqlite().await;
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.unwrap();
            HeldRow::Sqlite(conn)
        }
    }

    /// The first column of the first row, as a number.
    pub async fn db_number(&self, sql: &str) -> i64 {
        self.db_row::<i64>(sql).await
    }

    /// Waits until the query returns this number.
    #[track_caller]
    pub fn db_until(&self, sql: &str, number: i64) -> impl Future<Output = ()> {
        wait_for(async move || match self.db_number(sql).await {
            now if now == number => Ok(()),
            now => Err(format!("{sql} returns {now}, not {number}")),
        })
    }

    /// The first column of the first row, as text.
    pub async fn db_text(&self, sql: &str) -> String {
        self.db_row::<String>(sql).await
    }

    async fn db_row<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + 'static,
        for<'r> T: sqlx::Decode<'r, sqlx::MySql>
            + sqlx::Type<sqlx::MySql>
            + sqlx::Decode<'r, sqlx::Sqlite>
            + sqlx::Type<sqlx::Sqlite>,
    {
        let query = AssertSqlSafe(sql.to_owned());
        if self.is_mysql() {
            let mut conn = MySqlConnection::connect(&self.url).await.unwrap();
            // The default truncates a dump after 1 kB without an error.
            sqlx::raw_sql("SET SESSION group_concat_max_len = 100000000").execute(&mut conn).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
        } else {
            let mut conn = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query_scalar(query).fetch_one(&mut conn).await.unwrap()
        }
    }

    pub async fn db_execute(&self, sql: &str) {
        let query = AssertSqlSafe(sql.to_owned());
        if self.is_mysql() {
            let mut conn = MySqlConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(query).execute(&mut conn).await.unwrap();
        } else {
            let mut conn = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::raw_sql(query).execute(&mut conn).await.unwrap();
        }
    }

    /// The contents of all tables, to detect any change.
    pub async fn db_dump(&self) -> String {
        let mut parts = Vec::new();
        for (table, columns) in TABLES {
            let rows = if self.is_mysql() {
                format!(
                    "SELECT COALESCE(GROUP_CONCAT(CONCAT_WS('|', {columns}) ORDER BY {columns} SEPARATOR '\n'), '') FROM {table}"
                )
            } else {
                format!(
                    "SELECT COALESCE(GROUP_CONCAT({}, char(10)), '') FROM (SELECT * FROM {table} ORDER BY {columns})",
                    columns
                        .split(", ")
                        .map(|column| format!("COALESCE({column}, '')"))
                        .collect::<Vec<_>>()
                        .join(" || '|' || ")
                )
            };
            parts.extend([format!("'{table}:\n'"), format!("({rows})"), "'\n'".into()]);
        }
        // One query for all: with one connection per table, tests that dump often would take most of their time here.
        let whole =
            if self.is_mysql() { format!("CONCAT({})", parts.join(", ")) } else { parts.join(" || ") };
        self.db_text(&format!("SELECT {whole}")).await
    }

    /// Asserts that the counters equal the numbers of rows, and that timelines match posts and follows.
    pub async fn db_assert_counts(&self) {
        for (column, rows) in [
            ("microposts_count", "microposts WHERE user_id"),
            ("following_count", "relationships WHERE follower_id"),
            ("followers_count", "relationships WHERE followed_id"),
        ] {
            let wrong = format!(
                "SELECT COUNT(*) FROM users WHERE {column} <> (SELECT COUNT(*) FROM {rows} = users.id)"
            );
            assert_eq!(self.db_number(&wrong).await, 0, "{column}");
        }
        let entries = "(SELECT user_id, created_at, micropost_id, author_id FROM timeline_entries)";
        let feeds = "(SELECT follower_id AS user_id, microposts.created_at, microposts.id AS micropost_id, \
                       followed_id AS author_id FROM relationships \
                     JOIN users ON users.id = followed_id AND users.read_through = FALSE \
                     JOIN microposts ON microposts.user_id = followed_id \
                     UNION ALL SELECT user_id, created_at, id, user_id FROM microposts)";
        for (some, others) in [(entries, feeds), (feeds, entries)] {
            let wrong = format!(
                "SELECT COUNT(*) FROM {some} some LEFT JOIN {others} others USING \
                 (user_id, created_at, micropost_id, author_id) WHERE others.user_id IS NULL"
            );
            assert_eq!(self.db_number(&wrong).await, 0, "in {some}, but not in {others}");
        }
    }

    /// Inserts activated users named Crowd with one statement; at most 10,000.
    pub async fn db_crowd(&self, people: usize) {
        let (number, numbers) = self.four_digits();
        let now =
            if self.is_mysql() { "UTC_TIMESTAMP(6)" } else { "strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')" };
        self.db_execute(&format!(
            "INSERT INTO users (name, email, password_digest, activated_at, created_at, updated_at) \
             SELECT 'Crowd', {number}, 'x', {now}, {now}, {now} FROM {numbers} ORDER BY {number} LIMIT {people}"
        ))
        .await;
    }

    /// For bulk data: an SQL expression for all texts from 0000 to 9999, and its FROM tables.
    pub fn four_digits(&self) -> (&'static str, String) {
        let digits = (1..=9).fold("SELECT 0 AS d".to_owned(), |sql, d| format!("{sql} UNION ALL SELECT {d}"));
        let tables = ["a", "b", "c", "e"].map(|name| format!("({digits}) {name}")).join(", ");
        let number = if self.is_mysql() { "CONCAT(a.d, b.d, c.d, e.d)" } else { "a.d || b.d || c.d || e.d" };
        (number, tables)
    }

    /// Drops the schema on a thread of its own, because a panicking test has no runtime left.
    pub fn drop_soon(&mut self) {
        let Some((server, name)) = self.server.take() else { return };
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(drop_schema(&server, &name));
        });
        let _ = dropping.join();
    }
}

/// See [`TestDatabase::db_hold_row`].
pub enum HeldRow {
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl HeldRow {
    pub async fn let_go(self) {
        match self {
            HeldRow::MySql(conn) => conn.close().await.unwrap(),
            HeldRow::Sqlite(conn) => conn.close().await.unwrap(),
        }
    }
}

/// All tables, with the columns that pages can change.
const TABLES: [(&str, &str); 11] = [
    (
        "users",
        "id, name, email, password_digest, admin, activated_at, deleted_at, sign_in_epoch, microposts_count, following_count, followers_count, read_through, follows_read_through",
    ),
    ("remembered_devices", "id, user_id, selector, HEX(digest), expires_at"),
    ("mail_tokens", "id, user_id, purpose, HEX(digest), email, expires_at"),
    ("microposts", "id, user_id, content, picture, created_at"),
    ("relationships", "id, follower_id, followed_id, created_at"),
    ("timeline_entries", "user_id, created_at, micropost_id, author_id"),
    ("outbox", "id, message_id, recipient, subject, parked_at"),
    ("picture_deletions", "id, picture, attempts, next_attempt_at"),
    ("jobs", "id, kind, subject_id, position"),
    ("suppressions", "id, email, reason, lifted_at"),
    ("idempotency_keys", "HEX(digest)"),
];

/// Number of migrations.
pub fn migrations() -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    folder.read_dir().unwrap().count()
}

/// The server in TEST_DATABASE_URL, without a schema.
fn server() -> Option<String> {
    std::env::var("TEST_DATABASE_URL")
        .ok()
        .filter(|url| !url.is_empty())
        .map(|url| url.trim_end_matches('/').to_owned())
}

async fn connect(server: &str) -> MySqlConnection {
    MySqlConnection::connect(server)
        .await
        .unwrap_or_else(|error| panic!("TEST_DATABASE_URL does not lead to a server: {error}"))
}

async fn on_server(server: &str, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connect(server).await).await.unwrap();
}

/// Ends the connections first: the workers of the application have stopped with the test, maybe within a transaction,
/// whose locks the server would wait for.
async fn drop_schema(server: &str, name: &str) {
    let mut conn = connect(server).await;
    let open = database_sessions::sessions(&mut conn, name).await;
    database_sessions::kill(&mut conn, &open).await;
    // A program that a failed test left running may have connected again.
    let drop = format!("SET SESSION lock_wait_timeout = 10; DROP DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut conn).await.unwrap();
}
