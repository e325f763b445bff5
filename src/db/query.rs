//! The macros that run one query on either backend.

/// Runs one query on either backend and retries it where `Failure` allows:
/// `with_backend!(db, |c| sqlx::query_as(sql).bind(id).fetch_one(c), TextQuery::new(sql).bind(id), fetch_one)`. The second is
/// the same as text (text_query.rs), and what to do with it. The macros below are shorthand.
macro_rules! with_backend {
    ($conn:expr, |$c:ident| $query:expr, $text_query:expr, $run:ident) => {{
        let conn: &mut $crate::db::Conn = $conn;
        let limit = conn.answer_timeout();
        let mut attempts = 0;
        loop {
            let text = match conn.as_text(|| $text_query).await {
                Ok(text) => text,
                Err(error) => break Err(error),
            };
            let answer = match (conn.backend_mut()?, text) {
                ($crate::db::Backend::Sqlite(object), _) => {
                    let $c = &mut **object;
                    $crate::db::Conn::with_timeout(limit, $query).await
                }
                ($crate::db::Backend::MySql(object), Some(text)) => {
                    $crate::db::Conn::with_timeout(limit, text.$run(&mut **object)).await
                }
                ($crate::db::Backend::MySql(object), None) => {
                    let $c = &mut **object;
                    $crate::db::Conn::with_timeout(limit, $query).await
                }
            };
            attempts += 1;
            match conn.finish(answer) {
                Err(error) => match conn.prepare_retry(error, attempts).await {
                    Ok(()) => {}
                    Err(error) => break Err(error),
                },
                answer => break answer,
            }
        }
    }};
}

/// `execute!(db, "UPDATE .. WHERE id = ?", id)` gives an [`ExecResult`].
macro_rules! execute {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {{
        $crate::db::note_write();
        $crate::db::with_backend!(
            $conn,
            |c| futures_util::TryFutureExt::map_ok(
                sqlx::query($sql)$(.bind($value))*.execute(c),
                $crate::db::ExecResult::from
            ),
            $crate::db::TextQuery::new($sql)$(.bind($value))*,
            execute
        )
    }};
}

/// `defer!(db, "INSERT .. VALUES (?)", id)` runs a statement along with the next one, or with COMMIT, in one exchange with
/// the server. For statements of a transaction whose outcome nobody looks at; an error is that of the next one.
macro_rules! defer {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {{
        let conn: &mut $crate::db::Conn = $conn;
        if conn.defers() {
            $crate::db::note_write();
            conn.defer($crate::db::TextQuery::new($sql)$(.bind($value))*)
        } else {
            $crate::db::execute!(conn, $sql $(, $value)*).map(|_| ())
        }
    }};
}

/// `fetch_all!(db, "SELECT .. WHERE a > ?", a)` gives a `Vec` of rows.
macro_rules! fetch_all {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_all(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*,
            fetch_all
        )
    };
}

/// `fetch_optional!(db, "SELECT .. WHERE id = ?", id)` gives the first row, or `None`.
macro_rules! fetch_optional {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_optional(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*,
            fetch_optional
        )
    };
}

/// `fetch_one!(db, "SELECT COUNT(*) ..")`, for queries that always return a row.
macro_rules! fetch_one {
    ($conn:expr, $sql:expr $(, $value:expr)* $(,)?) => {
        $crate::db::with_backend!(
            $conn,
            |c| sqlx::query_as($sql)$(.bind($value))*.fetch_one(c),
            $crate::db::TextQuery::new($sql)$(.bind($value))*,
            fetch_one
        )
    };
}

/// Implements `FromRow` by field name for both backends. (sqlx's derive would compile SQLite a second time, for the
/// proc macro.)
macro_rules! row {
    ($row:ident { $($field:ident),+ $(,)? }) => {
        $crate::db::row!(@for sqlx::mysql::MySqlRow, $row { $($field),+ });
        $crate::db::row!(@for sqlx::sqlite::SqliteRow, $row { $($field),+ });
    };
    (@for $db_row:ty, $row:ident { $($field:ident),+ }) => {
        impl sqlx::FromRow<'_, $db_row> for $row {
            fn from_row(row: &$db_row) -> sqlx::Result<Self> {
                use sqlx::Row;
                Ok($row { $($field: row.try_get(stringify!($field))?),+ })
            }
        }
    };
}

pub(crate) use {defer, execute, fetch_all, fetch_one, fetch_optional, row, with_backend};
