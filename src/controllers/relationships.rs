//! Following: the lists, follow, unfollow. With JavaScript, the button and the counts change in place: htmx takes them
//! from the page that the response redirects to, so all browsers get the same response.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::most_followed;
use crate::app::App;
use crate::db::Conn;
use crate::error::{Error, Result};
use crate::models::person::Person;
use crate::models::relationship;
use crate::models::user::User;
use crate::models::values::page::{Page, PageStart};
use crate::views::Layout;
use crate::web::form::Form;
use crate::web::params::{Id, parse_id};
use crate::web::return_to;
use crate::web::roles::CurrentUser;

/// POST /relationships. If the visitor has to log in first, the log-in leads back to the profile with the button.
pub async fn create(current_user: Result<CurrentUser>, req: HttpRequest) -> Result<HttpResponse> {
    let form = Form::of(&req);
    let followed_id = form.as_ref().ok().and_then(|form| parse_id(form.get("followed_id")));
    if let (Err(Error::LogInFirst), Some(id), Some(app)) =
        (&current_user, followed_id, req.app_data::<Data<App>>())
    {
        return_to::remember_path(&app.cookies, &req, &format!("/users/{id}"));
    }
    let (current_user, _) = (current_user?, form?);
    let followed_id =
        followed_id.ok_or_else(|| Error::BadRequest("The form does not say whom to follow.".into()))?;
    let app = &current_user.app;
    let followers = relationship::follow(&app.db, current_user.id(), followed_id, app.clock.now()).await?;
    if let Some(followers) = followers {
        most_followed::followed(app, followed_id, followers).await;
    }
    current_user.redirect(&format!("/users/{followed_id}"))
}

/// DELETE /relationships/{id}
pub async fn destroy(current_user: CurrentUser, id: Id) -> Result<HttpResponse> {
    let followed_id = relationship::unfollow(&current_user.app.db, id.0, current_user.id()).await?;
    most_followed::unfollowed(&current_user.app, followed_id).await;
    current_user.redirect(&format!("/users/{followed_id}"))
}

#[derive(Template)]
#[template(path = "relationships/index.html")]
struct Index {
    layout: Layout,
    title: &'static str,
    path: String,
    user: User,
    users: Page<Person>,
}

/// GET /users/{id}/following
pub async fn following(current_user: CurrentUser, id: Id, from: PageStart) -> Result<HttpResponse> {
    let list = async |db: &mut Conn| relationship::following(db, id.0, from).await;
    index(&current_user, id, "Following", "following", list).await
}

/// GET /users/{id}/followers
pub async fn followers(current_user: CurrentUser, id: Id, from: PageStart) -> Result<HttpResponse> {
    let list = async |db: &mut Conn| relationship::followers(db, id.0, from).await;
    index(&current_user, id, "Followers", "followers", list).await
}

async fn index(
    current_user: &CurrentUser,
    id: Id,
    title: &'static str,
    segment: &str,
    list: impl AsyncFnOnce(&mut Conn) -> Result<Page<Person>>,
) -> Result<HttpResponse> {
    let (user, users) = tokio::join!(
        current_user.with_read_conn(async |db| User::find_activated(db, id.0).await),
        current_user.with_read_conn(list),
    );
    let (user, users) = (user?, users?.or_not_found()?);
    let path = format!("/users/{}/{segment}", user.id);
    current_user.render(&Index { layout: current_user.layout(title), title, path, user, users })
}
