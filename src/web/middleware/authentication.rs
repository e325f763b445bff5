//! Authenticates a request before the handler's extractors run. actix polls a handler's extractors concurrently, so an
//! early error of one (a malformed id) would drop a query of another halfway, which costs the database connection.

use std::rc::Rc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use crate::app::App;
use crate::error::{Error, Result};
use crate::models::user::User;
use crate::web::sign_in::{self, Identity};

/// The error of [`authenticate`], stored until an extractor takes it.
struct Failed(Error);

/// Stores the [`Identity`] or the error in the request's extensions: only handlers that need the identity fail.
pub async fn authenticate(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let identified = match req.app_data::<Data<App>>().cloned() {
        Some(app) => sign_in::identify(&app, req.request()).await,
        None => Err(Error::internal("no App")),
    };
    match identified {
        Ok(identity) => drop(req.extensions_mut().insert(identity)),
        Err(error) => drop(req.extensions_mut().insert(Failed(error))),
    }
    next.call(req).await
}

/// # Errors
/// The error of [`authenticate`], or an internal error on a route without this middleware.
pub fn identity(req: &HttpRequest) -> Result<Identity> {
    if let Some(Failed(error)) = req.extensions_mut().remove() {
        return Err(error);
    }
    req.extensions().get().cloned().ok_or_else(|| Error::internal("the request is not authenticated"))
}

/// The logged-in user, if authentication has finished and succeeded; for logs and error pages.
pub fn current_user(req: &HttpRequest) -> Option<Rc<User>> {
    match req.extensions().get() {
        Some(Identity::User(user)) => Some(user.clone()),
        _ => None,
    }
}
