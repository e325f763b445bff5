//! Rate limits on attempts: per account, per client and per address.

use chrono::TimeDelta;

use crate::support::people::{PASSWORD, Person};
use crate::support::{Browser, Page, TestApp, redis};

/// Behind one proxy, which sends each browser's address.
async fn app_behind_a_proxy() -> TestApp {
    TestApp::start_with(&[("TRUSTED_PROXIES", "1")]).await
}

fn browser_from(app: &TestApp, address: &str) -> Browser {
    let mut browser = app.browser();
    browser.forwarded_for = Some(address.to_owned());
    browser
}

async fn try_password(browser: &mut Browser, email: &str, password: &str) -> Page {
    browser.post("/login", &[("session[email]", email), ("session[password]", password)]).await
}

async fn ask_reset(browser: &mut Browser, email: &str) -> Page {
    browser.post("/password_resets", &[("password_reset[email]", email)]).await
}

/// An attacker who uses a new address for each attempt. Returns the first response that is not a 422, and the number of
/// attempts.
async fn guess(app: &TestApp, anna: &Person, most: usize) -> Option<(usize, Page)> {
    for n in 0..most {
        let mut attacker = browser_from(app, &format!("10.0.{}.{}", n / 100, n % 100));
        let page = try_password(&mut attacker, &anna.email, "wrong password").await;
        if page.status != 422 {
            return Some((n, page));
        }
    }
    None
}

#[actix_web::test]
async fn an_account_takes_25_guesses_in_five_minutes() {
    let app = app_behind_a_proxy().await;
    let (anna, berta) = (app.db_person("anna").await, app.db_person("berta").await);
    let (guesses, page) = guess(&app, &anna, 40).await.expect("somebody stops it");
    assert_eq!((guesses, page.status), (25, 429));
    let wait: u64 = page.header("retry-after").parse().unwrap();
    assert!((1..=300).contains(&wait), "{wait}");
    let minutes = wait.div_ceil(60);
    let (kind, said) = page.flash().unwrap();
    let until = app.app.clock.now() + TimeDelta::seconds(wait as i64 + 59);
    let expected = format!("Please try again in {minutes} minute");
    assert!(kind == "danger" && said.contains(&expected) && said.ends_with(" UTC."), "{said}");
    let near =
        |until: chrono::DateTime<chrono::Utc>| said.contains(&until.format("at %H:%M UTC").to_string());
    assert!(near(until) || near(until - TimeDelta::minutes(1)), "{said}: {until}");
    assert_eq!(page.attrs("#session_email", "value"), [anna.email.as_str()], "the form is kept");
    // Even the right password is rejected, also with the address in other case; other accounts are not affected.
    let elsewhere = &mut browser_from(&app, "10.9.9.9");
    assert_eq!(try_password(elsewhere, &anna.email, PASSWORD).await.status, 429);
    assert_eq!(try_password(elsewhere, &anna.email.to_uppercase(), PASSWORD).await.status, 429);
    assert_eq!(try_password(elsewhere, &berta.email, PASSWORD).await.status, 303);
    app.pass(TimeDelta::minutes(5));
    assert_eq!(try_password(elsewhere, &anna.email, PASSWORD).await.status, 303);
}

/// An account that does not exist is limited too, otherwise the limit would reveal which accounts exist.
#[actix_web::test]
async fn nobody_learns_from_the_limit_who_has_an_account() {
    let app = app_behind_a_proxy().await;
    let nobody = Person { id: 0, name: "nobody".into(), email: "nobody@example.com".into() };
    let (guesses, page) = guess(&app, &nobody, 40).await.expect("somebody stops it");
    assert_eq!((guesses, page.status), (25, 429));
}

#[actix_web::test]
async fn the_owner_still_gets_in() {
    let app = app_behind_a_proxy().await;
    let anna = app.db_person("anna").await;
    let mut at_home = browser_from(&app, "192.0.2.1");
    at_home.log_in_remembered(&anna.email, PASSWORD).await;
    guess(&app, &anna, 40).await.expect("somebody stops it");
    at_home.close();
    assert!(at_home.is_logged_in().await, "by the remembered device");
    let mut travelling = browser_from(&app, "192.0.2.2");
    assert_eq!(ask_reset(&mut travelling, &anna.email).await.status, 303);
    let link = app.mail_to(&anna.email, 1).await.link();
    let form = travelling.get(&link).await.form("Update password");
    let form =
        form.set("user[password]", "another good one").set("user[password_confirmation]", "another good one");
    assert_eq!(travelling.submit(form).await.status, 200);
    assert!(travelling.is_logged_in().await, "by the link in the mail");
}

