//! Statements as text with their values in it, for MySQL and MariaDB.
//!
//! - So that several travel together: a prepared statement always travels alone (`Conn::defer`). Only those whose values
//!   are numbers, times and digests; text is bound.
//! - For DATABASE_PROXY, all of them: RDS Proxy lends each statement or transaction a server connection, and reserves
//!   ("pins") it for one client after what it cannot carry over to another: prepared statements, executable comments,
//!   most session variables (AWS, "Avoiding pinning an RDS Proxy").

use std::future::ready;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, FromRow, RawSql, SqlSafeStr, SqlStr};

use super::ExecResult;

/// Used like `sqlx::query`, without preparing a statement.
pub(crate) struct TextQuery {
    sql: SqlStr,
    literals: Vec<String>,
    has_text: bool,
    /// Statements that run before this one, each with a semicolon.
    before: String,
}

/// A value as an SQL literal. Text is written as the hexadecimal digits of its bytes: nothing in it needs an escape,
/// whatever sql_mode and character set the session has.
pub(crate) trait Literal {
    /// Whether this is text, which somebody may have typed.
    const IS_TEXT: bool = false;

    fn literal(&self) -> String;
}

impl TextQuery {
    pub(crate) fn new(sql: impl SqlSafeStr) -> TextQuery {
        TextQuery { sql: sql.into_sql_str(), literals: Vec::new(), has_text: false, before: String::new() }
    }

    pub(crate) fn bind<T: Literal>(mut self, value: T) -> TextQuery {
        self.literals.push(value.literal());
        self.has_text |= T::IS_TEXT;
        self
    }

    pub(super) fn has_text(&self) -> bool {
        self.has_text
    }

    pub(super) fn after(self, before: String) -> TextQuery {
        TextQuery { before, ..self }
    }

    pub(crate) async fn execute(self, conn: &mut MySqlConnection) -> sqlx::Result<ExecResult> {
        // The last result is that of this statement; `RawSql::execute` would add up the rows of all.
        let last = self.raw()?.execute_many(conn).try_fold(None, |_, result| ready(Ok(Some(result)))).await?;
        last.map(ExecResult::from).ok_or(sqlx::Error::RowNotFound)
    }

    pub(crate) async fn fetch_all<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<Vec<T>> {
        self.raw()?.fetch_all(conn).await?.iter().map(T::from_row).collect()
    }

    pub(crate) async fn fetch_optional<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<Option<T>> {
        self.raw()?.fetch_optional(conn).await?.as_ref().map(T::from_row).transpose()
    }

    pub(crate) async fn fetch_one<T: for<'r> FromRow<'r, MySqlRow>>(
        self,
        conn: &mut MySqlConnection,
    ) -> sqlx::Result<T> {
        T::from_row(&self.raw()?.fetch_one(conn).await?)
    }

    /// Puts the values in the places of the `?`. Executable comments lose their marks: only MySQL sees this text.
    pub(super) fn text(self) -> sqlx::Result<String> {
        let sql = self.sql.as_str().replace("/*! ", "").replace(" */", "");
        let pieces: Vec<&str> = sql.split('?').collect();
        if pieces.len() != self.literals.len() + 1 {
            return Err(sqlx::Error::Protocol(format!("{} values for {sql}", self.literals.len())));
        }
        let literals = self.literals.iter().map(String::as_str).chain([""]);
        let statement = pieces.into_iter().zip(literals).flat_map(|(piece, value)| [piece, value]);
        Ok([self.before.as_str()].into_iter().chain(statement).collect())
    }

    fn raw(self) -> sqlx::Result<RawSql> {
        Ok(sqlx::raw_sql(AssertSqlSafe(self.text()?)))
    }
}

impl Literal for str {
    const IS_TEXT: bool = true;

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
    const IS_TEXT: bool = true;

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
    const IS_TEXT: bool = T::IS_TEXT;

    fn literal(&self) -> String {
        self.as_ref().map_or_else(|| "NULL".to_owned(), T::literal)
    }
}

impl<T: Literal + ?Sized> Literal for &T {
    const IS_TEXT: bool = T::IS_TEXT;

    fn literal(&self) -> String {
        (**self).literal()
    }
}
