//! Sessions: their cookies and ids, and when they end.

use chrono::TimeDelta;
use reqwest::header::HeaderValue;
use sample_app::models::user::User;

use crate::support::people::PASSWORD;
use crate::support::{Browser, TestApp};

/// Browsers send a cookie to every port of its host.
#[actix_web::test]
async fn two_programs_on_one_host_log_nobody_out_of_the_other() {
    let one = TestApp::start_with(&[("APP_URL", "http://sample.test:3000")]).await;
    let two = TestApp::start_with(&[("APP_URL", "http://sample.test:3001")]).await;
    let (mut at_one, mut at_two) = (
        Browser::at("http://sample.test:3000", one.address),
        Browser::at("http://sample.test:3001", two.address),
    );
    let (anna, berta) = (one.db_person("anna").await, two.db_person("berta").await);
    assert_eq!(at_one.log_in(&anna.email, PASSWORD).await.status, 200);
    at_two.cookies = at_one.cookies.clone();
    assert_eq!(at_two.log_in(&berta.email, PASSWORD).await.status, 200);
    at_one.cookies = at_two.cookies.clone();
    assert!(at_one.is_logged_in().await && at_two.is_logged_in().await);
}

#[actix_web::test]
async fn a_cookie_of_another_program_makes_ours_no_less_readable() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("michael").await).await;
    let ours = browser.cookie_header().into_bytes();
    let of_others: [&[u8]; 6] =
        [b"lang=\xff", b"\xe4=1", b"x=%FF", b"=", b"sample_app_session_2=\xff", b"sample_app_session=\xff"];
    for other in of_others {
        for both in [[other, &ours].join(&b"; "[..]), [&ours, other].join(&b";"[..])] {
            let request = reqwest::Client::new().get(format!("http://{}/help", app.address));
            let request = request.header("cookie", HeaderValue::from_bytes(&both).unwrap());
            let page = browser.send(request, "/help").await;
            assert!(!page.has("a[href='/login']"), "{}", String::from_utf8_lossy(&both));
            assert!(page.headers.get("set-cookie").is_none());
        }
    }
}

#[actix_web::test]
async fn every_log_in_has_a_session_id_of_its_own() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    app.browser().sign_up("Archer", "archer@example.com", PASSWORD).await;
    app.browser().ask_reset(&lana.email).await;
    let activation = app.mail_to("archer@example.com", 1).await.link();
    let reset = app.mail_to(&lana.email, 1).await.link();

    let mut browser = app.logged_in(&michael).await;
    for way in ["form", "activation", "reset"] {
        let mut before = browser.clone();
        assert!(before.is_logged_in().await);
        let page = match way {
            "form" => browser.log_in(&lana.email, PASSWORD).await,
            "activation" => {
                let page = browser.get(&activation).await;
                browser.submit(page.form("Activate my account").set("user[password]", PASSWORD)).await
            }
            _ => {
                let form = browser.get(&reset).await.form("Update password");
                let form = form.set("user[password]", PASSWORD);
                browser.submit(form.set("user[password_confirmation]", PASSWORD)).await
            }
        };
        assert_eq!(page.status, 200, "{way}");
        assert!(browser.is_logged_in().await, "{way}");
        assert_ne!(before.session(), browser.session(), "{way}");
        assert!(!before.is_logged_in().await, "{way}: the session before is over");
    }

    browser.log_in_remembered(&michael.email, PASSWORD).await;
    let before = browser.session().map(str::to_owned);
    browser.close();
    assert!(browser.is_logged_in().await);
    assert_ne!(browser.session().map(str::to_owned), before, "remembered");
}

