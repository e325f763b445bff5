//! Pictures in S3, with a store that refuses wrong signatures and the program as it is run (trust rows F27-F29, S67-S68, S87,
//! S89): from the form into the bucket and back, out of the bucket with their posts, and what the store's faults do to people.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;

use crate::support::app::APP_URL;
use crate::support::posts::png;
use crate::support::program::{PATIENCE, Serving};
use crate::support::s3::SECRET_KEY;
use crate::support::tls_front::TlsFront;
use crate::support::{Browser, Bucket, Certificates, Page, Program, TestApp};

const STORED: &str = "SELECT COUNT(*) FROM microposts WHERE picture IS NOT NULL";
/// A page that has nothing to do with pictures is there within this time, whatever the store does.
const QUICK: Duration = Duration::from_secs(5);
/// Whoever needs the store knows within this time that it does not answer: 12 s, and what a busy machine adds.
const IN_TIME: Duration = Duration::from_secs(20);

async fn writer(serving: &mut Serving) -> Browser {
    let mut browser = serving.browser();
    browser.log_in("example-1@railstutorial.org", "password").await;
    browser
}

async fn post(browser: &mut Browser, text: &str) -> Page {
    let form = browser.get("/").await.form("Post").set("micropost[content]", text);
    browser.submit(form.attach("micropost[picture]", "kitten.png", png(20, 10))).await
}

/// The address of the picture of the newest post.
fn newest(page: &Page) -> String {
    page.attrs("ol.microposts > li img.picture", "src").first().unwrap().clone()
}

/// What people see while the store does not answer.
async fn assert_text_only(program: &Program, browser: &mut Browser, picture: &str) {
    let before = program.database.db_number(STORED).await;
    let mut other = browser.clone();
    let posting = async {
        let start = Instant::now();
        let page = post(browser, "my words").await;
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
async fn a_picture_goes_into_the_bucket_and_comes_back_and_goes_with_its_post() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let page = post(&mut browser, "Look").await;
    page.assert_flash("success", "Micropost created!");
    let address = newest(&page);
    let key = address.strip_prefix("/pictures/").unwrap().to_owned();
    assert_eq!(bucket.objects(), [key.clone()]);
    assert_eq!((key.len(), key.ends_with(".png")), (36, true), "random, and nothing of the file's name");
    let stored = json!({"content_type": "image/png", "cache_control": "public, max-age=31536000, immutable"});
    assert_eq!(bucket.attributes(), stored);

    let bytes = std::fs::read(bucket.path(&key)).unwrap();
    let whole = serving.browser().get(&address).await;
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    for (name, value) in [
        ("content-type", "image/png"),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("content-length", &bytes.len().to_string()),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("etag", &format!("\"{key}\"")),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    assert_partial(&mut serving.browser(), &address, &bytes).await;

    browser.submit(page.form("delete")).await.assert_flash("success", "Micropost deleted");
    bucket.objects_are(0).await;
    assert_eq!(browser.get(&address).await.status, 404);
    serving.stop();
}

/// Both stores give pictures out alike.
async fn assert_partial(browser: &mut Browser, address: &str, bytes: &[u8]) {
    let tag = format!("\"{}\"", address.rsplit('/').next().unwrap());
    let mut ask = async |method: Method, name: &str, value: &str| {
        let request = browser.request(method, address).header(name, value);
        browser.send(request, address).await
    };
    let same = ask(Method::GET, "if-none-match", &tag).await;
    assert_eq!((same.status, same.header("etag"), same.body.len()), (304, tag.as_str(), 0));
    assert_eq!(ask(Method::GET, "if-none-match", "\"other\"").await.status, 200);
    let part = ask(Method::GET, "range", "bytes=1-3").await;
    let range = format!("bytes 1-3/{}", bytes.len());
    assert_eq!((part.status, part.header("content-range"), &part.body[..]), (206, &*range, &bytes[1..4]));
    let beyond = ask(Method::GET, "range", "bytes=1000000-").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, &*format!("bytes */{}", bytes.len())));
    let head = ask(Method::HEAD, "range", "bytes=1-3").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), bytes.len().to_string());
}

