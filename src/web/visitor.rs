//! Who sent the request. A handler names in its signature who may call it: [`Visitor`] is everybody, the types in roles.rs
//! turn others away.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::cookies::CookieName;
use super::draft::Draft;
use super::middleware::authentication;
use super::return_to;
use super::sign_in::{self, Identity};
use crate::app::App;
use crate::error::{Error, Result};
use crate::models::user::User;

/// Anybody, logged in or not.
pub struct Visitor {
    /// The application.
    pub app: Data<App>,
    /// Who is logged in.
    pub user: Option<Rc<User>>,
    /// The browser has a session cookie, and the session store does not answer.
    pub(super) session_store_down: bool,
    pub(super) req: HttpRequest,
}

impl Visitor {
    /// The visitor as far as is known by now, without asking any service: for error pages.
    pub fn as_known(app: Data<App>, req: HttpRequest) -> Visitor {
        Visitor { app, user: authentication::current_user(&req), session_store_down: false, req }
    }

    /// The page of ours that the browser comes from, as a path.
    pub fn referring_page(&self) -> Option<String> {
        return_to::referring_page(&self.app.config.app_url, &self.req)
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
        Draft::stored(&self.app.cookies, &self.req, self.user.as_ref()?.id)
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
    type Future = Ready<Result<Visitor>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visitor = || {
            let app = req.app_data::<Data<App>>().cloned().ok_or_else(|| Error::internal("no App"))?;
            let (user, session_store_down) = match authentication::identity(req)? {
                Identity::User(user) => (Some(user), false),
                Identity::Anonymous => (None, false),
                Identity::SessionStoreDown => (None, true),
            };
            Ok(Visitor { app, user, session_store_down, req: req.clone() })
        };
        ready(visitor())
    }
}
