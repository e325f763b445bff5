//! Error pages, in the layout of all other pages. They call no service, so they also work during an outage.

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CACHE_CONTROL, HeaderValue, LOCATION, RETRY_AFTER};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpRequest, ResponseError};
use askama::Template;
use chrono::{DateTime, TimeDelta, Utc};

use super::authentication;
use crate::app::App;
use crate::error::{Error, Result};
use crate::models::values::validation::FieldErrors;
use crate::telemetry::request_id::RequestId;
use crate::views::{Layout, pluralize};
use crate::web::draft::Draft;
use crate::web::error_messages::{heading, sentence};
use crate::web::sign_in::audit;
use crate::web::visitor::Visitor;

/// Retry-After for an overload or an unavailable service, in seconds.
pub const RETRY_SECONDS: u64 = 5;

/// Shown when a queue is full. The browser still has the submitted form, and a reload sends it again.
const OVERLOAD: &str = "Too many people are here at the moment. Please wait a few seconds and reload this page; \
    if you sent a form, that sends it again.";

#[derive(Template)]
#[template(path = "shared/error.html")]
struct ErrorPage {
    layout: Layout,
    status: u16,
    heading: &'static str,
    explanation: String,
    request_id: String,
    errors: FieldErrors,
    draft: Option<Draft>,
}

/// Replaces errors and empty error responses by pages.
pub async fn render_error_pages(
    req: ServiceRequest,
    next: Next<BoxBody>,
) -> actix_web::Result<ServiceResponse<BoxBody>> {
    let app = req.app_data::<Data<App>>().cloned();
    let res = next.call(req).await?;
    let status = res.status();
    // An error response with a body is complete already, for example a form with its errors.
    let is_bare = res.response().error().is_some() || res.response().body().size() == BodySize::Sized(0);
    let Some(app) = app.filter(|_| is_bare && (res.response().error().is_some() || status.as_u16() >= 400))
    else {
        return Ok(res);
    };
    let allow = res.headers().get(ALLOW).cloned();
    let answer = match res.response().error().and_then(|error| error.as_error::<Error>()) {
        Some(error) => answer(app, res.request(), error),
        None => page(app, res.request(), status, &explanation(res.request(), status)),
    };
    let mut res = res.into_response(answer);
    if let Some(allow) = allow {
        res.headers_mut().insert(ALLOW, allow);
    }
    if status == StatusCode::BAD_REQUEST {
        // We may misread the next requests of this connection too.
        res.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(res)
}

fn answer(app: Data<App>, req: &HttpRequest, error: &Error) -> HttpResponse {
    let status = error.status_code();
    // The only place that logs the details that the visitor does not see.
    if let Error::Busy = error {
        // Only a warning: any client can cause it.
        tracing::warn!(error = %error, "request refused");
    } else if status.is_server_error() {
        tracing::error!(error = %error, "request failed");
    }
    match error {
        // Logged here rather than where access is refused, so that none is missed (ASVS 16.3.2).
        Error::NotAllowed => audit("refused", authentication::current_user(req).map(|me| me.id)),
        Error::Forbidden(_) => {
            audit("refused_from_another_site", authentication::current_user(req).map(|me| me.id))
        }
        _ => {}
    }
    match error {
        Error::LogInFirst => redirect_to("/login"),
        Error::NotAllowed => redirect_to("/"),
        Error::BadRequest(reason) | Error::Forbidden(reason) | Error::TooLarge(reason) => {
            page(app, req, status, reason)
        }
        Error::TooMany { retry_after } => {
            let explanation = too_often(app.clock.now(), *retry_after);
            with_retry_after(page(app, req, status, &explanation), *retry_after)
        }
        Error::Busy => with_retry_after(page(app, req, status, OVERLOAD), RETRY_SECONDS),
        Error::Unavailable(_) => {
            with_retry_after(page(app, req, status, &explanation(req, status)), RETRY_SECONDS)
        }
        _ => page(app, req, status, &explanation(req, status)),
    }
}

fn page(app: Data<App>, req: &HttpRequest, status: StatusCode, explanation: &str) -> HttpResponse {
    let heading = heading(status);
    let visitor = Visitor::as_known(app, req.clone());
    let page = ErrorPage {
        layout: Layout::new(&visitor.app, visitor.user.clone(), heading, None),
        status: status.as_u16(),
        heading,
        explanation: explanation.to_owned(),
        request_id: RequestId::current().map_or_else(String::new, |id| id.as_str().to_owned()),
        errors: FieldErrors::default(),
        draft: Draft::attached(req).filter(|_| status.is_server_error()).map(Draft::with_key),
    };
    visitor.render_with_status(status, &page).unwrap_or_else(|_| HttpResponse::new(status))
}

/// Says what happened and, after a server error, that a change may or may not have been saved.
fn explanation(req: &HttpRequest, status: StatusCode) -> String {
    let after = match Draft::attached(req) {
        _ if !status.is_server_error() || req.method().is_safe() => "",
        Some(Draft { idempotency_key: Some(_), .. }) => {
            " We do not know whether your post was saved. Press Post again in a moment: it will not be posted twice."
        }
        Some(_) => {
            " We do not know whether your post was saved. Look at your profile before you press Post again."
        }
        None => unsaved_hint(status),
    };
    format!("{}{after}", sentence(status))
}

/// Second sentence of the pages that may follow a form.
fn unsaved_hint(status: StatusCode) -> &'static str {
    match status.is_server_error() {
        true => " If you sent a form, check whether it was saved before you send it again.",
        false => "",
    }
}

