//! Restoring a former address: the link in the mail sent there, and the new password that goes with it.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use crate::error::{Error, Result};
use crate::mail::messages;
use crate::mail::outbox;
use crate::models::email_restore::{self, Restored};
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;
use crate::models::values::password::NewPassword;
use crate::models::values::validation::FieldErrors;
use crate::views::Layout;
use crate::web::flash::{Flash, FlashKind};
use crate::web::form::Form;
use crate::web::mail_link::{self, LinkStatus, STASHED};
use crate::web::params::Query;
use crate::web::sign_in::audit;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "email_restores/edit.html")]
struct Edit {
    layout: Layout,
    errors: FieldErrors,
    token: String,
    email: String,
}

impl Edit {
    fn new(visitor: &Visitor, token: &str, link: MailToken, errors: FieldErrors) -> Edit {
        Edit { layout: visitor.layout("Your address"), errors, token: token.to_owned(), email: link.email }
    }
}

/// GET /email_restores/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != STASHED {
        return mail_link::stash(&visitor, Purpose::EmailRestore, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    let LinkStatus::Good(link) =
        mail_link::find(&visitor, Purpose::EmailRestore, STASHED, "", &mut db).await?
    else {
        return refuse(&visitor, "");
    };
    if email_restore::is_taken(&mut db, &link).await? {
        return taken(&visitor, STASHED, link);
    }
    visitor.render(&Edit::new(&visitor, STASHED, link, FieldErrors::default()))
}

/// GET /email_restores/{token}: a link that a mail program truncated.
pub async fn show(visitor: Visitor, token: Path<String>) -> Result<HttpResponse> {
    mail_link::incomplete(&visitor, Purpose::EmailRestore, &token)
}

/// PATCH /email_restores/{token}. Address and password change together, because whoever changed the address knows the
/// password.
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now, email) = (&visitor.app, visitor.app.clock.now(), form.get("email"));
    let mut db = app.db.conn().await?;
    let found = mail_link::find(&visitor, Purpose::EmailRestore, &token, email, &mut db).await?;
    drop(db);
    let LinkStatus::Good(link) = found else { return refuse(&visitor, email) };
    let mut errors = FieldErrors::default();
    let (typed, confirmation) = (form.get("user[password]"), form.get("user[password_confirmation]"));
    let Some(password) = NewPassword::parse(typed, confirmation, &mut errors) else {
        return visitor.render_invalid_form(&Edit::new(&visitor, &token, link, errors));
    };
    let digest = app.passwords.hash(&password).await?;
    let (restored, user) = app
        .db
        .transaction(async |db| {
            let before = User::find(db, link.user_id).await?.ok_or(Error::NotFound)?;
            let restored = email_restore::apply(db, &link, &digest, now).await?;
            let user = User::find(db, link.user_id).await?.ok_or(Error::NotFound)?;
            if matches!(restored, Restored::Done) {
                outbox::push(db, &messages::password_changed(&app.config, &user)?, now).await?;
                if before.email != user.email {
                    outbox::push(db, &messages::email_restored(&app.config, &before.email)?, now).await?;
                }
            }
            Ok((restored, user))
        })
        .await?;
    match restored {
        Restored::Used => refuse(&visitor, email),
        Restored::Taken => taken(&visitor, &token, link),
        Restored::Done => {
            app.mail_wakeup.wake();
            audit("email_restored", Some(user.id));
            mail_link::forget(&visitor, Purpose::EmailRestore, &link.email);
            visitor.log_in(&user, false).await?;
            let message = "Your account has this address and a new password. Everybody else was logged out.";
            visitor.redirect_with_flash(&format!("/users/{}", user.id), FlashKind::Success, message)
        }
    }
}

/// The page says what to do first; the link stays valid.
fn taken(visitor: &Visitor, token: &str, link: MailToken) -> Result<HttpResponse> {
    let mut page = Edit::new(visitor, token, link, FieldErrors::default());
    let message = "Another account uses this address now, so it cannot be restored yet. Log in to that account, \
                   change its address or have it deleted, then open the link in the mail again.";
    page.layout.flash = Some(Flash::new(FlashKind::Danger, message));
    visitor.render_invalid_form(&page)
}

fn refuse(visitor: &Visitor, email: &str) -> Result<HttpResponse> {
    mail_link::forget(visitor, Purpose::EmailRestore, email);
    let message = "Invalid link: it was used, or is older than seven days.";
    visitor.redirect_with_flash("/", FlashKind::Danger, message)
}
