//! What templates use: the layout around every page, and small helpers. The pages themselves are next to their
//! handlers, in controllers/.

pub mod assets;
pub mod avatar;
pub mod time_ago;

use std::fmt::Display;
use std::rc::Rc;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::app::App;
use crate::config::{AppEnv, AppUrl, Avatars};
use crate::models::user::User;
use crate::web::flash::Flash;

pub use assets::asset;
pub use time_ago::time_ago;

/// Name of the application, in titles.
pub const APP_NAME: &str = "Sample App";

/// The layout around every page.
pub struct Layout {
    /// In the browser's tab: "Help | Sample App".
    pub title: String,
    /// The logged-in user.
    pub me: Option<Rc<User>>,
    /// A message above the page.
    pub flash: Option<Flash>,
    /// The time, for "5 minutes ago".
    pub now: DateTime<Utc>,
    /// Whether mails can be read at /inbox.
    pub inbox: bool,
    /// Whether the visitor may see /stack.
    pub stack: bool,
    avatars: Avatars,
    pictures: String,
    walkthrough: Option<String>,
}

impl Layout {
    /// The layout of one page. The home page has an empty title.
    pub fn new(app: &App, me: Option<Rc<User>>, title: &str, flash: Option<Flash>) -> Layout {
        Layout {
            title: in_tab(title),
            stack: app.config.env == AppEnv::Development || me.as_ref().is_some_and(|me| me.admin),
            me,
            flash,
            now: app.clock.now(),
            inbox: app.inbox().is_some(),
            avatars: app.config.avatars,
            pictures: app.config.images_public_url.as_ref().map_or("/pictures".into(), AppUrl::origin),
            walkthrough: app.config.walkthrough_url.clone(),
        }
    }

    /// For a page that is rendered once and shown to everybody, whatever the settings.
    pub fn for_anybody(title: &str) -> Layout {
        Layout {
            title: in_tab(title),
            me: None,
            flash: None,
            now: DateTime::UNIX_EPOCH,
            inbox: false,
            stack: false,
            avatars: Avatars::Drawn,
            pictures: "/pictures".into(),
            walkthrough: None,
        }
    }

    /// Whether this is the logged-in user.
    pub fn is_me(&self, id: &i64) -> bool {
        self.me.as_ref().is_some_and(|me| me.id == *id)
    }

    /// Whether the visitor is an admin.
    pub fn is_admin(&self) -> bool {
        self.me.as_ref().is_some_and(|me| me.admin)
    }

    /// URL of the picture of a post.
    pub fn picture(&self, key: &str) -> String {
        format!("{}/{key}", self.pictures)
    }

    /// URL of a chapter of the walkthrough, by language and name: on its site, or the text in this program.
    pub fn chapter(&self, language: &str, name: &str) -> String {
        match &self.walkthrough {
            Some(site) => format!("{site}/{language}/{name}.html"),
            None => format!("/docs/walkthrough/{language}/{name}.md"),
        }
    }

    /// URL of a user's avatar.
    pub fn avatar(&self, id: &i64, email: &str) -> String {
        match self.avatars {
            Avatars::Drawn => format!("/avatars/{id}"),
            Avatars::Gravatar => avatar::gravatar(email),
        }
    }
}

fn in_tab(title: &str) -> String {
    if title.is_empty() { APP_NAME.to_owned() } else { format!("{title} | {APP_NAME}") }
}

/// A time in the format of HTML, which allows at most three digits for a fraction of a second.
pub fn datetime(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// "1 follower", "2 followers".
pub fn pluralize<N: Display + PartialEq + From<u8>>(count: &N, one: &str) -> String {
    format!("{count} {}", noun(count, one))
}

/// "follower", "followers": for a count in an element of its own.
pub fn noun<N: PartialEq + From<u8>>(count: &N, one: &str) -> String {
    format!("{one}{}", if *count == N::from(1) { "" } else { "s" })
}
