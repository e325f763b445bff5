//! A request that has begun runs to its end.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;

use crate::error::Error;

/// Runs the handler in a task of its own. A client that goes away then ends nothing half-way (a query, a transaction, a
/// picture that is stored but not yet noted), and a panic ends the request with an answer, not the process.
pub async fn to_its_end(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let request = req.request().clone();
    match actix_web::rt::spawn(next.call(req)).await {
        Ok(answer) => answer,
        Err(panic) => Ok(ServiceResponse::from_err(Error::internal(panic), request)),
    }
}
