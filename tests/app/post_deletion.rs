//! Deleting posts: only one's own, and where it redirects.

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::{ORIGIN, REFERER};

use crate::support::app::APP_URL;
use crate::support::posts::png;
use crate::support::{Page, TestApp};

const IDS: &str = "SELECT MAX(id) FROM microposts";

#[actix_web::test]
async fn it_needs_a_log_in() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.db_post(&michael, "mine").await;
    let id = app.database.db_number(IDS).await;
    app.browser().delete(&format!("/microposts/{id}")).await.assert_redirect("/login");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 1);
}

#[actix_web::test]
async fn nobody_deletes_the_posts_of_others() {
    let app = TestApp::start().await;
    let (michael, admin) = (app.db_person("michael").await, app.db_admin("malory").await);
    app.db_post(&michael, "mine").await;
    let id = app.database.db_number(IDS).await;
    let before = app.database.db_dump().await;
    let mut browser = app.logged_in(&admin).await;
    for id in [id.to_string(), "999".into(), "0".into(), "abc".into(), "9223372036854775808".into()] {
        assert_eq!(browser.delete(&format!("/microposts/{id}")).await.status, 404, "{id}");
    }
    assert_eq!(app.database.db_dump().await, before);
}

#[actix_web::test]
async fn the_picture_goes_with_the_post() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", "Look");
    let page = browser.submit(form.attach("micropost[picture]", "a.png", png(9, 9))).await;
    let picture = page.attrs("img.picture", "src").concat();
    assert_eq!(app.browser().get(&picture).await.status, 200);
    assert_eq!(app.stored_pictures().len(), 1);
    browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    app.stored_pictures_are(&[]).await;
    assert_eq!(app.browser().get(&picture).await.status, 404);
}

async fn delete_from(app: &TestApp, referer: Option<&str>) -> Page {
    let others = app.database.db_number("SELECT COUNT(*) FROM users").await;
    let michael = app.db_person(&format!("michael {others}")).await;
    app.db_post(&michael, "mine").await;
    let path = format!("/microposts/{}", app.database.db_number(IDS).await);
    let mut browser = app.logged_in(&michael).await;
    let mut request =
        browser.request(Method::POST, &path).form(&[("_method", "delete")]).header(ORIGIN, APP_URL);
    if let Some(referer) = referer {
        request = request.header(REFERER, referer);
    }
    browser.send(request, &path).await
}

#[actix_web::test]
async fn departure_9_it_leads_back_to_the_page_it_was_on_if_that_is_ours() {
    let app = TestApp::start().await;
    for own in ["/", "/users/1", "/users/1?page=1", "/help"] {
        delete_from(&app, Some(&format!("{APP_URL}{own}#fragment"))).await.assert_redirect(own);
    }
    for elsewhere in [
        "https://evil.example/users/1",
        "http://sample.test.evil.example/",
        "http://sample.test:8080/",
        "https://sample.test/",
        "http://sample.test//evil.example/",
        "http://sample.test/\\evil.example",
        "//evil.example",
        "javascript:alert(1)",
        "nonsense",
        "",
    ] {
        let answer = delete_from(&app, Some(elsewhere)).await;
        let location = answer.location().unwrap();
        assert!(answer.status == 303 && location == "/", "{elsewhere}: {location}");
    }
    delete_from(&app, None).await.assert_redirect("/");
}

/// If the deleted post was the only one on the last page, that page no longer exists.
#[actix_web::test]
async fn a_page_that_is_gone_with_its_last_post_is_not_returned_to() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for n in 1..=31 {
        app.db_post(&michael, &format!("Post {n}")).await;
    }
    let mut browser = app.logged_in(&michael).await;
    for list in [format!("/users/{}", michael.id), "/".to_owned()] {
        let page = browser.get(&format!("{list}?page=2")).await;
        assert_eq!(page.microposts().len(), 1);
        let page = browser.press_delete(&page).await;
        assert_eq!(page.status, 200);
        page.assert_flash("success", "Micropost deleted");
        assert_eq!(page.microposts().len(), 30);
        app.db_post(&michael, "One more").await;
    }
}

/// The home page with a rejected post has a URL that accepts only POST.
#[actix_web::test]
async fn from_a_refused_post_it_leads_home() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.db_post(&michael, "mine").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post");
    let page = browser.submit(form).await;
    page.assert_at(422, "/microposts");
    let page = browser.press_delete(&page).await;
    page.assert_at(200, "/");
    page.assert_flash("success", "Micropost deleted");
}

#[actix_web::test]
async fn twenty_parallel_deletes_of_one_post_count_once() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.db_post(&michael, "stays").await;
    app.db_post(&michael, "goes").await;
    let path = format!("/microposts/{}", app.database.db_number(IDS).await);
    let browser = app.logged_in(&michael).await;
    let deletes = (0..20).map(|_| {
        let (mut browser, path) = (browser.clone(), path.clone());
        async move { browser.post_until_taken(&path, &[("_method", "delete")]).await.status }
    });
    let mut statuses = join_all(deletes).await;
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (303, &[404; 19][..]));
    app.db_assert_counts().await;
}

/// Without JavaScript a page asks for confirmation, shows the post, and returns to the page with the button.
#[actix_web::test]
async fn deleting_asks_first() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_person("archer").await);
    app.db_post(&michael, "<b>mine</b>").await;
    let id = app.database.db_number(IDS).await;
    let profile = format!("/users/{}", michael.id);
    let mut browser = app.logged_in(&michael).await;
    let before = app.database.db_dump().await;
    let list = browser.get(&profile).await;
    let page = browser.submit(list.form("delete")).await;
    assert_eq!((page.status, page.one("h1").as_str()), (200, "Delete this post?"));
    assert_eq!(page.one("blockquote"), "<b>mine</b>");
    assert_eq!(page.attrs("article a", "href"), [profile.as_str()], "the way back");
    assert_eq!(app.database.db_dump().await, before);
    let asks = format!("/microposts/{id}/delete");
    assert_eq!(app.logged_in(&archer).await.get(&asks).await.status, 404, "not theirs");

    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example", "", "/microposts/1/delete"]
    {
        app.db_post(&michael, "another").await;
        let mut form = page.form("Delete").set("return_to", elsewhere);
        form.action = format!("/microposts/{}", app.database.db_number(IDS).await);
        browser.submit_only(form).await.assert_redirect("/");
    }
    let page = browser.submit(page.form("Delete")).await;
    page.assert_at(200, &profile);
    page.assert_flash("success", "Micropost deleted");
}
