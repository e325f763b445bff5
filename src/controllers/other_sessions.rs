//! "Log out everywhere else", in the settings.

use actix_web::HttpResponse;

use crate::error::{Error, Result};
use crate::models::user::User;
use crate::web::flash::FlashKind;
use crate::web::roles::CurrentUser;
use crate::web::sign_in::audit;

/// DELETE /other_sessions
pub async fn destroy(me: CurrentUser) -> Result<HttpResponse> {
    let user = me
        .app
        .db
        .transaction(async |db| {
            User::lock_current(db, &me.me).await?;
            User::log_out_everywhere(db, me.me.id).await?;
            User::find(db, me.me.id).await?.ok_or(Error::NotFound)
        })
        .await?;
    me.log_in_again(&user).await?;
    audit("logged_out_elsewhere", Some(user.id));
    let message = "You are logged out everywhere else";
    me.redirect_with_flash(&format!("/users/{}/edit", user.id), FlashKind::Success, message)
}
