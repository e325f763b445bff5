//! Changing the e-mail address: the link in the mail to the new address, its page, and, while the change is pending,
//! sending the mail again or cancelling the change.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use crate::db::Conn;
use crate::error::{Error, Result};
use crate::mail::messages;
use crate::mail::outbox;
use crate::models::email_restore;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;
use crate::models::values::email::Email;
use crate::views::Layout;
use crate::web::flash::FlashKind;
use crate::web::form::Form;
use crate::web::mail_link::{self, LinkStatus, STASHED};
use crate::web::params::Query;
use crate::web::roles::CurrentUser;
use crate::web::sign_in::audit;
use crate::web::visitor::Visitor;

/// Sends the link that confirms a new address, which takes effect once the link is followed. If another account has the
/// address, its owner gets a notice instead. The user who requests the change does not learn this: a link is created
/// either way, but only the recipient of the mail ever sees it.
pub async fn send_link(current_user: &CurrentUser, db: &mut Conn, email: &Email) -> Result<()> {
    let (app, user, now) = (&current_user.app, &current_user.user, current_user.app.clock.now());
    let token = MailToken::issue(db, user.id, Purpose::EmailChange, email.as_str(), now).await?;
    let owner = User::find_by_email(db, email).await?.filter(|owner| owner.activated_at.is_some());
    let mail = match owner {
        Some(owner) => messages::address_taken(&app.config, &owner)?,
        None => messages::email_change(&app.config, email.as_str(), &token)?,
    };
    outbox::push(db, &mail, now).await
}

/// POST /email_changes: sends the mail to the pending address again.
pub async fn create(current_user: CurrentUser) -> Result<HttpResponse> {
    let (app, settings) = (&current_user.app, format!("/users/{}/edit", current_user.id()));
    let now = app.clock.now();
    let pending = MailToken::pending_email(&mut app.db.conn().await?, current_user.id(), now).await?;
    let Some(email) = pending.and_then(|email| Email::parse(&email).ok()) else {
        return current_user.redirect_with_flash(&settings, FlashKind::Info, "No new address is waiting.");
    };
    current_user.count_mail(email.as_str()).await?;
    app.db
        .transaction(async |db| {
            User::lock_current(db, &current_user.user).await?;
            send_link(&current_user, db, &email).await
        })
        .await?;
    app.mail_wakeup.wake();
    current_user.redirect_with_flash(
        &settings,
        FlashKind::Info,
        "Email sent with another link to confirm your new address.",
    )
}

/// DELETE /email_changes: cancels the change.
pub async fn destroy(current_user: CurrentUser) -> Result<HttpResponse> {
    MailToken::revoke(&mut current_user.app.db.conn().await?, current_user.id(), Purpose::EmailChange)
        .await?;
    let message = "The change of address was cancelled. Your address stays as it is.";
    current_user.redirect_with_flash(
        &format!("/users/{}/edit", current_user.id()),
        FlashKind::Success,
        message,
    )
}

#[derive(Template)]
#[template(path = "email_changes/edit.html")]
struct Edit {
    layout: Layout,
    token: &'static str,
    email: String,
}

/// GET /email_changes/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != STASHED {
        return mail_link::stash(&visitor, Purpose::EmailChange, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match mail_link::find(&visitor, Purpose::EmailChange, STASHED, "", &mut db).await? {
        LinkStatus::Good(link) => {
            visitor.render(&Edit { layout: visitor.layout("New address"), token: STASHED, email: link.email })
        }
        _ => refuse(&visitor, ""),
    }
}

/// GET /email_changes/{token}: a link that a mail program truncated.
pub async fn show(visitor: Visitor, token: Path<String>) -> Result<HttpResponse> {
    mail_link::incomplete(&visitor, Purpose::EmailChange, &token)
}

/// PATCH /email_changes/{token}. Notifies the former address, with a link that undoes the change.
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let email = form.get("email");
    let changed = app
        .db
        .transaction(async |db| {
            let LinkStatus::Good(link) =
                mail_link::find(&visitor, Purpose::EmailChange, &token, email, db).await?
            else {
                return Ok(None);
            };
            if !link.consume(db).await? {
                return Ok(None);
            }
            let before = User::find(db, link.user_id).await?.ok_or(Error::NotFound)?;
            if !User::change_email(db, link.user_id, &link.email, now).await? {
                return Ok(None);
            }
            let restore = email_restore::issue(db, before.id, &before.email, now).await?;
            let mail = messages::email_has_changed(&app.config, &before, &link.email, &restore)?;
            outbox::push(db, &mail, now).await?;
            Ok(Some(link))
        })
        .await?;
    let Some(link) = changed else { return refuse(&visitor, email) };
    app.mail_wakeup.wake();
    audit("email_changed", Some(link.user_id));
    mail_link::forget(&visitor, Purpose::EmailChange, &link.email);
    visitor.redirect_with_flash("/", FlashKind::Success, "Your new address counts from now on")
}

fn refuse(visitor: &Visitor, email: &str) -> Result<HttpResponse> {
    mail_link::forget(visitor, Purpose::EmailChange, email);
    visitor.redirect_with_flash(
        "/",
        FlashKind::Danger,
        "Invalid link; you can change your address again in the settings",
    )
}
