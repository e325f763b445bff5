//! The pictures of pages in docs/walkthrough show the pages as they are. `TEST_WRITE_PICTURES=1 scripts/test
//! walkthrough_pictures` takes them anew.

use std::path::Path;

use image::imageops::{FilterType, resize};
use image::{GrayImage, ImageFormat, load_from_memory};

use crate::support::TestApp;
use crate::support::chrome::{Chrome, Look};
use crate::support::people::PASSWORD;

const WIDTH: u32 = 900;
/// Cells of the grid on which pictures are compared: times, addresses and fonts may differ a little.
const GRID: u32 = 24;
/// Largest mean difference of a cell, of 255 levels of grey.
const TOLERANCE: i32 = 24;

/// Height in pixels from the top of the page.
async fn compare(chrome: &Chrome, name: &str, height: u32) {
    chrome.eventually("return document.fonts.status === 'loaded'").await;
    let shown = load_from_memory(&chrome.driver.screenshot_as_png().await.unwrap()).unwrap();
    let shown = shown.crop_imm(0, 0, WIDTH, height);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough/pictures").join(name);
    if std::env::var_os("TEST_WRITE_PICTURES").is_some() {
        shown.to_rgb8().save_with_format(&file, ImageFormat::Png).unwrap();
    }
    let kept = load_from_memory(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!((kept.width(), kept.height()), (WIDTH, height), "{name}");
    let grid = |picture: GrayImage| resize(&picture, GRID, GRID, FilterType::Triangle);
    let (shown, kept) = (grid(shown.to_luma8()), grid(kept.to_luma8()));
    for (x, y, pixel) in shown.enumerate_pixels() {
        let difference = (i32::from(pixel[0]) - i32::from(kept.get_pixel(x, y)[0])).abs();
        assert!(
            difference <= TOLERANCE,
            "{name} is not like the page any more: {difference} at {x}, {y} of {GRID}"
        );
    }
}

#[actix_web::test]
async fn pictures_show_the_pages_as_they_are() {
    let app = TestApp::start().await;
    let person = app.db_person("Kim Minsu").await;
    let chrome = Chrome::open(&app, Look { width: WIDTH, ..Look::DESKTOP }).await;
    chrome.get("/signup").await;
    chrome.fill("user[name]", "Kim Minsu").await;
    chrome.fill("user[email]", "minsu@example.com").await;
    compare(&chrome, "01-sign-up.png", 640).await;

    chrome.log_in(&person.email, PASSWORD).await;
    chrome.get("/").await;
    chrome.fill("micropost[content]", "Hello from my own machine").await;
    chrome.button("Post").await.click().await.unwrap();
    chrome.eventually("return document.querySelectorAll('ol.microposts > li').length === 1").await;
    chrome.get("/").await;
    compare(&chrome, "01-home.png", 520).await;

    chrome.get("/stack").await;
    // Folders are called as below `cargo run`, and there is no scroll bar.
    let folder = app.folder.path().display();
    chrome
        .ask(&format!(
            "document.documentElement.style.scrollbarWidth = 'none';\
             document.querySelectorAll('code').forEach(code => code.textContent = code.textContent.replace('{folder}', 'var'))"
        ))
        .await;
    compare(&chrome, "01-stack.png", 840).await;
    chrome.close().await;
}
