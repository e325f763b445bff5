//! Style sheets, scripts and drawings, from the binary.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Path;

use crate::error::{Error, Result};
use crate::views::assets;
use crate::web::ranges::IMMUTABLE;

/// These have one address for ever, so browsers ask again after a day.
const FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

/// GET /static/{name}
pub async fn show(name: Path<String>) -> Result<HttpResponse> {
    file(&name, IMMUTABLE)
}

/// GET /favicon.ico, for browsers that do not ask the page.
pub async fn favicon() -> Result<HttpResponse> {
    file("icon.svg", FOR_A_DAY)
}

/// GET /robots.txt
pub async fn robots() -> Result<HttpResponse> {
    file("robots.txt", FOR_A_DAY)
}

fn file(name: &str, cache: HeaderValue) -> Result<HttpResponse> {
    let asset = assets::find(name).ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok()
        .content_type(asset.content_type)
        .insert_header((CACHE_CONTROL, cache))
        .body(asset.bytes.into_owned()))
}
