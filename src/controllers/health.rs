//! For load balancers and deploys; asks no one who they are and does not mind the Host.

use std::future::Future;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use serde::Serialize;

use super::stack::probe;
use crate::app::App;
use crate::error::Result;
use crate::telemetry::call_stats::CallStats;

/// GET /livez: the process answers.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

/// What a call found out about S3, the mail server or Logstash counts for this long: anybody may ask here, as often as they
/// like, and each of these probes costs a sign-in or a request that is paid for.
const FRESH: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    database: &'static str,
    sessions: &'static str,
    pictures: &'static str,
    mail: &'static str,
    logs: &'static str,
}

/// GET /readyz: whether to send people here; 503 while the process is on its way out. What stands behind is told in the
/// body only: the death of one service must not take every instance out.
pub async fn readyz(app: Data<App>) -> HttpResponse {
    let ready = !app.is_stopping();
    // Boxed: the compiler refuses a future in which those of sqlx, redis and the SDK lie this deep.
    let (database, sessions, pictures, mail, logs) = tokio::join!(
        state(app.db.call_stats(), Duration::ZERO, Box::pin(app.db.ping())),
        state(app.sessions.call_stats(), Duration::ZERO, Box::pin(app.sessions.ping())),
        state(app.images.call_stats(), FRESH, Box::pin(app.images.ping())),
        state(app.mailer.call_stats(), FRESH, Box::pin(app.mailer.ping())),
        state(app.logs.call_stats(), FRESH, Box::pin(app.logs.ping())),
    );
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(Readiness { ready, database, sessions, pictures, mail, logs })
}

async fn state(
    call_stats: &CallStats,
    fresh: Duration,
    ping: impl Future<Output = Result<()>>,
) -> &'static str {
    probe(call_stats, fresh, ping).await;
    match call_stats.pulse().last {
        Some(Err(())) => "down",
        _ => "up",
    }
}
