//! No picture stays without a post for longer than a day, and no post loses its picture. Tested with the folder store,
//! because deletion works the same for every store; S3's own faults are in s3_faults.rs.

use chrono::TimeDelta;
use sample_app::jobs::picture_deletion;

use crate::support::TestApp;
use crate::support::posts::png;
use crate::support::wait::until;

const WAITING: &str = "SELECT COUNT(*) FROM picture_deletions";

#[actix_web::test]
async fn a_picture_has_a_day_to_get_its_post() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    browser.post_picture("Look").await.assert_flash("success", "Micropost created!");
    let kept = app.stored_pictures().concat();
    assert_eq!(app.database.db_number(WAITING).await, 0, "it has its post");
    // Left by requests that died between storing the picture and inserting the row; one file is unfinished.
    let orphan = format!("{}.png", "0".repeat(32));
    let images = app.folder.path().join("images");
    std::fs::write(images.join(&orphan), png(1, 1)).unwrap();
    let mut db = app.app.db.conn().await.unwrap();
    picture_deletion::schedule(&mut db, &orphan, app.app.clock.now()).await.unwrap();
    let unfinished = format!("{}.png", "1".repeat(32));
    std::fs::write(images.join(format!("{unfinished}.part")), [1]).unwrap();
    picture_deletion::schedule(&mut db, &unfinished, app.app.clock.now()).await.unwrap();
    drop(db);

    app.pass(TimeDelta::hours(23));
    let mut browser = app.logged_in(&app.db_person("berta").await).await;
    let page = browser.post_picture("Look").await;
    assert_eq!(app.stored_pictures().len(), 4);
    browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    until("a picture is deleted", async || app.stored_pictures().len() < 4).await;
    assert_eq!(app.stored_pictures().len(), 3, "the worker was here, and took only what was deleted");
    app.pass(TimeDelta::hours(2));
    app.stored_pictures_are(&[&kept]).await;
}

#[actix_web::test]
async fn a_post_that_fails_takes_its_picture_with_it() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", "Look");
    let form = form.attach("micropost[picture]", "kitten.png", png(20, 10));
    app.database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    assert_eq!(browser.submit(form).await.status, 500);
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO microposts").await;
    app.stored_pictures_are(&[]).await;
    app.database.db_until(WAITING, 0).await;
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
}

/// A post must not refer to a picture that does not exist.
#[actix_web::test]
async fn without_a_note_of_its_picture_nothing_is_stored() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let form = browser.get("/").await.form("Post").set("micropost[content]", "Look");
    let form = form.attach("micropost[picture]", "kitten.png", png(20, 10));
    app.database.db_execute("ALTER TABLE picture_deletions RENAME TO elsewhere").await;
    assert_eq!(browser.submit(form).await.status, 500);
    assert!(app.stored_pictures().is_empty());
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
    app.database.db_execute("ALTER TABLE elsewhere RENAME TO picture_deletions").await;
}
