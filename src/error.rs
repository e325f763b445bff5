//! The error type of the application and its `Result`, independent of HTTP: web/error_messages.rs gives each error its
//! status and the text for the visitor; the log gets the details.

mod failure;

use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

pub use failure::Failure;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an [`Error`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// Errors, grouped by what the visitor is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page or row does not exist, or this visitor may not know that it does.
    #[error("not found")]
    NotFound,
    /// The request is malformed; the text tells the visitor why.
    #[error("bad request: {0}")]
    BadRequest(Cow<'static, str>),
    /// The request comes from another site; the text tells the visitor why.
    #[error("forbidden: {0}")]
    Forbidden(Cow<'static, str>),
    /// The page needs a log-in.
    #[error("not logged in")]
    LogInFirst,
    /// Another user's settings, or an action for admins. Redirects to the home page, as the Rails sample does.
    #[error("not allowed")]
    NotAllowed,
    /// The body is too large; the text tells the visitor the limit.
    #[error("too large: {0}")]
    TooLarge(Cow<'static, str>),
    /// The body did not arrive in time.
    #[error("the request took too long to arrive")]
    TooSlow,
    /// A rate limit was exceeded.
    #[error("too many requests")]
    TooMany {
        /// Seconds, for the header `Retry-After`.
        retry_after: u64,
    },
    /// A queue is full at the moment.
    #[error("too busy")]
    Busy,
    /// A service that the application depends on does not answer.
    #[error("unavailable: {0}")]
    Unavailable(Source),
    /// The database rejected a statement.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// A fault of the program or of its configuration.
    #[error("internal: {0}")]
    Internal(Source),
}

impl Error {
    pub fn unavailable(source: impl Into<Source>) -> Error {
        Error::Unavailable(source.into())
    }

    pub fn internal(source: impl Into<Source>) -> Error {
        Error::Internal(source.into())
    }

    /// Prefixes an internal error with the name of the setting that caused it.
    pub fn about(self, setting: &str) -> Error {
        match self {
            Error::Internal(source) => Error::internal(format!("{setting}: {source}")),
            other => other,
        }
    }

    /// What is wrong, without the category.
    pub fn text(&self) -> String {
        match self {
            Error::Unavailable(source) | Error::Internal(source) => source.to_string(),
            other => other.to_string(),
        }
    }

    pub fn is_unique_violation(&self) -> bool {
        self.database().is_some_and(|error| error.is_unique_violation())
    }

    /// Whether the database rolled back in favour of another transaction.
    pub fn is_lock_conflict(&self) -> bool {
        matches!(self.failure(), Failure::LockConflict | Failure::LockTimeout)
    }

    /// Classifies this error for the statement or transaction that failed.
    pub fn failure(&self) -> Failure {
        match self {
            Error::Database(error) => Failure::of(error),
            Error::Unavailable(source) => source.downcast_ref().map_or(Failure::Transient, Failure::of),
            _ => Failure::Fault,
        }
    }

    fn database(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        match self {
            Error::Database(error) => error.as_database_error(),
            _ => None,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Error {
        match error {
            sqlx::Error::RowNotFound => Error::NotFound,
            // The row that a new row refers to was deleted concurrently.
            sqlx::Error::Database(ref e) if e.is_foreign_key_violation() => Error::NotFound,
            other if Failure::of(&other) == Failure::Fault => Error::Database(other),
            // Always a 503, never a 500.
            other => Error::unavailable(other),
        }
    }
}

/// Message for a file or folder that cannot be used, with its path and its setting.
pub fn unusable(path: &Path, setting: &str, error: impl Display) -> String {
    format!(
        "{}: {error}; let the user who runs the program read and write there, or set another path in {setting}",
        path.display()
    )
}
