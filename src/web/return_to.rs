//! Redirect targets that come from the browser: only paths of this site (ASVS 3.7.2).

use actix_web::HttpRequest;
use actix_web::http::Method;
use actix_web::http::header::REFERER;
use url::Url;

use super::cookies::{CookieName, Cookies};
use crate::config::AppUrl;

/// Longest path to remember, in bytes. Our pages have shorter ones, and proxies refuse a response with a larger cookie.
const MAX_PATH: usize = 1000;

/// Remembers the page that required a log-in, if it was requested by GET.
pub fn remember(cookies: &Cookies, req: &HttpRequest) {
    let path = req.uri().path_and_query().map_or("/", |path| path.as_str());
    if req.method() == Method::GET && path.len() <= MAX_PATH {
        remember_path(cookies, req, path);
    }
}

/// Remembers the page of a form that was sent after the log-in had ended.
pub fn remember_path(cookies: &Cookies, req: &HttpRequest, path: &str) {
    cookies.set_signed(req, CookieName::ReturnTo, path.to_owned());
}

/// Returns the remembered path and deletes the cookie.
pub fn take(cookies: &Cookies, req: &HttpRequest) -> Option<String> {
    let path = cookies.get_signed(req, CookieName::ReturnTo);
    cookies.remove(req, CookieName::ReturnTo);
    path.filter(|path| is_own_path(path))
}

/// The path of the page in the Referer header, if it is one of this site.
pub fn referring_page(app_url: &AppUrl, req: &HttpRequest) -> Option<String> {
    let referer = Url::parse(req.headers().get(REFERER)?.to_str().ok()?).ok()?;
    let own = referer.origin().ascii_serialization() == app_url.origin();
    let path = referer[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
    (own && is_own_path(&path)).then_some(path)
}

/// A path from a form, if it is one of this site.
pub fn own_path(path: &str) -> Option<String> {
    (path.len() <= MAX_PATH && is_own_path(path)).then(|| path.to_owned())
}

/// Whether a browser reads it as a path on this host: `//evil` and `/\evil` name another host, and browsers remove tabs
/// and line breaks before parsing.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && !path.contains(|c: char| c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn takes_own_paths_only() {
        for path in ["/", "/users/1?page=2", "/a//b"] {
            assert!(is_own_path(path), "{path}");
        }
        for path in
            ["//evil", "/\\evil", "\\/evil", "\t//evil", "/\t/evil", "https:evil", "https://evil", "", "evil"]
        {
            assert!(!is_own_path(path), "{path:?}");
        }
    }

    #[test]
    fn takes_a_referer_of_ours_only() {
        let app_url = "https://sample.example".parse().unwrap();
        let from = |referer: &str| {
            referring_page(
                &app_url,
                &TestRequest::default().insert_header((REFERER, referer)).to_http_request(),
            )
        };
        assert_eq!(from("https://sample.example/users/1?page=2#x").as_deref(), Some("/users/1?page=2"));
        for evil in [
            "https://evil.example/users",
            "http://sample.example/",
            "https://sample.example//evil",
            "javascript:alert(1)",
        ] {
            assert_eq!(from(evil), None, "{evil}");
        }
    }
}
