//! The visitor of a request. A handler's signature states who may call it: [`Visitor`] admits everybody, the types in
//! roles.rs refuse others.

use std::future::{Ready, ready};
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::cookies::CookieName;
use super::draft::Draft;
use super::middleware::{authentication, read_your_writes};
use super::return_to;
use super::sign_in::{self, Identity};
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::models::user::User;

/// Anybody, logged in or not.
pub struct Visitor {
    pub app: Data<App>,
    pub user: Option<Rc<User>>,
    /// The browser sent a session cookie, but the session store is unavailable.
    pub(super) session_store_down: bool,
    pub(super) req: HttpRequest,
}

impl Visitor {
    /// For error pages: the visitor as far as authentication has got. Calls no service.
    pub fn as_known(app: Data<App>, req: HttpRequest) -> Visitor {
        Visitor { app, user: authentication::current_user(&req), session_store_down: false, req }
    }

    /// Runs `work`, which reads data for this page. The data may be a moment old but includes what this browser wrote.
    /// For authorization, use `app.db`. Each call takes a connection of its own, so that queries that do not need each
    /// other's results run concurrently. Combine them with `join!`: `try_join!` would drop the other queries at the
    /// first error, and with each its connection.
    pub async fn with_read_conn<T>(&self, work: impl AsyncFnOnce(&mut Conn) -> Result<T>) -> Result<T> {
        work(&mut read_your_writes::read_conn(&self.app, &self.req).await?).await
    }

    /// The path of the page in the Referer header, if it is one of this site.
    pub fn referring_page(&self) -> Option<String> {
        return_to::referring_page(&self.app.config.app_url, &self.req)
    }

    pub async fn log_in(&self, user: &User, remember: bool) -> Result<()> {
        sign_in::log_in(&self.app, &self.req, user, remember).await
    }

    /// Logs this browser in again after the user was logged out everywhere. A remembered browser stays remembered.
    pub async fn log_in_again(&self, user: &User) -> Result<()> {
        self.log_in(user, sign_in::is_remembered(&self.app, &self.req)).await
    }

    pub async fn log_out(&self) -> Result<()> {
        sign_in::log_out(&self.app, &self.req).await
    }

    /// Returns the page that required a log-in, and forgets it.
    pub fn take_return_path(&self) -> Option<String> {
        return_to::take(&self.app.cookies, &self.req)
    }

    /// The post that was refused because nobody was logged in, until it is posted.
    pub fn draft(&self) -> Option<Draft> {
        Draft::stored(&self.app.cookies, &self.req, self.user.as_ref()?.id)
    }

    pub fn forget_draft(&self) {
        self.app.cookies.remove(&self.req, CookieName::Draft);
    }

    /// Stores links from mails until their buttons are pressed; an empty text removes them.
    pub(super) fn keep_mail_links(&self, links: String) {
        if links.is_empty() {
            self.app.cookies.remove(&self.req, CookieName::MailLink);
        } else {
            self.app.cookies.set_signed(&self.req, CookieName::MailLink, links);
        }
    }

    /// The stored links from mails.
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
