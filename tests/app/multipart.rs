//! Bad input in the post form, which may carry a file: truncated, malformed, repeated, nested or too large bodies are
//! rejected. Nothing is posted, no file is stored, and a form that comes back keeps the text.

use reqwest::Method;

use crate::support::app::APP_URL;
use crate::support::raw::exchange;
use crate::support::{Browser, Page, Program, TestApp};

const TYPE: &str = "multipart/form-data; boundary=limit";

fn part(disposition: &str, body: &[u8]) -> Vec<u8> {
    [b"--limit\r\nContent-Disposition: ", disposition.as_bytes(), b"\r\n\r\n", body, b"\r\n"].concat()
}

fn content(text: &[u8]) -> Vec<u8> {
    part("form-data; name=\"micropost[content]\"", text)
}

fn picture(bytes: &[u8]) -> Vec<u8> {
    part("form-data; name=\"micropost[picture]\"; filename=\"a.png\"", bytes)
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), b"--limit--\r\n".to_vec()].concat()
}

async fn post(browser: &Browser, encoding: &str, body: Vec<u8>) -> Page {
    let request = browser.request(Method::POST, "/microposts").header("content-type", encoding);
    browser.clone().send(request.body(body), "/microposts").await
}

#[actix_web::test]
async fn broken_bodies_are_400() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let good = form(&[content(b"A post")]);
    let before = app.database.db_dump().await;
    for encoding in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=other",
        "multipart/form-data; boundary=limi",
        "multipart/form-data; boundary=limit-",
        "multipart/form-data; boundry=limit",
        "multipart/form-data;",
        "multipart/form-data, boundary=limit",
        "multipart/mixed; boundary=limit",
        "Multipart/Form-Data",
        "multipart/form-database; boundary=limit",
        &format!("multipart/form-data; boundary={}", "x".repeat(5000)),
    ] {
        let page = post(&browser, encoding, good.clone()).await;
        assert_is_error_page(&page, 400, &format!("{encoding:.60}"));
    }
    let one = content(b"A post");
    let whole = form(std::slice::from_ref(&one));
    let header = |name: &str, value: &str| {
        format!("--limit\r\n{name}: {value}\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\nx\r\n")
            .into_bytes()
    };
    for (what, body) in [
        ("nothing", Vec::new()),
        ("the end alone", b"--limit--\r\n".to_vec()),
        ("no boundary", b"A post".to_vec()),
        ("no end", one.clone()),
        ("no end after a picture", [one.clone(), picture(b"x")].concat()),
        ("cut off in a head", whole[..30].to_vec()),
        ("cut off in a body", whole[..whole.len() - 20].to_vec()),
        ("cut off in the last boundary", whole[..whole.len() - 6].to_vec()),
        ("no disposition", form(&[b"--limit\r\n\r\nx\r\n".to_vec()])),
        ("no head at all", form(&[b"--limit\r\nx\r\n".to_vec()])),
        ("no name", form(&[part("form-data", b"x")])),
        ("an empty disposition", form(&[part("", b"x")])),
        ("another disposition", form(&[part("attachment; name=\"micropost[content]\"", b"x")])),
        ("a broken name", form(&[part("form-data; name=\"micropost[content]", b"x")])),
        ("text twice", form(&[one.clone(), one.clone()])),
        ("picture twice", form(&[one.clone(), picture(b""), picture(b"")])),
        ("a thousand parts", form(&vec![part("form-data; name=\"x\"", b"x"); 1000])),
        ("a thousand texts", form(&vec![one.clone(); 1000])),
        ("a long head", form(&[header("X-Long", &"x".repeat(100_000))])),
        ("a head that is none", form(&[b"--limit\r\n: x\r\nno colon\r\n\r\nx\r\n".to_vec()])),
        ("NUL in a head", form(&[header("X\0", "x")])),
        ("bare LF", whole.iter().copied().filter(|byte| *byte != b'\r').collect()),
    ] {
        let page = post(&browser, TYPE, body).await;
        if matches!(what, "the end alone" | "bare LF") && page.status == 422 {
            // Well-formed by a lenient reading: a form without text.
            assert_eq!(page.errors(), ["Content can't be blank"], "{what}");
            continue;
        }
        assert_is_error_page(&page, 400, what);
    }
    assert_unchanged(&app, &before).await;
    assert_eq!(post(&browser, TYPE, good).await.status, 303, "and a good one is taken");
}

