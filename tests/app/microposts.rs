//! Posting and deleting posts.

use crate::support::TestApp;

#[actix_web::test]
async fn posting_and_deleting_through_the_pages() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;

    let form = browser.get("/").await.form("Post");
    let page = browser.submit(form.set("micropost[content]", "  ")).await;
    assert_eq!(page.status, 422);
    assert_eq!(page.errors(), ["Content can't be blank"]);

    let form = page.form("Post").set("micropost[content]", "This micropost really ties the room together");
    let page = browser.submit(form).await;
    page.assert_flash("success", "Micropost created!");
    assert!(page.one("ol.microposts > li span.content").contains("ties the room together"));
    assert!(page.one("section.user_info").contains("1 micropost"));

    let page = browser.submit(page.form("delete")).await;
    page.assert_flash("success", "Micropost deleted");
    assert!(page.microposts().is_empty());
    assert!(page.one("section.user_info").contains("0 microposts"));
}
