//! Faults of S3: down, frozen, slow, access denied, or a crash between S3 and the database. Text posts keep working,
//! nothing that was confirmed is lost, nothing is left behind, and no restart is needed.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use reqwest::Method;

use crate::support::app::APP_URL;
use crate::support::posts::png;
use crate::support::s3::SECRET_KEY;
use crate::support::wait::until;
use crate::support::{Browser, Bucket, Program};

const STORED: &str = "SELECT COUNT(*) FROM microposts WHERE picture IS NOT NULL";
/// Maximum response time for pages without pictures, whatever the store does.
const QUICK: Duration = Duration::from_secs(10);
/// Maximum time until a request that needs the store fails: 12 s, plus a margin for a busy machine.
const IN_TIME: Duration = Duration::from_secs(30);

/// What users see while the store does not answer.
async fn assert_text_only(program: &Program, browser: &mut Browser, picture: &str) {
    let before = program.database.db_number(STORED).await;
    let mut other = browser.clone();
    let posting = async {
        let start = Instant::now();
        let page = browser.post_picture("my words").await;
        assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
        assert_eq!((page.status, page.header("retry-after")), (503, "5"));
        assert_eq!(page.one("#micropost_content"), "my words");
        assert_eq!(page.errors(), ["Picture cannot be stored at the moment; please try again soon"]);
        println!("503 after {:?}", start.elapsed());
    };
    let others = async {
        let start = Instant::now();
        assert_eq!(other.get("/users").await.status, 200);
        let form = other.get("/").await.form("Post").set("micropost[content]", "only text");
        other.submit(form).await.assert_flash("success", "Micropost created!");
        assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
        let start = Instant::now();
        let page = other.get_only(picture).await;
        assert!(start.elapsed() < IN_TIME, "{:?}", start.elapsed());
        assert_eq!((page.status, page.header("retry-after")), (503, "5"), "it is not gone");
    };
    join(posting, others).await;
    assert_eq!(program.database.db_number(STORED).await, before);
}

#[actix_web::test]
async fn wrong_credentials_and_a_missing_bucket_are_told_and_the_rest_goes_on() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let picture = browser.post_picture("Look").await.newest_picture();
    serving.stop();

    let program = program.set("AWS_SECRET_ACCESS_KEY", "another-secret-key");
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("S3 answered 403") && told.contains("s3:PutObject"), "{told}");
    let mut browser = serving.browser_of_a_writer().await;
    assert_text_only(&program, &mut browser, &picture).await;
    let told = serving.wait_for("a picture was not stored");
    assert!(told.contains("SignatureDoesNotMatch") && told.contains("correct the credentials"), "{told}");
    serving.stop();

    let program = program.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY).set("IMAGES_URL", "s3://not-this-one");
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("there is no bucket not-this-one"), "{told}");
    // Nothing is posted here: unlike S3, this store would create the bucket on a put.
    serving.stop();
    assert_eq!(bucket.objects().len(), 1);
}

/// Down, frozen and slow; recovery needs no intervention.
#[actix_web::test]
async fn while_the_store_is_away_there_are_texts_and_all_is_well_when_it_returns() {
    let mut bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let picture = browser.post_picture("Look").await.newest_picture();

    bucket.server.kill();
    assert_text_only(&program, &mut browser, &picture).await;
    for trick in tricks() {
        let page = serving.browser().get_only(&trick).await;
        assert_eq!(page.status, 404, "the store is not even asked for {trick}");
    }
    bucket.server.start_again();
    let page = browser.post_picture("It is back").await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(browser.get(&picture).await.status, 200);

    bucket.server.freeze();
    assert_eq!(browser.get(&picture).await.status, 200, "it was just fetched");
    let picture = page.newest_picture();
    assert_text_only(&program, &mut browser, &picture).await;
    // Eight requests wait for the store; the others are rejected at once.
    let (start, nobody) = (Instant::now(), serving.browser());
    let crowd = (0..40).map(|_| {
        let (mut browser, picture) = (nobody.clone(), &picture);
        async move { (browser.get_only(picture).await.status, start.elapsed()) }
    });
    let mut help = nobody.clone();
    let (answers, help) = join(join_all(crowd), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        assert_eq!(help.get("/help").await.status, 200);
        start.elapsed()
    })
    .await;
    assert!(help < QUICK, "{help:?}");
    assert!(answers.iter().all(|(status, after)| *status == 503 && *after < IN_TIME), "{answers:?}");
    let waited = answers.iter().filter(|(_, after)| *after > Duration::from_secs(9)).count();
    assert!(waited <= 8, "{answers:?}");
    bucket.server.thaw();
    browser.post_picture("It is back").await.assert_flash("success", "Micropost created!");

    bucket.server.freeze();
    let (page, ()) = join(browser.post_picture("Slowly"), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        bucket.server.thaw();
    })
    .await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(serving.browser().get(&picture).await.status, 200);

    bucket.server.freeze();
    browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    let attempts = "SELECT COALESCE(MAX(attempts), 0) FROM picture_deletions";
    until("a worker tries", async || program.database.db_number(attempts).await > 0).await;
    let start = Instant::now();
    serving.stop();
    assert!(start.elapsed() < QUICK, "nobody waits for a deletion: {:?}", start.elapsed());
}

