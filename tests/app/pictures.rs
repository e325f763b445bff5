//! Pictures of posts, from the form to the page: valid ones are shown resized and without metadata, all others are
//! rejected and the text kept. The decoder: src/models/picture/tests.rs; its memory: picture_memory.rs.

use std::io::Cursor;

use futures_util::stream;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, RgbImage};
use reqwest::{Method, multipart};
use sample_app::web::upload::MAX_PICTURE;

use crate::support::app::APP_URL;
use crate::support::{Browser, Page, TestApp};

/// Red on the left, blue on the right.
pub fn halves(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let image =
        RgbImage::from_fn(width, height, |x, _| Rgb(if x < width / 2 { [255, 0, 0] } else { [0, 0, 255] }));
    let mut bytes = Cursor::new(Vec::new());
    if format == ImageFormat::WebP {
        let encoder = image_webp::WebPEncoder::new(&mut bytes);
        encoder.encode(&image, width, height, image_webp::ColorType::Rgb8).unwrap();
        return bytes.into_inner();
    }
    DynamicImage::from(image).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn png_chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let checksum = !body.iter().fold(!0, |mut checksum: u32, byte| {
        checksum ^= u32::from(*byte);
        for _ in 0..8 {
            checksum = if checksum & 1 == 1 { (checksum >> 1) ^ 0xedb8_8320 } else { checksum >> 1 };
        }
        checksum
    });
    [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &body, &checksum.to_be_bytes()].concat()
}

/// A small PNG with `chunk` after its header.
pub fn png_with(chunk: &[u8]) -> Vec<u8> {
    let png = halves(40, 20, ImageFormat::Png);
    let (header, rest) = png.split_at(8 + 25);
    [header, chunk, rest].concat()
}

/// A valid PNG of exactly this many bytes.
fn png_of_size(bytes: usize) -> Vec<u8> {
    let plain = png_with(&[]).len();
    let png = png_with(&png_chunk(b"fiLl", &vec![0; bytes - plain - 12]));
    assert_eq!(png.len(), bytes);
    png
}

/// A GIF with frames of one black pixel, whatever size the header claims.
pub fn gif(width: u16, height: u16, frames: usize) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    let start = [b"GIF89a", &size[..], &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat();
    let frame = [&[0x2c, 0, 0, 0, 0][..], &size, &[0, 2, 2, 0x44, 0x01, 0]].concat();
    [start, frame.repeat(frames), vec![0x3b]].concat()
}

pub async fn post(browser: &mut Browser, text: &str, file_name: &str, picture: Vec<u8>) -> Page {
    let form = browser.get("/").await.form("Post").set("micropost[content]", text);
    browser.submit(form.attach("micropost[picture]", file_name, picture)).await
}

/// The picture of the newest post, as served.
async fn newest_picture(browser: &mut Browser) -> Page {
    let page = browser.get("/").await;
    let path = page.attrs("ol.microposts > li img.picture", "src").first().unwrap().clone();
    browser.get(&path).await
}

#[actix_web::test]
async fn four_formats_are_shown_at_most_400_by_400_in_their_proportions() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    for (name, format, kind, size, shown) in [
        ("a.jpg", ImageFormat::Jpeg, "image/jpeg", (1000, 500), (400, 200)),
        ("a.png", ImageFormat::Png, "image/png", (300, 900), (133, 400)),
        ("a.gif", ImageFormat::Gif, "image/gif", (500, 500), (400, 400)),
        ("not-what-it-says.gif", ImageFormat::Jpeg, "image/jpeg", (30, 20), (30, 20)),
        ("noextension", ImageFormat::Png, "image/png", (1, 401), (1, 400)),
        ("a.webp", ImageFormat::WebP, "image/jpeg", (800, 600), (400, 300)),
    ] {
        let page = post(&mut browser, name, name, halves(size.0, size.1, format)).await;
        page.assert_flash("success", "Micropost created!");
        // So that the layout does not shift when the picture loads.
        let written =
            ["width", "height"].map(|side| page.attrs("ol.microposts img.picture", side)[0].clone());
        assert_eq!(written, [shown.0.to_string(), shown.1.to_string()], "{name}");
        let served = newest_picture(&mut browser).await;
        assert_eq!((served.status, served.header("content-type")), (200, kind), "{name}");
        assert_eq!(served.header("x-content-type-options"), "nosniff");
        assert_eq!(served.header("cache-control"), "public, max-age=31536000, immutable");
        let image = image::load_from_memory(&served.body).unwrap();
        assert_eq!(image.dimensions(), shown, "{name}");
    }
}

