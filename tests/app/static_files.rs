//! Style sheets, scripts and drawings: complete, precompressed, and cached by browsers forever.

use std::io::Read;
use std::path::Path;

use brotli_decompressor::Decompressor;
use flate2::read::GzDecoder;
use reqwest::Method;
use sample_app::views::asset;

use crate::support::{Browser, Page, TestApp};

const FILES: [(&str, bool); 6] = [
    ("app.css", true),
    ("app.js", true),
    ("icon.svg", true),
    ("vendor/htmx-2.0.11.min.js", true),
    ("vendor/pico-2.1.1.min.css", true),
    ("robots.txt", false),
];

async fn get(browser: &mut Browser, name: &str, accepted: &str) -> Page {
    let path = format!("/static/{name}");
    let request = browser.request(Method::GET, &path).header("accept-encoding", accepted);
    browser.send(request, &path).await
}

fn header<'a>(page: &'a Page, name: &str) -> Option<&'a str> {
    page.headers.get(name).map(|value| value.to_str().unwrap())
}

fn on_disk(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("static").join(name)).unwrap()
}

fn unpacked(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[actix_web::test]
async fn every_form_of_a_file_says_the_same() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    for (name, is_compressed) in FILES {
        let file = on_disk(name);
        for accepted in ["identity", "", "br;q=0, gzip;q=0", "deflate", "nonsense;;"] {
            let page = get(&mut browser, name, accepted).await;
            assert_eq!((page.status, header(&page, "content-encoding")), (200, None), "{name} {accepted}");
            assert_eq!(page.body, file, "{name} {accepted}");
        }
        let versioned = asset(name).strip_prefix("/static/").unwrap();
        let older = format!("{name}?v=0123456789ab");
        for (address, cache) in
            [(versioned, "public, max-age=31536000, immutable"), (name, "no-cache"), (&older, "no-cache")]
        {
            let page = get(&mut browser, address, "").await;
            assert_eq!((page.status, header(&page, "cache-control")), (200, Some(cache)), "{address}");
        }
        if !is_compressed {
            continue;
        }
        for accepted in ["gzip, deflate, br, zstd", "br"] {
            let page = get(&mut browser, name, accepted).await;
            assert_eq!(header(&page, "content-encoding"), Some("br"), "{name} {accepted}");
            assert_eq!(header(&page, "vary"), Some("accept-encoding"), "{name}");
            assert!(
                unpacked(Decompressor::new(page.body.as_slice(), 4096)) == file,
                "scripts/precompress: {name}"
            );
            assert!(page.body.len() < file.len());
        }
        for accepted in ["gzip", "gzip, br;q=0", "br;q=0.5, gzip"] {
            let page = get(&mut browser, name, accepted).await;
            assert_eq!(header(&page, "content-encoding"), Some("gzip"), "{name} {accepted}");
            assert!(unpacked(GzDecoder::new(page.body.as_slice())) == file, "scripts/precompress: {name}");
        }
        assert_eq!(
            get(&mut browser, &format!("{name}.br"), "").await.status,
            404,
            "only as a form of the file"
        );
    }
    app.stop().await;
}
