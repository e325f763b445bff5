//! The worker that empties the outbox: takes a mail, has it delivered, and tries again later when that fails.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::mailer::Mailer;
use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use crate::models::outbox::Parcel;

/// Mails that another instance wrote, or whose time has come, are noticed after so long.
const ROUND: Duration = Duration::from_secs(5);

/// Wakes the worker. Clones wake the same one.
#[derive(Clone, Default)]
pub struct Bell(Arc<Notify>);

impl Bell {
    /// Says that a mail was written; call it after the transaction.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until it is rung, or returns at once if it was since somebody waited last.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

/// Delivers mails until `stop` turns true; finishes the one in its hands first.
pub async fn run(db: Db, mailer: Mailer, clock: Clock, bell: Bell, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        if let Err(error) = empty(&db, &mailer, &clock, &stop).await {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
        }
        tokio::select! {
            () = bell.rung() => {}
            () = tokio::time::sleep(ROUND) => {}
            _ = stop.changed() => {}
        }
    }
}

async fn empty(db: &Db, mailer: &Mailer, clock: &Clock, stop: &watch::Receiver<bool>) -> Result<()> {
    while !*stop.borrow() {
        let mut conn = db.conn().await?;
        let Some(parcel) = Parcel::take(&mut conn, clock.now()).await? else { break };
        // Delivery may take long; nobody should wait for this connection meanwhile.
        drop(conn);
        let delivered = mailer.deliver(&parcel).await;
        let mut conn = db.conn().await?;
        match delivered {
            Ok(()) => parcel.delivered(&mut conn).await?,
            Err(error) => {
                tracing::warn!(message_id = parcel.message_id, %error, "a mail was not taken; trying again later");
                parcel.postpone(&mut conn, &error.to_string(), clock.now()).await?;
            }
        }
    }
    Ok(())
}