#[actix_web::test]
async fn what_is_no_picture_is_refused_and_the_text_kept() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let (png, jpeg) = (halves(300, 200, ImageFormat::Png), halves(300, 200, ImageFormat::Jpeg));
    let html = b"<!doctype html><script>alert(1)</script>";
    let files: [(&str, &str, Vec<u8>); 12] = [
        ("html", "image.png", html.to_vec()),
        ("svg", "image.svg", br#"<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>"#.to_vec()),
        ("truncated png", "image.png", png[..png.len() / 2].to_vec()),
        ("truncated jpeg", "image.jpg", jpeg[..jpeg.len() / 2].to_vec()),
        ("polyglot", "image.gif", [b"GIF89a=1;/*".as_slice(), html, b"*/"].concat()),
        ("polyglot png", "image.png", [b"\x89PNG\r\n\x1a\n".as_slice(), html].concat()),
        ("cut off webp", "image.webp", b"RIFF\x24\0\0\0WEBPVP8 ".to_vec()),
        ("huge gif", "image.gif", gif(65535, 8191, 1)),
        ("many frames", "image.gif", gif(1, 1, 10_000)),
        ("one byte", "image.png", vec![0x89]),
        ("zeros", "image.png", vec![0; 100_000]),
        ("zip", "image.jpg", b"PK\x03\x04".to_vec()),
    ];
    for (what, name, file) in files {
        let page = post(&mut browser, "the text <b>stays</b>", name, file).await;
        assert_eq!(page.status, 422, "{what}");
        assert_eq!(page.one("#micropost_content"), "the text <b>stays</b>", "{what}");
        assert!(page.errors().concat().starts_with("Picture "), "{what}: {:?}", page.errors());
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
    assert!(app.stored_pictures().is_empty(), "{:?}", app.stored_pictures());
}

#[actix_web::test]
async fn who_has_a_phone_picture_that_no_browser_shows_is_told_what_to_do() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    for (name, brand, advice) in [
        ("IMG_0001.HEIC", b"heic", "Settings > Camera > Formats > Most Compatible"),
        ("a.avif", b"avif", "save or share it as JPEG"),
    ] {
        let file = [b"\0\0\0\x18ftyp", &brand[..], b"\0\0\0\0mif1miaf"].concat();
        let page = post(&mut browser, "my words", name, file).await;
        assert_eq!((page.status, page.one("#micropost_content").as_str()), (422, "my words"));
        assert!(page.errors().concat().contains(advice), "{:?}", page.errors());
    }
}

/// Pictures from before the size was stored.
#[actix_web::test]
async fn a_picture_of_unknown_size_is_shown_without_one() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    browser.post_picture("Look").await.assert_flash("success", "Micropost created!");
    app.database.db_execute("UPDATE microposts SET picture_width = NULL, picture_height = NULL").await;
    let page = browser.get("/").await;
    assert!(page.has("ol.microposts img.picture") && !page.has("ol.microposts img.picture[width]"));
}

/// Data after the end of a picture is accepted but removed.
#[actix_web::test]
async fn what_hides_in_a_picture_is_gone_and_it_stands_upright() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let secret = b"52.5163 N 13.3777 E <script>";
    // Orientation 6: the camera was rotated, so the left side of the file is the top of the scene.
    let exif =
        [&b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"[..], secret].concat();
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    let jpeg = halves(600, 300, ImageFormat::Jpeg);
    let turned = [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..], secret].concat();
    let text = png_with(&png_chunk(b"tEXt", &[b"Comment\0".as_slice(), secret].concat()));
    for (name, file, size) in
        [("a.jpg", turned, (200, 400)), ("a.png", [text, secret.to_vec()].concat(), (40, 20))]
    {
        post(&mut browser, name, name, file).await.assert_flash("success", "Micropost created!");
        let served = newest_picture(&mut browser).await;
        assert!(!served.body.windows(7).any(|window| window == &secret[..7]), "{name}");
        assert!(!served.body.windows(4).any(|window| window == b"Exif"), "{name}");
        let image = image::load_from_memory(&served.body).unwrap();
        assert_eq!(image.dimensions(), size, "{name}");
        let (first, last) = (image.get_pixel(5, 5), image.get_pixel(size.0 - 5, size.1 - 5));
        assert!(
            first[0] > 200 && first[2] < 60 && last[2] > 200 && last[0] < 60,
            "{name}: {first:?} {last:?}"
        );
        if name == "a.jpg" {
            let top_right = image.get_pixel(195, 5);
            assert!(top_right[0] > 200, "red is above, not on the left: {top_right:?}");
        }
    }
}