#[actix_web::test]
async fn a_folder_gives_pictures_out_alike() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let address = newest(&post(&mut browser, "Look").await);
    let bytes = browser.get(&address).await.body;
    assert_partial(&mut browser, &address, &bytes).await;
}

#[actix_web::test]
async fn wrong_credentials_and_a_missing_bucket_are_told_and_the_rest_goes_on() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let picture = newest(&post(&mut browser, "Look").await);
    serving.stop();

    let program = program.set("AWS_SECRET_ACCESS_KEY", "another-secret-key");
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("S3 answered 403") && told.contains("s3:PutObject"), "{told}");
    let mut browser = writer(&mut serving).await;
    assert_text_only(&program, &mut browser, &picture).await;
    let told = serving.wait_for("a picture was not stored");
    assert!(told.contains("SignatureDoesNotMatch") && told.contains("correct the credentials"), "{told}");
    serving.stop();

    let program = program.set("AWS_SECRET_ACCESS_KEY", SECRET_KEY).set("IMAGES_URL", "s3://not-this-one");
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("there is no bucket not-this-one"), "{told}");
    // This store would make the bucket when something is put into it, which S3 does not; so nothing is.
    serving.stop();
    assert_eq!(bucket.objects().len(), 1);
}

/// Rows F27 and F28: down, frozen, slow; and back without anybody's doing.
#[actix_web::test]
async fn while_the_store_is_away_there_are_texts_and_all_is_well_when_it_returns() {
    let mut bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let picture = newest(&post(&mut browser, "Look").await);

    bucket.server.kill();
    assert_text_only(&program, &mut browser, &picture).await;
    for trick in tricks() {
        let page = serving.browser().get_only(&trick).await;
        assert_eq!(page.status, 404, "the store is not even asked for {trick}");
    }
    bucket.server.start_again();
    post(&mut browser, "It is back").await.assert_flash("success", "Micropost created!");
    assert_eq!(browser.get(&picture).await.status, 200);

    bucket.server.freeze();
    assert_text_only(&program, &mut browser, &picture).await;
    // Eight wait for it; the others are told at once that there is no use in waiting.
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
    post(&mut browser, "It is back").await.assert_flash("success", "Micropost created!");

    bucket.server.freeze();
    let (page, ()) = join(post(&mut browser, "Slowly"), async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        bucket.server.thaw();
    })
    .await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(browser.get(&picture).await.status, 200);
    serving.stop();
}

