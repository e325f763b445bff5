//! Who asks, and how they are answered. A handler names in its signature who may come in: [`Visitor`] is everybody, those
//! in roles.rs turn others away.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, LOCATION};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse};
use askama::Template;
use tokio::sync::Notify;

use super::client_address::{client_address, network};
use super::cookies::CookieName;
use super::draft::Draft;
use super::flash::{Flash, FlashKind, Offer};
use super::middleware::error_pages::{RETRY_SECONDS, too_often, with_retry_after};
use super::return_to;
use super::sign_in::{self, Identity};
use crate::app::App;
use crate::error::{Error, Result};
use crate::models::user::User;
use crate::services::limits::{LOG_IN, Limit, MAIL, MAIL_BY_SENDER};
use crate::views::Layout;

/// Room for a page of thirty rows, in bytes: a text that grows is copied each time it has outgrown its place.
const ROOM: usize = 32 * 1024;

/// Anybody, logged in or not.
pub struct Visitor {
    /// The application.
    pub app: Data<App>,
    /// Who is logged in.
    pub me: Option<Rc<User>>,
    /// There is a session, but its store cannot say whose.
    pub(super) unclear: bool,
    pub(super) req: HttpRequest,
}

/// Stored with the request, so that the error page greets the same person without asking again.
#[derive(Clone)]
struct Known(Option<Rc<User>>);

/// Stored with the request while it is being found out who asks.
#[derive(Clone, Default)]
struct Identifying(Rc<Notify>);

/// A parameter or form, read. If it is refused, that waits until it is known who asks: actix reads everything that a
/// handler names at the same time, and the first refusal would end the others' queries half-way, which costs their
/// connection. It also sends who has to log in to the log-in first. The visitor stands first in a handler's signature.
pub fn once_identified<T: 'static>(
    req: &HttpRequest,
    read: Result<T>,
) -> Pin<Box<dyn Future<Output = Result<T>>>> {
    let identifying = req.extensions().get::<Identifying>().cloned().filter(|_| read.is_err());
    Box::pin(async move {
        if let Some(Identifying(done)) = identifying {
            done.notified().await;
        }
        read
    })
}

impl Visitor {
    /// The visitor as far as is known by now, without asking any service: for error pages.
    pub fn as_known(app: Data<App>, req: HttpRequest) -> Visitor {
        Visitor { app, me: Visitor::known(&req), unclear: false, req }
    }

    /// Who is known by now to be logged in, without asking any service.
    pub fn known(req: &HttpRequest) -> Option<Rc<User>> {
        req.extensions().get::<Known>().and_then(|known| known.0.clone())
    }

    /// What surrounds a page. Shows the message that the last answer left.
    pub fn layout(&self, title: &str) -> Layout {
        let flash = Flash::take(&self.app.cookies, &self.req);
        Layout::new(&self.app, self.me.clone(), title, flash)
    }

    /// What surrounds a page that has something to say itself.
    pub fn layout_with(&self, title: &str, kind: FlashKind, message: &str) -> Layout {
        let mut layout = self.layout(title);
        layout.flash = Some(Flash::new(kind, message));
        layout
    }

    /// Answers with a page.
    pub fn page(&self, page: &impl Template) -> Result<HttpResponse> {
        self.page_as(StatusCode::OK, page)
    }

    /// Answers with a form that was not accepted.
    pub fn render_invalid_form(&self, page: &impl Template) -> Result<HttpResponse> {
        self.page_as(StatusCode::UNPROCESSABLE_ENTITY, page)
    }

    /// Answers with a form that would be accepted if all services were there.
    pub fn unavailable(&self, page: &impl Template) -> Result<HttpResponse> {
        Ok(with_retry_after(self.page_as(StatusCode::SERVICE_UNAVAILABLE, page)?, RETRY_SECONDS))
    }

    /// Answers with a page and a status.
    pub fn page_as(&self, status: StatusCode, page: &impl Template) -> Result<HttpResponse> {
        let mut html = String::with_capacity(ROOM);
        page.render_into(&mut html).map_err(Error::internal)?;
        // What is on a page depends on who looks; nothing of a person who is logged in stays in the browser (ASVS 14.3).
        let cache = if self.me.is_some() { "no-store" } else { "private, no-cache" };
        Ok(HttpResponse::build(status)
            .content_type(ContentType::html())
            .insert_header((CACHE_CONTROL, cache))
            .body(html))
    }

