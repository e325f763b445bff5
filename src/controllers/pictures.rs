//! Pictures of posts, and avatars.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use crate::app::App;
use crate::error::{Error, Result};
use crate::models::picture::Format;
use crate::services::images::is_key;
use crate::views::avatar;
use crate::web::immutable_response::{IMMUTABLE, Immutable};
use crate::web::params::Id;

/// GET /pictures/{key}. A key always names the same content, so it is the ETag as well: a client that has the picture
/// gets 304 without a check that it still exists.
pub async fn show(app: Data<App>, key: Path<String>, req: HttpRequest) -> Result<HttpResponse> {
    if !is_key(&key) {
        return Err(Error::NotFound);
    }
    let picture = Immutable { req: &req, tag: &key, content_type: Format::of_key(&key).content_type() };
    if let Some(answer) = picture.known() {
        return Ok(answer);
    }
    if picture.depends_on_length()
        && let Some(answer) = picture.by_length(app.images.length(&key).await?)
    {
        return Ok(answer);
    }
    Ok(picture.answer(app.images.get(&key).await?))
}

/// GET /avatars/{id}
pub async fn avatar(id: Id) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok()
        .content_type("image/svg+xml")
        .insert_header((CACHE_CONTROL, IMMUTABLE))
        .body(avatar::draw(id.0)))
}
