//! For load balancers and deploys; asks no one who they are and does not mind the Host.

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use serde::Serialize;

use crate::app::App;
use crate::error::Result;

/// GET /livez: the process answers.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    database: &'static str,
}

/// GET /readyz: whether to send people here; 503 while the process is on its way out. What stands behind is told in the
/// body only: the death of one database must not take every instance out.
pub async fn readyz(app: Data<App>) -> Result<HttpResponse> {
    let ready = !app.is_stopping();
    let database = match app.db.conn().await {
        Ok(_) => "up",
        Err(_) => "down",
    };
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    Ok(answer.json(Readiness { ready, database }))
}