/// Invalid keys.
fn tricks() -> Vec<String> {
    let key = "0123456789abcdef0123456789abcdef";
    vec![
        "/pictures/..%2F..%2Fx".into(),
        "/pictures/%2e%2e%2fuploads%2fx.png".into(),
        format!("/pictures/{}", "x".repeat(4096)),
        format!("/pictures/{key}%00.png"),
        format!("/pictures/{key}.png%00"),
        format!("/pictures/{key}.svg"),
        format!("/pictures/{key}.png%3FversionId=1"),
    ]
}

/// Two instances, and a store that is down at that moment.
#[actix_web::test]
async fn the_pictures_of_somebody_deleted_go_even_if_the_store_was_away() {
    let mut bucket = Bucket::start();
    let program = bucket.program().await;
    let (mut serving, mut second) = (program.serve(), program.serve());
    let mut browser = serving.browser_of_a_writer().await;
    for n in 0..5 {
        browser.post_picture(&format!("Look {n}")).await.assert_flash("success", "Micropost created!");
    }
    let mut others = second.browser();
    others.log_in("example-2@railstutorial.org", "password").await;
    let kept = others.post_picture("mine").await.newest_picture();
    let id = program.database.db_number("SELECT id FROM users WHERE email LIKE 'example-1@%'").await;
    bucket.server.kill();
    let mut admin = second.browser();
    admin.log_in("example@railstutorial.org", "foobar").await;
    let start = Instant::now();
    admin.delete(&format!("/users/{id}")).await.assert_redirect("/users");
    assert!(start.elapsed() < QUICK, "{:?}", start.elapsed());
    second.wait_for("a picture that nobody needs was not deleted");
    assert_eq!(bucket.objects().len(), 6);
    bucket.server.start_again();
    bucket.objects_are(1).await;
    assert_eq!(others.get(&kept).await.status, 200);
    program.database.db_until("SELECT COUNT(*) FROM picture_deletions", 0).await;
    serving.stop();
    second.stop();
}

/// The worst moment for a crash: the picture is stored, but its post is not written yet.
#[actix_web::test]
async fn a_picture_whose_post_was_never_written_goes_after_a_day() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let mut kept = browser.clone();
    let kept = kept.post_picture("Look").await.newest_picture();
    let waiting = "SELECT COUNT(*) FROM picture_deletions";
    assert_eq!(program.database.db_number(waiting).await, 0);

    bucket.server.freeze();
    let posting = actix_web::rt::spawn(async move {
        let form = browser.get("/").await.form("Post").set("micropost[content]", "never there");
        let form = form.attach("micropost[picture]", "kitten.png", png(20, 10));
        // Not by `submit`, which requires a response, because none comes.
        let request = browser.request(Method::POST, &form.action).header("origin", APP_URL);
        let _ = request.multipart(form.into_multipart()).send().await;
    });
    program.database.db_until(waiting, 1).await;
    let lock = WriteLock::take(&program).await;
    bucket.server.thaw();
    bucket.objects_are(2).await;
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    lock.release().await;
    posting.await.unwrap();
    assert_eq!(program.database.db_number(STORED).await, 1);

    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("Look again").await;
    browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    bucket.objects_are(2).await;
    // That of the picture without a post.
    program.database.db_until(waiting, 1).await;
    serving.stop();
    // A day later. (picture_deletions.rs tests the duration.)
    program.database.db_execute("UPDATE picture_deletions SET next_attempt_at = created_at").await;
    let mut serving = program.serve();
    bucket.objects_are(1).await;
    assert_eq!(serving.browser().get(&kept).await.status, 200);
    serving.stop();
}

/// Blocks all other writes.
enum WriteLock {
    Sqlite(sqlx::SqliteConnection),
    MySql(sqlx::MySqlConnection),
}

impl WriteLock {
    async fn take(program: &Program) -> WriteLock {
        if program.database.is_mysql() {
            let mut conn = program.database.db_connect_mysql().await;
            sqlx::raw_sql("BEGIN; SELECT id FROM users FOR UPDATE").execute(&mut conn).await.unwrap();
            return WriteLock::MySql(conn);
        }
        let mut conn = program.database.db_connect_sqlite().await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.unwrap();
        WriteLock::Sqlite(conn)
    }

    async fn release(self) {
        match self {
            WriteLock::Sqlite(mut conn) => sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.map(|_| ()),
            WriteLock::MySql(mut conn) => sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.map(|_| ()),
        }
        .unwrap();
    }
}
