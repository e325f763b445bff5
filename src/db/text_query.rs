//! Statements as text with their values in it, for DATABASE_PROXY. RDS Proxy lends each statement or transaction a server
//! connection, and reserves ("pins") it for one client after what it cannot carry over to another: prepared statements,
//! executable comments, most session variables (AWS, "Avoiding pinning an RDS Proxy").

use chrono::{DateTime, Utc};
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, FromRow, RawSql, SqlSafeStr, SqlStr};

use super::ExecResult;

/// Used like `sqlx::query`, without preparing a statement.
pub(crate) struct TextQuery {
    sql: SqlStr,
    literals: Vec<String>,
}

/// A value as an SQL literal. Text is written as the hexadecimal digits of its bytes: nothing in it needs an escape,
/// whatever sql_mode and character set the session has.
pub(crate) trait Literal {
    fn literal(&self) -> String;
}

impl TextQuery {
    pub(crate) fn new(sql: impl SqlSafeStr) -> TextQuery {
        TextQuery { sql: sql.into_sql_str(), literals: Vec::new() }
    }

    pub(crate) fn bind(mut self, value: impl Literal) -> TextQuery {
        self.literals.push(value.literal());
        self
    }

    pub(crate) async fn execute(self, conn: &mut MySqlConnection) -> sqlx::Result<ExecResult> {
        self.text()?.execute(conn).await.map(ExecResult::from)
    }

    pub(crate) async fn fetch_all<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<Vec<T>> {
        self.text()?.fetch_all(conn).await?.iter().map(T::from_row).collect()
    }

    pub(crate) async fn fetch_optional<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<Option<T>> {
        self.text()?.fetch_optional(conn).await?.as_ref().map(T::from_row).transpose()
    }

    pub(crate) async fn fetch_one<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<T> {
        T::from_row(&self.text()?.fetch_one(conn).await?)
    }

    /// Puts the values in the places of the `?`. Executable comments lose their marks: only MySQL sees this text.
    fn text(self) -> sqlx::Result<RawSql> {
        let sql = self.sql.as_str().replace("/*! ", "").replace(" */", "");
        let pieces: Vec<&str> = sql.split('?').collect();
        if pieces.len() != self.literals.len() + 1 {
            return Err(sqlx::Error::Protocol(format!("{} values for {sql}", self.literals.len())));
        }
        let literals = self.literals.iter().map(String::as_str).chain([""]);
        let text: String =
            pieces.into_iter().zip(literals).flat_map(|(piece, value)| [piece, value]).collect();
        Ok(sqlx::raw_sql(AssertSqlSafe(text)))
    }
}

impl Literal for str {
    fn literal(&self) -> String {
        format!("_utf8mb4 X'{}'", hex::encode(self))
    }
}

impl Literal for [u8] {
    fn literal(&self) -> String {
        format!("X'{}'", hex::encode(self))
    }
}

impl Literal for DateTime<Utc> {
    fn literal(&self) -> String {
        self.format("TIMESTAMP'%Y-%m-%d %H:%M:%S%.6f'").to_string()
    }
}

impl Literal for bool {
    fn literal(&self) -> String {
        if *self { "TRUE" } else { "FALSE" }.to_owned()
    }
}

/// `f64` for finite numbers.
macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Literal for $number {
            fn literal(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

numbers!(f64, i64, i32, u32);

impl Literal for String {
    fn literal(&self) -> String {
        self.as_str().literal()
    }
}

impl Literal for Vec<u8> {
    fn literal(&self) -> String {
        self.as_slice().literal()
    }
}

impl<T: Literal> Literal for Option<T> {
    fn literal(&self) -> String {
        self.as_ref().map_or_else(|| "NULL".to_owned(), T::literal)
    }
}

impl<T: Literal + ?Sized> Literal for &T {
    fn literal(&self) -> String {
        (**self).literal()
    }
}
