//! Logging in and out: the session, the remembered device, and who is there.

use std::rc::Rc;

use actix_web::HttpRequest;

use super::cookies::Name;
use crate::app::App;
use crate::error::Result;
use crate::models::remembered_device::{Recognition, RememberedDevice};
use crate::models::user::User;
use crate::services::sessions::Session;

/// Who sent the request: by the session, or else by the remembered device, which starts a new session.
///
/// # Errors
/// When a store does not answer.
pub async fn identify(app: &App, req: &HttpRequest) -> Result<Option<Rc<User>>> {
    if let Some(user) = by_session(app, req).await? {
        return Ok(Some(Rc::new(user)));
    }
    let Some(user) = by_device(app, req).await? else { return Ok(None) };
    start_session(app, req, &user).await?;
    audit("remembered", Some(user.id));
    Ok(Some(Rc::new(user)))
}

/// Logs somebody in, always under a new session id (ASVS 7.2.4); an earlier session of this browser ends.
///
/// # Errors
/// When a store does not answer.
pub async fn log_in(app: &App, req: &HttpRequest, user: &User, remember: bool) -> Result<()> {
    forget_device(app, req).await?;
    if remember {
        let mut db = app.db.conn().await?;
        let cookie = RememberedDevice::remember(&mut db, user.id, app.clock.now()).await?;
        app.cookies.set(req, Name::RememberMe, cookie);
    }
    start_session(app, req, user).await?;
    audit("log_in", Some(user.id));
    Ok(())
}

/// Logs out: ends the session on the server and forgets this device.
///
/// # Errors
/// When a store does not answer.
pub async fn log_out(app: &App, req: &HttpRequest) -> Result<()> {
    end_session(app, req).await?;
    app.cookies.remove(req, Name::Session);
    forget_device(app, req).await
}

/// Whether this browser asked to be remembered.
pub fn is_remembered(app: &App, req: &HttpRequest) -> bool {
    app.cookies.get(req, Name::RememberMe).is_some()
}

async fn by_session(app: &App, req: &HttpRequest) -> Result<Option<User>> {
    let Some(id) = app.cookies.get(req, Name::Session) else { return Ok(None) };
    let found = match app.sessions.find(&id, app.clock.now()).await? {
        Some(session) => {
            let mut db = app.db.conn().await?;
            User::find(&mut db, session.user_id).await?.filter(|user| user.sign_in_epoch == session.epoch)
        }
        None => None,
    };
    if found.is_none() {
        app.cookies.remove(req, Name::Session);
    }
    Ok(found)
}

async fn by_device(app: &App, req: &HttpRequest) -> Result<Option<User>> {
    let Some(cookie) = app.cookies.get(req, Name::RememberMe) else { return Ok(None) };
    let recognition = app
        .db
        .transaction(async |db| {
            let recognition = RememberedDevice::recognize(db, &cookie, app.clock.now()).await?;
            if let Recognition::Replayed { user_id } = recognition {
                // Whoever has the copy may have used it already: everything ends, and the owner logs in anew.
                User::log_out_everywhere(db, user_id).await?;
            }
            Ok(recognition)
        })
        .await?;
    match recognition {
        Recognition::Known { user_id, cookie } => {
            if let Some(cookie) = cookie {
                app.cookies.set(req, Name::RememberMe, cookie);
            }
            let mut db = app.db.conn().await?;
            User::find(&mut db, user_id).await
        }
        Recognition::Replayed { user_id } => {
            audit("remember_me_replayed", Some(user_id));
            app.cookies.remove(req, Name::RememberMe);
            Ok(None)
        }
        Recognition::Unknown => {
            app.cookies.remove(req, Name::RememberMe);
            Ok(None)
        }
    }
}

async fn start_session(app: &App, req: &HttpRequest, user: &User) -> Result<()> {
    end_session(app, req).await?;
    let session = Session { user_id: user.id, epoch: user.sign_in_epoch };
    let id = app.sessions.start(session, app.clock.now()).await?;
    app.cookies.set(req, Name::Session, id.expose().to_owned());
    Ok(())
}

async fn end_session(app: &App, req: &HttpRequest) -> Result<()> {
    match app.cookies.get(req, Name::Session) {
        Some(id) => app.sessions.end(&id).await,
        None => Ok(()),
    }
}

async fn forget_device(app: &App, req: &HttpRequest) -> Result<()> {
    if let Some(cookie) = app.cookies.get(req, Name::RememberMe) {
        let mut db = app.db.conn().await?;
        RememberedDevice::forget(&mut db, &cookie).await?;
        app.cookies.remove(req, Name::RememberMe);
    }
    Ok(())
}

/// Notes what an auditor looks for (ASVS 16.3): who logged in, who was refused, what an admin did.
pub fn audit(event: &'static str, user_id: Option<i64>) {
    tracing::info!(target: "audit", event, user_id, "audit");
}

/// The same for what an admin does to somebody: `by` is the admin.
pub fn audit_admin(event: &'static str, user_id: i64, by: i64) {
    tracing::info!(target: "audit", event, user_id, by, "audit");
}
