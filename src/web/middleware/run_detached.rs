//! Runs each request to completion, even if its client disconnects.

use std::panic::AssertUnwindSafe;
use std::task::Poll;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use futures_util::{FutureExt, poll};
use tokio_util::sync::CancellationToken;

use crate::client_gone;
use crate::error::Error;
use crate::telemetry::request_id::RequestId;

/// Runs the handler in its own task, unless it is ready at the first poll. A client that disconnects then interrupts
/// nothing halfway (a query, a transaction, a picture that is stored but not yet recorded), and a panic only fails its
/// request, with status 500.
pub async fn run_detached(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let request = req.request().clone();
    let id = RequestId::current().unwrap_or_else(RequestId::next);
    let gone = CancellationToken::new();
    let work = client_gone::scope(gone.clone(), next.call(req));
    let mut work = Box::pin(AssertUnwindSafe(id.scope(work)).catch_unwind());
    // actix drops this future, and so the guard, when the client disconnects.
    let _guard = gone.drop_guard();
    let answer = match poll!(&mut work) {
        Poll::Ready(answer) => Ok(answer),
        Poll::Pending => actix_web::rt::spawn(work).await,
    };
    match answer {
        Ok(Ok(answer)) => answer,
        // Without the panic message, which may quote user input; the panic hook (telemetry/logs.rs) logs the location.
        _panic => Ok(ServiceResponse::from_err(Error::internal("the handler panicked"), request)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, HttpResponse, web};

    async fn panicking() -> HttpResponse {
        panic!("a canary that a user sent")
    }

    #[actix_web::test]
    async fn a_panic_is_an_error_without_its_message() {
        let resource = web::resource("/").to(panicking).wrap(from_fn(run_detached));
        let app = init_service(App::new().service(resource)).await;
        let answer = call_service(&app, TestRequest::default().to_request()).await;
        assert_eq!(answer.status(), 500);
        let error = answer.response().error().unwrap();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
