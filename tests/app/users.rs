//! Users as others see them: the list and the profile. Users who are not activated do not appear.

use crate::support::TestApp;
use crate::support::outbox::DELETIONS;

#[actix_web::test]
async fn the_sign_up_page_opens() {
    let app = TestApp::start().await;
    let page = app.browser().get("/signup").await;
    page.assert_at(200, "/signup");
    assert_eq!(page.title(), "Sign up | Sample App");
    assert_eq!(page.all("form[action='/users'] label"), ["Name", "Email", "Password", "Confirmation"]);
}

#[actix_web::test]
async fn the_list_needs_a_log_in() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    browser.get_only("/users").await.assert_redirect("/login");
    browser.get("/login").await.assert_flash("danger", "Please log in.");
}

#[actix_web::test]
async fn an_admin_sees_pages_and_delete_buttons() {
    let app = TestApp::start().await;
    let admin = app.db_admin("michael").await;
    let people = app.db_people(30).await;
    let mut browser = app.logged_in(&admin).await;
    let page = browser.get("/users").await;
    assert_eq!(page.title(), "All users | Sample App");
    assert_eq!(page.count("div.pagination"), 2);
    assert_eq!(page.count("ul.users > li"), 30);
    for person in &people[..29] {
        let row = format!("ul.users > li a[href='/users/{}']", person.id);
        assert_eq!(page.one(&row), person.name);
        assert!(page.has(&format!("ul.users > li form[action='/users/{}'] button", person.id)));
    }
    assert!(page.has(&format!("ul.users > li a[href='/users/{}']", admin.id)));
    assert!(!page.has(&format!("form[action='/users/{}']", admin.id)), "not oneself");

    let page = browser.press_delete(&page).await;
    page.assert_at(200, "/users");
    page.assert_flash("success", &format!("User deleted: {}", people[0].name));
    app.database.db_until(DELETIONS, 0).await;
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 30);
}

#[actix_web::test]
async fn others_see_no_delete_buttons() {
    let app = TestApp::start().await;
    let (lana, _) = (app.db_person("lana").await, app.db_admin("michael").await);
    let page = app.logged_in(&lana).await.get("/users").await;
    assert_eq!(page.count("ul.users > li"), 2);
    assert_eq!(page.count("main form"), 0);
}

#[actix_web::test]
async fn the_list_has_thirty_a_page() {
    let app = TestApp::start().await;
    let people = app.db_people(30).await;
    let mut browser = app.logged_in(&people[0]).await;
    let page = browser.get("/users").await;
    assert_eq!((page.count("ul.users > li"), page.count("div.pagination")), (30, 0));
    browser.get("/users?page=2").await.assert_at(404, "/users?page=2");

    let last = app.db_person("Person 31").await;
    let page = browser.get("/users").await;
    assert_eq!((page.count("ul.users > li"), page.count("div.pagination")), (30, 2));
    let next = page.attrs("div.pagination a[rel=next]", "href");
    assert_eq!(next, [format!("/users?from={}", last.id), format!("/users?from={}", last.id)]);
    assert_eq!(browser.get("/users?page=2").await.all("ul.users > li"), [last.name.as_str()]);
    let page = browser.get(&next[0]).await;
    assert_eq!(page.all("ul.users > li"), [last.name]);
    assert_eq!(page.attrs("div.pagination a[rel=first]", "href")[0], "/users");
    assert!(!page.has("div.pagination a[rel=next]"));
    browser.get("/users?page=3").await.assert_at(404, "/users?page=3");
    for bad in ["0", "-1", "abc", "9e99", "99999999999999999999", "1&page=2", "%00", "%FF"] {
        assert_eq!(browser.get(&format!("/users?page={bad}")).await.status, 400, "{bad}");
    }
    for bad in ["-1", "abc", "1-", "1-2-3", "99999999999999999999", "1&from=2", "%00", "%FF"] {
        assert_eq!(browser.get(&format!("/users?from={bad}")).await.status, 400, "{bad}");
    }
    assert_eq!(browser.get("/users?page=").await.count("ul.users > li"), 30);
    assert_eq!(browser.get("/users?page=4294967295").await.status, 404);
}

#[actix_web::test]
async fn the_profile_shows_a_person_and_their_posts() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("Michael Example").await, app.db_person("lana").await);
    for n in 1..=31 {
        app.db_post(&michael, &format!("Post number {n}")).await;
    }
    app.db_follow(&lana, &michael).await;
    let profile = format!("/users/{}", michael.id);
    // Profiles are public.
    let mut browser = app.browser();
    let page = browser.get(&profile).await;
    assert_eq!(page.title(), "Michael Example | Sample App");
    assert_eq!(page.one("section.user_info h1"), "Michael Example");
    assert!(page.has("h1 > img.gravatar"));
    assert_eq!(page.one("h2:not(.visually-hidden)"), "Microposts (31)");
    assert_eq!((page.one("#following.stat"), page.one("#followers.stat")), ("0".into(), "1".into()));
    let newest_first: Vec<_> = (2..=31).rev().map(|n| format!("Post number {n}")).collect();
    assert_eq!(page.all("ol.microposts > li span.content"), newest_first);
    assert_eq!(page.count("div.pagination"), 1);
    assert!(!page.has("#follow_form") && !page.has("ol.microposts form"));
    let page = browser.get(&format!("{profile}?page=2")).await;
    assert_eq!(page.all("ol.microposts > li span.content"), ["Post number 1"]);
    assert_eq!(browser.get(&format!("{profile}?page=3")).await.status, 404);
}

