//! Authentication: log-in and log-out, sessions and remembered devices.

use std::rc::Rc;

use actix_web::HttpRequest;

use super::cookies::CookieName;
use crate::app::App;
use crate::db::note_write;
use crate::error::{Error, Result};
use crate::models::remembered_device::{Recognition, RememberedDevice};
use crate::models::user::User;
use crate::services::sessions::{Session, SessionId};

/// The sender of a request.
#[derive(Clone)]
pub enum Identity {
    User(Rc<User>),
    Anonymous,
    /// The browser sent a session cookie, but the session store is unavailable. Never treated as logged in.
    SessionStoreDown,
}

/// Identifies the sender by the session, else by the remembered device, which starts a new session.
pub async fn identify(app: &App, req: &HttpRequest) -> Result<Identity> {
    // Boxed, so that the common path's future does not reserve space for these branches.
    let by_session = match app.cookies.get(req, CookieName::Session) {
        Some(id) => Box::pin(by_session(app, req, &id)).await?,
        None => Identity::Anonymous,
    };
    let cookie = match by_session {
        Identity::User(_) => None,
        _ => app.cookies.get(req, CookieName::RememberMe),
    };
    let Some(cookie) = cookie else { return Ok(by_session) };
    let by_device = Box::pin(by_device(app, req, &cookie)).await?;
    Ok(by_device.map_or(by_session, |user| Identity::User(Rc::new(user))))
}

/// Logs a user in. Always creates a new session id (ASVS 7.2.4) and ends the browser's previous session.
pub async fn log_in(app: &App, req: &HttpRequest, user: &User, remember: bool) -> Result<()> {
    // What the user has written in other browsers is to be seen in this one (read_your_writes.rs).
    note_write();
    start_session(app, req, user).await?;
    forget_device(app, req).await?;
    if remember {
        let mut db = app.db.conn().await?;
        let cookie = RememberedDevice::remember(&mut db, user, app.clock.now()).await?;
        app.cookies.set(req, CookieName::RememberMe, cookie);
    }
    audit("log_in", Some(user.id));
    Ok(())
}

/// Logs out: removes the cookies in any case, then forgets the device and ends the session on the server.
///
/// # Errors
/// If a store is unavailable. The browser's cookies are removed nevertheless.
pub async fn log_out(app: &App, req: &HttpRequest) -> Result<()> {
    let session = app.cookies.get(req, CookieName::Session);
    app.cookies.remove(req, CookieName::Session);
    let forgotten = forget_device(app, req).await;
    if let Some(id) = session {
        app.sessions.end(&id).await?;
    }
    forgotten
}

/// Whether this browser has a "remember me" cookie.
pub fn is_remembered(app: &App, req: &HttpRequest) -> bool {
    app.cookies.get(req, CookieName::RememberMe).is_some()
}

async fn by_session(app: &App, req: &HttpRequest, id: &str) -> Result<Identity> {
    // The session decides; the id only tells which user to load meanwhile.
    let (session, user) = tokio::join!(app.sessions.find(id, app.clock.now()), async {
        match SessionId::user_id(id) {
            Some(user_id) => Some(find_user(app, user_id).await),
            None => None,
        }
    });
    let session = match session {
        // Fails closed. Keeps the cookie, because the session still exists when the store is back.
        Err(Error::Unavailable(_)) => return Ok(Identity::SessionStoreDown),
        found => found?,
    };
    let user = match session {
        Some(Session { user_id, epoch }) => {
            let user = match user {
                Some(user) => user?,
                // A session from before ids told the user.
                None => find_user(app, user_id).await?,
            };
            user.filter(|user| user.is(user_id) && user.sign_in_epoch == epoch)
        }
        None => None,
    };
    if user.is_none() {
        app.cookies.remove(req, CookieName::Session);
    }
    Ok(user.map_or(Identity::Anonymous, |user| Identity::User(Rc::new(user))))
}

async fn find_user(app: &App, id: i64) -> Result<Option<User>> {
    User::find(&mut app.db.conn().await?, id).await
}

async fn by_device(app: &App, req: &HttpRequest, cookie: &str) -> Result<Option<User>> {
    let now = app.clock.now();
    let recognition = app
        .db
        .transaction(async |db| {
            let recognition = RememberedDevice::recognize(db, cookie, now).await?;
            if let Recognition::Replayed { user_id } = recognition {
                // A stolen copy may have been used already: end all sessions, so that the owner has to log in again.
                User::log_out_everywhere(db, user_id).await?;
            }
            Ok(recognition)
        })
        .await?;
    let device = match recognition {
        Recognition::Known(device) => device,
        Recognition::Replayed { user_id } => {
            audit("remember_me_replayed", Some(user_id));
            app.cookies.remove(req, CookieName::RememberMe);
            return Ok(None);
        }
        Recognition::Unknown => {
            app.cookies.remove(req, CookieName::RememberMe);
            return Ok(None);
        }
    };
    // If the user was logged out everywhere since then, the epoch has changed: do not start a session under the new
    // one.
    let user = find_user(app, device.user_id).await?.filter(|user| user.sign_in_epoch == device.epoch);
    let Some(user) = user else { return Ok(None) };
    match start_session(app, req, &user).await {
        // Without a session store, the device authenticates this request only, and its token is not rotated.
        Err(Error::Unavailable(_)) => {}
        started => {
            started?;
            let mut db = app.db.conn().await?;
            if let Some(cookie) = device.rotate(&mut db, cookie, &app.config.secret_key_base, now).await? {
                app.cookies.set(req, CookieName::RememberMe, cookie);
            }
            audit("remembered", Some(user.id));
        }
    }
    Ok(Some(user))
}

async fn start_session(app: &App, req: &HttpRequest, user: &User) -> Result<()> {
    end_session(app, req).await?;
    let session = Session { user_id: user.id, epoch: user.sign_in_epoch };
    let id = app.sessions.start(session, app.clock.now()).await?;
    app.cookies.set(req, CookieName::Session, id.expose().to_owned());
    Ok(())
}

async fn end_session(app: &App, req: &HttpRequest) -> Result<()> {
    match app.cookies.get(req, CookieName::Session) {
        Some(id) => app.sessions.end(&id).await,
        None => Ok(()),
    }
}

async fn forget_device(app: &App, req: &HttpRequest) -> Result<()> {
    let Some(cookie) = app.cookies.get(req, CookieName::RememberMe) else { return Ok(()) };
    app.cookies.remove(req, CookieName::RememberMe);
    RememberedDevice::forget(&mut app.db.conn().await?, &cookie).await
}

/// Logs a security event (ASVS 16.3): a log-in, a refusal, an action of an admin.
pub fn audit(event: &'static str, user_id: Option<i64>) {
    tracing::info!(target: "audit", event, user_id, "audit");
}

/// Logs an action of the admin `by` on user `user_id`.
pub fn audit_admin(event: &'static str, user_id: i64, by: i64) {
    tracing::info!(target: "audit", event, user_id, by, "audit");
}

/// Logs an exceeded rate limit.
pub fn audit_limit(limit: &'static str, user_id: Option<i64>) {
    tracing::info!(target: "audit", event = "limited", limit, user_id, "audit");
}
