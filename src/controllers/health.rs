//! Health checks for load balancers and deployments: no authentication, any Host.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::ContentType;
use actix_web::web::Data;
use futures_util::future::join_all;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::stack::probe;
use crate::app::{self, App};

/// GET /livez: the process answers.
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body("ok\n")
}

/// How long the result of a call to S3, the mail server or Logstash is reused: anybody may request this page, as often
/// as they like, and each of these probes costs a log-in or a billed request.
const COSTLY_PING_REUSE: Duration = Duration::from_secs(10);

/// GET /readyz: whether to send traffic here; 503 while the process shuts down. The state of the services is in the
/// body only: the failure of one service must not take every instance out of rotation.
pub async fn readyz(app: Data<App>) -> HttpResponse {
    let ready = !app.is_stopping();
    let states = join_all(app::services(&app).map(async |service| {
        let fresh = if service.ping_is_costly { COSTLY_PING_REUSE } else { Duration::ZERO };
        let state = if probe(&app, service, fresh).await { "up" } else { "down" };
        (service.name, Value::from(state))
    }));
    let mut body = Readiness(vec![("ready", Value::from(ready))]);
    body.0.extend(states.await);
    let mut answer = if ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    answer.json(body)
}

/// A JSON object whose members keep their order, unlike those of `serde_json::Map`.
struct Readiness(Vec<(&'static str, Value)>);

impl Serialize for Readiness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
