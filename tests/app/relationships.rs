//! Following users.

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::ORIGIN;

use crate::support::TestApp;
use crate::support::app::APP_URL;
use crate::support::people::PASSWORD;

const FOLLOWS: &str = "SELECT COUNT(*) FROM relationships";

#[actix_web::test]
async fn following_needs_a_log_in() {
    let app = TestApp::start().await;
    let lana = app.db_person("lana").await;
    let mut browser = app.browser();
    browser.post("/relationships", &[("followed_id", &lana.id.to_string())]).await.assert_redirect("/login");
    browser.get("/login").await.assert_flash("danger", "Please log in.");
    assert_eq!(app.database.db_number(FOLLOWS).await, 0);
}

#[actix_web::test]
async fn unfollowing_needs_a_log_in() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    app.db_follow(&michael, &lana).await;
    let id = app.database.db_number("SELECT id FROM relationships").await;
    app.browser().delete(&format!("/relationships/{id}")).await.assert_redirect("/login");
    assert_eq!(app.database.db_number(FOLLOWS).await, 1);
}

#[actix_web::test]
async fn the_list_of_whom_somebody_follows_needs_a_log_in() {
    let app = TestApp::start().await;
    let lana = app.db_person("lana").await;
    app.browser().get_only(&format!("/users/{}/following", lana.id)).await.assert_redirect("/login");
}

#[actix_web::test]
async fn the_list_of_followers_needs_a_log_in() {
    let app = TestApp::start().await;
    let lana = app.db_person("lana").await;
    app.browser().get_only(&format!("/users/{}/followers", lana.id)).await.assert_redirect("/login");
}

#[actix_web::test]
async fn the_page_of_whom_somebody_follows() {
    let app = TestApp::start().await;
    let (michael, people) = (app.db_person("michael").await, app.db_people(2).await);
    app.db_follow(&michael, &people[0]).await;
    app.db_follow(&michael, &people[1]).await;
    app.db_follow(&people[0], &michael).await;
    let page = app.logged_in(&people[0]).await.get(&format!("/users/{}/following", michael.id)).await;
    assert_eq!(page.title(), "Following | Sample App");
    assert_eq!((page.one("#following"), page.one("#followers")), ("2".into(), "1".into()));
    assert_eq!(page.all("ul.users > li a"), ["Person 2", "Person 1"], "the latest first");
    for person in &people {
        assert!(page.has(&format!("div.user_avatars a[href='/users/{}'] img.gravatar", person.id)));
    }
    assert_eq!(page.one("section.user_info h1"), "michael");
}

#[actix_web::test]
async fn the_page_of_followers() {
    let app = TestApp::start().await;
    let (michael, people) = (app.db_person("michael").await, app.db_people(2).await);
    app.db_follow(&people[0], &michael).await;
    app.db_follow(&people[1], &michael).await;
    let page = app.logged_in(&michael).await.get(&format!("/users/{}/followers", michael.id)).await;
    assert_eq!(page.title(), "Followers | Sample App");
    assert_eq!((page.one("#following"), page.one("#followers")), ("0".into(), "2".into()));
    assert_eq!(page.all("ul.users > li a"), ["Person 2", "Person 1"]);
    let empty = app.logged_in(&michael).await.get(&format!("/users/{}/followers", people[0].id)).await;
    assert_eq!((empty.status, empty.count("ul.users > li")), (200, 0));
}

#[actix_web::test]
async fn both_lists_have_thirty_a_page() {
    let app = TestApp::start().await;
    let (michael, people) = (app.db_person("michael").await, app.db_people(31).await);
    for person in &people {
        app.db_follow(&michael, person).await;
        app.db_follow(person, &michael).await;
    }
    let mut browser = app.logged_in(&michael).await;
    for list in ["following", "followers"] {
        let path = format!("/users/{}/{list}", michael.id);
        let page = browser.get(&path).await;
        assert_eq!(page.count("ul.users > li"), 30, "{list}");
        let next = page.attrs("div.pagination a[rel=next]", "href").concat();
        assert_eq!(browser.get(&next).await.all("ul.users > li a"), ["Person 1"]);
        assert_eq!(browser.get(&format!("{path}?page=2")).await.all("ul.users > li a"), ["Person 1"]);
        assert_eq!(browser.get(&format!("{path}?page=3")).await.status, 404, "{list}");
    }
}

#[actix_web::test]
async fn follow_the_standard_way() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let profile = format!("/users/{}", lana.id);
    let mut browser = app.logged_in(&michael).await;
    let page = browser.get(&profile).await;
    assert_eq!(page.all("#follow_form button"), ["Follow"]);
    browser.submit_only(page.form("Follow")).await.assert_redirect(&profile);
    let page = browser.get(&profile).await;
    assert_eq!(
        (page.one("#followers"), page.all("#follow_form button")),
        ("1".into(), vec!["Unfollow".into()])
    );
    assert_eq!(browser.get("/").await.one("#following"), "1");
    assert!(!browser.get(&format!("/users/{}", michael.id)).await.has("#follow_form"), "not oneself");
}

#[actix_web::test]
async fn unfollow_the_standard_way() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    app.db_follow(&michael, &lana).await;
    let profile = format!("/users/{}", lana.id);
    let mut browser = app.logged_in(&michael).await;
    let unfollow = browser.get(&profile).await.form("Unfollow");
    let page = browser.submit(unfollow.clone()).await;
    page.assert_at(200, &profile);
    assert_eq!(
        (page.one("#followers"), page.all("#follow_form button")),
        ("0".into(), vec!["Follow".into()])
    );
    assert_eq!(app.database.db_number(FOLLOWS).await, 0);
    assert_eq!(browser.submit(unfollow).await.status, 404, "a second window");
    app.db_assert_counts().await;
}

