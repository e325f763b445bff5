//! The computed score of Mozilla's HTTP Observatory.

use reqwest::header::SET_COOKIE;

use crate::support::people::PASSWORD;
use crate::support::{Page, TestApp};

/// The score of an https site by Mozilla's published method (developer.mozilla.org, HTTP Observatory, Tests & Scoring).
#[actix_web::test]
async fn the_observatory_gives_130_or_more() {
    let app = TestApp::start_with(&[("APP_URL", "https://sample.test")]).await;
    let michael = app.db_person("michael").await;
    let home = app.browser().get("/").await;
    assert_eq!(observatory_score(&home), 130, "without cookies there are no points for them");
    let mut browser = app.browser();
    let form = browser.get("/login").await.form("Log in");
    let form = form.set("session[email]", &michael.email).set("session[password]", PASSWORD);
    let page = browser.submit_only(form).await;
    assert!(page.headers.contains_key(SET_COOKIE));
    assert_eq!(observatory_score(&page), 135);
}

/// 100 plus bonuses, which count only without penalties; if any test would cost points, this returns 0.
fn observatory_score(page: &Page) -> u32 {
    let has = |name: &str, words: &[&str]| words.iter().all(|word| page.header(name).contains(word));
    let csp = page.header("content-security-policy");
    let max_age = page.header("strict-transport-security").strip_prefix("max-age=");
    let half_a_year = max_age.and_then(|age| age.parse::<u64>().ok()).is_some_and(|age| age >= 15_768_000);
    let foreign =
        page.attrs("script", "src").iter().any(|src| !src.starts_with('/') || src.starts_with("//"));
    // Penalties: CORS open to all, no HSTS, no nosniff, external scripts without integrity, an unsafe CSP or none.
    if !page.header("access-control-allow-origin").is_empty()
        || !half_a_year
        || page.header("x-content-type-options") != "nosniff"
        || foreign
        || csp.is_empty()
        || csp.contains("unsafe-")
    {
        return 0;
    }
    let mut score = 100;
    // Content Security Policy without unsafe sources, with default-src 'none': 10.
    score += 10 * u32::from(has("content-security-policy", &["default-src 'none'"]));
    // All cookies Secure, HttpOnly and SameSite: 5; a cookie that lacks one costs 5 to 40.
    let cookies: Vec<_> =
        page.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
    let good =
        |cookie: &&str| ["; Secure", "; HttpOnly", "; SameSite="].iter().all(|flag| cookie.contains(flag));
    if !cookies.iter().all(good) {
        return 0;
    }
    score += 5 * u32::from(!cookies.is_empty());
    // Referrer-Policy: 5. Framing denied by the CSP: 5. Cross-Origin-Resource-Policy same-origin: 10.
    score += 5 * u32::from(matches!(page.header("referrer-policy"), "same-origin" | "no-referrer"));
    score += 5 * u32::from(has("content-security-policy", &["frame-ancestors 'none'"]));
    score + 10 * u32::from(page.header("cross-origin-resource-policy") == "same-origin")
}
