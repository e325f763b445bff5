//! Whom a request is for. It may name a host twice, in its first line (`GET http://host/path`) and in the header Host;
//! two different ones are refused, so that whatever stands in front and we cannot take it for two different requests
//! (RFC 9112, section 3.2; ASVS 4.2.1). Other ambiguities, such as two lengths, actix refuses before we see them.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::middleware::Next;

use crate::error::Error;

/// Refuses requests that name two hosts.
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