fn assert_is_error_page(page: &Page, status: u16, what: &str) {
    assert_eq!(page.status, status, "{what}: {}", page.text());
    assert!(page.one("section.error_page").contains("form"), "{what}: {}", page.text());
}

/// Well-formed fields with invalid values: the form comes back with its text.
#[actix_web::test]
async fn bad_fields_are_422_and_keep_the_text() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let before = app.database.db_dump().await;
    let long = "x".repeat(15_000);
    for (what, parts, kept) in [
        ("nothing but a picture field", vec![picture(b"")], ""),
        ("invalid UTF-8", vec![content(b"caf\xe9 \xff")], "caf\u{fffd} \u{fffd}"),
        ("NUL", vec![content(b"a\0b")], "a\u{fffd}b"),
        ("too long", vec![content(long.as_bytes())], long.as_str()),
        ("too long, in many bytes", vec![content("🦀".repeat(141).as_bytes())], &"🦀".repeat(141)),
        ("another name", vec![part("form-data; name=\"content\"", b"x")], ""),
        ("a list", vec![part("form-data; name=\"micropost[content][]\"", b"x")], ""),
        ("nested", vec![part("form-data; name=\"micropost[content][a]\"", b"x")], ""),
        ("invalid UTF-8 as a name", vec![part("form-data; name=\"\u{fffd}\"", b"x")], ""),
        ("no picture", vec![content(b"my words"), picture(b"no picture at all")], "my words"),
        ("picture first", vec![picture(b"no picture at all"), content(b"my words")], "my words"),
        (
            "picture as text",
            vec![content(b"my words"), part("form-data; name=\"micropost[picture]\"", b"x")],
            "my words",
        ),
    ] {
        let page = post(&browser, TYPE, form(&parts)).await;
        assert_eq!(page.status, 422, "{what}: {}", page.text());
        assert!(!page.errors().is_empty(), "{what}");
        assert_eq!(page.one("#micropost_content"), kept, "{what}");
    }
    for text in [16_385, 100_000, 7_000_000] {
        let page = post(&browser, TYPE, form(&[content(&vec![b'x'; text])])).await;
        assert_is_error_page(&page, 413, &format!("{text} bytes of text"));
    }
    let page = post(&browser, TYPE, form(&[content(b"my words"), picture(&vec![0; 6_000_000])])).await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (413, "my words"));
    assert_eq!(page.errors(), ["Picture should be less than 5MB"]);
    assert_unchanged(&app, &before).await;
}

/// The connection stays open while the client sends the rest: a reset would make it lose the response.
#[actix_web::test]
async fn an_early_refusal_reaches_a_client_that_still_sends() {
    let app = TestApp::start().await;
    let body = form(&[content(&vec![b'x'; 7_000_000])]);
    let head = format!(
        "POST /microposts HTTP/1.1\r\nHost: sample.test\r\nOrigin: {APP_URL}\r\nContent-Type: {TYPE}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(app.address, &[head.into_bytes(), body].concat()).await;
    assert_eq!(answer.statuses(), [413], "{}", answer.text());
    assert!(answer.text().contains("</html>"), "{}", answer.text());
}

async fn assert_unchanged(app: &TestApp, before: &str) {
    assert_eq!(app.database.db_dump().await, before);
    let images = std::fs::read_dir(app.folder.path().join("images"));
    assert_eq!(images.map_or(0, Iterator::count), 0, "no picture was kept");
}

/// Uploads are buffered on disk. If there is no space, nobody must type their text again.
#[actix_web::test]
async fn no_room_for_what_arrives_is_a_503_and_the_text_kept() {
    let program = Program::development().await.set("TMPDIR", "/nowhere");
    program.succeed(&["seed"]);
    let mut serving = program.serve();
    let mut browser = serving.browser();
    browser.log_in("example-1@railstutorial.org", "password").await;
    let page = post(&browser, TYPE, form(&[content(b"my words"), picture(b"some bytes")])).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert_eq!(page.one("#micropost_content"), "my words");
    assert_eq!(page.errors(), ["Picture cannot be stored at the moment; please try again soon"]);
    let page = post(&browser, TYPE, form(&[content(b"my words")])).await;
    page.assert_redirect("/");
    serving.stop();
}

/// Unused parts never cause a rejection: file names in any encoding, fields from browser extensions.
#[actix_web::test]
async fn file_names_and_fields_that_are_not_used_refuse_no_form() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("michael").await).await;
    let shiftjis = include_bytes!("../corpus/multipart/file_name_in_shift_jis");
    post(&browser, "multipart/form-data; boundary=limit", shiftjis.to_vec()).await.assert_redirect("/");
    let page = browser.get("/").await;
    assert_eq!((page.one("span.content").as_str(), page.count("ol.microposts img.picture")), ("field", 1));
    let png = crate::support::posts::png(2, 2);
    for file_name in
        [&b"\x83\x5c"[..], b"\xff", b"a\\\"b;c.png", b"..\\..\\a.png", b"a%22b%0D%0A.png", &[b'x'; 5000]]
    {
        let disposition = [b"form-data; name=\"micropost[picture]\"; filename=\"", file_name, b"\""].concat();
        let head = [b"--limit\r\nContent-Disposition: ", &disposition[..], b"\r\n\r\n"].concat();
        let picture = [&head[..], &png, b"\r\n"].concat();
        let others = [
            part("form-data; name=\"extension\"", b"x"),
            part("form-data; name=\"extension\"", b"y"),
            part("form-data; name=\"list[]\"", b"x"),
            part("form-data; name=\"notes\"; filename=\"notes.txt\"", &[b'x'; 100_000]),
        ];
        let body = form(&[&others[..], &[content(b"A post"), picture]].concat());
        let page = post(&browser, TYPE, body).await;
        assert_eq!(page.status, 303, "{}: {}", file_name.escape_ascii(), page.text());
    }
    let pictures = "SELECT COUNT(*) FROM microposts WHERE picture IS NOT NULL";
    assert_eq!(app.database.db_number(pictures).await, 7);
}

