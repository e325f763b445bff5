//! Who may come in: a handler names one of these in its signature, and everybody else is turned away.

use std::ops::Deref;
use std::pin::Pin;
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

/// Somebody who is logged in; others are sent to the log-in and come back afterwards.
pub struct CurrentUser {
    /// Who.
    pub me: Rc<User>,
    visitor: Visitor,
}

/// An admin; others are sent to the home page.
pub struct Admin(CurrentUser);

/// Who may look behind the scenes: everybody in development, admins in production.
pub struct Operator(Visitor);

impl FromRequest for CurrentUser {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<CurrentUser>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let visitor = Visitor::from_request(req, payload);
        Box::pin(async move {
            let visitor = visitor.await?;
            match visitor.me.clone() {
                Some(me) => Ok(CurrentUser { me, visitor }),
                // The log-in page would be of no use: a new session cannot be kept either.
                None if visitor.unclear => Err(Error::unavailable("the store of sessions does not answer")),
                None => {
                    return_to::remember(&visitor.app.cookies, &visitor.req);
                    Flash::new(FlashKind::Danger, "Please log in.").keep(&visitor.app.cookies, &visitor.req);
                    Err(Error::LogInFirst)
                }
            }
        })
    }
}

impl FromRequest for Admin {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Admin>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let signed_in = CurrentUser::from_request(req, payload);
        Box::pin(async move {
            let signed_in = signed_in.await?;
            if signed_in.me.admin { Ok(Admin(signed_in)) } else { Err(Error::NotAllowed) }
        })
    }
}

impl FromRequest for Operator {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Operator>>>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let app = req.app_data::<Data<App>>();
        if app.is_some_and(|app| app.config.env == AppEnv::Development) {
            let visitor = Visitor::from_request(req, payload);
            return Box::pin(async move { visitor.await.map(Operator) });
        }
        let admin = Admin::from_request(req, payload);
        Box::pin(async move { admin.await.map(|admin| Operator(admin.0.visitor)) })
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
