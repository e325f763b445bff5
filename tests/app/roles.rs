//! Authorization: every route for every role, according to a table.

use std::fmt::Write as _;

use sample_app::models::user::User;
use sample_app::routes::TABLE;

use crate::support::outbox::DELETIONS;
use crate::support::table::{Owner, filled, form_for};
use crate::support::{Browser, Page, TestApp};

/// Expected result. With all but `Done`, nothing has changed afterwards.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gets {
    Page,
    /// Done, and redirected to this path, with ids replaced by N.
    Done(&'static str),
    /// Redirected to the log-in page.
    LogIn,
    /// Redirected to the home page without an effect.
    Home,
    /// 404.
    Nothing,
    /// 400, with a reason.
    Refused,
}
use Gets::{Done, Home, LogIn, Nothing, Page as Shown, Refused};

const PROFILE: Gets = Done("/users/N");

/// For an anonymous visitor, another user, the owner of the object in the path, and an admin who is not the owner.
/// Tokens of mail links are invalid here; their own tests cover them.
#[rustfmt::skip]
const ROLES: &[(&str, &str, [Gets; 4])] = &[
    ("GET",    "/",                                 [Shown, Shown, Shown, Shown]),
    ("GET",    "/help",                             [Shown, Shown, Shown, Shown]),
    ("GET",    "/about",                            [Shown, Shown, Shown, Shown]),
    ("GET",    "/contact",                          [Shown, Shown, Shown, Shown]),
    ("GET",    "/signup",                           [Shown, Shown, Shown, Shown]),
    ("GET",    "/login",                            [Shown, Shown, Shown, Shown]),
    ("POST",   "/login",                            [PROFILE, PROFILE, PROFILE, PROFILE]),
    ("DELETE", "/logout",                           [Done("/"), Done("/"), Done("/"), Done("/")]),
    ("DELETE", "/other_sessions",                   [LogIn, Done("/users/N/edit"), Done("/users/N/edit"), Done("/users/N/edit")]),
    ("GET",    "/users",                            [LogIn, Shown, Shown, Shown]),
    ("POST",   "/users",                            [Done("/"), Done("/"), Done("/"), Done("/")]),
    ("GET",    "/users/{id}",                       [Shown, Shown, Shown, Shown]),
    ("PATCH",  "/users/{id}",                       [LogIn, Home, PROFILE, Home]),
    ("DELETE", "/users/{id}",                       [LogIn, Home, Home, Done("/users")]),
    ("GET",    "/users/{id}/delete",                [LogIn, Home, Home, Shown]),
    ("GET",    "/users/{id}/edit",                  [LogIn, Home, Shown, Home]),
    ("GET",    "/users/{id}/following",             [LogIn, Shown, Shown, Shown]),
    ("GET",    "/users/{id}/followers",             [LogIn, Shown, Shown, Shown]),
    ("POST",   "/account_activations",              [Done("/"), Done("/"), Done("/"), Done("/")]),
    ("GET",    "/account_activations/new",          [Shown, Shown, Shown, Shown]),
    ("PATCH",  "/account_activations/{token}",      [Home, Home, Home, Home]),
    ("GET",    "/account_activations/{token}",      [Nothing; 4]),
    ("GET",    "/account_activations/{token}/edit", [Nothing; 4]),
    ("GET",    "/account_activations/{token}/edit/", [Nothing; 4]),
    ("POST",   "/password_resets",                  [Done("/"), Done("/"), Done("/"), Done("/")]),
    ("GET",    "/password_resets/new",              [Shown, Shown, Shown, Shown]),
    ("PATCH",  "/password_resets/{token}",          [Home, Home, Home, Home]),
    ("GET",    "/password_resets/{token}",          [Nothing; 4]),
    ("GET",    "/password_resets/{token}/edit",     [Nothing; 4]),
    ("GET",    "/password_resets/{token}/edit/",    [Nothing; 4]),
    ("POST",   "/email_changes",                    [LogIn, Done("/users/N/edit"), Done("/users/N/edit"), Done("/users/N/edit")]),
    ("GET",    "/email_changes",                    [Done("/"); 4]),
    ("DELETE", "/email_changes",                    [LogIn, Done("/users/N/edit"), Done("/users/N/edit"), Done("/users/N/edit")]),
    ("PATCH",  "/email_changes/{token}",            [Home, Home, Home, Home]),
    ("GET",    "/email_changes/{token}",            [Nothing; 4]),
    ("GET",    "/email_changes/{token}/edit",       [Nothing; 4]),
    ("GET",    "/email_changes/{token}/edit/",      [Nothing; 4]),
    ("PATCH",  "/email_restores/{token}",           [Home, Home, Home, Home]),
    ("GET",    "/email_restores/{token}",           [Nothing; 4]),
    ("GET",    "/email_restores/{token}/edit",      [Nothing; 4]),
    ("GET",    "/email_restores/{token}/edit/",     [Nothing; 4]),
    ("POST",   "/microposts",                       [LogIn, Done("/"), Done("/"), Done("/")]),
    ("DELETE", "/microposts/{id}",                  [LogIn, Nothing, PROFILE, Nothing]),
    ("GET",    "/microposts/{id}/delete",           [LogIn, Nothing, Shown, Nothing]),
    ("GET",    "/microposts",                       [Done("/"); 4]),
    ("GET",    "/relationships",                    [Done("/"); 4]),
    ("GET",    "/relationships/{id}",               [Done("/"); 4]),
    ("GET",    "/logout",                           [Done("/"); 4]),
    ("GET",    "/other_sessions",                   [Done("/"); 4]),
    ("GET",    "/account_activations",              [Done("/account_activations/new"); 4]),
    ("GET",    "/password_resets",                  [Done("/password_resets/new"); 4]),
    ("GET",    "/admin/outbox/{id}",                [Done("/admin/outbox"); 4]),
    ("GET",    "/admin/suppressions/{id}",          [Done("/admin/suppressions"); 4]),
    ("POST",   "/relationships",                    [LogIn, PROFILE, Refused, PROFILE]),
    ("DELETE", "/relationships/{id}",               [LogIn, Nothing, PROFILE, Nothing]),
    ("GET",    "/pictures/{key}",                   [Shown, Shown, Shown, Shown]),
    ("GET",    "/avatars/{id}",                     [Shown, Shown, Shown, Shown]),
    ("GET",    "/admin/outbox",                     [LogIn, Home, Home, Shown]),
    ("PATCH",  "/admin/outbox",                     [LogIn, Home, Home, Done("/admin/outbox")]),
    ("PATCH",  "/admin/outbox/{id}",                [LogIn, Home, Home, Done("/admin/outbox")]),
    ("GET",    "/admin/suppressions",               [LogIn, Home, Home, Shown]),
    ("DELETE", "/admin/suppressions/{id}",          [LogIn, Home, Home, Done("/admin/suppressions")]),
    ("GET",    "/inbox",                            [Shown, Shown, Shown, Shown]),
    ("GET",    "/inbox/{name}",                     [Nothing, Nothing, Nothing, Nothing]),
    ("GET",    "/stack",                            [Shown, Shown, Shown, Shown]),
    ("POST",   "/webhooks/ses",                     [Nothing, Nothing, Nothing, Nothing]),
    ("GET",    "/static/{name:.*}",                 [Shown, Shown, Shown, Shown]),
    ("GET",    "/favicon.ico",                      [Shown, Shown, Shown, Shown]),
    ("GET",    "/robots.txt",                       [Shown, Shown, Shown, Shown]),
    ("GET",    "/docs/walkthrough/{chapter:.*}",    [Shown, Shown, Shown, Shown]),
    ("GET",    "/README.md",                        [Shown, Shown, Shown, Shown]),
    ("GET",    "/ARCHITECTURE.md",                  [Shown, Shown, Shown, Shown]),
    ("GET",    "/CHANGELOG.md",                     [Shown, Shown, Shown, Shown]),
    ("GET",    "/LICENSE",                          [Shown, Shown, Shown, Shown]),
    ("GET",    "/livez",                            [Shown, Shown, Shown, Shown]),
    ("GET",    "/readyz",                           [Shown, Shown, Shown, Shown]),
];

