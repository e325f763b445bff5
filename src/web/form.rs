//! The form in a request body. It is read before routing, with limits on size and time, because the field `_method`
//! overrides the verb: HTML forms only have GET and POST.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::{Stream, StreamExt};

use super::params::Params;
use crate::error::{Error, Result};

/// Largest form, in bytes: several times the longest fields, percent-encoded.
const MAX_BODY: usize = 8 * 1024;
/// Time within which a form must arrive (slow clients, ASVS 15.2.2).
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The fields of all our forms; of `user[name]`, the part before the bracket.
const FIELDS: &[&str] = &[
    "_method",
    "account_activation",
    "email",
    "followed_id",
    "idempotency_key",
    "micropost",
    "password_reset",
    "return_to",
    "session",
    "user",
];

/// Why the form could not be read; kept until authentication and routing are done.
struct Unreadable(Error);

/// The fields of the form; empty if the request has no body.
#[derive(Debug, Clone, Default)]
pub struct Form(pub Params);

impl Form {
    /// The form that [`read_form`] found in this request.
    ///
    /// # Errors
    /// Why the form could not be read, or [`Error::BadRequest`] for a body that is not a form.
    pub fn of(req: &HttpRequest) -> Result<Form> {
        if let Some(error) = Form::unreadable(req) {
            return Err(error);
        }
        match req.extensions().get::<Form>() {
            Some(form) => Ok(form.clone()),
            None if has_body(req.headers()) => {
                Err(Error::BadRequest("The form has an encoding that this site does not support.".into()))
            }
            None => Ok(Form::default()),
        }
    }

    /// Takes the error of a form that could not be read, whose verb is therefore unknown.
    pub fn unreadable(req: &HttpRequest) -> Option<Error> {
        req.extensions_mut().remove::<Unreadable>().map(|unreadable| unreadable.0)
    }

    /// The value of a field, or "" if there is none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name)
    }

    /// Whether a check box is ticked.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the value is neither 1 nor 0.
    pub fn is_ticked(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            "1" => Ok(true),
            "0" | "" => Ok(false),
            _ => Err(Error::BadRequest("A check box of the form has an invalid value.".into())),
        }
    }
}

/// Reads the form and applies `_method`: only on POST, and only to the verbs that HTML forms lack.
pub async fn read_form(
    mut req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    // Media types are case-insensitive (RFC 9110 8.3.1).
    if req.method() != Method::GET
        && req.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        let payload = req.take_payload();
        let read = body(req.headers(), payload, MAX_BODY).await;
        let form = match read.and_then(|body| Params::parse(&body, FIELDS)) {
            Ok(params) => Form(params),
            Err(error) => {
                req.extensions_mut().insert(Unreadable(error));
                return next.call(req).await;
            }
        };
        if req.method() == Method::POST {
            let verb = match form.get("_method").to_ascii_lowercase().as_str() {
                "patch" => Method::PATCH,
                "put" => Method::PUT,
                "delete" => Method::DELETE,
                _ => Method::POST,
            };
            req.head_mut().method = verb;
        }
        req.extensions_mut().insert(form);
    }
    next.call(req).await
}

/// Reads a request body of at most `max` bytes, within [`BODY_TIMEOUT`].
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooSlow`], or [`Error::BadRequest`] if the body is cut off.
pub async fn body(
    headers: &HeaderMap,
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max: usize,
) -> Result<BytesMut> {
    match announced(headers) {
        // Refused before the client sends it.
        Some(length) if length > max => Err(too_large(max)),
        _ => in_time(BODY_TIMEOUT, collect(payload, max)).await,
    }
}

/// Stops reading a body after `limit`.
///
/// # Errors
/// [`Error::TooSlow`], or the error of `reading`.
pub async fn in_time<T>(limit: Duration, reading: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, reading).await.unwrap_or(Err(Error::TooSlow))
}

async fn collect(
    mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max: usize,
) -> Result<BytesMut> {
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Error::BadRequest("The request was cut off before its end.".into()))?;
        if collected.len() + chunk.len() > max {
            return Err(too_large(max));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected)
}

fn too_large(max: usize) -> Error {
    Error::TooLarge(format!("A form may hold {} kB at most.", max / 1024).into())
}

/// The Content-Length; actix has already refused one that is not a number.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the headers announce a body (RFC 9112, section 6).
fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || announced(headers).is_some_and(|length| length > 0)
}

impl FromRequest for Form {
    type Error = Error;
    type Future = Ready<Result<Form>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Form::of(req))
    }
}
