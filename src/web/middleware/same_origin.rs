//! Cross-site request forgery: an unsafe request must come from a page of this site (ASVS 3.5.1).
//!
//! Browsers send the origin of a request in Sec-Fetch-Site; older ones, and all browsers on plain HTTP, in Origin. A
//! client that sends neither is not a browser, so it carries no victim's cookies.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::app::App;
use crate::error::Error;

/// Maximum length of a header value on the page and in the log, in characters.
const MAX_SHOWN: usize = 100;

/// Refuses unsafe requests from other origins.
pub async fn require_same_origin(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let own = || req.app_data::<Data<App>>().map(|app| app.config.app_url.origin()).unwrap_or_default();
    if req.method().is_safe() || is_same_origin(req.headers(), &own()) {
        return next.call(req).await;
    }
    let own = own();
    let header = |name| req.headers().get(name).map(shortened);
    let (origin, host) = (header(ORIGIN), header(HOST));
    // Either another site, or this one at an address other than APP_URL.
    tracing::warn!(
        app_url = own,
        origin,
        host,
        "refused a form from another site; if people open this site at that address, set APP_URL to it"
    );
    let from = origin.filter(|origin| *origin != own).or(host).unwrap_or_default();
    let reason = format!(
        "This form was sent from another site: from {from}, while this site is {own}. \
         Open {own} and send the form from there."
    );
    Ok(req.error_response(Error::Forbidden(reason.into())))
}

/// A header's value, which can contain anything, as short text for display.
fn shortened(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).chars().take(MAX_SHOWN).collect()
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
    use actix_web::http::header::HeaderName;

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