    /// Sends the browser on, to a path of ours (RFC 9110, 303 See Other: by GET).
    pub fn go(&self, path: &str) -> Result<HttpResponse> {
        Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, path))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish())
    }

    /// Sends the browser on, with a message for the page there.
    pub fn redirect_with_flash(&self, path: &str, kind: FlashKind, message: &str) -> Result<HttpResponse> {
        Flash::new(kind, message).keep(&self.app.cookies, &self.req);
        self.go(path)
    }

    /// The same, with a link below the message.
    pub fn go_offering(
        &self,
        path: &str,
        kind: FlashKind,
        message: &str,
        offer: &'static Offer,
    ) -> Result<HttpResponse> {
        Flash::new(kind, message).offering(offer).keep(&self.app.cookies, &self.req);
        self.go(path)
    }

    /// Answers with a form whose sender has to wait (RFC 6585, section 4).
    ///
    /// # Errors
    /// Every other error as it is.
    pub fn form_too_often<P: Template>(
        &self,
        error: Error,
        title: &str,
        page: impl FnOnce(Layout) -> P,
    ) -> Result<HttpResponse> {
        let Error::TooMany { retry_after } = error else { return Err(error) };
        let message = too_often(self.app.clock.now(), retry_after);
        let page = page(self.layout_with(title, FlashKind::Danger, &message));
        Ok(with_retry_after(self.page_as(StatusCode::TOO_MANY_REQUESTS, &page)?, retry_after))
    }

    /// The page of ours that the browser comes from, as a path.
    pub fn referring_page(&self) -> Option<String> {
        return_to::referring_page(&self.app.config.app_url, &self.req)
    }

    /// Counts an attempt of `who`.
    ///
    /// # Errors
    /// [`Error::TooMany`] when there were too many.
    pub async fn count(&self, limit: &Limit, who: &str) -> Result<()> {
        if !self.app.config.limits {
            return Ok(());
        }
        let counted = self.app.limits.count(limit, who, self.app.clock.now()).await;
        if counted.is_err() {
            sign_in::audit_limit(limit.name, self.me.as_ref().map(|me| me.id));
        }
        counted
    }

    /// Counts an attempt by where it comes from; where that is not known (a Unix socket without a trusted proxy), nothing
    /// can be counted.
    ///
    /// # Errors
    /// [`Error::TooMany`] when there were too many.
    pub async fn count_client(&self, limit: &Limit) -> Result<()> {
        let proxies = self.app.config.trusted_proxies;
        let Some(address) = client_address(&self.req, proxies) else { return Ok(()) };
        let counted = self.count(limit, &network(address)).await;
        if counted.is_err() && proxies == 0 && self.req.headers().contains_key("x-forwarded-for") {
            tracing::warn!("there is a proxy in front, so all visitors count as one: set TRUSTED_PROXIES");
        }
        counted
    }

    /// Counts an attempt to guess a password: by client first, then by account.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn count_log_in(&self, email: &str) -> Result<()> {
        self.count_client(&LOG_IN).await?;
        self.count(&LOG_IN, email).await
    }

    /// Counts a mail that this visitor causes. By sender first (client and account), so that somebody who is turned away
    /// uses up nothing of what the recipient may get.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn count_mail(&self, recipient: &str) -> Result<()> {
        self.count_client(&MAIL_BY_SENDER).await?;
        if let Some(me) = &self.me {
            self.count(&MAIL_BY_SENDER, &format!("account {}", me.id)).await?;
        }
        self.count(&MAIL, recipient).await
    }

    /// Logs somebody in on this browser.
    pub async fn log_in(&self, user: &User, remember: bool) -> Result<()> {
        sign_in::log_in(&self.app, &self.req, user, remember).await
    }

    /// Renews the log-in of this browser after everything else was logged out; stays remembered if it was.
    pub async fn log_in_again(&self, user: &User) -> Result<()> {
        self.log_in(user, sign_in::is_remembered(&self.app, &self.req)).await
    }

    /// Logs this browser out.
    pub async fn log_out(&self) -> Result<()> {
        sign_in::log_out(&self.app, &self.req).await
    }

    /// The page that asked for a log-in, once.
    pub fn take_return_path(&self) -> Option<String> {
        return_to::take(&self.app.cookies, &self.req)
    }

    /// The post that was refused for want of a log-in, until it is posted.
    pub fn draft(&self) -> Option<Draft> {
        Draft::stored(&self.app.cookies, &self.req, self.me.as_ref()?.id)
    }

    /// Forgets the post that was refused.
    pub fn forget_draft(&self) {
        self.app.cookies.remove(&self.req, CookieName::Draft);
    }

    /// Keeps links from mails until their buttons are pressed; none if the text is empty.
    pub(super) fn keep_mail_links(&self, links: String) {
        if links.is_empty() {
            self.app.cookies.remove(&self.req, CookieName::MailLink);
        } else {
            self.app.cookies.set_signed(&self.req, CookieName::MailLink, links);
        }
    }

    /// The links from mails that were kept.
    pub(super) fn mail_links(&self) -> Option<String> {
        self.app.cookies.get_signed(&self.req, CookieName::MailLink)
    }
}

impl FromRequest for Visitor {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Visitor>>>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let req = req.clone();
        let identifying = Identifying::default();
        req.extensions_mut().insert(identifying.clone());
        Box::pin(async move {
            let identified = async {
                let app = req.app_data::<Data<App>>().cloned().ok_or_else(|| Error::internal("no App"))?;
                let (me, unclear) = match sign_in::identify(&app, &req).await? {
                    Identity::Known(user) => (Some(user), false),
                    Identity::Stranger => (None, false),
                    Identity::Unclear => (None, true),
                };
                req.extensions_mut().insert(Known(me.clone()));
                Ok(Visitor { app, me, unclear, req: req.clone() })
            };
            let visitor = identified.await;
            identifying.0.notify_one();
            visitor
        })
    }
}