/// Generated from the application's route table: a route without an entry fails here.
#[actix_web::test]
async fn every_route_treats_everybody_as_the_table_says() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let (other, admin) = (app.db_person("otto").await, app.db_admin("admin").await);
    let mut wrong = String::new();
    for (number, (verb, path)) in TABLE.iter().enumerate() {
        let Some((.., expected)) = ROLES.iter().find(|(v, p, _)| (v, p) == (verb, path)) else {
            panic!("say in ROLES what {verb} {path} does for whom");
        };
        let mut owner = app.db_owner(&format!("owner{number}")).await;
        for (role, expected) in expected.iter().enumerate() {
            let mut browser = match role {
                0 => app.browser(),
                1 => app.logged_in(&other).await,
                2 => app.logged_in(&owner.person).await,
                _ => app.logged_in(&admin).await,
            };
            app.all_mails().await;
            let before = app.database.db_dump().await;
            let page =
                send(&mut browser, verb, path, &owner, &format!("new{number}{role}@example.com")).await;
            let got = read(&page, *expected);
            if got != Some(*expected) {
                let location = page.location();
                let _ = writeln!(
                    wrong,
                    "{verb} {path} as {role}: {} {location:?}, not {expected:?}",
                    page.status
                );
            }
            app.all_mails().await;
            app.database.db_until(DELETIONS, 0).await;
            let changed = app.database.db_dump().await != before;
            let may_change = *verb != "GET" && matches!(expected, Done(_));
            if changed && !may_change {
                let _ = writeln!(wrong, "{verb} {path} as {role} changed something");
            }
            if changed && *verb == "DELETE" {
                // A new object for the next role to delete.
                owner = app.db_owner(&format!("owner{number} again{role}")).await;
            }
        }
    }
    assert_eq!(wrong, "");
    assert_eq!(ROLES.len(), TABLE.len(), "ROLES names a route that is no more");
}

