//! Responses: pages, invalid forms, redirects.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, LOCATION};
use askama::Template;

use super::flash::{Flash, FlashKind, Offer};
use super::middleware::error_pages::{RETRY_SECONDS, too_often, with_retry_after};
use super::visitor::Visitor;
use crate::error::{Error, Result};
use crate::views::Layout;

/// Initial capacity for a page in bytes, enough for 30 rows; a growing String would be copied repeatedly.
const HTML_CAPACITY: usize = 32 * 1024;

impl Visitor {
    /// The layout of a page. Takes the flash message of the previous response.
    pub fn layout(&self, title: &str) -> Layout {
        let flash = Flash::take(&self.app.cookies, &self.req);
        Layout::new(&self.app, self.user.clone(), title, flash)
    }

    /// The layout of a page with a message of its own, which replaces that of the previous response.
    pub fn layout_with(&self, title: &str, kind: FlashKind, message: &str) -> Layout {
        let mut layout = self.layout(title);
        layout.flash = Some(Flash::new(kind, message));
        layout
    }

    pub fn render(&self, page: &impl Template) -> Result<HttpResponse> {
        self.render_with_status(StatusCode::OK, page)
    }

    /// Responds with an invalid form and status 422.
    pub fn render_invalid_form(&self, page: &impl Template) -> Result<HttpResponse> {
        self.render_with_status(StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    /// Responds with a valid form that failed because a service is unavailable, with status 503.
    pub fn render_unavailable(&self, page: &impl Template) -> Result<HttpResponse> {
        Ok(with_retry_after(self.render_with_status(StatusCode::SERVICE_UNAVAILABLE, page)?, RETRY_SECONDS))
    }

    pub fn render_with_status(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse> {
        let mut html = String::with_capacity(HTML_CAPACITY);
        page.render_into(&mut html).map_err(Error::internal)?;
        // Pages depend on the user. The browser must not store those of a logged-in user (ASVS 14.3).
        let cache = if self.user.is_some() { "no-store" } else { "private, no-cache" };
        Ok(HttpResponse::build(status)
            .content_type(ContentType::html())
            .insert_header((CACHE_CONTROL, cache))
            .body(html))
    }

    /// Redirects to a path of this site with 303 See Other, so that the browser uses GET (RFC 9110, 15.4.4).
    pub fn redirect(&self, path: &str) -> Result<HttpResponse> {
        Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, path))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish())
    }

    /// Redirects with a flash message for the next page.
    pub fn redirect_with_flash(&self, path: &str, kind: FlashKind, message: &str) -> Result<HttpResponse> {
        Flash::new(kind, message).keep(&self.app.cookies, &self.req);
        self.redirect(path)
    }

    /// Redirects with a flash message that has a link below it.
    pub fn redirect_with_offer(
        &self,
        path: &str,
        kind: FlashKind,
        message: &str,
        offer: &'static Offer,
    ) -> Result<HttpResponse> {
        Flash::new(kind, message).offering(offer).keep(&self.app.cookies, &self.req);
        self.redirect(path)
    }

    /// Responds to [`Error::TooMany`] with the form and status 429 (RFC 6585, section 4).
    ///
    /// # Errors
    /// Returns every other `error` unchanged.
    pub fn render_rate_limited_form<P: Template>(
        &self,
        error: Error,
        title: &str,
        page: impl FnOnce(Layout) -> P,
    ) -> Result<HttpResponse> {
        let Error::TooMany { retry_after } = error else { return Err(error) };
        let message = too_often(self.app.clock.now(), retry_after);
        let page = page(self.layout_with(title, FlashKind::Danger, &message));
        Ok(with_retry_after(self.render_with_status(StatusCode::TOO_MANY_REQUESTS, &page)?, retry_after))
    }
}
