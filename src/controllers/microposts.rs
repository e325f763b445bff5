//! Posts: creating and deleting one's own.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::static_pages::Feed;
use crate::app::App;
use crate::error::{Error, Result};

use crate::models::micropost::{Content, Micropost};
use crate::models::picture::Refusal;
use crate::models::values::page::PageStart;
use crate::models::values::validation::{BASE, FieldErrors};
use crate::publishing::{NewPost, Outcome, publish};
use crate::services::rate_limits::POST;
use crate::views::Layout;
use crate::web::draft::Draft;
use crate::web::flash::FlashKind;
use crate::web::form::Form;
use crate::web::middleware::error_pages::with_retry_after;
use crate::web::params::{Id, page_start};
use crate::web::return_to;
use crate::web::roles::CurrentUser;
use crate::web::upload::{PostForm, Upload};

/// POST /microposts. Reads the text first, so that no later error loses it: an error page shows it again, and so does
/// the form after a log-in.
pub async fn create(
    current_user: Result<CurrentUser>,
    req: HttpRequest,
    body: Payload,
) -> Result<HttpResponse> {
    let form = PostForm::read(&req, body, current_user.is_ok()).await?;
    form.draft.attach(&req);
    match current_user {
        Ok(current_user) => post(&current_user, form).await,
        Err(error) => {
            if let (Error::LogInFirst, Some(app)) = (&error, req.app_data::<Data<App>>()) {
                form.draft.store(&app.cookies, &req, None);
            }
            Err(error)
        }
    }
}

async fn post(current_user: &CurrentUser, form: PostForm) -> Result<HttpResponse> {
    let (app, draft) = (&current_user.app, form.draft);
    if let Err(Error::TooMany { retry_after }) =
        current_user.count(&POST, &current_user.id().to_string()).await
    {
        let errors = FieldErrors::one(BASE, "You are posting too fast. Please wait a minute.");
        let page = Feed::with_rejected_post(current_user, draft, errors).await?;
        return Ok(with_retry_after(
            current_user.render_with_status(StatusCode::TOO_MANY_REQUESTS, &page)?,
            retry_after,
        ));
    }
    let mut errors = FieldErrors::default();
    let content = errors.check("content", Content::parse(&draft.content));
    let too_large = matches!(form.picture, Upload::TooLarge);
    let mut picture_digest = None;
    let picture = match form.picture {
        Upload::None => None,
        Upload::Empty => {
            errors.add("picture", "is an empty file; please choose another one");
            None
        }
        Upload::WebPage => {
            errors.add("picture", Refusal::NotAPicture.to_string());
            None
        }
        Upload::TooLarge => {
            errors.add("picture", "should be less than 5MB");
            None
        }
        Upload::NotStored => return try_again(current_user, draft).await,
        Upload::File(file, digest) => {
            picture_digest = Some(digest);
            match app.picture_decoder.read(file).await {
                Err(Error::Busy) => return try_again(current_user, draft).await,
                read => errors.check("picture", read?.map_err(|refusal| refusal.to_string())),
            }
        }
    };
    let (Some(content), true) = (content, errors.is_empty()) else {
        let status = if too_large { StatusCode::PAYLOAD_TOO_LARGE } else { StatusCode::UNPROCESSABLE_ENTITY };
        return current_user
            .render_with_status(status, &Feed::with_rejected_post(current_user, draft, errors).await?);
    };
    let user_id = current_user.id();
    let claim = draft.idempotency_key.as_ref().map(|key| key.bind(user_id, content.as_str(), picture_digest));
    // Boxed: the compiler refuses futures that are nested this deeply.
    match Box::pin(publish(app, NewPost { user_id, content, picture, claim })).await? {
        Outcome::PictureNotStored => return try_again(current_user, draft).await,
        Outcome::Published => {}
    }
    current_user.forget_draft();
    current_user.redirect_with_flash("/", FlashKind::Success, "Micropost created!")
}

/// Shows the form with the text again, so that the visitor can retry when pictures can be stored again.
async fn try_again(current_user: &CurrentUser, draft: Draft) -> Result<HttpResponse> {
    let errors = FieldErrors::one("picture", "cannot be stored at the moment; please try again soon");
    current_user.render_unavailable(&Feed::with_rejected_post(current_user, draft, errors).await?)
}

#[derive(Template)]
#[template(path = "microposts/delete.html")]
struct Delete {
    layout: Layout,
    post: Micropost,
    return_to: String,
}

/// GET /microposts/{id}/delete: the confirmation for browsers without JavaScript.
pub async fn delete(current_user: CurrentUser, id: Id) -> Result<HttpResponse> {
    let post = Micropost::find_by(&mut current_user.app.db.conn().await?, id.0, &current_user.user).await?;
    let return_to = current_user.referring_page().unwrap_or_else(|| "/".into());
    current_user.render(&Delete { layout: current_user.layout("Delete post"), post, return_to })
}

/// DELETE /microposts/{id}. Responds with 404 to a post of another user.
pub async fn destroy(current_user: CurrentUser, id: Id, form: Form) -> Result<HttpResponse> {
    let app = &current_user.app;
    let (user_id, now) = (current_user.id(), app.clock.now());
    app.db.transaction(async |db| Micropost::delete(db, id.0, user_id, now).await).await?;
    app.picture_deletion_wakeup.wake();
    let from = return_to::own_path(form.get("return_to")).or_else(|| current_user.referring_page());
    current_user.redirect_with_flash(
        &page_after_deletion(&current_user, from).await?,
        FlashKind::Success,
        "Micropost deleted",
    )
}

/// The page from which the post was deleted, or the first page of that list if no post is left on it.
async fn page_after_deletion(current_user: &CurrentUser, from: Option<String>) -> Result<String> {
    let Some(path) = from else { return Ok("/".into()) };
    let (list, query) = path.split_once('?').unwrap_or((&path, ""));
    // The home page with a rejected post, or the confirmation page.
    if list.starts_with("/microposts") {
        return Ok("/".into());
    }
    let from = page_start(query).unwrap_or(PageStart::FIRST);
    if from == PageStart::FIRST {
        return Ok(path);
    }
    let mut db = current_user.app.db.conn().await?;
    let posts = match list {
        "/" => Micropost::feed(&mut db, &current_user.user, from).await?,
        _ => Micropost::written_by(&mut db, current_user.id(), from)
            .await?
            .map(|post| post.by(&current_user.user)),
    };
    Ok(if posts.is_past_the_end() { list.to_owned() } else { path })
}
