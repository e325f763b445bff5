//! Authorization by extractors: a handler takes one of these types, and requests of everybody else are refused.

use std::future::{Ready, ready};
use std::ops::Deref;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::flash::{Flash, FlashKind};
use super::return_to;
use super::visitor::Visitor;
use crate::app::App;
use crate::config::AppEnv;
use crate::error::{Error, Result};
use crate::models::user::User;

/// A logged-in user. Other visitors are redirected to the log-in page, and back afterwards.
pub struct CurrentUser {
    pub user: Rc<User>,
    visitor: Visitor,
}

/// An admin. Other users are redirected to the home page.
pub struct Admin(CurrentUser);

/// A visitor who may see the operational pages: everybody in development, admins in production.
pub struct Operator(Visitor);

impl CurrentUser {
    pub fn id(&self) -> i64 {
        self.user.id
    }
}

impl FromRequest for CurrentUser {
    type Error = Error;
    type Future = Ready<Result<CurrentUser>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let log_in_first = |visitor: Visitor| match visitor.user.clone() {
            Some(user) => Ok(CurrentUser { user, visitor }),
            // The log-in page would not help: a new session could not be stored either.
            None if visitor.session_store_down => {
                Err(Error::unavailable("the session store does not answer"))
            }
            None => {
                return_to::remember(&visitor.app.cookies, &visitor.req);
                Flash::new(FlashKind::Danger, "Please log in.").keep(&visitor.app.cookies, &visitor.req);
                Err(Error::LogInFirst)
            }
        };
        ready(Visitor::from_request(req, payload).into_inner().and_then(log_in_first))
    }
}

impl FromRequest for Admin {
    type Error = Error;
    type Future = Ready<Result<Admin>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let admin = |current: CurrentUser| {
            if current.user.admin { Ok(Admin(current)) } else { Err(Error::NotAllowed) }
        };
        ready(CurrentUser::from_request(req, payload).into_inner().and_then(admin))
    }
}

impl FromRequest for Operator {
    type Error = Error;
    type Future = Ready<Result<Operator>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let app = req.app_data::<Data<App>>();
        ready(if app.is_some_and(|app| app.config.env == AppEnv::Development) {
            Visitor::from_request(req, payload).into_inner().map(Operator)
        } else {
            Admin::from_request(req, payload).into_inner().map(|admin| Operator(admin.0.visitor))
        })
    }
}

impl Deref for Operator {
    type Target = Visitor;

    fn deref(&self) -> &Visitor {
        &self.0
    }
}

impl Deref for CurrentUser {
    type Target = Visitor;

    fn deref(&self) -> &Visitor {
        &self.visitor
    }
}

impl Deref for Admin {
    type Target = CurrentUser;

    fn deref(&self) -> &CurrentUser {
        &self.0
    }
}
