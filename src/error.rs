//! One error for everything that a request can run into, and the one `Result`. The log gets the detail; the visitor
//! gets the page that web/middleware/error_pages.rs makes of it.

mod failure;

use std::borrow::Cow;
use std::fmt::Display;
use std::path::Path;

pub use failure::Failure;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

/// `Result` of nearly everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything underneath an [`Error`].
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong, by what the visitor is to be told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The page or row is not there, or not for this visitor to know of.
    #[error("not found")]
    NotFound,
    /// The request cannot be understood; the sentence says why, for the visitor.
    #[error("bad request: {0}")]
    BadRequest(Cow<'static, str>),
    /// The request comes from where it must not; the sentence says why, for the visitor.
    #[error("forbidden: {0}")]
    Forbidden(Cow<'static, str>),
    /// A page that needs a log-in.
    #[error("not logged in")]
    LogInFirst,
    /// Somebody else's settings, or an admin's action: back to the home page, as in the original.
    #[error("not allowed")]
    NotAllowed,
    /// More than is taken in; the sentence says how much is.
    #[error("too large: {0}")]
    TooLarge(Cow<'static, str>),
    /// Body did not arrive in time.
    #[error("the request took too long to arrive")]
    TooSlow,
    /// Too often; may be tried again after so many seconds.
    #[error("too many requests")]
    TooMany {
        /// For the header `Retry-After`.
        retry_after: u64,
    },
    /// There is too much to do at the moment.
    #[error("too busy")]
    Busy,
    /// A service behind the application does not answer.
    #[error("unavailable: {0}")]
    Unavailable(Source),
    /// The database refused.
    #[error("database: {0}")]
    Database(sqlx::Error),
    /// A fault of ours.
    #[error("internal: {0}")]
    Internal(Source),
}

impl Error {
    /// A service that does not answer, with what is known of it.
    pub fn unavailable(source: impl Into<Source>) -> Error {
        Error::Unavailable(source.into())
    }

    /// A fault of ours, with what is known of it.
    pub fn internal(source: impl Into<Source>) -> Error {
        Error::Internal(source.into())
    }

    /// A fault of ours, with the setting that it comes from.
    pub fn about(self, setting: &str) -> Error {
        match self {
            Error::Internal(source) => Error::internal(format!("{setting}: {source}")),
            other => other,
        }
    }

    /// Whether a unique key was violated: the database says "taken".
    pub fn is_unique_violation(&self) -> bool {
        self.database().is_some_and(|error| error.is_unique_violation())
    }

    /// Whether the database rolled back in favour of another transaction.
    pub fn is_lock_conflict(&self) -> bool {
        self.failure() == Failure::LockConflict
    }

    /// What this means for the statement or transaction that met it.
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
            // What a new row belongs to was deleted at this very moment.
            sqlx::Error::Database(ref e) if e.is_foreign_key_violation() => Error::NotFound,
            other if Failure::of(&other) == Failure::Fault => Error::Database(other),
            // Never a 500, wherever it comes from.
            other => Error::unavailable(other),
        }
    }
}

/// What is wrong with a file or folder: its path, and the setting that it comes from.
pub fn unusable(path: &Path, setting: &str, error: impl Display) -> String {
    format!(
        "{}: {error}; let the user who runs the program read and write there, or set another path in {setting}",
        path.display()
    )
}

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        match self {
            Error::NotFound => StatusCode::NOT_FOUND,
            Error::BadRequest(_) => StatusCode::BAD_REQUEST,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::LogInFirst | Error::NotAllowed => StatusCode::SEE_OTHER,
            Error::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Error::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Error::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Error::Busy | Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Database(_) | Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// A bare answer; web/middleware/error_pages.rs dresses it.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
