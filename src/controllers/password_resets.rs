//! Forgotten passwords: asking for the mail, its link, and the new password.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use crate::error::{Error, Result};
use crate::mails;
use crate::models::email::Email;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::outbox;
use crate::models::password::NewPassword;
use crate::models::user::User;
use crate::models::validation::Errors;
use crate::services::limits::MAIL;
use crate::views::Layout;
use crate::web::flash::Kind;
use crate::web::form::Form;
use crate::web::mail_link::{self, Followed, KEPT};
use crate::web::params::Query;
use crate::web::sign_in::audit;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "password_resets/new.html")]
struct New {
    layout: Layout,
    errors: Errors,
    email: String,
}

/// GET /password_resets/new
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    let layout = visitor.layout("Forgot password");
    visitor.page(&New { layout, errors: Errors::default(), email: String::new() })
}

/// POST /password_resets. Answers alike whether or not the address has an account (OWASP Forgot Password).
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    let typed = form.get("password_reset[email]");
    let email = match Email::parse(typed) {
        Ok(email) => email,
        Err(message) => {
            let errors = Errors::one("email", message);
            let page = New { layout: visitor.layout("Forgot password"), errors, email: typed.to_owned() };
            return visitor.form_again(&page);
        }
    };
    visitor.count(&MAIL, email.as_str()).await?;
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    app.db
        .transaction(async |db| {
            let Some(user) = User::find_by_email(db, &email).await? else { return Ok(()) };
            // Who was never activated needs that first; the mail does the same: it shows that the address is theirs.
            let mail = if user.activated_at.is_some() {
                let token = MailToken::issue(db, user.id, Purpose::PasswordReset, &user.email, now).await?;
                mails::password_reset(&app.config, &user, &token)?
            } else {
                let token = MailToken::issue(db, user.id, Purpose::Activation, &user.email, now).await?;
                mails::activation(&app.config, &user.email, &user.name, &token)?
            };
            outbox::push(db, &mail, now).await
        })
        .await?;
    app.mail_wakeup.wake();
    let message = "Email sent with password reset instructions if that address has an account.";
    visitor.go_saying("/", Kind::Info, message)
}

#[derive(Template)]
#[template(path = "password_resets/edit.html")]
struct Edit {
    layout: Layout,
    errors: Errors,
    token: String,
    email: String,
}

/// GET /password_resets/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != KEPT {
        return mail_link::keep(&visitor, Purpose::PasswordReset, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match mail_link::find(&visitor, Purpose::PasswordReset, KEPT, "", &mut db).await? {
        Followed::Good(link) => {
            let layout = visitor.layout("Reset password");
            visitor.page(&Edit { layout, errors: Errors::default(), token: KEPT.into(), email: link.email })
        }
        other => refuse(&visitor, &other),
    }
}

/// PATCH /password_resets/{token}
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let email = form.get("email");
    let mut db = app.db.conn().await?;
    let link = match mail_link::find(&visitor, Purpose::PasswordReset, &token, email, &mut db).await? {
        Followed::Good(link) => link,
        other => return refuse(&visitor, &other),
    };
    drop(db);
    let mut errors = Errors::default();
    let (typed, confirmation) = (form.get("user[password]"), form.get("user[password_confirmation]"));
    let Some(password) = NewPassword::parse(typed, confirmation, &mut errors) else {
        let layout = visitor.layout("Reset password");
        return visitor.form_again(&Edit { layout, errors, token: token.into_inner(), email: link.email });
    };
    let digest = app.passwords.hash(&password).await?;
    let user = app
        .db
        .transaction(async |db| {
            // Of several requests at once, one uses the link.
            if !link.consume(db).await? {
                return Ok(None);
            }
            User::change_password(db, link.user_id, &digest, now).await?;
            User::find(db, link.user_id).await?.ok_or(Error::NotFound).map(Some)
        })
        .await?;
    let Some(user) = user else { return refuse(&visitor, &Followed::Unknown) };
    audit("password_reset", Some(user.id));
    visitor.forget_mail_link();
    visitor.log_in(&user, false).await?;
    visitor.go_saying(&format!("/users/{}", user.id), Kind::Success, "Password has been reset.")
}

fn refuse(visitor: &Visitor, followed: &Followed) -> Result<HttpResponse> {
    visitor.forget_mail_link();
    match followed {
        Followed::Expired => {
            visitor.go_saying("/password_resets/new", Kind::Danger, "Password reset has expired.")
        }
        _ => visitor.go_saying("/", Kind::Danger, "Invalid password reset link"),
    }
}
