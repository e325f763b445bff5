//! "Remember me": one secret per device, replaced at every use.

use chrono::TimeDelta;
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use crate::support::people::PASSWORD;
use crate::support::{Browser, TestApp};

const REMEMBER_ME: &str = "remember_me";

async fn remembered(app: &TestApp, email: &str) -> Browser {
    let mut browser = app.browser();
    assert_eq!(browser.log_in_remembered(email, PASSWORD).await.status, 200);
    assert!(browser.cookies.contains_key(REMEMBER_ME));
    browser
}

#[actix_web::test]
async fn remembered_for_thirty_days_where_it_was_asked_for() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let browser = remembered(&app, &michael.email).await;
    let set =
        browser.set_cookies.iter().find(|cookie| cookie.starts_with("sample_app_remember_me=")).unwrap();
    for part in ["Max-Age=2592000", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    let session =
        browser.set_cookies.iter().rfind(|cookie| cookie.starts_with("sample_app_session=")).unwrap();
    assert!(!session.contains("Max-Age") && !session.contains("Expires"), "{session}");
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");
}

#[actix_web::test]
async fn not_remembered_where_it_was_not_asked_for() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    browser.delete("/logout").await;
    browser.log_in(&michael.email, PASSWORD).await;
    assert!(!browser.cookies.contains_key(REMEMBER_ME));
    // The unchecked value, as the hidden field in the Rails sample sends it.
    let fields = [
        ("session[email]", michael.email.as_str()),
        ("session[password]", PASSWORD),
        ("session[remember_me]", "0"),
    ];
    browser.post("/login", &fields).await;
    assert!(!browser.cookies.contains_key(REMEMBER_ME));
    browser.close();
    assert!(!browser.is_logged_in().await);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}

#[actix_web::test]
async fn a_remembered_device_comes_back_without_its_session() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    browser.close();
    let before = browser.cookies[REMEMBER_ME].clone();
    let page = browser.get("/users").await;
    page.assert_at(200, "/users");
    assert!(page.has(&format!("header a[href='/users/{}']", michael.id)));
    assert!(browser.session().is_some());
    assert_ne!(browser.cookies[REMEMBER_ME], before, "replaced at use");
    // With a valid session the device secret is not used.
    let after = browser.cookies[REMEMBER_ME].clone();
    assert!(browser.is_logged_in().await);
    assert_eq!(browser.cookies[REMEMBER_ME], after);
}

#[actix_web::test]
async fn a_wrong_secret_brings_nobody_back() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    let (selector, _) = browser.cookies[REMEMBER_ME].split_once('.').unwrap();
    let forged = format!("{selector}.{}", "0".repeat(64));
    browser.close();
    browser.cookies.insert(REMEMBER_ME.into(), forged);
    assert!(!browser.is_logged_in().await);
    assert!(!browser.cookies.contains_key(REMEMBER_ME), "taken away");
}

#[actix_web::test]
async fn cookies_of_others_bring_nobody_back_and_break_nothing() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    remembered(&app, &michael.email).await;
    for forged in ["", ".", "x", "a.b", "%C3%A9.x", "é.x", "%00.%00", "%FF.%FF", "'.'", &"9".repeat(3000)] {
        for path in ["/help", "/users"] {
            let mut browser = app.browser();
            browser.cookies.insert(REMEMBER_ME.into(), forged.into());
            let page = browser.get(path).await;
            assert_eq!(page.status, 200, "{forged}");
            assert!(page.has("header a[href='/login']"), "{forged}");
            browser.cookies.insert(REMEMBER_ME.into(), forged.into());
            assert_eq!(browser.log_in(&michael.email, PASSWORD).await.status, 200, "{forged}");
            assert_eq!(browser.delete("/logout").await.status, 303, "{forged}");
        }
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 1);
}

#[actix_web::test]
async fn a_device_is_forgotten_thirty_days_after_it_was_last_used() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    app.pass(TimeDelta::days(29));
    assert!(browser.is_logged_in().await);
    app.pass(TimeDelta::days(29));
    assert!(browser.is_logged_in().await, "counted from its last use");
    app.pass(TimeDelta::days(30));
    assert!(!browser.is_logged_in().await);
    assert!(!browser.cookies.contains_key(REMEMBER_ME));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM remembered_devices").await, 0);
}

#[actix_web::test]
async fn logging_out_forgets_this_device_and_no_other() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut desktop = remembered(&app, &michael.email).await;
    let mut phone = remembered(&app, &michael.email).await;
    let mut copy = desktop.clone();
    desktop.delete("/logout").await.assert_redirect("/");
    assert!(!desktop.cookies.contains_key(REMEMBER_ME) && !desktop.is_logged_in().await);
    assert!(!copy.is_logged_in().await, "neither session nor device count any more");
    phone.close();
    assert!(phone.is_logged_in().await, "the other device is still remembered");
}

/// The page is still open, but the session has ended: the log-out itself must not log the user in again.
#[actix_web::test]
async fn a_log_out_by_a_device_that_lost_its_session_holds() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    browser.close();
    browser.set_cookies.clear();
    browser.delete("/logout").await.assert_redirect("/");
    assert!(!browser.cookies.contains_key(REMEMBER_ME));
    assert!(browser.session().is_none());
    assert!(!browser.is_logged_in().await);
    assert!(
        browser.set_cookies.iter().all(|set| !set.starts_with("sample_app_session=")),
        "{:?}",
        browser.set_cookies
    );
}

