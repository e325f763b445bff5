//! Addresses that only receive forms. A page with a rejected form has such an address, so a GET of it redirects to the
//! form.

use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse};

use crate::error::{Error, Result};
use crate::web::params::parse_id;

/// GET of an address that only receives forms.
pub async fn show(req: HttpRequest) -> Result<HttpResponse> {
    if req.match_info().get("id").is_some_and(|id| parse_id(id).is_none()) {
        return Err(Error::NotFound);
    }
    let to = match req.match_pattern().as_deref() {
        Some("/account_activations" | "/password_resets") => format!("{}/new", req.path()),
        Some("/admin/outbox/{id}") => "/admin/outbox".to_owned(),
        Some("/admin/suppressions/{id}") => "/admin/suppressions".to_owned(),
        _ => "/".to_owned(),
    };
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}