/// Status and HTML of the pages that a reverse proxy sends itself, when it refuses a request or we do not respond.
pub fn for_proxies() -> Result<Vec<(u16, String)>> {
    [
        StatusCode::BAD_REQUEST,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ]
    .map(|status| Ok((status.as_u16(), for_anybody(status, &generic_explanation(status), String::new())?)))
    .into_iter()
    .collect()
}

/// HTML of the page for requests that an overloaded worker refuses, without a request id.
pub fn for_overload() -> Result<String> {
    for_anybody(StatusCode::SERVICE_UNAVAILABLE, OVERLOAD, String::new())
}

/// Explanation on a page that is rendered without the request.
fn generic_explanation(status: StatusCode) -> String {
    format!("{}{}", sentence(status), unsaved_hint(status))
}

fn for_anybody(status: StatusCode, explanation: &str, request_id: String) -> Result<String> {
    let heading = heading(status);
    let page = ErrorPage {
        layout: Layout::for_anybody(heading),
        status: status.as_u16(),
        heading,
        explanation: explanation.to_owned(),
        request_id,
        errors: FieldErrors::default(),
        draft: None,
    };
    page.render().map_err(Error::internal)
}

/// The complete response, head and body, to a request that the HTTP parser rejected.
pub fn for_rejected(app: &App, status: StatusCode, id: RequestId) -> Vec<u8> {
    let body = for_anybody(status, &generic_explanation(status), id.as_str().to_owned()).unwrap_or_default();
    let mut response = format!("HTTP/1.1 {status}\r\nx-request-id: {}\r\n", id.as_str()).into_bytes();
    for (name, value) in app.headers.iter() {
        response.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    let rest = format!(
        "cache-control: no-store\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    response.extend(rest.into_bytes());
    response
}

fn redirect_to(path: &'static str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, path))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

/// Adds Retry-After, in seconds (RFC 9110, 10.2.3).
pub fn with_retry_after(mut answer: HttpResponse, seconds: u64) -> HttpResponse {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    answer
}

/// Says how long to wait, in minutes, and until when; both are rounded up to the minute.
pub fn too_often(now: DateTime<Utc>, seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX).min(24 * 60 * 60);
    let until = now + TimeDelta::seconds(seconds + 59);
    let wait = pluralize(&((seconds + 59) / 60), "minute");
    format!("Too many attempts. Please try again in {wait}, at {} UTC.", until.format("%H:%M"))
}
