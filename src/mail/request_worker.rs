//! The worker for mail requests (activation, password reset): looks up the address and queues the mail if there is an
//! account. The HTTP request does not do this, because its duration would reveal whether the account exists.

use std::time::Duration;

use tokio::sync::watch;

use super::messages;
use super::outbox;
use super::request::MailRequest;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Conn, Db};
use crate::error::Result;
use crate::jobs::{self, Wakeup};
use crate::models::mail_token::{MailToken, Purpose};
use crate::models::user::User;

/// Polling interval for requests that another instance stored.
const INTERVAL: Duration = Duration::from_secs(5);

/// Everything the worker needs.
pub struct RequestWorker {
    pub db: Db,
    pub config: Config,
    pub clock: Clock,
    /// Wakes this worker.
    pub wakeup: Wakeup,
    /// Wakes the worker that delivers mails.
    pub mail_wakeup: Wakeup,
}

impl RequestWorker {
    /// Processes requests until `stop` turns true.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let round = async || {
            while !*stop.borrow() && self.db.transaction(async |db| self.process_one(db).await).await? {
                self.mail_wakeup.wake();
            }
            Ok(())
        };
        jobs::run("mail_requests", INTERVAL, &self.wakeup, stop.clone(), round).await;
    }

    /// Processes the oldest request. `false` if there is none.
    async fn process_one(&self, db: &mut Conn) -> Result<bool> {
        let Some(request) = MailRequest::take(db).await? else { return Ok(false) };
        let Some((purpose, email)) = request.parts() else { return Ok(true) };
        let Some(user) = User::find_by_email(db, &email).await? else { return Ok(true) };
        if purpose == Purpose::Activation && user.activated_at.is_some() {
            return Ok(true);
        }
        let now = self.clock.now();
        let token = MailToken::issue(db, user.id, purpose, &user.email, now).await?;
        let mail = match purpose {
            Purpose::Activation => messages::activation(&self.config, &user.email, &token)?,
            _ => messages::password_reset(&self.config, &user, &token)?,
        };
        outbox::push(db, &mail, now).await?;
        Ok(true)
    }
}
