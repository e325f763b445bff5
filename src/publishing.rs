//! Publishes a post with its picture. The image store and the database share no transaction, so the order matters: first
//! the picture's deletion is scheduled, then the picture is stored, then one transaction writes the post and cancels the
//! deletion. No post lacks its picture, and a picture without a post is deleted after a day.

use crate::app::App;
use crate::error::{Error, Result};
use crate::jobs::picture_deletion::{self, ScheduledDeletion};
use crate::models::idempotency_key;
use crate::models::micropost::{Content, Micropost, StoredPicture};
use crate::models::picture::Picture;
use crate::models::values::token::Digest;
use crate::services::images;

pub struct NewPost {
    pub user_id: i64,
    pub content: Content,
    pub picture: Option<Picture>,
    /// Of the form; a second request with the same key publishes nothing.
    pub claim: Option<Digest>,
}

pub enum Outcome {
    /// By this request, or before by one with the same idempotency key.
    Published,
    /// The image store does not answer; nothing was written.
    PictureNotStored,
}

struct Stored {
    key: String,
    width: u32,
    height: u32,
    deletion: ScheduledDeletion,
}

pub async fn publish(app: &App, post: NewPost) -> Result<Outcome> {
    let stored = match post.picture {
        None => None,
        Some(picture) => match store(app, picture).await? {
            Some(stored) => Some(stored),
            None => return Ok(Outcome::PictureNotStored),
        },
    };
    let now = app.clock.now();
    let written = app
        .db
        .transaction(async |db| {
            if let Some(claim) = post.claim
                && !idempotency_key::claim(db, claim, now).await?
            {
                return Ok(false);
            }
            let picture = stored.as_ref().map(|Stored { key, width, height, .. }| StoredPicture {
                key,
                width: *width,
                height: *height,
            });
            Micropost::create(db, post.user_id, &post.content, picture, now).await?;
            if let Some(stored) = &stored {
                stored.deletion.cancel(db).await?;
            }
            Ok(true)
        })
        .await;
    if let (Ok(false) | Err(_), Some(Stored { deletion, .. })) = (&written, stored) {
        // Even if this fails, the scheduled deletion removes the picture a day later.
        if let Ok(mut db) = app.db.conn().await
            && deletion.run_now(&mut db, now).await.is_ok()
        {
            app.picture_deletion_wakeup.wake();
        }
    }
    written.map(|_| Outcome::Published)
}

/// `None` if the store does not answer.
async fn store(app: &App, picture: Picture) -> Result<Option<Stored>> {
    let key = images::new_key(picture.format)?;
    let deletion = picture_deletion::schedule(&mut app.db.conn().await?, &key, app.clock.now()).await?;
    let Picture { bytes, width, height, .. } = picture;
    match app.images.put(&key, bytes).await {
        Ok(()) => Ok(Some(Stored { key, width, height, deletion })),
        Err(error @ Error::Unavailable(_)) => {
            tracing::error!(%error, "a picture was not stored");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
