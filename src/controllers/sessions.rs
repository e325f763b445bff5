//! Logging in and out.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::app::App;
use crate::error::{Error, Result};
use crate::models::user::User;
use crate::models::values::email::Email;
use crate::services::rate_limits::LOG_IN;
use crate::views::Layout;
use crate::web::flash::FlashKind;
use crate::web::form::Form;
use crate::web::sign_in::audit;
use crate::web::sign_up;
use crate::web::visitor::Visitor;

/// Shown after a log-out that could not be recorded everywhere.
const LOGGED_OUT_HERE_ONLY: &str = "You are logged out in this browser, but part of the site did not answer. If somebody else may have \
    used your account here, log in again later and choose “Log out everywhere else” in your settings.";

#[derive(Template)]
#[template(path = "sessions/new.html")]
struct New {
    layout: Layout,
    email: String,
    remember_me: bool,
}

/// GET /login
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    visitor.render(&New { layout: visitor.layout("Log in"), email: String::new(), remember_me: false })
}

/// POST /login. An unknown address and a wrong password take the same time and get the same response (ASVS 6.3.8).
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    let app = &visitor.app;
    let (typed_email, password) = (form.get("session[email]"), form.get("session[password]"));
    let remember_me = form.is_ticked("session[remember_me]")?;
    let parsed_email = Email::parse(typed_email).ok();
    // Before any query: in a flood of log-ins, most requests end here.
    app.passwords.threads().check_capacity()?;
    let counted = match &parsed_email {
        Some(email) => visitor.count_log_in(email.as_str()).await,
        None => visitor.count_client(&LOG_IN).await,
    };
    if let Err(error) = counted {
        let email = typed_email.to_owned();
        return visitor.render_rate_limited_form(error, "Log in", |layout| New {
            layout,
            email,
            remember_me,
        });
    }
    let user = match &parsed_email {
        Some(email) => User::find_by_email(&mut app.db.conn().await?, email).await?,
        None => None,
    };
    let digest = user.as_ref().map(|user| user.password_digest.as_str());
    let fits = app.passwords.matches(password, digest).await?;
    let user_id = user.as_ref().map(|user| user.id);
    let Some(user) = user.filter(|_| fits) else {
        audit("log_in_refused", user_id);
        let layout = visitor.layout_with("Log in", FlashKind::Danger, "Invalid email/password combination");
        let page = New { layout, email: typed_email.to_owned(), remember_me };
        return visitor.render_with_status(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    if user.activated_at.is_none() {
        audit("log_in_refused", Some(user.id));
        // The password is right, so this browser may activate the account; the home page offers another mail.
        sign_up::remember(&visitor, &user.email, &user.password_digest);
        let message = "Account not activated. Check your email for the activation link.";
        return visitor.redirect_with_flash("/", FlashKind::Warning, message);
    }
    if let Some(renewed) = app.passwords.renew(password, &user.password_digest).await? {
        let mut db = app.db.conn().await?;
        User::renew_digest(&mut db, user.id, &user.password_digest, &renewed).await?;
    }
    sign_up::forget(&visitor);
    visitor.log_in(&user, remember_me).await?;
    let next = visitor.take_return_path().unwrap_or_else(|| format!("/users/{}", user.id));
    visitor.redirect(&next)
}

/// DELETE /logout. Can be repeated, for example from a second window. Works whichever service is down, even the one
/// that authenticates the visitor.
pub async fn destroy(app: Data<App>, req: HttpRequest, known: Result<Visitor>) -> Result<HttpResponse> {
    let visitor = known.unwrap_or_else(|_| Visitor::as_known(app, req));
    visitor.forget_draft();
    let ended = visitor.log_out().await;
    if let Some(user) = &visitor.user {
        audit("log_out", Some(user.id));
    }
    match ended {
        Err(Error::Unavailable(error)) => {
            tracing::error!(error, "a log-out was not recorded in every store");
            visitor.redirect_with_flash("/", FlashKind::Warning, LOGGED_OUT_HERE_ONLY)
        }
        ended => ended.and_then(|()| visitor.redirect("/")),
    }
}
