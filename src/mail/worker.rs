//! The worker that empties the outbox: takes a mail, has it delivered, and tries again later when that fails.
//!
//! Every instance has one; the lease of mail/outbox.rs keeps them apart. A mail may leave twice (the server took it,
//! its answer was lost), but none is lost.

use std::time::Duration;

use tokio::sync::watch;

use super::mailer::{DeliveryError, MailPause, Mailer};
use super::outbox::LeasedMail;
use crate::clock::Clock;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::jobs::{self, Wakeup};

/// Mails that another instance wrote, or whose time has come, are noticed after so long.
const ROUND: Duration = Duration::from_secs(5);
/// What became of a mail is noted again after so long, when the database is away.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

/// Delivers mails until `stop` turns true; finishes the one in its hands first.
pub async fn run(db: Db, mailer: Mailer, clock: Clock, wakeup: Wakeup, stop: watch::Receiver<bool>) {
    let mut office = Deliveries { db, mailer, clock, pause: MailPause::default(), stop: stop.clone() };
    let round = async || {
        if wakeup.take_now() {
            office.pause.end();
        }
        if !office.pause.is_over(office.clock.now()) {
            return Ok(());
        }
        let delivered = office.empty().await;
        office.mailer.rest().await;
        delivered
    };
    jobs::run("mail", ROUND, &wakeup, stop, round).await;
}

struct Deliveries {
    db: Db,
    mailer: Mailer,
    clock: Clock,
    pause: MailPause,
    stop: watch::Receiver<bool>,
}

impl Deliveries {
    /// Delivers what is due, until nothing is or the server takes nothing.
    async fn empty(&mut self) -> Result<()> {
        while !*self.stop.borrow() && self.pause.is_over(self.clock.now()) {
            let mut conn = self.db.conn().await?;
            let Some(mail) = LeasedMail::take(&mut conn, self.clock.now()).await? else { break };
            // Delivery may take long; nobody should wait for this connection meanwhile.
            drop(conn);
            let outcome = match &mail.suppressed {
                Some(reason) => {
                    Err(DeliveryError::Unsendable(format!("not sent, the address is suppressed: {reason}")))
                }
                None => self.mailer.deliver(&mail).await,
            };
            // First, so that the pause has begun when the row says why.
            let outcome = self.pause.judge(&mail.recipient, outcome, self.clock.now())?;
            self.note(&mail, &outcome).await?;
        }
        Ok(())
    }

    /// Writes down what became of a mail, patiently: what is delivered and not noted leaves twice.
    async fn note(&self, mail: &LeasedMail, outcome: &Result<(), DeliveryError>) -> Result<()> {
        loop {
            match self.try_note(mail, outcome).await {
                Err(Error::Unavailable(_))
                    if mail.lease_is_valid(self.clock.now()) && !*self.stop.borrow() =>
                {
                    tokio::time::sleep(NOTE_AGAIN).await;
                }
                noted => return noted,
            }
        }
    }

    async fn try_note(&self, mail: &LeasedMail, outcome: &Result<(), DeliveryError>) -> Result<()> {
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
                    tracing::error!(message_id, %error, "no mail leaves: the mail server does not know us");
                }
                if mail.postpone(&mut conn, &error.to_string(), now).await? {
                    tracing::warn!(message_id, %error, "a mail was not taken; it is tried again");
                    return Ok(());
                }
                error
            }
        };
        tracing::warn!(target: "audit", event = "mail_failed", message_id, reason = %failed, "audit");
        Ok(())
    }
}
