//! Security headers on every response (ASVS 3.4; OWASP HTTP Headers Cheat Sheet).

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::ConnectionType;
use actix_web::http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::app::App;
use crate::config::{Avatars, Config};

/// Allows only this origin; `data:` is for the small images inside the style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; \
                      img-src 'self' data:";

/// The headers, built once at startup.
pub struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    pub fn new(config: &Config) -> Headers {
        // The policy ends with img-src, so what is appended is a source of pictures.
        let mut policy = POLICY.to_owned();
        if let Some(pictures) = &config.images_public_url {
            policy = format!("{policy} {}", pictures.origin());
        }
        if config.avatars == Avatars::Gravatar {
            policy += " https://secure.gravatar.com";
        }
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(POLICY));
        let mut headers = vec![
            (CONTENT_SECURITY_POLICY, policy),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
            (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static("same-origin"),
            ),
            (
                HeaderName::from_static("permissions-policy"),
                HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
            ),
        ];
        if config.app_url.is_https() {
            let two_years = HeaderValue::from_static("max-age=63072000");
            headers.push((STRICT_TRANSPORT_SECURITY, two_years));
        }
        Headers(headers)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }
}

/// Adds the headers that the response does not have yet. During shutdown it also closes the connection.
pub async fn add_security_headers(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let app = req.app_data::<Data<App>>().cloned();
    let mut res = next.call(req).await?;
    if let Some(app) = app {
        add_to(&app, res.response_mut());
    }
    Ok(res)
}

pub fn add_to(app: &App, response: &mut HttpResponse) {
    if app.is_stopping() {
        // Otherwise a proxy could send its next request, perhaps a form, on a connection that is about to close.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    for (name, value) in app.headers.iter() {
        if !response.headers().contains_key(name) {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
}
