//! Suppressed addresses, which get no mail any more, for admins.

use actix_web::HttpResponse;
use askama::Template;

use crate::error::Result;
use crate::mail::suppression::{self, Suppression};
use crate::models::values::page::{Page, PageStart};
use crate::views::Layout;
use crate::web::flash::FlashKind;
use crate::web::params::Id;
use crate::web::roles::Admin;
use crate::web::sign_in::audit_admin;

#[derive(Template)]
#[template(path = "suppressions/index.html")]
struct Index {
    layout: Layout,
    suppressions: Page<Suppression>,
}

/// GET /admin/suppressions
pub async fn index(admin: Admin, from: PageStart) -> Result<HttpResponse> {
    let mut db = admin.app.db.conn().await?;
    let suppressions = suppression::page(&mut db, from).await?.or_not_found()?;
    admin.render(&Index { layout: admin.layout("Suppressed addresses"), suppressions })
}

/// DELETE /admin/suppressions/{id}
pub async fn destroy(admin: Admin, id: Id) -> Result<HttpResponse> {
    let app = &admin.app;
    let mut db = app.db.conn().await?;
    if !suppression::lift(&mut db, id.0, app.clock.now()).await? {
        return admin.redirect_with_flash(
            "/admin/suppressions",
            FlashKind::Info,
            "That address gets mail already.",
        );
    }
    audit_admin("suppression_lifted", id.0, admin.id());
    admin.redirect_with_flash("/admin/suppressions", FlashKind::Success, "The address gets mail again.")
}