/// The request that htmx sends, and what it selects from the response; browser.rs tests it in Chromium.
#[actix_web::test]
async fn follow_and_unfollow_in_place() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let profile = format!("/users/{}", lana.id);
    let mut browser = app.logged_in(&michael).await;
    for (button, next, followers) in [("Follow", "Unfollow", "1"), ("Unfollow", "Follow", "0")] {
        let page = browser.get(&profile).await;
        let form = page.form(button);
        assert_eq!(page.attrs("#follow_form form", "data-hx-post"), [form.action.as_str()]);
        for (attribute, value) in
            [("data-hx-target", "#follow_form"), ("data-hx-select-oob", "#followers_link")]
        {
            assert_eq!(page.attrs("#follow_form form", attribute), [value]);
        }
        let request = browser.request(Method::POST, &form.action).form(&form.fields);
        let request = request.header("hx-request", "true").header(ORIGIN, APP_URL);
        browser.send(request, &form.action).await.assert_redirect(&profile);
        let page = browser.get(&profile).await;
        assert_eq!(
            (page.one("#follow_form button"), page.one("#followers")),
            (next.into(), followers.into())
        );
    }
}

#[actix_web::test]
async fn nobody_ends_the_follows_of_others() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let admin = app.db_admin("malory").await;
    app.db_follow(&michael, &lana).await;
    let id = app.database.db_number("SELECT id FROM relationships").await;
    let before = app.database.db_dump().await;
    for other in [&lana, &admin] {
        let mut browser = app.logged_in(other).await;
        for id in [id.to_string(), "999".into(), "0".into(), "x".into(), "9223372036854775808".into()] {
            assert_eq!(browser.delete(&format!("/relationships/{id}")).await.status, 404, "{id}");
        }
    }
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn nobody_follows_themselves_or_nobody_or_somebody_not_activated() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_unactivated("archer").await);
    let mut browser = app.logged_in(&michael).await;
    let before = app.database.db_dump().await;
    let himself = michael.id.to_string();
    assert_eq!(browser.post("/relationships", &[("followed_id", &himself)]).await.status, 400);
    for nobody in [&archer.id.to_string(), "999"] {
        let answer = browser.post("/relationships", &[("followed_id", nobody)]).await;
        assert_eq!(answer.status, 404, "{nobody}");
    }
    for nonsense in ["0", "-1", "", "abc", "1e3", "9223372036854775808", "\0"] {
        let answer = browser.post("/relationships", &[("followed_id", nonsense)]).await;
        assert_eq!(answer.status, 400, "{nonsense}");
    }
    assert_eq!(browser.post("/relationships", &[]).await.status, 400);
    let other = [("followed_id", "999"), ("follower_id", himself.as_str())];
    assert_eq!(browser.post("/relationships", &other).await.status, 404);
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn a_follow_is_there_once_however_often_it_is_asked_for() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let browser = app.logged_in(&michael).await;
    let (id, profile) = (lana.id.to_string(), format!("/users/{}", lana.id));
    let follows = (0..20).map(|_| {
        let (mut browser, id) = (browser.clone(), id.clone());
        async move { browser.post_until_taken("/relationships", &[("followed_id", &id)]).await }
    });
    for answer in join_all(follows).await {
        answer.assert_redirect(&profile);
    }
    assert_eq!(app.database.db_number(FOLLOWS).await, 1);
    app.db_assert_counts().await;
}

#[actix_web::test]
async fn a_hundred_parallel_follows_are_counted_exactly() {
    let app = TestApp::start().await;
    let people = app.db_people(11).await;
    let mut browsers = Vec::new();
    for person in &people {
        browsers.push(app.logged_in(person).await);
    }
    // Everybody follows everybody else: 110 concurrent follows, each pair in both directions.
    let follows = people.iter().flat_map(|followed| {
        let others = people.iter().zip(&browsers).filter(|(follower, _)| follower.id != followed.id);
        others.map(|(_, browser)| {
            let (mut browser, id) = (browser.clone(), followed.id.to_string());
            async move { browser.post_until_taken("/relationships", &[("followed_id", &id)]).await.status }
        })
    });
    assert_eq!(join_all(follows).await, [303; 110]);
    assert_eq!(app.database.db_number(FOLLOWS).await, 110);
    assert_eq!(app.database.db_number("SELECT MIN(followers_count + following_count) FROM users").await, 20);
    app.db_assert_counts().await;
}

/// The button is on a page that was opened before the session ended.
#[actix_web::test]
async fn a_follow_without_a_log_in_leads_through_it_to_the_person() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.browser();
    let lanas = lana.id.to_string();
    browser.post("/relationships", &[("followed_id", &lanas)]).await.assert_redirect("/login");
    let page = browser.log_in(&michael.email, PASSWORD).await;
    page.assert_at(200, &format!("/users/{}", lana.id));
    assert!(page.has("#follow_form") && page.one("#followers") == "0", "pressed again, not done unasked");
    for nobody in ["", "abc", "-1", "//evil.example", "9223372036854775808"] {
        let mut browser = app.browser();
        browser.post("/relationships", &[("followed_id", nobody)]).await.assert_redirect("/login");
        let page = browser.log_in(&michael.email, PASSWORD).await;
        page.assert_at(200, &format!("/users/{}", michael.id));
    }
}
