//! "Log out everywhere else", in the settings.

use actix_web::HttpResponse;

use crate::error::{Error, Result};
use crate::models::user::User;
use crate::web::flash::FlashKind;
use crate::web::roles::CurrentUser;
use crate::web::sign_in::audit;

/// DELETE /other_sessions
pub async fn destroy(current_user: CurrentUser) -> Result<HttpResponse> {
    let user = current_user
        .app
        .db
        .transaction(async |db| {
            User::lock_current(db, &current_user.user).await?;
            User::log_out_everywhere(db, current_user.id()).await?;
            User::find(db, current_user.id()).await?.ok_or(Error::NotFound)
        })
        .await?;
    current_user.log_in_again(&user).await?;
    audit("logged_out_elsewhere", Some(user.id));
    let message = "You are logged out everywhere else";
    current_user.redirect_with_flash(&format!("/users/{}/edit", user.id), FlashKind::Success, message)
}
