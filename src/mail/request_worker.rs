//! The worker for mail requests (activation, password reset): looks up the address and queues the mail if there is an
//! account. The HTTP request does not do this, because its duration would reveal whether the account exists.

use std::time::Duration;

use actix_web::web::Data;
use tokio::sync::watch;

use super::messages;
use super::outbox;
use super::request::MailRequest;
use crate::app::App;
use crate::db::Conn;
use crate::error::Result;
use crate::jobs;
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;

/// Polling interval for requests that another instance stored.
const INTERVAL: Duration = Duration::from_secs(5);

/// Processes requests until `stop` turns true.
pub async fn run(app: Data<App>, stop: watch::Receiver<bool>) {
    let round = async || {
        while !*stop.borrow() && app.db.transaction(async |db| answer_one(&app, db).await).await? {
            app.mail_wakeup.wake();
        }
        Ok(())
    };
    jobs::run("mail_requests", INTERVAL, &app.mail_request_wakeup, stop.clone(), round).await;
}

/// Processes the oldest request. `false` if there is none.
async fn answer_one(app: &App, db: &mut Conn) -> Result<bool> {
    let Some(request) = MailRequest::take(db).await? else { return Ok(false) };
    let Some((purpose, email)) = request.parts() else { return Ok(true) };
    let Some(user) = User::find_by_email(db, &email).await? else { return Ok(true) };
    if purpose == Purpose::Activation && user.activated_at.is_some() {
        return Ok(true);
    }
    let now = app.clock.now();
    let token = MailToken::issue(db, user.id, purpose, &user.email, now).await?;
    let mail = match purpose {
        Purpose::Activation => messages::activation(&app.config, &user.email, &token)?,
        _ => messages::password_reset(&app.config, &user, &token)?,
    };
    outbox::push(db, &mail, now).await?;
    Ok(true)
}