#[actix_web::test]
async fn tabs_that_open_at_once_all_come_back() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    browser.close();
    let tabs = (0..6).map(|_| {
        let mut tab = browser.clone();
        async move {
            assert!(tab.is_logged_in().await);
            tab
        }
    });
    let tabs = join_all(tabs).await;
    let mut next: Vec<_> = tabs.iter().map(|tab| tab.cookies[REMEMBER_ME].clone()).collect();
    next.dedup();
    assert_eq!(next.len(), 1, "whichever answer comes last, the browser has the same secret");
    let mut sessions: Vec<_> = tabs.iter().map(|tab| tab.session().unwrap().to_owned()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 6);
    let mut browser = tabs.into_iter().next().unwrap();
    browser.close();
    assert!(browser.is_logged_in().await);
}

/// The response with the new secret is lost: a phone without connection, a closed tab.
#[actix_web::test]
async fn an_answer_that_was_lost_is_no_theft() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    let mut phone = remembered(&app, &michael.email).await;
    let epoch = "SELECT sign_in_epoch FROM users";
    let before = app.database.db_number(epoch).await;
    for _ in 0..3 {
        browser.close();
        assert!(browser.clone().is_logged_in().await, "the answer goes to nobody");
        app.pass(TimeDelta::days(20));
        assert!(browser.is_logged_in().await);
        assert!(browser.session().is_some());
    }
    phone.close();
    browser.close();
    assert!(browser.is_logged_in().await, "with the secret that it got in the end");
    app.pass(TimeDelta::days(29));
    browser.close();
    assert!(browser.is_logged_in().await, "remembered from its last use");
    assert_eq!(app.database.db_number(epoch).await, before, "nobody took it for theft");
}

#[actix_web::test]
async fn instances_whose_clocks_differ_take_nobody_for_a_thief() {
    let key = ("SECRET_KEY_BASE", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    let one = TestApp::start_with(&[key]).await;
    let url = one.database.url.clone();
    let ahead = TestApp::start_with(&[key, ("DATABASE_URL", &url)]).await;
    ahead.pass(TimeDelta::minutes(5));
    let michael = one.db_person("michael").await;
    let mut browser = remembered(&one, &michael.email).await;
    for (first, second) in [(&one, &ahead), (&ahead, &one)] {
        browser.close();
        let mut tab = browser.clone();
        browser.move_to(first.address);
        tab.move_to(second.address);
        assert!(browser.is_logged_in().await && tab.is_logged_in().await);
        assert_eq!(browser.cookies[REMEMBER_ME], tab.cookies[REMEMBER_ME]);
    }
}

#[actix_web::test]
async fn a_secret_whose_successor_is_in_use_ends_everything() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for thief_is_first in [false, true] {
        let mut browser = remembered(&app, &michael.email).await;
        let mut phone = remembered(&app, &michael.email).await;
        browser.close();
        let mut thief = browser.clone();
        let (one, other) =
            if thief_is_first { (&mut thief, &mut browser) } else { (&mut browser, &mut thief) };
        for _ in 0..2 {
            one.close();
            assert!(one.is_logged_in().await);
        }
        assert!(!other.is_logged_in().await, "one of them has a copy");
        assert!(!one.is_logged_in().await, "session and device");
        assert!(!phone.is_logged_in().await);
        browser.log_in(&michael.email, PASSWORD).await.assert_at(200, &format!("/users/{}", michael.id));
    }
}

/// Whichever comes first, the device must not be renewed after the log-out.
#[actix_web::test]
async fn no_device_outruns_logging_out_everywhere() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for round in 0..8 {
        let mut owner = app.logged_in(&michael).await;
        let mut device = remembered(&app, &michael.email).await;
        device.close();
        let returning = join_all((0..8).map(|_| {
            let mut device = device.clone();
            async move {
                device.is_logged_in().await;
                device
            }
        }));
        let (devices, page) = tokio::join!(returning, owner.delete("/other_sessions"));
        assert_eq!(page.status, 303);
        for mut device in devices {
            assert!(!device.is_logged_in().await, "round {round}");
        }
        assert!(owner.is_logged_in().await);
    }
}

#[actix_web::test]
async fn only_a_digest_of_the_secret_is_kept() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let browser = remembered(&app, &michael.email).await;
    let (_, secret) = browser.cookies[REMEMBER_ME].split_once('.').unwrap();
    let digest: String = Sha256::digest(secret).iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(app.database.db_text("SELECT HEX(digest) FROM remembered_devices").await, digest);
}

#[actix_web::test]
async fn logging_out_everywhere_else_leaves_this_browser_alone() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut here = remembered(&app, &michael.email).await;
    let mut there = remembered(&app, &michael.email).await;
    let mut elsewhere = app.logged_in(&michael).await;
    let settings = format!("/users/{}/edit", michael.id);
    let form = here.get(&settings).await.form("Log out everywhere else");
    let page = here.submit(form).await;
    page.assert_at(200, &settings);
    page.assert_flash("success", "You are logged out everywhere else");
    assert!(!there.is_logged_in().await && !elsewhere.is_logged_in().await);
    assert!(here.is_logged_in().await);
    here.close();
    assert!(here.is_logged_in().await, "still remembered");
    app.browser().delete("/other_sessions").await.assert_redirect("/login");
}

/// Authentication completes even if the rest of the request is invalid. Otherwise the device's new secret would be
/// lost, and the old one would look stolen.
#[actix_web::test]
async fn a_request_that_makes_no_sense_does_not_lose_the_new_secret() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = remembered(&app, &michael.email).await;
    browser.close();
    let before = browser.cookies[REMEMBER_ME].clone();
    assert_eq!(browser.get("/users?page=0").await.status, 400);
    assert_ne!(browser.cookies[REMEMBER_ME], before);
    browser.close();
    app.pass(TimeDelta::minutes(1));
    assert!(browser.is_logged_in().await);
}
