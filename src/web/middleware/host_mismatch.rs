//! Requests that name two hosts. A request can name its host in the request line (`GET http://host/path`) and in the
//! Host header; two different ones are refused, so that a proxy and this program cannot read one request differently
//! (RFC 9112, section 3.2; ASVS 4.2.1). actix refuses other ambiguities, such as two lengths.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;

use crate::error::Error;

pub async fn reject_host_mismatch(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let host = req.headers().get(HOST).map(|host| host.as_bytes());
    let is_other = |target: &str| host.is_some_and(|host| !host.eq_ignore_ascii_case(target.as_bytes()));
    if req.uri().authority().is_some_and(|target| is_other(target.as_str())) {
        return Ok(req.error_response(Error::BadRequest("The request names two different hosts.".into())));
    }
    next.call(req).await
}