#[actix_web::test]
async fn five_megabytes_are_taken_and_one_byte_more_is_not() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let page = post(&mut browser, "just fits", "a.png", png_of_size(MAX_PICTURE)).await;
    page.assert_flash("success", "Micropost created!");
    let page = post(&mut browser, "just not", "a.png", png_of_size(MAX_PICTURE + 1)).await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (413, "just not"));
    assert_eq!(page.errors(), ["Picture should be less than 5MB"]);
    assert_eq!(app.stored_pictures().len(), 1);
    // Without a Content-Length the size is not known in advance.
    let chunks = (0..96).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 64 * 1024]));
    let picture =
        multipart::Part::stream(reqwest::Body::wrap_stream(stream::iter(chunks))).file_name("a.png");
    let form =
        multipart::Form::new().text("micropost[content]", "in pieces").part("micropost[picture]", picture);
    let request = browser.request(Method::POST, "/microposts").header("origin", APP_URL).multipart(form);
    let page = browser.send(request, "/microposts").await;
    assert_eq!((page.status, page.one("#micropost_content").as_str()), (413, "in pieces"));
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 1);
}

#[actix_web::test]
async fn a_file_name_has_no_effect() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let picture = halves(20, 20, ImageFormat::Png);
    let before: Vec<_> = app.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let mut taken = 0;
    for name in [
        "../../x.png",
        "/etc/passwd",
        "..\\..\\x",
        "a\0b.png",
        &"x".repeat(4096),
        "",
        "한국 🦀.png",
        "%2e%2e%2fx",
    ] {
        let head = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"micropost[content]\"\r\n\r\nhello\r\n--limit\r\n\
             Content-Disposition: form-data; name=\"micropost[picture]\"; filename=\"{name}\"\r\n\r\n"
        );
        let body = [head.as_bytes(), &picture, b"\r\n--limit--\r\n"].concat();
        let request = browser.request(Method::POST, "/microposts").header("origin", APP_URL).body(body);
        let request = request.header("content-type", "multipart/form-data; boundary=limit");
        let status = browser.send(request, "/microposts").await.status;
        assert!(status == 303 || (400..500).contains(&status), "{name:?}: {status}");
        taken += usize::from(status == 303);
    }
    assert!(taken >= 6, "{taken}");
    assert_eq!(app.stored_pictures().len(), taken);
    let is_key = |name: &String| {
        name.len() == 36 && name.ends_with(".png") && name[..32].bytes().all(|b| b.is_ascii_hexdigit())
    };
    assert!(app.stored_pictures().iter().all(is_key), "{:?}", app.stored_pictures());
    let after: Vec<_> = app.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    let new: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    assert_eq!(new, [&app.folder.path().join("images")]);
}

/// A full disk must not make anybody type their text again.
#[actix_web::test]
async fn a_store_that_fails_is_a_503_and_the_text_kept() {
    let app = TestApp::start().await;
    let mut browser = app.logged_in(&app.db_person("anna").await).await;
    let folder = app.folder.path().join("images");
    std::fs::write(&folder, "a file where the folder should be").unwrap();
    let page = post(&mut browser, "my words", "a.png", halves(20, 20, ImageFormat::Png)).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "5"));
    assert_eq!(page.one("#micropost_content"), "my words");
    assert_eq!(page.errors(), ["Picture cannot be stored at the moment; please try again soon"]);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
    let form = page.form("Post");
    browser
        .submit(form.set("micropost[content]", "without"))
        .await
        .assert_flash("success", "Micropost created!");
    std::fs::remove_file(&folder).unwrap();
    let page = post(&mut browser, "with", "a.png", halves(20, 20, ImageFormat::Png)).await;
    page.assert_flash("success", "Micropost created!");
    assert_eq!(app.stored_pictures().len(), 1);
}
