//! Activation: the link from the mail, its button, and asking for another mail.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use crate::error::{Error, Result};
use crate::mails;
use crate::models::email::Email;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::outbox;
use crate::models::user::User;
use crate::models::validation::Errors;
use crate::services::limits::MAIL;
use crate::views::Layout;
use crate::web::flash::Kind;
use crate::web::form::Form;
use crate::web::mail_link::{self, Followed, KEPT};
use crate::web::params::Query;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "account_activations/new.html")]
struct New {
    layout: Layout,
    errors: Errors,
    email: String,
}

/// GET /account_activations/new
pub async fn new(visitor: Visitor) -> Result<HttpResponse> {
    let layout = visitor.layout("Activation");
    visitor.page(&New { layout, errors: Errors::default(), email: String::new() })
}

/// POST /account_activations: sends another mail, and answers alike when there is nothing to activate.
pub async fn create(visitor: Visitor, form: Form) -> Result<HttpResponse> {
    let typed = form.get("account_activation[email]");
    let email = match Email::parse(typed) {
        Ok(email) => email,
        Err(message) => {
            let errors = Errors::one("email", message);
            let page = New { layout: visitor.layout("Activation"), errors, email: typed.to_owned() };
            return visitor.form_again(&page);
        }
    };
    visitor.count(&MAIL, email.as_str()).await?;
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    app.db
        .transaction(async |db| {
            let Some(user) = User::find_by_email(db, &email).await? else { return Ok(()) };
            if user.activated_at.is_some() {
                return Ok(());
            }
            let token = MailToken::issue(db, user.id, Purpose::Activation, &user.email, now).await?;
            outbox::push(db, &mails::activation(&app.config, &user.email, &user.name, &token)?, now).await
        })
        .await?;
    app.mail_wakeup.wake();
    let message = "Email sent with another activation link if that address waits for one.";
    visitor.go_saying("/", Kind::Info, message)
}

#[derive(Template)]
#[template(path = "account_activations/edit.html")]
struct Edit {
    layout: Layout,
    token: &'static str,
    email: String,
}

/// GET /account_activations/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != KEPT {
        return mail_link::keep(&visitor, Purpose::Activation, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match mail_link::find(&visitor, Purpose::Activation, KEPT, "", &mut db).await? {
        Followed::Good(link) => {
            visitor.page(&Edit { layout: visitor.layout("Activation"), token: KEPT, email: link.email })
        }
        other => refuse(&visitor, &other),
    }
}

/// PATCH /account_activations/{token}
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let activated = app
        .db
        .transaction(async |db| {
            let link =
                match mail_link::find(&visitor, Purpose::Activation, &token, form.get("email"), db).await? {
                    Followed::Good(link) => link,
                    other => return Ok(Err(other)),
                };
            // Of several requests at once, one uses the link.
            if !link.consume(db).await? {
                return Ok(Err(Followed::Unknown));
            }
            User::activate(db, link.user_id, now).await?;
            User::find(db, link.user_id).await?.ok_or(Error::NotFound).map(Ok)
        })
        .await?;
    match activated {
        Ok(user) => {
            visitor.forget_mail_link();
            visitor.log_in(&user, false).await?;
            visitor.go_saying(&format!("/users/{}", user.id), Kind::Success, "Account activated!")
        }
        Err(other) => refuse(&visitor, &other),
    }
}

fn refuse(visitor: &Visitor, followed: &Followed) -> Result<HttpResponse> {
    visitor.forget_mail_link();
    match followed {
        Followed::Expired => {
            let message = "The activation link has expired. Here you get another one.";
            visitor.go_saying("/account_activations/new", Kind::Danger, message)
        }
        _ => visitor.go_saying("/", Kind::Danger, "Invalid activation link"),
    }
}
