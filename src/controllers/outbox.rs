//! The outbox, for admins: pending mails, failed mails with the reason, and requeueing.

use actix_web::HttpResponse;
use askama::Template;

use crate::error::Result;
use crate::mail::outbox::{self, FailedMail, Waiting};
use crate::mail::suppression;
use crate::models::values::page::{Page, PageStart};
use crate::views::{Layout, pluralize};
use crate::web::flash::FlashKind;
use crate::web::params::Id;
use crate::web::roles::Admin;
use crate::web::sign_in::audit_admin;

#[derive(Template)]
#[template(path = "outbox/index.html")]
struct Index {
    layout: Layout,
    waiting: Waiting,
    failed_count: i64,
    failed: Page<FailedMail>,
    suppressed: i64,
}

/// GET /admin/outbox
pub async fn index(admin: Admin, from: PageStart) -> Result<HttpResponse> {
    let mut db = admin.app.db.conn().await?;
    let failed = outbox::failed(&mut db, from).await?.or_not_found()?;
    admin.render(&Index {
        layout: admin.layout("Outbox"),
        waiting: outbox::waiting(&mut db).await?,
        failed_count: outbox::failed_count(&mut db).await?,
        failed,
        suppressed: suppression::count(&mut db).await?,
    })
}

/// PATCH /admin/outbox: requeues all failed mails.
pub async fn update_all(admin: Admin) -> Result<HttpResponse> {
    let app = &admin.app;
    let mut db = app.db.conn().await?;
    let mails = outbox::requeue_all(&mut db, app.clock.now()).await?;
    app.mail_wakeup.wake_now();
    tracing::info!(target: "audit", event = "mails_sent_again", mails, by = admin.id(), "audit");
    let mails = pluralize(&mails, "mail");
    admin.redirect_with_flash("/admin/outbox", FlashKind::Success, &format!("Sending again: {mails}."))
}

/// PATCH /admin/outbox/{id}: requeues a failed mail.
pub async fn update(admin: Admin, id: Id) -> Result<HttpResponse> {
    let app = &admin.app;
    let mut db = app.db.conn().await?;
    if !outbox::requeue(&mut db, id.0, app.clock.now()).await? {
        return admin.redirect_with_flash(
            "/admin/outbox",
            FlashKind::Info,
            "That mail has already been sent or is being sent again.",
        );
    }
    // Ends the worker's pause after failures: an admin who retries has fixed the cause.
    app.mail_wakeup.wake_now();
    audit_admin("mail_sent_again", id.0, admin.id());
    admin.redirect_with_flash("/admin/outbox", FlashKind::Success, "The mail is on its way again.")
}