#[actix_web::test]
async fn ids_from_elsewhere_are_never_taken() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let invented = "0123456789abcdef".repeat(4);
    let mut browser = app.browser();
    browser.cookies.insert("session".into(), invented.clone());
    assert!(!browser.is_logged_in().await);
    assert!(browser.session().is_none(), "taken away");

    browser.cookies.insert("session".into(), invented.clone());
    browser.log_in(&michael.email, PASSWORD).await;
    let id = browser.session().unwrap().to_owned();
    assert_ne!(id, invented);
    let (token, user_id) = id.split_once('.').unwrap();
    assert!(token.len() == 64 && token.bytes().all(|b| b.is_ascii_hexdigit()), "256 bits: {id}");
    assert_eq!(user_id, michael.id.to_string());
    // Another user's id beside the same secret is no session of either.
    let admin = app.db_admin("admin").await;
    let mut other = app.browser();
    other.cookies.insert("session".into(), format!("{token}.{}", admin.id));
    assert!(!other.is_logged_in().await);
    let mut other = app.browser();
    other.cookies.insert("session".into(), invented);
    assert!(!other.is_logged_in().await);

    for garbage in ["", "x", "%00", "%C3%A9", "é", &"a".repeat(3000), "1", "../../x"] {
        let mut browser = app.browser();
        browser.cookies.insert("session".into(), garbage.into());
        assert!(!browser.is_logged_in().await, "{garbage}");
    }
}

#[actix_web::test]
async fn a_session_is_over_on_the_server_when_its_owner_logs_out() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let mut copy = browser.clone();
    browser.delete("/logout").await.assert_redirect("/");
    assert!(browser.session().is_none());
    copy.get("/users").await.assert_at(200, "/login");
}

/// A log-out does not need authentication.
#[actix_web::test]
async fn logging_out_works_while_nobody_can_be_identified() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.browser();
    browser.log_in_remembered(&michael.email, PASSWORD).await;
    let mut copy = browser.clone();
    app.database.db_execute("ALTER TABLE users RENAME TO elsewhere").await;
    assert_eq!(browser.get("/users").await.status, 500);
    browser.delete("/logout").await.assert_redirect("/");
    assert!(browser.session().is_none() && !browser.cookies.contains_key("remember_me"));
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO users").await;
    assert!(!browser.is_logged_in().await);
    assert!(!copy.is_logged_in().await, "on the server as well");
}

#[actix_web::test]
async fn a_person_who_is_deleted_is_out_at_once() {
    let app = TestApp::start().await;
    let (admin, lana) = (app.db_admin("michael").await, app.db_person("lana").await);
    let mut browser = app.browser();
    browser.log_in_remembered(&lana.email, PASSWORD).await;
    app.logged_in(&admin).await.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/users");
    browser.post("/microposts", &[("micropost[content]", "still here")]).await.assert_redirect("/login");
    assert!(!browser.is_logged_in().await);
    browser.log_in(&lana.email, PASSWORD).await.assert_at(422, "/login");
}

#[actix_web::test]
async fn an_admin_no_more_may_do_no_more_at_once() {
    let app = TestApp::start().await;
    let (first, second) = (app.db_admin("michael").await, app.db_admin("malory").await);
    let lana = app.db_person("lana").await;
    let mut browser = app.logged_in(&second).await;
    assert!(browser.get("/users").await.has(&format!("form[action='/users/{}']", lana.id)));
    let demoted = app
        .app
        .db
        .transaction(async |db| User::set_admin(db, second.id, false, app.app.clock.now()).await)
        .await;
    assert!(demoted.unwrap());
    browser.delete(&format!("/users/{}", lana.id)).await.assert_redirect("/");
    browser.delete(&format!("/users/{}", first.id)).await.assert_redirect("/");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 3);
}

#[actix_web::test]
async fn a_session_ends_when_it_lies_idle_and_when_it_is_a_day_old() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    app.pass(TimeDelta::minutes(119));
    assert!(browser.is_logged_in().await);
    app.pass(TimeDelta::minutes(119));
    assert!(browser.is_logged_in().await, "it was used in between");
    app.pass(TimeDelta::minutes(120));
    assert!(!browser.is_logged_in().await, "idle");
    assert!(browser.session().is_none());

    let mut browser = app.logged_in(&michael).await;
    for hour in 1..24 {
        app.pass(TimeDelta::hours(1) - TimeDelta::seconds(10));
        assert!(browser.is_logged_in().await, "{hour}");
    }
    app.pass(TimeDelta::hours(1) + TimeDelta::minutes(5));
    assert!(!browser.is_logged_in().await, "a day old");
}
