//! Logs one line per request, without secrets: no query (mail links contain addresses), and no tokens in the path.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::middleware::Next;
use actix_web::web::Data;

use super::authentication;
use crate::app::App;
use crate::telemetry::request_id::RequestId;
use crate::web::client_address::client_address;

/// The status that nginx logs if the client closes the connection; it is never sent.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Assigns the request id and logs the request.
pub async fn log_request(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let app = req.app_data::<Data<App>>();
    let mut line = Line {
        start: Instant::now(),
        id: RequestId::next(),
        // The verb as sent; a form's `_method` may override it later.
        method: req.method().clone(),
        uri: req.uri().clone(),
        client: app.and_then(|app| client_address(req.request(), app.config.trusted_proxies)),
        written: false,
    };
    let mut res = line.id.scope(next.call(req)).await?;

    if let Ok(value) = HeaderValue::from_str(line.id.as_str()) {
        res.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    let (req, status) = (res.request(), res.status().as_u16());
    let route = req.match_pattern();
    if let Some(app) = req.app_data::<Data<App>>() {
        app.request_metrics.record(route.as_deref(), status, line.start.elapsed());
    }
    line.write(route.as_deref(), status, authentication::current_user(req).map(|me| me.id));
    Ok(res)
}

/// The log line of a request. If the client goes away before the response, dropping it logs status 499.
struct Line {
    start: Instant,
    id: RequestId,
    method: Method,
    uri: Uri,
    client: Option<IpAddr>,
    written: bool,
}

impl Line {
    fn write(&mut self, route: Option<&str>, status: u16, user_id: Option<i64>) {
        self.written = true;
        self.id.sync_scope(|| {
            tracing::info!(
                target: "request",
                method = self.method.as_str(),
                path = without_tokens(self.uri.path(), route),
                route,
                status,
                duration_ms = self.start.elapsed().as_micros() as f64 / 1000.0,
                user_id,
                client = self.client.map(tracing::field::display),
                "request",
            );
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.written {
            self.write(None, CLIENT_CLOSED_REQUEST, None);
        }
    }
}

/// Counts and logs a request that the HTTP parser rejected. Only the peer address is known.
pub fn log_rejected(app: &App, status: StatusCode, peer: Option<SocketAddr>) -> RequestId {
    let id = RequestId::next();
    app.request_metrics.record(None, status.as_u16(), Duration::ZERO);
    id.sync_scope(|| {
        let client = peer.map(|peer| tracing::field::display(peer.ip()));
        tracing::info!(target: "request", status = status.as_u16(), rejected = true, client, "request");
    });
    id
}

/// Replaces segments that the route names `{token}` by `:token`. Mail clients mangle links, so it also replaces any
/// other segment that is at least 40 characters long or contains an email address.
fn without_tokens(path: &str, route: Option<&str>) -> String {
    let mut names = route.unwrap_or_default().split('/');
    let hide = |part| {
        let is_token = names.next() == Some("{token}") || part_is_secret(part);
        if is_token { ":token" } else { part }
    };
    path.split('/').map(hide).collect::<Vec<_>>().join("/")
}

fn part_is_secret(part: &str) -> bool {
    part.len() >= 40 || part.contains('@') || part.to_ascii_lowercase().contains("%40")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_tokens() {
        let token = "0123456789abcdef".repeat(4);
        let route = Some("/password_resets/{token}/edit");
        assert_eq!(
            without_tokens(&format!("/password_resets/{token}/edit"), route),
            "/password_resets/:token/edit"
        );
        assert_eq!(without_tokens("/password_resets/0123/edit", route), "/password_resets/:token/edit");
        assert_eq!(without_tokens(&format!("/nowhere/x{token}"), None), "/nowhere/:token");
        assert_eq!(without_tokens("/nowhere/edit&email=me%40example.com", None), "/nowhere/:token");
        assert_eq!(without_tokens("/users/1/following", Some("/users/{id}/following")), "/users/1/following");
        assert_eq!(without_tokens("/static/vendor/a.css", Some("/static/{name:.*}")), "/static/vendor/a.css");
    }
}
