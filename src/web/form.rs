//! The form in the body of a request: read once, with a limit on its size and its time, before the route is chosen,
//! because a browser without JavaScript says in it which verb it means (`_method`).

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

/// Largest form, in bytes: the longest fields, percent-encoded, fit several times.
const MAX: usize = 8 * 1024;
/// How long a form may take to arrive (slow senders, ASVS 15.2.2).
const TIMEOUT: Duration = Duration::from_secs(15);

/// Fields of all forms of ours, by what stands before the bracket.
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

/// Why the form could not be read; kept until it is known who sent it.
struct Unreadable(Error);

/// The fields of the form that was sent; empty when there was none.
#[derive(Debug, Clone, Default)]
pub struct Form(pub Params);

impl Form {
    /// The form that came with this request.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the body is something else than a form.
    pub fn of(req: &HttpRequest) -> Result<Form> {
        if let Some(error) = Form::unreadable(req) {
            return Err(error);
        }
        match req.extensions().get::<Form>() {
            Some(form) => Ok(form.clone()),
            None if has_body(req.headers()) => {
                Err(Error::BadRequest("The form was sent in an encoding that is not understood here.".into()))
            }
            None => Ok(Form::default()),
        }
    }

    /// Why the form could not be read, and with it the verb.
    pub fn unreadable(req: &HttpRequest) -> Option<Error> {
        req.extensions_mut().remove::<Unreadable>().map(|unreadable| unreadable.0)
    }

    /// A value; what is missing is empty.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name)
    }

    /// Whether a box is ticked.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when the value is neither 1 nor 0.
    pub fn is_ticked(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            "1" => Ok(true),
            "0" | "" => Ok(false),
            _ => Err(Error::BadRequest("A box of the form is neither ticked nor empty.".into())),
        }
    }
}

/// Reads the form and lets `_method` stand for the verb: only on POST, and only for the verbs that forms lack.
pub async fn read_form(
    mut req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    // Media types are compared without regard to case (RFC 9110 8.3.1).
    if req.method() != Method::GET
        && req.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        let payload = req.take_payload();
        let read = body(req.headers(), payload, MAX).await;
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

/// The body of a request: up to so many bytes, and in time.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooSlow`], or [`Error::BadRequest`] when it breaks off.
pub async fn body(
    headers: &HeaderMap,
    payload: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max: usize,
) -> Result<BytesMut> {
    match announced(headers) {
        // Refused before it is sent.
        Some(length) if length > max => Err(too_large(max)),
        _ => in_time(TIMEOUT, collect(payload, max)).await,
    }
}

/// Gives up on a body that takes too long.
///
/// # Errors
/// [`Error::TooSlow`], or what the reading says.
pub async fn in_time<T>(limit: Duration, reading: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, reading).await.unwrap_or(Err(Error::TooSlow))
}

async fn collect(
    mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max: usize,
) -> Result<BytesMut> {
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Error::BadRequest("The request broke off before its end.".into()))?;
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

/// The length that the head announces; actix has refused what is no number.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// Whether the head announces a body (RFC 9112, section 6).
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
