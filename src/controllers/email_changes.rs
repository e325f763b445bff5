//! A new address: the link in the mail that went there, and its button.

use actix_web::HttpResponse;
use actix_web::web::Path;
use askama::Template;

use crate::error::Result;
use crate::models::mail_token::Purpose;
use crate::models::user::User;
use crate::views::Layout;
use crate::web::flash::Kind;
use crate::web::form::Form;
use crate::web::mail_link::{self, Followed, KEPT};
use crate::web::params::Query;
use crate::web::sign_in::audit;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "email_changes/edit.html")]
struct Edit {
    layout: Layout,
    token: &'static str,
    email: String,
}

/// GET /email_changes/{token}/edit
pub async fn edit(visitor: Visitor, token: Path<String>, query: Query) -> Result<HttpResponse> {
    if *token != KEPT {
        return mail_link::keep(&visitor, Purpose::EmailChange, &token, query.0.get("email"));
    }
    let mut db = visitor.app.db.conn().await?;
    match mail_link::find(&visitor, Purpose::EmailChange, KEPT, "", &mut db).await? {
        Followed::Good(link) => {
            visitor.page(&Edit { layout: visitor.layout("New address"), token: KEPT, email: link.email })
        }
        _ => refuse(&visitor),
    }
}

/// PATCH /email_changes/{token}
pub async fn update(visitor: Visitor, token: Path<String>, form: Form) -> Result<HttpResponse> {
    let (app, now) = (&visitor.app, visitor.app.clock.now());
    let changed = app
        .db
        .transaction(async |db| {
            let email = form.get("email");
            let Followed::Good(link) =
                mail_link::find(&visitor, Purpose::EmailChange, &token, email, db).await?
            else {
                return Ok(None);
            };
            let done =
                link.consume(db).await? && User::change_email(db, link.user_id, &link.email, now).await?;
            Ok(done.then_some(link.user_id))
        })
        .await?;
    let Some(user_id) = changed else { return refuse(&visitor) };
    audit("email_changed", Some(user_id));
    visitor.forget_mail_link();
    visitor.go_saying("/", Kind::Success, "Your new address counts from now on")
}

fn refuse(visitor: &Visitor) -> Result<HttpResponse> {
    visitor.forget_mail_link();
    visitor.go_saying("/", Kind::Danger, "Invalid link; you can change your address again in the settings")
}
