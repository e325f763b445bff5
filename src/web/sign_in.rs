//! Logging in and out: the session, the remembered device, and who is there.

use std::rc::Rc;

use actix_web::HttpRequest;

use super::cookies::CookieName;
use crate::app::App;
use crate::error::{Error, Result};
use crate::models::remembered_device::{Recognition, RememberedDevice};
use crate::models::user::User;
use crate::services::sessions::Session;

/// Who sent a request.
#[derive(Clone)]
pub enum Identity {
    /// A user who is logged in.
    User(Rc<User>),
    /// Nobody who is logged in.
    Anonymous,
    /// A browser with a session cookie, while the session store does not answer. Never treated as logged in.
    SessionStoreDown,
}

/// Who sent the request: by the session, or else by the remembered device, which starts a new session.
pub async fn identify(app: &App, req: &HttpRequest) -> Result<Identity> {
    // On the heap, each where it is needed: to make room for all of it at every request costs more than the rest.
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

/// Logs somebody in, always under a new session id (ASVS 7.2.4); an earlier session of this browser ends.
pub async fn log_in(app: &App, req: &HttpRequest, user: &User, remember: bool) -> Result<()> {
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

/// Logs out: takes the cookies away whatever happens, then forgets this device and ends the session on the server.
///
/// # Errors
/// When a store does not answer; the browser is logged out all the same.
pub async fn log_out(app: &App, req: &HttpRequest) -> Result<()> {
    let session = app.cookies.get(req, CookieName::Session);
    app.cookies.remove(req, CookieName::Session);
    let forgotten = forget_device(app, req).await;
    if let Some(id) = session {
        app.sessions.end(&id).await?;
    }
    forgotten
}

/// Whether this browser asked to be remembered.
pub fn is_remembered(app: &App, req: &HttpRequest) -> bool {
    app.cookies.get(req, CookieName::RememberMe).is_some()
}

async fn by_session(app: &App, req: &HttpRequest, id: &str) -> Result<Identity> {
    let session = match app.sessions.find(id, app.clock.now()).await {
        // Fails closed, and keeps the cookie: the session is still there when its store is back.
        Err(Error::Unavailable(_)) => return Ok(Identity::SessionStoreDown),
        found => found?,
    };
    let user = match session {
        Some(session) => {
            let mut db = app.db.conn().await?;
            User::find(&mut db, session.user_id).await?.filter(|user| user.sign_in_epoch == session.epoch)
        }
        None => None,
    };
    if user.is_none() {
        app.cookies.remove(req, CookieName::Session);
    }
    Ok(user.map_or(Identity::Anonymous, |user| Identity::User(Rc::new(user))))
}

async fn by_device(app: &App, req: &HttpRequest, cookie: &str) -> Result<Option<User>> {
    let now = app.clock.now();
    let recognition = app
        .db
        .transaction(async |db| {
            let recognition = RememberedDevice::recognize(db, cookie, now).await?;
            if let Recognition::Replayed { user_id } = recognition {
                // Whoever has the copy may have used it already: everything ends, and the owner logs in anew.
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
    // Logged out everywhere since the device was found: the new session must not carry the new epoch.
    let user = User::find(&mut app.db.conn().await?, device.user_id)
        .await?
        .filter(|user| user.sign_in_epoch == device.epoch);
    let Some(user) = user else { return Ok(None) };
    match start_session(app, req, &user).await {
        // Where no session can be kept the device counts for this request alone, and its secret stays as it is.
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

/// Notes what an auditor looks for (ASVS 16.3): who logged in, who was refused, what an admin did.
pub fn audit(event: &'static str, user_id: Option<i64>) {
    tracing::info!(target: "audit", event, user_id, "audit");
}

/// The same for what an admin does to somebody: `by` is the admin.
pub fn audit_admin(event: &'static str, user_id: i64, by: i64) {
    tracing::info!(target: "audit", event, user_id, by, "audit");
}

/// The same for who comes too often.
pub fn audit_limit(limit: &'static str, user_id: Option<i64>) {
    tracing::info!(target: "audit", event = "limited", limit, user_id, "audit");
}
