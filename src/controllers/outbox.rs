//! Mails on their way, for admins: what waits, what was given up and why, and another attempt.

use actix_web::HttpResponse;
use askama::Template;

use crate::error::Result;
use crate::models::outbox::{self, Parked, Waiting};
use crate::models::page::{Page, PageStart};
use crate::models::suppression;
use crate::views::{Layout, pluralize};
use crate::web::flash::Kind;
use crate::web::params::Id;
use crate::web::roles::Admin;
use crate::web::sign_in::audit_admin;

#[derive(Template)]
#[template(path = "outbox/index.html")]
struct Index {
    layout: Layout,
    waiting: Waiting,
    parked_count: i64,
    parked: Page<Parked>,
    suppressed: i64,
}

/// GET /admin/outbox
pub async fn index(admin: Admin, from: PageStart) -> Result<HttpResponse> {
    let mut db = admin.app.db.conn().await?;
    let parked = outbox::parked(&mut db, from).await?.or_not_found()?;
    admin.page(&Index {
        layout: admin.layout("Outbox"),
        waiting: outbox::waiting(&mut db).await?,
        parked_count: outbox::parked_count(&mut db).await?,
        parked,
        suppressed: suppression::count(&mut db).await?,
    })
}

/// PATCH /admin/outbox: all mails that were given up begin anew.
pub async fn update_all(admin: Admin) -> Result<HttpResponse> {
    let app = &admin.app;
    let mut db = app.db.conn().await?;
    let mails = outbox::send_all_again(&mut db, app.clock.now()).await?;
    app.mail_wakeup.wake_now();
    tracing::info!(target: "audit", event = "mails_sent_again", mails, by = admin.me.id, "audit");
    let mails = pluralize(&i64::try_from(mails).unwrap_or(i64::MAX), "mail");
    admin.go_saying("/admin/outbox", Kind::Success, &format!("Sending again: {mails}."))
}

/// PATCH /admin/outbox/{id}: a mail that was given up begins anew.
pub async fn update(admin: Admin, id: Id) -> Result<HttpResponse> {
    let app = &admin.app;
    let mut db = app.db.conn().await?;
    if !outbox::send_again(&mut db, id.0, app.clock.now()).await? {
        return admin.go_saying("/admin/outbox", Kind::Info, "That mail is not parked any more.");
    }
    // Whoever presses this has put right what was wrong.
    app.mail_wakeup.wake_now();
    audit_admin("mail_sent_again", id.0, admin.me.id);
    admin.go_saying("/admin/outbox", Kind::Success, "The mail is on its way again.")
}
