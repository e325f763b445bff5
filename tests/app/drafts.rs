//! The text of a post is kept, whatever error prevents posting it.

use crate::support::people::PASSWORD;
use crate::support::posts::png;
use crate::support::{Browser, Page, TestApp};

const TEXT: &str = "Grüße <b>&</b> \"quotes\"; 🦀\nand a second line";

/// The text in the form on this page.
fn draft(page: &Page) -> Option<String> {
    page.has("#micropost_content").then(|| {
        let form = page.form("Post");
        let (_, text) = form.fields.into_iter().find(|(name, _)| name == "micropost[content]").unwrap();
        text
    })
}

/// A user whose session ends while they write, and who then submits the form.
async fn too_late(app: &TestApp, text: &str, picture: bool) -> (Browser, Page, String) {
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let mut form = browser.get("/").await.form("Post").set("micropost[content]", text);
    if picture {
        form = form.attach("micropost[picture]", "a.png", png(9, 9));
    }
    app.database.db_execute("UPDATE users SET sign_in_epoch = sign_in_epoch + 1").await;
    let page = browser.submit(form).await;
    (browser, page, michael.email)
}

#[actix_web::test]
async fn a_text_is_there_again_after_the_log_in() {
    let app = TestApp::start().await;
    let (mut browser, page, email) = too_late(&app, TEXT, false).await;
    page.assert_at(200, "/login");
    page.assert_flash("danger", "Please log in.");
    let page = browser.log_in(&email, PASSWORD).await;
    assert_eq!(draft(&page).as_deref(), Some(TEXT), "where the log-in leads");
    assert!(!page.has("#micropost_picture_hint"));
    let page = browser.get("/").await;
    assert_eq!(draft(&page).as_deref(), Some(TEXT), "and on the home page, until it is posted");
    let page = browser.submit(page.form("Post")).await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!((draft(&page).as_deref(), browser.cookies.contains_key("draft")), (Some(""), false));
    assert_eq!(app.database.db_text("SELECT content FROM microposts").await, TEXT);
}

#[actix_web::test]
async fn the_longest_text_fits_and_a_picture_has_to_be_chosen_again() {
    let app = TestApp::start().await;
    let text = "🦀".repeat(140);
    let (mut browser, _, email) = too_late(&app, &text, true).await;
    assert!(browser.cookies["draft"].len() < 1500, "{}", browser.cookies["draft"].len());
    let page = browser.log_in(&email, PASSWORD).await;
    assert_eq!(draft(&page), Some(text));
    assert_eq!(page.one("#micropost_picture_hint"), "Please choose the picture again.");
    assert_eq!(app.stored_pictures(), Vec::<String>::new());

    let app = TestApp::start().await;
    let (mut browser, _, email) = too_late(&app, &format!("{}ä", "x".repeat(999)), false).await;
    let page = browser.log_in(&email, PASSWORD).await;
    assert_eq!(draft(&page), Some("x".repeat(999)), "what is far too long is cut between characters");
}

#[actix_web::test]
async fn a_text_is_shown_to_whoever_logs_in_next_and_to_nobody_else() {
    let app = TestApp::start().await;
    let (mut browser, _, email) = too_late(&app, TEXT, false).await;
    let archer = app.db_person("archer").await;
    assert_eq!(draft(&browser.get("/").await), None, "not to a stranger");
    assert!(draft(&browser.log_in(&email, PASSWORD).await).is_some());
    let kept = browser.cookies["draft"].clone();
    browser.delete("/logout").await;
    assert!(!browser.cookies.contains_key("draft"));
    browser.log_in(&archer.email, PASSWORD).await;
    assert_eq!(draft(&browser.get("/").await).as_deref(), Some(""));
    // Even if the session ended without a log-out.
    browser.cookies.insert("draft".into(), kept.clone());
    assert_eq!(draft(&browser.get("/").await).as_deref(), Some(""));
    for forged in ["", "x", "MCAwIGZvcmdlZA", &kept[1..]] {
        browser.cookies.insert("draft".into(), forged.into());
        assert_eq!(draft(&browser.get("/").await).as_deref(), Some(""), "{forged}");
    }
}

/// When a service did not answer, it is unknown whether the post was saved. The text comes back with its idempotency
/// key, so that it is safe to send it again.
#[actix_web::test]
async fn a_text_is_on_every_error_page_and_can_be_sent_from_there() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", TEXT);
    for table in ["microposts", "users", "idempotency_keys"] {
        app.database.db_execute(&format!("ALTER TABLE {table} RENAME TO elsewhere")).await;
        let page = browser.submit_only(form.clone().attach("micropost[picture]", "a.png", png(9, 9))).await;
        assert_eq!(page.status, 500, "without {table}");
        assert_eq!(draft(&page).as_deref(), Some(TEXT));
        let said = page.one("section.error_page > p:nth-of-type(2)");
        assert!(said.contains("will not be posted twice") && !said.contains("nothing"), "{said}");
        assert_eq!(page.form("Post").fields, form.fields, "with its key");
        app.database.db_execute(&format!("ALTER TABLE elsewhere RENAME TO {table}")).await;
    }
    let page = browser.post("/microposts", &[("micropost[content]", "An old page")]).await;
    page.assert_redirect("/");
    app.database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    let page = browser.post("/microposts", &[("micropost[content]", "An old page")]).await;
    let said = page.one("section.error_page > p:nth-of-type(2)");
    assert!(said.contains("Look at your profile before you press Post again"), "{said}");
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO microposts").await;
    let page = browser.submit(page.form("Post")).await;
    page.assert_flash("success", "Micropost created!");
    for _ in 0..2 {
        browser.submit(form.clone()).await.assert_flash("success", "Micropost created!");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 3);
}

/// Error pages claim only what is known.
#[actix_web::test]
async fn an_error_page_says_that_a_form_may_have_been_saved_only_where_there_was_a_form() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    app.database.db_execute("ALTER TABLE relationships RENAME TO elsewhere").await;
    let page = browser.get(&format!("/users/{}/following", michael.id)).await;
    let said = |page: &Page| page.one("section.error_page > p:nth-of-type(2)");
    assert_eq!(
        (page.status, said(&page).as_str()),
        (500, "We are sorry: this is our fault. It has been noted.")
    );
    let archer = app.db_person("archer").await.id.to_string();
    let page = browser.post("/relationships", &[("followed_id", &archer)]).await;
    assert_eq!(page.status, 500);
    assert!(said(&page).ends_with("check whether it was saved before you send it again."), "{}", said(&page));
    assert!(!page.has("#micropost_content"));
}
