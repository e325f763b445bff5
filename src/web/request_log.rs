//! One line in the log for every request, without a secret in it: the query is left out (mail links carry addresses),
//! and a token in the path is replaced by its name.

use std::time::Instant;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};

use super::client_address::client_address;
use super::visitor::Visitor;
use crate::app::App;
use crate::models::secret::random_hex;

/// Tells one request from all others, in the log and on the error page.
#[derive(Clone)]
pub struct RequestId(String);

impl RequestId {
    /// Of this request.
    pub fn of(req: &HttpRequest) -> RequestId {
        req.extensions().get().cloned().unwrap_or(RequestId(String::new()))
    }

    /// 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives the request its id and writes its line.
pub async fn log(req: ServiceRequest, next: Next<BoxBody>) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let start = Instant::now();
    let app = req.app_data::<Data<App>>().cloned();
    let client = app.as_ref().and_then(|app| client_address(&req, app.config.trusted_proxies));
    // As it was sent: a form may say another verb later.
    let method = req.method().clone();
    let id = RequestId(random_hex::<8>().unwrap_or_default());
    req.extensions_mut().insert(id.clone());

    let mut res = next.call(req).await?;

    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        res.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    }
    let req = res.request();
    let user_id = app.and_then(|app| Visitor::as_known(app, req.clone()).me.map(|me| me.id));
    tracing::info!(
        target: "request",
        method = %method,
        path = without_tokens(req.path()),
        route = req.match_pattern(),
        status = res.status().as_u16(),
        duration_ms = start.elapsed().as_micros() as f64 / 1000.0,
        request_id = id.as_str(),
        user_id,
        client = client.map(tracing::field::display),
        "request",
    );
    Ok(res)
}

/// Anything as long as a secret of ours is taken for one, wherever it stands.
fn without_tokens(path: &str) -> String {
    let is_token = |part: &str| part.len() >= 40;
    path.split('/').map(|part| if is_token(part) { ":token" } else { part }).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_tokens() {
        let token = "0123456789abcdef".repeat(4);
        assert_eq!(without_tokens(&format!("/password_resets/{token}/edit")), "/password_resets/:token/edit");
        assert_eq!(without_tokens(&format!("/nowhere/x{token}")), "/nowhere/:token");
        assert_eq!(without_tokens("/users/1/following"), "/users/1/following");
    }
}
