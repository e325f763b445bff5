//! Posts: writing and deleting one's own.

use std::io::BufReader;

use actix_web::http::StatusCode;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use super::static_pages::Feed;
use crate::error::{Error, Result};
use crate::models::micropost::{Content, Micropost};
use crate::models::page::PageNumber;
use crate::models::picture;
use crate::models::picture_deletion;
use crate::models::validation::Errors;
use crate::services::images;
use crate::services::limits::POST;
use crate::web::error_pages::with_retry_after;
use crate::web::flash::Kind;
use crate::web::params::{Id, page_number};
use crate::web::roles::SignedIn;
use crate::web::upload::{PostForm, Upload};

/// POST /microposts. The picture is stored before the post is written, so that no post lacks its picture; and before that
/// its deletion is foreseen, so that no picture lacks its post for longer than a day.
pub async fn create(me: SignedIn, req: HttpRequest, body: Payload) -> Result<HttpResponse> {
    let app = &me.app;
    let form = PostForm::read(&req, body).await?;
    if let Err(Error::TooMany { retry_after }) = me.count(&POST, &me.me.id.to_string()).await {
        let errors = Errors::one("content", "follows too many others; please wait a minute");
        let page = Feed::with_rejected_post(&me, form.content, errors).await?;
        return Ok(with_retry_after(me.page_as(StatusCode::TOO_MANY_REQUESTS, &page)?, retry_after));
    }
    let mut errors = Errors::default();
    let content = errors.check("content", Content::parse(&form.content));
    let too_large = matches!(form.picture, Upload::TooLarge);
    let picture = match form.picture {
        Upload::None => None,
        Upload::TooLarge => {
            errors.add("picture", "should be less than 5MB");
            None
        }
        Upload::NotKept => return try_again(&me, form.content).await,
        Upload::File(file) => {
            let read = app.threads.run(move || picture::read(BufReader::new(file))).await?;
            errors.check("picture", read.map_err(|refusal| refusal.to_string()))
        }
    };
    let (Some(content), true) = (content, errors.is_empty()) else {
        let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::UNPROCESSABLE_ENTITY };
        return me.page_as(status, &Feed::with_rejected_post(&me, form.content, errors).await?);
    };
    let stored = match picture {
        Some(picture) => {
            let key = images::new_key(picture.format)?;
            let deletion =
                picture_deletion::foresee(&mut app.db.conn().await?, &key, app.clock.now()).await?;
            match app.images.put(&key, picture).await {
                Ok(()) => Some((key, deletion)),
                Err(error @ Error::Unavailable(_)) => {
                    tracing::error!(%error, "a picture was not stored");
                    return try_again(&me, form.content).await;
                }
                Err(error) => return Err(error),
            }
        }
        None => None,
    };
    let (user_id, now) = (me.me.id, app.clock.now());
    let written = app
        .db
        .transaction(async |db| {
            let key = stored.as_ref().map(|(key, _)| key.as_str());
            Micropost::create(db, user_id, &content, key, now).await?;
            match &stored {
                Some((_, deletion)) => deletion.call_off(db).await,
                None => Ok(()),
            }
        })
        .await;
    if let (Err(_), Some((_, deletion))) = (&written, stored) {
        // Whatever becomes of this, the picture goes tomorrow.
        if let Ok(mut db) = app.db.conn().await
            && deletion.hasten(&mut db, now).await.is_ok()
        {
            app.picture_deletion_wakeup.wake();
        }
    }
    written?;
    me.go_saying("/", Kind::Success, "Micropost created!")
}

/// The text is as good as it was: it stays in the form until pictures can be stored again.
async fn try_again(me: &SignedIn, content: String) -> Result<HttpResponse> {
    let errors = Errors::one("picture", "cannot be stored at the moment; please try again soon");
    me.unavailable(&Feed::with_rejected_post(me, content, errors).await?)
}

/// DELETE /microposts/{id}. Somebody else's is not found.
pub async fn destroy(me: SignedIn, id: Id) -> Result<HttpResponse> {
    let app = &me.app;
    let (user_id, now) = (me.me.id, app.clock.now());
    app.db.transaction(async |db| Micropost::delete(db, id.0, user_id, now).await).await?;
    app.picture_deletion_wakeup.wake();
    me.go_saying(&page_it_was_on(&me).await?, Kind::Success, "Micropost deleted")
}

/// The page of ours with the button that was pressed; the page before it, if the post was the last one there.
async fn page_it_was_on(me: &SignedIn) -> Result<String> {
    let Some(path) = me.referring_page() else { return Ok("/".into()) };
    let (list, query) = path.split_once('?').unwrap_or((&path, ""));
    // The home page with a post that was refused; it cannot be asked for.
    if list == "/microposts" {
        return Ok("/".into());
    }
    let page = page_number(query).unwrap_or(PageNumber::FIRST);
    if page == PageNumber::FIRST {
        return Ok(path);
    }
    let mut db = me.app.db.conn().await?;
    let posts = match list {
        "/" => Micropost::feed(&mut db, &me.me, page).await?,
        _ => Micropost::by(&mut db, &me.me, page.into()).await?,
    };
    Ok(if posts.is_past_the_end() { format!("{list}?page={}", posts.number - 1) } else { path })
}
