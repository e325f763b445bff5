//! Pictures of posts, and avatars.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::{Data, Path};

use crate::app::App;
use crate::error::Result;
use crate::models::picture::Format;
use crate::views::avatar;
use crate::web::params::Id;

/// A key names one content for ever.
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// GET /pictures/{key}
pub async fn show(app: Data<App>, key: Path<String>) -> Result<HttpResponse> {
    let bytes = app.images.get(&key).await?;
    Ok(HttpResponse::Ok()
        .content_type(Format::of_key(&key).content_type())
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .body(bytes))
}

/// GET /avatars/{id}
pub async fn avatar(id: Id) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .body(avatar::draw(id.0)))
}
