//! Activation: the link from the mail, its page, and requests for another mail.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use super::mail_request_form::MailRequestForm;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;
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
#[template(path = "account_activations/new.html")]
struct New {
    layout: Layout,
    errors: FieldErrors,
    email: String,
}

const REQUEST_FORM: MailRequestForm<New> = MailRequestForm {
    purpose: Purpose::Activation,
    title: "Activation",
    field: "account_activation[email]",
    message: "Email sent with another activation link if that address waits for one.",
    page: |layout, errors, email| New { layout, errors, email },
};

/// GET /account_activations/new
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    REQUEST_FORM.show(&visitor)
}

/// POST /account_activations: sends another mail, if the address has an account that is not active yet.
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    // Boxed: the compiler refuses futures that are nested this deeply.
    Box::pin(REQUEST_FORM.submit(&visitor, &form)).await
}

#[derive(Template)]
#[template(path = "account_activations/edit.html")]
struct Edit {
    layout: Layout,
    errors: FieldErrors,
    token: String,
    email: String,
    /// Whether the visitor must enter the password to prove that they signed up.
    asks_password: bool,
}

impl Edit {
    fn new(visitor: &Visitor, token: &str, link: MailToken, asks_password: bool) -> Edit {
        let layout = visitor.layout("Activation");
        Edit {
            layout,
            errors: FieldErrors::default(),
            token: token.to_owned(),
            email: link.email,
            asks_password,
        }
    }
}

/// GET /account_activations/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != STASHED {
        return mail_link::stash(&visitor, Purpose::Activation, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match find(&visitor, STASHED, "", &mut db).await? {
        Ok((link, user)) => {
            let asks_password = !sign_up::is_bound_to(&visitor, &user);
            visitor.render(&Edit::new(&visitor, STASHED, link, asks_password))
        }
        Err(other) => refuse(&visitor, "", &other),
    }
}

/// GET /account_activations/{token}: a link that a mail program truncated.
pub async fn show(visitor: Visitor, token: Path<String>) -> Result<HttpResponse> {
    mail_link::incomplete(&visitor, Purpose::Activation, &token)
}

/// PATCH /account_activations/{token}. The link proves who owns the mailbox; the browser or the password proves who
/// signed up. Both proofs are required, because anybody can sign up with somebody else's address.
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let email = form.get("email");
    let mut db = app.db.conn().await?;
    let (link, user) = match find(&visitor, &token, email, &mut db).await? {
        Ok(found) => found,
        Err(other) => return refuse(&visitor, email, &other),
    };
    drop(db);
    if !sign_up::is_bound_to(&visitor, &user) {
        let typed = form.get("user[password]");
        if let Err(error) = visitor.count_log_in(&user.email).await {
            let page = Edit::new(&visitor, &token, link, true);
            return visitor.render_rate_limited_form(error, "Activation", |layout| Edit { layout, ..page });
        }
        if !app.passwords.matches(typed, Some(&user.password_digest)).await? {
            audit("activation_refused", Some(user.id));
            let errors = FieldErrors::one("password", "is not the one that was chosen when signing up");
            let page = Edit { errors, ..Edit::new(&visitor, &token, link, true) };
            return visitor.render_invalid_form(&page);
        }
    }
    let activated = app
        .db
        .transaction(async |db| {
            // Of several concurrent requests, only one uses the link. A sign-up in between revokes it.
            if !link.use_activation(db).await? {
                return Ok(None);
            }
            User::activate(db, link.user_id, now).await?;
            User::find(db, link.user_id).await?.ok_or(Error::NotFound).map(Some)
        })
        .await?;
    let Some(user) = activated else { return refuse(&visitor, email, &LinkStatus::Unknown) };
    mail_link::forget(&visitor, Purpose::Activation, &link.email);
    sign_up::forget(&visitor);
    visitor.log_in(&user, false).await?;
    visitor.redirect_with_flash(&format!("/users/{}", user.id), FlashKind::Success, "Account activated!")
}

/// The link and the account that it activates.
async fn find(
    visitor: &Visitor,
    token: &str,
    email: &str,
    db: &mut Conn,
) -> Result<Result<(MailToken, User), LinkStatus>> {
    let link = match mail_link::find(visitor, Purpose::Activation, token, email, db).await? {
        LinkStatus::Good(link) => link,
        other => return Ok(Err(other)),
    };
    let user = User::find(db, link.user_id).await?.ok_or(Error::NotFound)?;
    Ok(if user.activated_at.is_some() { Err(LinkStatus::Used) } else { Ok((link, user)) })
}

fn refuse(visitor: &Visitor, email: &str, followed: &LinkStatus) -> Result<HttpResponse> {
    mail_link::forget(visitor, Purpose::Activation, email);
    match followed {
        LinkStatus::Used => {
            let message = "Your account is already active.";
            match &visitor.user {
                Some(user) => {
                    visitor.redirect_with_flash(&format!("/users/{}", user.id), FlashKind::Info, message)
                }
                None => visitor.redirect_with_flash(
                    "/login",
                    FlashKind::Info,
                    &format!("{message} You can log in."),
                ),
            }
        }
        LinkStatus::Expired => {
            let message = "The activation link has expired. Here you get another one.";
            visitor.redirect_with_flash("/account_activations/new", FlashKind::Danger, message)
        }
        _ => visitor.redirect_with_offer(
            "/",
            FlashKind::Danger,
            "Invalid activation link",
            &Offer::NEW_ACTIVATION_LINK,
        ),
    }
}
