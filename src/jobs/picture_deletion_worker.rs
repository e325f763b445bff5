//! The worker that deletes pictures without a post, one by one from the table `picture_deletions`, and retries
//! failures.

use std::time::Duration;

use tokio::sync::watch;

use super::picture_deletion::PictureDeletion;
use crate::clock::Clock;
use crate::db::Db;
use crate::error::Result;
use crate::jobs::{self, Wakeup};
use crate::services::images::Images;

/// Polling interval for deletions that another instance added, or that have become due.
const INTERVAL: Duration = Duration::from_secs(10);

/// Logs an error first if the store cannot be used, then deletes pictures until `stop` turns true.
pub async fn run(db: Db, images: Images, clock: Clock, wakeup: Wakeup, mut stop: watch::Receiver<bool>) {
    let stopped = stop.clone();
    tokio::select! {
        pong = images.ping() => {
            if let Err(error) = pong {
                // Not fatal: posts without a picture need no store, and the store may recover.
                tracing::error!(%error, store = images.address(), "pictures cannot be stored or shown");
            }
        }
        _ = stop.wait_for(|stop| *stop) => {}
    }
    let round = async || delete_due(&db, &images, &clock, &mut stop).await;
    jobs::run("picture deletion", INTERVAL, &wakeup, stopped, round).await;
}

async fn delete_due(db: &Db, images: &Images, clock: &Clock, stop: &mut watch::Receiver<bool>) -> Result<()> {
    while !*stop.borrow() {
        let mut conn = db.conn().await?;
        let Some(deletion) = PictureDeletion::take(&mut conn, clock.now()).await? else { break };
        // The store may take long; return the connection to the pool meanwhile.
        drop(conn);
        let deleted = tokio::select! {
            deleted = images.delete(&deletion.picture) => deleted,
            // The outcome is unknown: another worker repeats the deletion when the lease ends.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let mut conn = db.conn().await?;
        match deleted {
            Ok(()) => deletion.done(&mut conn).await?,
            Err(error) => {
                let key = &deletion.picture;
                tracing::warn!(key, %error, "a picture that nobody needs was not deleted; trying again later");
                deletion.postpone(&mut conn, clock.now()).await?;
                // The next deletion would probably fail too.
                break;
            }
        }
    }
    Ok(())
}
