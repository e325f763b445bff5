//! Writing posts, and where they appear.

use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::support::posts::png;
use crate::support::{Browser, Page, TestApp};

async fn post(browser: &mut Browser, content: &str) -> Page {
    let form = browser.get("/").await.form("Post");
    browser.submit(form.set("micropost[content]", content)).await
}

#[actix_web::test]
async fn writing_needs_a_log_in() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let fields = [("micropost[content]", "Lorem ipsum")];
    browser.post("/microposts", &fields).await.assert_redirect("/login");
    browser.get("/login").await.assert_flash("danger", "Please log in.");
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
}

#[actix_web::test]
async fn the_interface_from_the_first_post_to_its_end() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_person("archer").await);
    for n in 1..=31 {
        app.db_post(&michael, &format!("Old post {n}")).await;
    }
    app.db_post(&archer, "Somebody else's").await;
    let mut browser = app.logged_in(&michael).await;
    let page = browser.get("/").await;
    assert!(page.has("div.pagination") && page.has("input[type=file][name='micropost[picture]']"));
    assert_eq!(page.attrs("#micropost_content", "placeholder"), ["Compose new micropost..."]);

    let page = post(&mut browser, "").await;
    page.assert_at(422, "/microposts");
    assert_eq!(page.errors(), ["Content can't be blank"]);
    let next = page.attrs("div.pagination a[rel=next]", "href").concat();
    assert_eq!(browser.get(&next).await.microposts().len(), 1);

    let content = "This micropost really ties the room together";
    let form = page.form("Post").set("micropost[content]", content);
    let form = form.attach("micropost[picture]", "rails.png", png(500, 250));
    let page = browser.submit(form).await;
    page.assert_at(200, "/");
    page.assert_flash("success", "Micropost created!");
    let newest = page.microposts()[0];
    assert_eq!(page.one(&format!("#micropost-{newest} span.content")), content);
    let picture = page.attrs(&format!("#micropost-{newest} img.picture"), "src").concat();
    let served = app.browser().get(&picture).await;
    assert_eq!((served.status, served.header("content-type")), (200, "image/png"));

    let page = browser.press_delete(&page).await;
    page.assert_flash("success", "Micropost deleted");
    assert!(!page.microposts().contains(&newest));

    let page = browser.get(&format!("/users/{}", archer.id)).await;
    assert_eq!((page.microposts().len(), page.count("ol.microposts form")), (1, 0));
    app.db_assert_counts().await;
}

#[actix_web::test]
async fn the_sidebar_counts() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for (n, said) in ["0 microposts", "1 micropost", "2 microposts"].into_iter().enumerate() {
        assert_eq!(browser.get("/").await.one("section.user_info > span"), said);
        post(&mut browser, &format!("Post {n}")).await.assert_at(200, "/");
    }
}

#[actix_web::test]
async fn departure_2_a_post_that_is_refused_keeps_the_feed_and_the_text() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    post(&mut browser, "The first one").await.assert_at(200, "/");
    for (content, problem) in [
        ("a".repeat(141), "Content is too long (maximum is 140 characters)"),
        (" \u{3000}\r\n ".to_owned(), "Content can't be blank"),
        ("a\u{1b}[31mb".to_owned(), "Content contains characters that cannot be used"),
    ] {
        let page = post(&mut browser, &content).await;
        page.assert_at(422, "/microposts");
        assert_eq!(page.errors(), [problem]);
        assert_eq!(page.one("#error_explanation div.alert-danger"), "The form contains 1 error.");
        assert_eq!(page.all("ol.microposts span.content"), ["The first one"]);
        assert!(page.has("div.field_with_errors #micropost_content"));
        let typed = page.form("Post").fields.into_iter().find(|(name, _)| name == "micropost[content]");
        assert_eq!(typed.unwrap().1.replace("\r\n", "\n"), content.replace("\r\n", "\n"));
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 1);
}

#[actix_web::test]
async fn a_post_has_up_to_140_characters() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for content in ["a".repeat(140), "🦀".repeat(140), format!("{}\r\n{}", "a".repeat(70), "b".repeat(69))]
    {
        post(&mut browser, &content).await.assert_flash("success", "Micropost created!");
    }
    post(&mut browser, &"🦀".repeat(141)).await.assert_at(422, "/microposts");
}

#[actix_web::test]
async fn a_post_belongs_to_who_is_logged_in_whatever_the_form_says() {
    let app = TestApp::start().await;
    let (michael, archer) = (app.db_person("michael").await, app.db_person("archer").await);
    let mut browser = app.logged_in(&michael).await;
    let id = archer.id.to_string();
    let fields = [("micropost[content]", "Whose?"), ("micropost[user_id]", &id), ("user_id", &id)];
    browser.post("/microposts", &fields).await.assert_redirect("/");
    assert_eq!(app.database.db_number("SELECT user_id FROM microposts").await, michael.id);
}

#[actix_web::test]
async fn the_newest_come_first_and_say_how_old_they_are() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for content in ["oldest", "older", "newest"] {
        app.db_post(&michael, content).await;
        app.pass(TimeDelta::minutes(5));
    }
    let page = app.logged_in(&michael).await.get("/").await;
    assert_eq!(page.all("span.content"), ["newest", "older", "oldest"]);
    let ages = ["Posted 5 minutes ago.", "Posted 10 minutes ago.", "Posted 15 minutes ago."];
    assert_eq!(page.all(".timestamp time"), ages);
}

#[actix_web::test]
async fn posts_of_the_same_moment_keep_one_order() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    for n in 1..=61 {
        app.db_post(&michael, &format!("Post {n}")).await;
    }
    for table in ["microposts", "timeline_entries"] {
        let first = "SELECT first FROM (SELECT MIN(created_at) AS first FROM microposts) posts";
        let sql = format!("UPDATE {table} SET created_at = ({first})");
        app.database.db_execute(&sql).await;
    }
    let mut browser = app.logged_in(&michael).await;
    let seen: Vec<_> = browser.walk("/").await.iter().flat_map(Page::microposts).collect();
    assert!(
        seen.len() == 61 && seen.is_sorted_by(|a, b| a > b),
        "each once, the last written first: {seen:?}"
    );
}

#[actix_web::test]
async fn the_feed_has_the_right_posts() {
    let app = TestApp::start().await;
    let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
    let archer = app.db_person("archer").await;
    app.db_follow(&michael, &lana).await;
    app.db_follow(&archer, &michael).await;
    for (author, content) in
        [(&michael, "my own"), (&lana, "of whom I follow"), (&archer, "of who follows me")]
    {
        app.db_post(author, content).await;
    }
    let page = app.logged_in(&michael).await.get("/").await;
    assert_eq!(page.all("span.content"), ["of whom I follow", "my own"]);
    assert_eq!(page.all("ol.microposts span.user"), ["lana", "michael"]);
    assert_eq!(page.count("ol.microposts form"), 1, "delete stands at one's own only");
}

#[actix_web::test]
async fn a_hundred_parallel_posts_are_counted_exactly() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let browser = app.logged_in(&michael).await;
    let posts =
        (0..100).map(|n| {
            let (mut browser, content) = (browser.clone(), format!("Post {n}"));
            async move {
                browser.post_until_taken("/microposts", &[("micropost[content]", &content)]).await.status
            }
        });
    assert_eq!(join_all(posts).await, [303; 100]);
    assert_eq!(app.database.db_number("SELECT microposts_count FROM users").await, 100);
    app.db_assert_counts().await;
}
