//! The home page and the static pages.

use actix_web::HttpResponse;
use actix_web::web::Data;
use askama::Template;

use crate::app::{self, App, Service};
use crate::error::Result;
use crate::models::micropost::Micropost;
use crate::models::user::User;
use crate::models::values::page::{Page, PageStart};
use crate::models::values::validation::FieldErrors;
use crate::views::Layout;
use crate::web::draft::Draft;
use crate::web::roles::CurrentUser;
use crate::web::sign_up;
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "static_pages/welcome.html")]
struct Welcome {
    layout: Layout,
    /// Address of the account that was signed up in this browser and, as far as the browser knows, is not active yet.
    signed_up: Option<String>,
    services: Vec<&'static Service>,
    app: Data<App>,
}

/// The home page of a logged-in user.
#[derive(Template)]
#[template(path = "static_pages/feed.html")]
pub struct Feed {
    layout: Layout,
    feed: Page<Micropost>,
    errors: FieldErrors,
    draft: Draft,
}

/// GET /
pub async fn home(visitor: Visitor, from: PageStart) -> Result<HttpResponse> {
    match visitor.user {
        Some(ref user) => {
            let mut feed = Feed::load(&visitor, user, from).await?;
            feed.draft = visitor.draft().unwrap_or_default().with_key();
            visitor.render(&feed)
        }
        None => visitor.render(&Welcome {
            layout: visitor.layout(""),
            signed_up: sign_up::email(&visitor),
            services: app::services(&visitor.app).collect(),
            app: visitor.app.clone(),
        }),
    }
}

impl Feed {
    async fn load(visitor: &Visitor, user: &User, from: PageStart) -> Result<Feed> {
        let feed = visitor.with_read_conn(async |db| Micropost::feed(db, user, from).await);
        let feed = feed.await?.or_not_found()?;
        Ok(Feed { layout: visitor.layout(""), feed, errors: FieldErrors::default(), draft: Draft::default() })
    }

    /// The same page, with a post that was not accepted.
    pub async fn with_rejected_post(
        current_user: &CurrentUser,
        draft: Draft,
        errors: FieldErrors,
    ) -> Result<Feed> {
        let feed = Feed::load(current_user, &current_user.user, PageStart::FIRST).await?;
        Ok(Feed { errors, draft: draft.with_key(), ..feed })
    }
}

macro_rules! static_page {
    ($handler:ident, $page:ident, $path:literal, $title:literal) => {
        #[derive(Template)]
        #[template(path = $path)]
        struct $page {
            layout: Layout,
        }

        #[doc = concat!("GET /", stringify!($handler))]
        pub async fn $handler(visitor: Visitor) -> Result<HttpResponse> {
            visitor.render(&$page { layout: visitor.layout($title) })
        }
    };
}

static_page!(help, Help, "static_pages/help.html", "Help");
static_page!(about, About, "static_pages/about.html", "About");
static_page!(contact, Contact, "static_pages/contact.html", "Contact");
