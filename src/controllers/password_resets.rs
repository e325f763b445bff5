//! Forgotten passwords: the request for a mail, its link, and the new password.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use super::mail_request_form::MailRequestForm;
use crate::error::{Error, Result};
use crate::mail::messages;
use crate::mail::outbox;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;
use crate::models::values::password::NewPassword;
use crate::models::values::validation::FieldErrors;
use crate::views::Layout;
use crate::web::flash::{FlashKind, Offer};
use crate::web::form::Form;
use crate::web::mail_link::{self, LinkStatus, STASHED};
use crate::web::params::Query;
use crate::web::sign_in::audit;
use crate::web::sign_up;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "password_resets/new.html")]
struct New {
    layout: Layout,
    errors: FieldErrors,
    email: String,
}

const REQUEST_FORM: MailRequestForm<New> = MailRequestForm {
    purpose: Purpose::PasswordReset,
    title: "Forgot password",
    field: "password_reset[email]",
    message: "Email sent with password reset instructions if that address has an account.",
    page: |layout, errors, email| New { layout, errors, email },
};

/// GET /password_resets/new
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    REQUEST_FORM.show(&visitor)
}

/// POST /password_resets: sends a mail, if the address has an account.
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    // Boxed: the compiler refuses futures that are nested this deeply.
    Box::pin(REQUEST_FORM.submit(&visitor, &form)).await
}

#[derive(Template)]
#[template(path = "password_resets/edit.html")]
struct Edit {
    layout: Layout,
    errors: FieldErrors,
    token: String,
    email: String,
}

/// GET /password_resets/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != STASHED {
        return mail_link::stash(&visitor, Purpose::PasswordReset, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match mail_link::find(&visitor, Purpose::PasswordReset, STASHED, "", &mut db).await? {
        LinkStatus::Good(link) => {
            let layout = visitor.layout("Reset password");
            visitor.render(&Edit {
                layout,
                errors: FieldErrors::default(),
                token: STASHED.into(),
                email: link.email,
            })
        }
        other => refuse(&visitor, "", &other),
    }
}

/// GET /password_resets/{token}: a link that a mail program truncated.
pub async fn show(visitor: Visitor, token: Path<String>) -> Result<HttpResponse> {
    mail_link::incomplete(&visitor, Purpose::PasswordReset, &token)
}

/// PATCH /password_resets/{token}. The link proves who owns the mailbox, so it activates the account as well.
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let email = form.get("email");
    let mut db = app.db.conn().await?;
    let link = match mail_link::find(&visitor, Purpose::PasswordReset, &token, email, &mut db).await? {
        LinkStatus::Good(link) => link,
        other => return refuse(&visitor, email, &other),
    };
    drop(db);
    let mut errors = FieldErrors::default();
    let (typed, confirmation) = (form.get("user[password]"), form.get("user[password_confirmation]"));
    let Some(password) = NewPassword::parse(typed, confirmation, &mut errors) else {
        let layout = visitor.layout("Reset password");
        return visitor.render_invalid_form(&Edit {
            layout,
            errors,
            token: token.into_inner(),
            email: link.email,
        });
    };
    let digest = app.passwords.hash(&password).await?;
    let user = app
        .db
        .transaction(async |db| {
            // Of several concurrent requests, only one uses the link.
            if !link.consume(db).await? {
                return Ok(None);
            }
            MailToken::retire_activation(db, link.user_id).await?;
            User::change_password(db, link.user_id, &digest, now).await?;
            let user = User::find(db, link.user_id).await?.ok_or(Error::NotFound)?;
            if user.activated_at.is_none() {
                User::activate(db, user.id, now).await?;
            }
            outbox::push(db, &messages::password_changed(&app.config, &user)?, now).await?;
            Ok(Some(user))
        })
        .await?;
    let Some(user) = user else { return refuse(&visitor, email, &LinkStatus::Unknown) };
    app.mail_wakeup.wake();
    audit("password_reset", Some(user.id));
    mail_link::forget(&visitor, Purpose::PasswordReset, &link.email);
    sign_up::forget(&visitor);
    visitor.log_in(&user, false).await?;
    visitor.redirect_with_flash(
        &format!("/users/{}", user.id),
        FlashKind::Success,
        "Password has been reset.",
    )
}

fn refuse(visitor: &Visitor, email: &str, followed: &LinkStatus) -> Result<HttpResponse> {
    mail_link::forget(visitor, Purpose::PasswordReset, email);
    match followed {
        LinkStatus::Expired => visitor.redirect_with_flash(
            "/password_resets/new",
            FlashKind::Danger,
            "Password reset has expired.",
        ),
        _ => {
            let message = "Invalid password reset link";
            visitor.redirect_with_offer("/", FlashKind::Danger, message, &Offer::NEW_PASSWORD_LINK)
        }
    }
}
