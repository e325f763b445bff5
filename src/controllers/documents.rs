//! The project's own documents, as they are in the repository.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Path;
use rust_embed::RustEmbed;

use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "docs/walkthrough"]
#[include = "*.md"]
struct Walkthrough;

macro_rules! document {
    ($handler:ident, $file:literal) => {
        #[doc = concat!("GET /", $file)]
        pub async fn $handler() -> HttpResponse {
            HttpResponse::Ok().content_type(ContentType::plaintext()).body(include_str!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/",
                $file
            )))
        }
    };
}

document!(readme, "README.md");
document!(architecture, "ARCHITECTURE.md");
document!(changelog, "CHANGELOG.md");
document!(license, "LICENSE");

/// GET /docs/walkthrough/{chapter}: `chapter` is LANGUAGE/NAME.md.
pub async fn walkthrough(chapter: Path<String>) -> Result<HttpResponse> {
    let file = Walkthrough::get(&chapter).ok_or(Error::NotFound)?;
    Ok(HttpResponse::Ok().content_type(ContentType::plaintext()).body(file.data))
}