#[actix_web::test]
async fn one_page_of_posts_has_no_pagination() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for n in 1..=30 {
        app.db_post(&michael, &format!("Post number {n}")).await;
    }
    let mut browser = app.logged_in(&michael).await;
    for path in ["/".to_owned(), format!("/users/{}", michael.id)] {
        let page = browser.get(&path).await;
        assert_eq!((page.microposts().len(), page.count("div.pagination")), (30, 0), "{path}");
        assert_eq!(browser.get(&format!("{path}?page=2")).await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn who_is_not_activated_is_invisible() {
    let app = TestApp::start().await;
    let (admin, archer) = (app.db_admin("michael").await, app.db_unactivated("archer").await);
    let mut browser = app.logged_in(&admin).await;
    let page = browser.get("/users").await;
    assert_eq!(page.all("ul.users > li a"), ["michael"]);
    for rest in ["", "/following", "/followers"] {
        let path = format!("/users/{}{rest}", archer.id);
        browser.get(&path).await.assert_at(404, &path);
    }
    app.browser()
        .get(&format!("/users/{}", archer.id))
        .await
        .assert_at(404, &format!("/users/{}", archer.id));
    browser.get_only(&format!("/users/{}/edit", archer.id)).await.assert_redirect("/");
}

#[actix_web::test]
async fn nobody_is_not_found() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for id in ["999", "0", "-1", "abc", "1.5", "9223372036854775808", "%00", "%FF", "new"] {
        assert_eq!(app.browser().get(&format!("/users/{id}")).await.status, 404, "{id}");
        for rest in ["/following", "/followers"] {
            assert_eq!(browser.get(&format!("/users/{id}{rest}")).await.status, 404, "{id}{rest}");
        }
    }
}

#[actix_web::test]
async fn departure_10_avatars_are_drawn_here_unless_gravatar_is_asked_for() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let here = format!("/avatars/{}", michael.id);
    assert_eq!(browser.get("/users").await.attrs("img.gravatar", "src"), [here.as_str()]);
    let drawing = browser.get(&here).await;
    assert_eq!((drawing.status, drawing.header("content-type")), (200, "image/svg+xml"));
    assert!(drawing.text().starts_with("<svg "));

    let app = TestApp::start_with(&[("AVATARS", "gravatar")]).await;
    let michael = app.db_person("michael").await;
    let page = app.logged_in(&michael).await.get("/users").await;
    let src = page.attrs("img.gravatar", "src").concat();
    assert!(src.starts_with("https://secure.gravatar.com/avatar/"), "{src}");
}

/// Without JavaScript a page asks for confirmation and says what will be deleted.
#[actix_web::test]
async fn deleting_a_person_asks_first_and_names_them() {
    let app = TestApp::start().await;
    let (admin, lana) = (app.db_admin("michael").await, app.db_person("Lana Kane").await);
    app.db_follow(&admin, &lana).await;
    app.db_post(&lana, "Hello").await;
    let mut browser = app.logged_in(&admin).await;
    let before = app.database.db_dump().await;
    let list = browser.get("/users").await;
    let page = browser.submit(list.form("delete")).await;
    assert_eq!((page.status, page.one("h1").as_str()), (200, "Delete Lana Kane?"));
    let said = page.one("article > p:first-of-type");
    assert!(said.contains("1 micropost with") && said.contains("1 follower, and 0 following"), "{said}");
    assert_eq!(page.attrs("article a", "href"), ["/users"], "the way back");
    assert_eq!(app.database.db_dump().await, before);
    let page = browser.submit(page.form("Delete")).await;
    page.assert_at(200, "/users");
    page.assert_flash("success", "User deleted: Lana Kane");
    let gone = format!("/users/{}/delete", lana.id);
    assert_eq!(browser.get(&gone).await.status, 404);
}

/// Counts and nouns agree everywhere.
#[actix_web::test]
async fn one_follower_is_no_followers() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let mut browser = app.logged_in(&michael).await;
    for (followers, said) in [(0, "0 followers"), (1, "1 follower")] {
        if followers == 1 {
            app.db_follow(&michael, &lana).await;
        }
        for path in ["", "/following", "/followers"] {
            let page = browser.get(&format!("/users/{}{path}", lana.id)).await;
            assert_eq!(page.one("#followers_link"), said);
        }
    }
}
