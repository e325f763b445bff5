//! Pictures in S3, with a store that rejects wrong signatures and the real program: from the form to the bucket, to the
//! page, and deleted with the post. Faults of the store: s3_faults.rs.

use reqwest::Method;
use serde_json::json;

use crate::support::s3::{ACCESS_KEY, SECRET_KEY};
use crate::support::tls_front::TlsFront;
use crate::support::{Browser, Bucket, Certificates, TestApp};

#[actix_web::test]
async fn a_picture_goes_into_the_bucket_and_comes_back_and_goes_with_its_post() {
    let bucket = Bucket::start();
    let program = bucket.program().await;
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("Look").await;
    page.assert_flash("success", "Micropost created!");
    let address = page.newest_picture();
    let key = address.strip_prefix("/pictures/").unwrap().to_owned();
    assert_eq!(bucket.objects(), std::slice::from_ref(&key));
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

    browser.press_delete(&page).await.assert_flash("success", "Micropost deleted");
    bucket.objects_are(0).await;
    assert_eq!(browser.get(&address).await.status, 404);
    serving.stop();
}

/// Both stores serve pictures alike.
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
    let address = browser.post_picture("Look").await.newest_picture();
    let bytes = browser.get(&address).await.body;
    assert_partial(&mut browser, &address, &bytes).await;
}

#[actix_web::test]
async fn credentials_and_region_are_found_where_the_sdk_finds_them() {
    let bucket = Bucket::start();
    let program = bucket.program_without_credentials().await;
    let mut serving = program.serve();
    let told = serving.wait_for("pictures cannot be stored or shown");
    assert!(told.contains("there are no credentials"), "{told}");
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("my words").await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (503, "my words"));
    serving.stop();

    let profile = program.folder.path().join("credentials");
    let text = format!(
        "[of-the-book]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\nregion = us-west-2\n"
    );
    std::fs::write(&profile, text).unwrap();
    let program = program
        .set("AWS_PROFILE", "of-the-book")
        .set("AWS_SHARED_CREDENTIALS_FILE", profile.to_str().unwrap());
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    browser.post_picture("Look").await.assert_flash("success", "Micropost created!");
    bucket.objects_are(1).await;
    serving.stop();
}

/// Nothing is sent to a store whose certificate is not trusted, least of all in plain text.
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
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("my words").await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (503, "my words"));
    let (tried, trusted) = front.connections();
    assert!(tried > 0 && trusted == 0, "{tried} {trusted}");
    assert!(bucket.objects().is_empty());
    serving.stop();

    // The same with an authority that the system trusts.
    let program = program.set("SSL_CERT_FILE", certificates.ca.to_str().unwrap());
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("Look").await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(browser.get(&page.newest_picture()).await.status, 200);
    assert!(front.connections().1 > 0);
    serving.stop();
}

/// Verbose logging, to find a fault in the store, must not log its keys.
#[actix_web::test]
async fn the_log_has_no_secret_even_when_it_says_everything() {
    let bucket = Bucket::start();
    let program = bucket.program().await.set("LOG", "trace").set("AWS_SESSION_TOKEN", "canary-session-token");
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let page = browser.post_picture("Look").await;
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
    let page = browser.post_picture("Look").await;
    let key = app.stored_pictures().concat();
    assert_eq!(page.newest_picture(), format!("{cloud}/{key}"));
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with(&format!("; img-src 'self' data: {cloud}")), "{policy}");
    assert_eq!(policy.matches(cloud).count(), 1, "{policy}");
    assert_eq!(browser.get(&format!("/pictures/{key}")).await.status, 200, "for who has the old address");
}
