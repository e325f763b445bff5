//! What each error means to a visitor: status, title and words.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};

use crate::error::Error;

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

    /// An empty response; web/middleware/error_pages.rs renders the page.
    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

/// The title of the error page.
pub fn heading(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "Request refused",
        404 => "Page not found",
        405 => "Action not available",
        408 => "That took too long",
        413 => "Too large",
        429 => "Too many requests",
        431 => "Too many cookies",
        503 => "Temporarily unavailable",
        504 => "This is taking too long",
        400..=499 => "Invalid request",
        _ => "Something went wrong",
    }
}

/// What happened and, where that helps, what to do.
pub fn sentence(status: StatusCode) -> &'static str {
    match status.as_u16() {
        404 => "The page you are looking for does not exist, or no longer does.",
        405 => "This address does not take that kind of request.",
        408 => "Your request did not arrive in time. Please try again.",
        413 => "What you sent is larger than this site accepts.",
        429 => "You are sending too many requests. Please wait a moment and try again.",
        431 => {
            "Your browser sent more than we can read, usually because of cookies. Delete the cookies of this address in \
             your browser's settings, then try again. You will need to log in again."
        }
        503 => "One of the services behind this site does not answer. Please try again in a moment.",
        504 => "This site took too long to answer.",
        400..=499 => "The request could not be understood.",
        _ => "We are sorry: this is our fault. It has been noted.",
    }
}