/// A browser sends a saved web page (.mht) as multipart/related, which the reader of the form does not read.
#[actix_web::test]
async fn a_chosen_file_of_a_multipart_type_is_no_picture_and_the_text_kept() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let before = app.database.db_dump().await;
    let saved =
        "form-data; name=\"micropost[picture]\"; filename=\"a.mht\"\r\nContent-Type: multipart/related";
    for kind in ["", "; boundary=inner", "; boundary=limit"] {
        let file = part(&format!("{saved}{kind}"), b"--inner\r\n\r\nx\r\n--inner--");
        for body in [form(&[content(b"my words"), file.clone()]), [content(b"my words"), file].concat()] {
            let page = post(&browser, TYPE, body).await;
            assert_eq!((page.status, page.one("#micropost_content").as_str()), (422, "my words"), "{kind}");
            assert_eq!(page.errors(), ["Picture is not a JPEG, PNG, GIF or WebP image"]);
        }
    }
    // In any other field, and whether the form ends or not: nothing after it is read.
    let nested = part("form-data; name=\"files\"\r\nContent-Type: multipart/mixed; boundary=inner", b"x");
    for body in [form(&[nested.clone(), content(b"A post")]), nested] {
        let page = post(&browser, TYPE, body).await;
        assert_eq!((page.status, page.errors().len()), (422, 2), "{}", page.text());
    }
    assert_unchanged(&app, &before).await;
}

/// Media types and parameter names are case-insensitive (RFC 9110 8.3.1).
#[actix_web::test]
async fn the_media_type_may_be_written_in_any_case() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let multipart = form(&[content(b"A post")]);
    for encoding in ["Multipart/Form-Data; boundary=limit", "MULTIPART/FORM-DATA;BOUNDARY=\"limit\""] {
        assert_eq!(post(&browser, encoding, multipart.clone()).await.status, 303, "{encoding}");
    }
    for encoding in ["Application/X-WWW-Form-URLEncoded", "application/x-www-form-urlencoded ; Charset=UTF-8"]
    {
        let page = post(&browser, encoding, b"micropost[content]=A+post".to_vec()).await;
        assert_eq!(page.status, 303, "{encoding}");
    }
}

/// A chosen file that is empty (a phone that could not read it, a full disk) is an error; a file input left alone is
/// not.
#[actix_web::test]
async fn a_chosen_file_of_no_bytes_is_named_and_the_text_kept() {
    let app = TestApp::start().await;
    let browser = app.logged_in(&app.db_person("michael").await).await;
    let body = include_bytes!("../corpus/multipart/empty_file_chosen");
    let page = post(&browser, "multipart/form-data; boundary=limit", body.to_vec()).await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (422, "field"));
    assert_eq!(page.errors(), ["Picture is an empty file; please choose another one"]);
    assert_eq!(page.one("#micropost_picture_hint"), "Please choose the picture again.");
    let none = part("form-data; name=\"micropost[picture]\"; filename=\"\"", b"");
    assert_eq!(post(&browser, TYPE, form(&[content(b"A post"), none])).await.status, 303);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 1);
}