async fn send(browser: &mut Browser, verb: &str, path: &str, owner: &Owner, unique: &str) -> Page {
    let to = filled(path, owner);
    if verb == "GET" {
        return browser.get_only(&to).await;
    }
    let verb_field = verb.to_ascii_lowercase();
    let fields = form_for(verb, path, owner, unique);
    let mut form: Vec<(&str, &str)> = vec![("_method", &verb_field)];
    form.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
    browser.post(&to, &form).await
}

fn read(page: &Page, expected: Gets) -> Option<Gets> {
    let location = page.location().map(|location| numbers_as_n(&location));
    match (page.status, location.as_deref()) {
        (200, None) => Some(Shown),
        (303, Some("/login")) => Some(LogIn),
        // Both done and rejected requests may redirect home; the database tells which it was.
        (303, Some("/")) => Some(if expected == Home { Home } else { Done("/") }),
        (303, Some(location)) => match expected {
            Done(path) if path == location => Some(expected),
            _ => None,
        },
        (400, None) => Some(Refused),
        (404, None) => Some(Nothing),
        _ => None,
    }
}

fn numbers_as_n(path: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    path.split('/').map(|part| if is_number(part) { "N" } else { part }).collect::<Vec<_>>().join("/")
}

/// A deleted user is logged out at the next request, remembered or not.
#[actix_web::test]
async fn a_deleted_person_is_out_at_once() {
    let app = TestApp::start().await;
    let (admin, bob) = (app.db_admin("admin").await, app.db_person("bob").await);
    let mut bobs = app.logged_in(&bob).await;
    let mut bobs_phone = app.browser();
    bobs_phone.log_in_remembered(&bob.email, crate::support::people::PASSWORD).await;
    assert_eq!(bobs.get("/users").await.status, 200);
    let mut admins = app.logged_in(&admin).await;
    let page = admins.get("/users").await;
    admins.press_delete(&page).await.assert_flash("success", "User deleted: bob");
    for browser in [&mut bobs, &mut bobs_phone] {
        assert_eq!(browser.get("/users").await.path, "/login");
        let page = browser.post("/microposts", &[("micropost[content]", "from beyond")]).await;
        assert_eq!(page.location().as_deref(), Some("/login"));
    }
    app.is_removed(&bob).await;
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}