#[actix_web::test]
async fn one_password_is_not_tried_on_a_thousand_accounts() {
    let app = app_behind_a_proxy().await;
    let mut attacker = browser_from(&app, "192.0.2.7");
    let mut tried = 0;
    for n in 0..200 {
        let page = try_password(&mut attacker, &format!("person{n}@example.com"), "password123").await;
        if page.status == 429 {
            break;
        }
        assert_eq!(page.status, 422);
        tried += 1;
    }
    assert!(tried <= 30, "{tried}");
    // An IPv6 /64 counts as one client.
    let mut tried = 0;
    for n in 0..100 {
        let mut attacker = browser_from(&app, &format!("2001:db8:0:7:{n:x}::1"));
        tried +=
            usize::from(try_password(&mut attacker, &format!("v6-{n}@example.com"), "x").await.status == 422);
    }
    assert_eq!(tried, 25);
    let mut neighbour = browser_from(&app, "2001:db8:0:8::1");
    assert_eq!(try_password(&mut neighbour, "neighbour@example.com", "x").await.status, 422);
}

/// A client cannot change its identity by sending X-Forwarded-For itself.
#[actix_web::test]
async fn a_forged_address_is_still_limited() {
    for (proxies, behind) in [("0", ""), ("1", ", 192.0.2.7")] {
        let app = TestApp::start_with(&[("TRUSTED_PROXIES", proxies)]).await;
        let mut tried = 0;
        for n in 0..200 {
            let forged = format!("10.{}.{}.1{behind}", n / 100, n % 100);
            let mut attacker = browser_from(&app, &forged);
            let page = try_password(&mut attacker, &format!("person{n}@example.com"), "wrong").await;
            tried += usize::from(page.status == 422);
        }
        assert_eq!(tried, 25, "behind {proxies} proxies");
    }
}

#[actix_web::test]
async fn ten_sign_ups_an_hour() {
    let app = app_behind_a_proxy().await;
    let mut browser = browser_from(&app, "192.0.2.7");
    let sign_up = async |browser: &mut Browser, n: usize| {
        let email = format!("person{n}@example.com");
        let fields = [
            ("user[name]", "Person"),
            ("user[email]", email.as_str()),
            ("user[password]", PASSWORD),
            ("user[password_confirmation]", PASSWORD),
        ];
        browser.post("/users", &fields).await.status
    };
    for n in 0..10 {
        assert_eq!(sign_up(&mut browser, n).await, 303);
    }
    assert_eq!(sign_up(&mut browser, 10).await, 429);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 10);
    assert_eq!(sign_up(&mut browser_from(&app, "192.0.2.8"), 11).await, 303);
    let page = browser.sign_up("Person", "person13@example.com", PASSWORD).await;
    page.assert_at(429, "/users");
    assert_eq!(page.attrs("#user_name, #user_email", "value"), ["Person", "person13@example.com"]);
    app.pass(TimeDelta::hours(1));
    assert_eq!(sign_up(&mut browser, 12).await, 303);
}

/// Nobody can flood a mailbox, and the response does not reveal whether the address has an account.
#[actix_web::test]
async fn five_mails_in_half_an_hour_to_one_address() {
    let app = app_behind_a_proxy().await;
    let anna = app.db_person("anna").await;
    for email in [anna.email.as_str(), "nobody@example.com"] {
        for n in 0..5 {
            let mut browser = browser_from(&app, &format!("192.0.2.{n}"));
            assert_eq!(ask_reset(&mut browser, email).await.status, 303, "{email}");
        }
        let page = ask_reset(&mut browser_from(&app, "192.0.2.9"), email).await;
        assert_eq!(page.status, 429, "{email}");
        assert!(page.header("retry-after").parse::<u64>().unwrap() > 1000, "{email}");
        assert_eq!(page.attrs("#password_reset_email", "value"), [email], "the form is kept");
        // The limit counts all forms together.
        let fields = [("account_activation[email]", email)];
        assert_eq!(app.browser().post("/account_activations", &fields).await.status, 429, "{email}");
    }
    assert_eq!(app.all_mails().await.len(), 5);
    app.pass(TimeDelta::minutes(30));
    assert_eq!(ask_reset(&mut app.browser(), &anna.email).await.status, 303);
}

/// One sender cannot have mails sent to many strangers: limited per client over all forms, and per account over all
/// addresses.
#[actix_web::test]
async fn a_sender_causes_twenty_mails_an_hour() {
    let app = app_behind_a_proxy().await;
    let mut browser = browser_from(&app, "192.0.2.7");
    for n in 0..20 {
        let email = format!("person{n}@example.com");
        let (path, field) = match n % 2 {
            0 => ("/password_resets", "password_reset[email]"),
            _ => ("/account_activations", "account_activation[email]"),
        };
        assert_eq!(browser.post(path, &[(field, &email)]).await.status, 303);
    }
    let anna = app.db_person("anna").await;
    assert_eq!(ask_reset(&mut browser, &anna.email).await.status, 429);
    let fields = [("account_activation[email]", anna.email.as_str())];
    let page = browser.post("/account_activations", &fields).await;
    assert_eq!(page.status, 429);
    assert_eq!(page.attrs("#account_activation_email", "value"), [anna.email.as_str()], "the form is kept");
    assert_eq!(
        ask_reset(&mut browser_from(&app, "192.0.2.8"), &anna.email).await.status,
        303,
        "nothing of hers is used up"
    );

    let mut member = app.logged_in(&anna).await;
    for n in 0..21 {
        member.forwarded_for = Some(format!("192.0.2.{}", 20 + n));
        let form = member.get(&format!("/users/{}/edit", anna.id)).await.form("Save changes");
        let form = form.set("user[email]", &format!("stranger{n}@example.com"));
        let page = member.submit_only(form.set("user[current_password]", PASSWORD)).await;
        if n < 20 {
            assert_eq!(page.status, 303, "{n}");
        } else {
            assert_eq!(page.status, 429);
            assert_eq!(page.attrs("#user_email", "value"), ["stranger20@example.com"], "the form is kept");
        }
    }
    app.pass(TimeDelta::hours(1));
    assert_eq!(ask_reset(&mut browser, "nobody@example.com").await.status, 303);
}

