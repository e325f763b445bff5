//! The project's own documents, as they are in the repository.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;

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