/// A former admin loses all admin rights at the next request.
#[actix_web::test]
async fn a_demoted_admin_is_none_at_once() {
    let app = TestApp::start().await;
    let (admin, former, bob) =
        (app.db_admin("admin").await, app.db_admin("former").await, app.db_person("bob").await);
    let mut browser = app.logged_in(&former).await;
    assert!(browser.get("/users").await.has("ul.users form"));
    app.app
        .db
        .transaction(async |db| User::set_admin(db, former.id, false, app.app.clock.now()).await)
        .await
        .unwrap();
    let page = browser.delete(&format!("/users/{}", bob.id)).await;
    assert_eq!((page.status, page.location().as_deref()), (303, Some("/")));
    assert!(!browser.get("/users").await.has("ul.users form"));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 3);
    assert_eq!(admin.name, "admin");
}

/// Fields that a form does not show cannot be set through it (mass assignment).
#[actix_web::test]
async fn no_form_sets_what_it_does_not_show() {
    let app = TestApp::start().await;
    let bob = app.db_person("bob").await;
    let hidden = [
        ("user[admin]", "1"),
        ("user[activated]", "1"),
        ("user[activated_at]", "2020-01-01 00:00:00"),
        ("user[id]", "4711"),
        ("user[sign_in_epoch]", "7"),
        ("user[microposts_count]", "7"),
        ("user[password_digest]", "x"),
        ("admin", "1"),
        ("id", "4711"),
    ];
    let with_hidden = |fields: &[(&'static str, &'static str)]| [fields, &hidden[..]].concat();
    let mut browser = app.logged_in(&bob).await;
    let settings = with_hidden(&[("user[name]", "bob"), ("user[email]", "bob@example.com")]);
    let before = app.database.db_dump().await;
    let page = browser.patch(&format!("/users/{}", bob.id), &settings).await;
    assert_eq!(page.location(), Some(format!("/users/{}", bob.id)));
    assert_eq!(app.database.db_dump().await, before);

    let password = "a password of hers";
    let sign_up = with_hidden(&[
        ("user[name]", "eve"),
        ("user[email]", "eve@example.com"),
        ("user[password]", password),
        ("user[password_confirmation]", password),
    ]);
    assert_eq!(app.browser().post("/users", &sign_up).await.status, 303);
    let eve = "FROM users WHERE email = 'eve@example.com' AND admin = FALSE AND activated_at IS NULL \
               AND sign_in_epoch <> 7 AND microposts_count = 0 AND id <> 4711 AND password_digest <> 'x'";
    assert_eq!(app.database.db_number(&format!("SELECT COUNT(*) {eve}")).await, 1);
    let post =
        [("micropost[content]", "mine"), ("micropost[user_id]", "4711"), ("micropost[picture]", "x.png")];
    assert_eq!(browser.post("/microposts", &post).await.status, 303);
    let own = format!("SELECT COUNT(*) FROM microposts WHERE user_id = {} AND picture IS NULL", bob.id);
    assert_eq!(app.database.db_number(&own).await, 1);
}

/// Nobody can change another user's data.
#[actix_web::test]
async fn nobody_touches_what_is_anothers() {
    let app = TestApp::start().await;
    let (owner, eve, admin) =
        (app.db_owner("owner").await, app.db_person("eve").await, app.db_admin("admin").await);
    let before = app.database.db_dump().await;
    for somebody in [eve, admin] {
        let mut browser = app.logged_in(&somebody).await;
        let settings = format!("/users/{}", owner.person.id);
        let page =
            browser.patch(&settings, &[("user[name]", "Eve was here"), ("user[email]", "e@e.com")]).await;
        assert_eq!((page.status, page.location().as_deref()), (303, Some("/")));
        assert!(page.flash().is_none() && browser.get("/").await.flash().is_none());
        assert_eq!(browser.get(&format!("{settings}/edit")).await.path, "/");
        assert_eq!(browser.delete(&format!("/microposts/{}", owner.micropost)).await.status, 404);
        assert_eq!(browser.delete(&format!("/relationships/{}", owner.relationship)).await.status, 404);
        let profile = browser.get(&settings).await;
        assert_eq!((profile.microposts(), profile.has("ol.microposts form")), (vec![owner.micropost], false));
    }
    assert_eq!(app.database.db_dump().await, before);
}
