//! Pictures of posts, and avatars.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use crate::app::App;
use crate::error::Result;
use crate::models::picture::Format;
use crate::views::avatar;
use crate::web::params::Id;
use crate::web::ranges::{self, IMMUTABLE};

/// GET /pictures/{key}. A key names one content for ever, so it is its tag as well.
pub async fn show(app: Data<App>, key: Path<String>, req: HttpRequest) -> Result<HttpResponse> {
    let bytes = app.images.get(&key).await?;
    Ok(ranges::answer(&req, &key, Format::of_key(&key).content_type(), bytes))
}

/// GET /avatars/{id}
pub async fn avatar(id: Id) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .body(avatar::draw(id.0)))
}
