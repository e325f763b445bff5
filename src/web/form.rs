//! The form in the body of a request: read once, with a limit on its size and its time, before the route is chosen,
//! because a browser without JavaScript says in it which verb it means (`_method`).

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::{Stream, StreamExt};

use super::params::Params;
use crate::error::{Error, Result};

/// Largest form, in bytes: the longest fields, percent-encoded, fit several times.
const MAX: usize = 8 * 1024;
/// How long a body may take to arrive (slow senders, ASVS 15.2.2); every body, pictures too.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The fields of the form that was sent; empty when there was none.
#[derive(Debug, Clone, Default)]
pub struct Form(pub Params);

impl Form {
    /// A value; what is missing is empty.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name)
    }
}

/// Reads the form and lets `_method` stand for the verb: only on POST, and only for the verbs that forms lack.
pub async fn read(
    mut req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    if req.method() != Method::GET && req.content_type() == "application/x-www-form-urlencoded" {
        let body = in_time(collect(req.take_payload(), MAX)).await;
        let form = match body.and_then(|body| Params::parse(&body)) {
            Ok(params) => Form(params),
            Err(error) => return Ok(req.error_response(error)),
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

/// Gives up on a body that takes too long.
///
/// # Errors
/// [`Error::TooSlow`], or what the reading says.
pub async fn in_time<T>(reading: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(Error::TooSlow))
}

async fn collect(
    mut body: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin,
    max: usize,
) -> Result<BytesMut> {
    let mut collected = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Error::BadRequest("The request broke off before its end.".into()))?;
        if collected.len() + chunk.len() > max {
            return Err(Error::TooLarge("A form may hold 8 kB at most.".into()));
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected)
}

impl FromRequest for Form {
    type Error = Error;
    type Future = Ready<Result<Form>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(req.extensions().get::<Form>().cloned().unwrap_or_default()))
    }
}
