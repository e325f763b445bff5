//! Cross-site requests: a request that changes something must come from a page of ours (ASVS 3.5.1).
//!
//! Browsers say where a request comes from in Sec-Fetch-Site; older ones, and all of them on plain http, in Origin. What
//! says neither is no browser, so there is no cookie of a victim to abuse.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::app::App;
use crate::error::Error;

/// Refuses unsafe requests from elsewhere.
pub async fn check(req: ServiceRequest, next: Next<BoxBody>) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let own = || req.app_data::<Data<App>>().map(|app| app.config.app_url.origin()).unwrap_or_default();
    if req.method().is_safe() || is_same_origin(req.headers(), &own()) {
        return next.call(req).await;
    }
    let reason = "This form was sent from another site. Open the page here and send it again.";
    Ok(req.error_response(Error::Forbidden(reason.into())))
}

fn is_same_origin(headers: &HeaderMap, own: &str) -> bool {
    match (headers.get("sec-fetch-site"), headers.get(ORIGIN)) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => origin == own,
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn believes_the_browser() {
        let judge = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            is_same_origin(&map, "https://sample.example")
        };
        assert!(judge(&[]));
        assert!(judge(&[("sec-fetch-site", "same-origin")]));
        assert!(judge(&[("sec-fetch-site", "none")]));
        assert!(!judge(&[("sec-fetch-site", "same-site")]));
        assert!(!judge(&[("sec-fetch-site", "cross-site"), ("origin", "https://sample.example")]));
        assert!(judge(&[("origin", "https://sample.example")]));
        assert!(!judge(&[("origin", "http://sample.example")]));
        assert!(!judge(&[("origin", "https://evil.example")]));
        assert!(!judge(&[("origin", "null")]));
    }
}
