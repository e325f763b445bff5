//! The worker that delivers the mails of the outbox, and retries those that fail.
//!
//! Every instance runs one; the leases of mail/outbox.rs keep them from taking the same mail. Delivery is at least
//! once: if the server's reply is lost, a mail is sent twice.

use std::time::Duration;

use tokio::sync::watch;

use super::mailer::{DeliveryError, MailPause, Mailer};
use super::outbox::LeasedMail;
use crate::clock::Clock;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::jobs::{self, Wakeup};

/// Polling interval for mails that another instance wrote, or that have become due.
const INTERVAL: Duration = Duration::from_secs(5);
/// Pause between attempts to record an outcome while the database is unavailable.
const RECORD_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Delivers mails until `stop` turns true; finishes the current one first.
pub async fn run(db: Db, mailer: Mailer, clock: Clock, wakeup: Wakeup, stop: watch::Receiver<bool>) {
    let mut worker = Worker { db, mailer, clock, pause: MailPause::default(), stop: stop.clone() };
    let round = async || {
        if wakeup.take_now() {
            worker.pause.end();
        }
        if !worker.pause.is_over(worker.clock.now()) {
            return Ok(());
        }
        let delivered = worker.deliver_due().await;
        worker.mailer.close_idle().await;
        delivered
    };
    jobs::run("mail", INTERVAL, &wakeup, stop, round).await;
}

struct Worker {
    db: Db,
    mailer: Mailer,
    clock: Clock,
    pause: MailPause,
    stop: watch::Receiver<bool>,
}

impl Worker {
    /// Delivers due mails until none is left or the server refuses them all.
    async fn deliver_due(&mut self) -> Result<()> {
        while !*self.stop.borrow() && self.pause.is_over(self.clock.now()) {
            let mut conn = self.db.conn().await?;
            let Some(mail) = LeasedMail::take(&mut conn, self.clock.now()).await? else { break };
            // Delivery may take long; return the connection to the pool meanwhile.
            drop(conn);
            let outcome = match &mail.suppressed {
                Some(reason) => {
                    Err(DeliveryError::Unsendable(format!("not sent, the address is suppressed: {reason}")))
                }
                None => self.mailer.deliver(&mail).await,
            };
            // Called before `record_outcome`, so that the pause has started when the row shows the error.
            let outcome = self.pause.record(&mail.recipient, outcome, self.clock.now())?;
            self.record_outcome(&mail, &outcome).await?;
        }
        Ok(())
    }

    /// Records the outcome. Retries while the database is unavailable, because a delivered mail that is not recorded is
    /// sent twice.
    async fn record_outcome(&self, mail: &LeasedMail, outcome: &Result<(), DeliveryError>) -> Result<()> {
        loop {
            match self.try_record_outcome(mail, outcome).await {
                Err(Error::Unavailable(_))
                    if mail.lease_is_valid(self.clock.now()) && !*self.stop.borrow() =>
                {
                    tokio::time::sleep(RECORD_RETRY_INTERVAL).await;
                }
                noted => return noted,
            }
        }
    }

    async fn try_record_outcome(&self, mail: &LeasedMail, outcome: &Result<(), DeliveryError>) -> Result<()> {
        let (mut conn, now) = (self.db.conn().await?, self.clock.now());
        let message_id = &mail.message_id;
        let failed = match outcome {
            Ok(()) => return mail.delivered(&mut conn).await,
            Err(error @ (DeliveryError::Permanent(reason) | DeliveryError::Unsendable(reason))) => {
                mail.fail(&mut conn, reason, now).await?;
                error
            }
            Err(error) => {
                if matches!(error, DeliveryError::AuthFailed(_)) {
                    tracing::error!(message_id, %error, "no mail is sent: the mail server rejects our credentials");
                }
                if mail.postpone(&mut conn, &error.to_string(), now).await? {
                    tracing::warn!(message_id, %error, "a mail was not delivered; trying again later");
                    return Ok(());
                }
                error
            }
        };
        tracing::warn!(target: "audit", event = "mail_failed", message_id, reason = %failed, "audit");
        Ok(())
    }
}
