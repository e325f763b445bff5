//! Style sheets, scripts and drawings from the binary, compressed for clients that accept it.

use actix_web::http::header::{AcceptEncoding, CACHE_CONTROL, CONTENT_ENCODING, Encoding, HeaderValue, VARY};
use actix_web::web::{Header, Path};
use actix_web::{HttpRequest, HttpResponse};

use crate::error::{Error, Result};
use crate::views::assets;
use crate::web::immutable_response::IMMUTABLE;

/// For an address with another version than ours, or with none: during a rolling deployment, a page of the new release
/// may request its files from the old one, and these bytes must not stay cached under that address.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// For files whose address has no version: browsers ask again after a day.
const CACHE_FOR_A_DAY: HeaderValue = HeaderValue::from_static("public, max-age=86400");

type Accepted = Option<Header<AcceptEncoding>>;

/// GET /static/{name}
pub async fn show(req: HttpRequest, name: Path<String>, accepted: Accepted) -> Result<HttpResponse> {
    let asked = req.uri().path_and_query().map(|address| address.as_str());
    let cache = if asked == Some(assets::asset(&name)) { IMMUTABLE } else { NO_CACHE };
    file(&name, cache, accepted)
}

/// GET /favicon.ico, for browsers that ignore the icon link of the page.
pub async fn favicon(accepted: Accepted) -> Result<HttpResponse> {
    file("icon.svg", CACHE_FOR_A_DAY, accepted)
}

/// GET /robots.txt
pub async fn robots(accepted: Accepted) -> Result<HttpResponse> {
    file("robots.txt", CACHE_FOR_A_DAY, accepted)
}

fn file(name: &str, cache: HeaderValue, accepted: Accepted) -> Result<HttpResponse> {
    let asset = assets::find(name).ok_or(Error::NotFound)?;
    let encodings = asset.forms.iter().map(|(encoding, _)| encoding);
    let chosen = accepted.and_then(|accepted| accepted.negotiate(encodings)).unwrap_or(Encoding::identity());
    let form = asset.forms.iter().find(|(encoding, _)| *encoding == chosen);
    let bytes = form.map(|(_, bytes)| bytes.clone()).ok_or(Error::NotFound)?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(asset.content_type).insert_header((CACHE_CONTROL, cache));
    if asset.forms.len() > 1 {
        answer.insert_header((VARY, "accept-encoding"));
    }
    if chosen != Encoding::identity() {
        answer.insert_header((CONTENT_ENCODING, chosen.to_string()));
    }
    Ok(answer.body(bytes))
}