/// A workshop behind one address.
#[actix_web::test]
async fn a_setting_raises_a_limit() {
    let app = TestApp::start_with(&[("LIMIT_MAILS_BY", "22"), ("LIMIT_LOG_INS", "1")]).await;
    let mut browser = app.browser();
    for n in 0..23 {
        let page = ask_reset(&mut browser, &format!("person{n}@example.com")).await;
        assert_eq!(page.status, if n < 22 { 303 } else { 429 }, "{n}");
    }
    for status in [422, 429] {
        assert_eq!(try_password(&mut browser, "anna@example.com", "x").await.status, status);
    }
}

#[actix_web::test]
async fn thirty_posts_a_minute_and_no_text_is_lost() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let mut post = async |text: &str| {
        let form = browser.get("/").await.form("Post").set("micropost[content]", text);
        browser.submit_only(form).await
    };
    for n in 0..30 {
        post(&n.to_string()).await.assert_redirect("/");
    }
    let page = post("my words").await;
    assert_eq!(page.status, 429);
    assert!(!page.header("retry-after").is_empty());
    assert_eq!(page.one("#micropost_content"), "my words");
    assert_eq!(page.errors(), ["You are posting too fast. Please wait a minute."]);
    app.pass(TimeDelta::minutes(1));
    post("my words").await.assert_redirect("/");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 31);
}

/// A counter without expiry would reject forever. Versions that set count and expiry with separate commands can leave
/// one, if the key expires between the two.
#[actix_web::test]
async fn no_counter_in_redis_outlives_its_window() {
    let server = redis::start();
    let app = TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await;
    let mut browser = app.browser();
    assert_eq!(try_password(&mut browser, "anna@example.com", "wrong").await.status, 422);
    let counters: Vec<String> = redis::ask(&server, &["KEYS", "sample_app:limit:*"]);
    assert_eq!(counters.len(), 2, "by client and by account: {counters:?}");
    for counter in &counters {
        let _: i64 = redis::ask(&server, &["PERSIST", counter]);
    }
    assert_eq!(try_password(&mut browser, "anna@example.com", "wrong").await.status, 422);
    for counter in &counters {
        let (count, seconds): (i64, i64) =
            (redis::ask(&server, &["GET", counter]), redis::ask(&server, &["TTL", counter]));
        assert_eq!(count, 2);
        assert!((1..=300).contains(&seconds), "{seconds}");
    }
}

/// With Redis all instances count together; while Redis is away, each counts for itself.
#[actix_web::test]
async fn limits_hold_with_redis_and_without() {
    let mut server = redis::start();
    let one = TestApp::start_with(&[("TRUSTED_PROXIES", "1"), ("REDIS_URL", &redis::url(&server))]).await;
    let url = one.database.url.clone();
    let settings =
        [("TRUSTED_PROXIES", "1"), ("REDIS_URL", &redis::url(&server)), ("DATABASE_URL", url.as_str())];
    let other = TestApp::start_with(&settings).await;
    let anna = one.db_person("anna").await;
    assert!(guess(&one, &anna, 13).await.is_none());
    let (guesses, page) = guess(&other, &anna, 40).await.expect("somebody stops it");
    // 12, unless this machine is so busy that Redis is considered away for a moment. If each instance counted for
    // itself, it would be 25.
    assert!((12..25).contains(&guesses) && page.status == 429, "{guesses}");
    let keys: Vec<String> = redis::ask(&server, &["KEYS", "*"]);
    assert!(keys.iter().all(|key| key.starts_with("sample_app:") && !key.contains("anna")), "{keys:?}");
    for key in keys.iter().filter(|key| key.contains(":limit:")) {
        let seconds: i64 = redis::ask(&server, &["TTL", key]);
        assert!((1..=300).contains(&seconds), "{key}: {seconds}");
    }
    server.kill();
    let berta = one.db_person("berta").await;
    for app in [&one, &other] {
        let (guesses, page) = guess(app, &berta, 40).await.expect("somebody stops it");
        assert_eq!((guesses, page.status), (25, 429));
    }
}