/// S67: keys that are none of ours.
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
    let mut browser = writer(&mut serving).await;
    for n in 0..5 {
        post(&mut browser, &format!("Look {n}")).await.assert_flash("success", "Micropost created!");
    }
    let mut others = second.browser();
    others.log_in("example-2@railstutorial.org", "password").await;
    let kept = newest(&post(&mut others, "mine").await);
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
    let waiting = "SELECT COUNT(*) FROM picture_deletions";
    while program.database.db_number(waiting).await > 0 {
        assert!(start.elapsed() < 2 * PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    serving.stop();
    second.stop();
}

/// Row F29, at its worst moment: the picture is stored, the post is not yet written, and the machine dies.
#[actix_web::test]
async fn a_picture_whose_post_was_never_written_goes_after_a_day() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let mut kept = browser.clone();
    let kept = newest(&post(&mut kept, "Look").await);
    let waiting = "SELECT COUNT(*) FROM picture_deletions";
    assert_eq!(program.database.db_number(waiting).await, 0);

    bucket.server.freeze();
    let posting = actix_web::rt::spawn(async move {
        let form = browser.get("/").await.form("Post").set("micropost[content]", "never there");
        let form = form.attach("micropost[picture]", "kitten.png", png(20, 10));
        // No answer comes, so not by `submit`, which would insist on one.
        let request = browser.request(Method::POST, &form.action).header("origin", APP_URL);
        let _ = request.multipart(form.into_multipart()).send().await;
    });
    let start = Instant::now();
    while program.database.db_number(waiting).await == 0 {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lock = WriteLock::take(&program).await;
    bucket.server.thaw();
    bucket.objects_are(2).await;
    serving.child.kill().unwrap();
    serving.child.wait().unwrap();
    lock.release().await;
    posting.await.unwrap();
    assert_eq!(program.database.db_number(STORED).await, 1);

    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let page = post(&mut browser, "Look again").await;
    browser.submit(page.form("delete")).await.assert_flash("success", "Micropost deleted");
    bucket.objects_are(2).await;
    assert_eq!(program.database.db_number(waiting).await, 1, "that of the picture without a post");
    serving.stop();
    // A day passes. (That it is a day, picture_deletions.rs shows.)
    program.database.db_execute("UPDATE picture_deletions SET next_attempt_at = created_at").await;
    let mut serving = program.serve();
    bucket.objects_are(1).await;
    assert_eq!(serving.browser().get(&kept).await.status, 200);
    serving.stop();
}

/// Nobody else writes meanwhile.
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

/// S89: nothing is said to a store whose certificate nobody vouches for, let alone in plain text.
#[actix_web::test]
async fn a_store_with_a_certificate_of_an_unknown_authority_is_not_spoken_to() {
    let bucket = Bucket::start();
    let folder = tempfile::tempdir().unwrap();
    let certificates = Certificates::create(folder.path());
    let front = TlsFront::to(bucket.server.address, &certificates);
    let program = bucket.program().await;
    let program = program.set("AWS_ENDPOINT_URL_S3", &format!("https://localhost:{}", front.address.port()));
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("invalid peer certificate: UnknownIssuer"), "{told}");
    let mut browser = writer(&mut serving).await;
    let page = post(&mut browser, "my words").await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (503, "my words"));
    let (tried, trusted) = front.connections();
    assert!(tried > 0 && trusted == 0, "{tried} {trusted}");
    assert!(bucket.objects().is_empty());
    serving.stop();

    // The same with an authority that the system trusts.
    let program = program.set("SSL_CERT_FILE", certificates.ca.to_str().unwrap());
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let page = post(&mut browser, "Look").await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(browser.get(&newest(&page)).await.status, 200);
    assert!(front.connections().1 > 0);
    serving.stop();
}

/// S87: whoever turns the log up to find a fault in the store does not write its keys down.
#[actix_web::test]
async fn the_log_has_no_secret_even_when_it_says_everything() {
    let bucket = Bucket::start();
    let program = bucket.program().await.set("LOG", "trace").set("AWS_SESSION_TOKEN", "canary-session-token");
    let mut serving = program.serve();
    let mut browser = writer(&mut serving).await;
    let page = post(&mut browser, "Look").await;
    page.assert_flash("success", "Micropost created!");
    serving.wait_for("path=\"/microposts\"");
    let redacted = "secret_access_key: \"** redacted **\"";
    assert!(serving.lines.iter().any(|line| line.contains(redacted)), "the SDK's lines are among them");
    for canary in [SECRET_KEY, "canary-session-token"] {
        let found: Vec<_> = serving.lines.iter().filter(|line| line.contains(canary)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
    serving.stop();
}

#[actix_web::test]
async fn pictures_come_from_cloudfront_where_that_is_set() {
    let cloud = "https://d111111abcdef8.cloudfront.net";
    let app = TestApp::start_with(&[("IMAGES_PUBLIC_URL", cloud)]).await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let page = post(&mut browser, "Look").await;
    let key = app.stored_pictures().concat();
    assert_eq!(newest(&page), format!("{cloud}/{key}"));
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with(&format!("; img-src 'self' data: {cloud}")), "{policy}");
    assert_eq!(policy.matches(cloud).count(), 1, "{policy}");
    assert_eq!(browser.get(&format!("/pictures/{key}")).await.status, 200, "for who has the old address");
}
