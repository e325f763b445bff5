//! How a visitor is answered: pages, forms that come back, redirects.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, LOCATION};
use askama::Template;

use super::flash::{Flash, FlashKind, Offer};
use super::middleware::error_pages::{RETRY_SECONDS, too_often, with_retry_after};
use super::visitor::Visitor;
use crate::error::{Error, Result};
use crate::views::Layout;

/// Bytes reserved for a page, enough for thirty rows: a String that grows is copied each time.
const HTML_CAPACITY: usize = 32 * 1024;

impl Visitor {
    /// What surrounds a page. Shows the message that the last answer left.
    pub fn layout(&self, title: &str) -> Layout {
        let flash = Flash::take(&self.app.cookies, &self.req);
        Layout::new(&self.app, self.user.clone(), title, flash)
    }

    /// What surrounds a page that has something to say itself.
    pub fn layout_with(&self, title: &str, kind: FlashKind, message: &str) -> Layout {
        let mut layout = self.layout(title);
        layout.flash = Some(Flash::new(kind, message));
        layout
    }

    /// Answers with a page.
    pub fn render(&self, page: &impl Template) -> Result<HttpResponse> {
        self.render_with_status(StatusCode::OK, page)
    }

    /// Answers with a form that was not accepted.
    pub fn render_invalid_form(&self, page: &impl Template) -> Result<HttpResponse> {
        self.render_with_status(StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    /// Answers with a form that would be accepted if all services were there.
    pub fn render_unavailable(&self, page: &impl Template) -> Result<HttpResponse> {
        Ok(with_retry_after(self.render_with_status(StatusCode::SERVICE_UNAVAILABLE, page)?, RETRY_SECONDS))
    }

    /// Answers with a page and a status.
    pub fn render_with_status(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse> {
        let mut html = String::with_capacity(HTML_CAPACITY);
        page.render_into(&mut html).map_err(Error::internal)?;
        // What is on a page depends on who looks; nothing of a person who is logged in stays in the browser (ASVS 14.3).
        let cache = if self.user.is_some() { "no-store" } else { "private, no-cache" };
        Ok(HttpResponse::build(status)
            .content_type(ContentType::html())
            .insert_header((CACHE_CONTROL, cache))
            .body(html))
    }

    /// Sends the browser on, to a path of ours (RFC 9110, 303 See Other: by GET).
    pub fn redirect(&self, path: &str) -> Result<HttpResponse> {
        Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, path))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish())
    }

    /// Sends the browser on, with a message for the page there.
    pub fn redirect_with_flash(&self, path: &str, kind: FlashKind, message: &str) -> Result<HttpResponse> {
        Flash::new(kind, message).keep(&self.app.cookies, &self.req);
        self.redirect(path)
    }

    /// The same, with a link below the message.
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

    /// Answers with a form whose sender has to wait (RFC 6585, section 4).
    ///
    /// # Errors
    /// Every other error as it is.
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
