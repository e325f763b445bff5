//! Health checks for load balancers and deployments: no authentication, any Host.

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

/// How long the result of a call to S3, the mail server or Logstash is reused: anybody may request this page, as often
/// as they like, and each of these probes costs a log-in or a billed request.
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

/// GET /readyz: whether to send traffic here; 503 while the process shuts down. The state of the services is in the
/// body only: the failure of one service must not take every instance out of rotation.
pub async fn readyz(app: Data<App>) -> HttpResponse {
    let ready = !app.is_stopping();
    // Boxed: the compiler refuses a future that nests those of sqlx, redis and the AWS SDK this deeply.
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
    match call_stats.snapshot().last {
        Some(Err(())) => "down",
        _ => "up",
    }
}
