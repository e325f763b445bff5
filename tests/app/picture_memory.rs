//! The memory that picture decoding takes, measured in the real program, which runs nothing else.

use std::io::Cursor;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use image::{DynamicImage, ImageFormat};
use sample_app::web::upload::MAX_PICTURE;

use super::pictures::{gif, halves, png_chunk, png_with, post};
use crate::support::program::Serving;
use crate::support::{Browser, Page, Program};

/// 64 MB of zeros compressed by zlib, taken from the PNG of a black picture.
fn packed_zeros() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::new_luma8(8192, 8192).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    let start = bytes.windows(4).position(|window| window == b"IDAT").unwrap();
    let length = u32::from_be_bytes(bytes[start - 4..start].try_into().unwrap()) as usize;
    bytes[start + 4..start + 4 + length].to_vec()
}

/// Freed memory that glibc may keep, in kB: twice the size of the largest block below 32 MB (man 3 mallopt,
/// M_TRIM_THRESHOLD).
const KEPT_BY_GLIBC: u64 = 65_536;

/// Starts the server and posts a first picture.
async fn warm(program: &Program) -> (Serving, Browser) {
    program.succeed(&["seed"]);
    let mut serving = program.serve();
    let mut browser = serving.browser_of_a_writer().await;
    let page = post(&mut browser, "warm", "a.png", halves(800, 800, ImageFormat::Png)).await;
    page.assert_flash("success", "Micropost created!");
    (serving, browser)
}

/// Resets the peak memory to the current value ("5" in clear_refs, man 5 proc). Returns it in kB.
fn forget_peak(serving: &Serving) -> u64 {
    std::fs::write(format!("/proc/{}/clear_refs", serving.child.id()), "5").unwrap();
    serving.memory_kb("VmRSS")
}

/// A picture that cannot be decoded soon is rejected with 503; sends it again.
async fn post_until_taken(browser: &mut Browser, picture: Vec<u8>) -> Page {
    for _ in 0..60 {
        let page = post(browser, "Look", "a.png", picture.clone()).await;
        if page.status != 503 {
            return page;
        }
    }
    panic!("refused sixty times");
}

/// Decompression bombs are rejected, cost less than 64 MB, and do not delay others.
#[actix_web::test]
async fn bombs_cost_little_memory_and_nobody_elses_time() {
    let program = Program::development().await.set("LIMITS", "off");
    let (mut serving, browser) = warm(&program).await;
    let zeros = packed_zeros();
    let profile = png_chunk(b"iCCP", &[b"icc\0\0".as_slice(), &zeros].concat());
    let text = png_chunk(b"zTXt", &[b"Comment\0\0".as_slice(), &zeros].concat());
    let bombs = [gif(65535, 8191, 1), gif(1, 1, 10_000), png_with(&profile), png_with(&text.repeat(10))];
    assert!(bombs.iter().all(|bomb| bomb.len() < MAX_PICTURE), "not too large to be read");

    let before = forget_peak(&serving);
    let posting = bombs.into_iter().cycle().take(16).map(|bomb| {
        let mut browser = browser.clone();
        async move { post_until_taken(&mut browser, bomb).await.status }
    });
    let watching = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..30 {
            let start = Instant::now();
            assert_eq!(Browser::new(serving.address()).get("/help").await.status, 200);
            slowest = slowest.max(start.elapsed());
        }
        slowest
    };
    let (statuses, slowest) = tokio::join!(join_all(posting), watching);
    let peak = serving.memory_kb("VmHWM");
    println!("16 bombs: {statuses:?}, {} kB more at most, slowest page {slowest:?}", peak - before);
    // Texts and color profiles are dropped without being decompressed to the end, so a small picture remains.
    for (n, status) in statuses.iter().enumerate() {
        assert_eq!(*status, if n % 4 < 2 { 422 } else { 200 }, "{statuses:?}");
    }
    // The number decoded at a time equals the number of cores (src/cpu_pool.rs).
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let most = 64 * 1024 * cores.div_ceil(2);
    assert!(peak - before < most, "{} kB, {most} at most", peak - before);
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    serving.stop();
}

/// Memory limits how many are decoded at a time, whatever the number of cores.
#[actix_web::test]
async fn eight_large_pictures_at_once_take_no_more_than_one_and_give_it_back() {
    let program = Program::development().await.set("LIMITS", "off");
    let (serving, browser) = warm(&program).await;
    let photo = include_bytes!("../corpus/pictures/24mp_progressive.jpg").to_vec();
    let mut large = Cursor::new(Vec::new());
    DynamicImage::new_rgba8(6400, 5000).write_to(&mut large, ImageFormat::Png).unwrap();
    let pictures = [photo, large.into_inner()];
    assert!(pictures.iter().all(|picture| picture.len() < MAX_PICTURE));

    let before = forget_peak(&serving);
    let posting = pictures.iter().cycle().take(8).map(|picture| {
        let mut browser = browser.clone();
        async move { post_until_taken(&mut browser, picture.clone()).await.status }
    });
    let statuses = join_all(posting).await;
    let (peak, after) = (serving.memory_kb("VmHWM"), serving.memory_kb("VmRSS"));
    println!("8 large pictures: {before} kB before, {peak} kB at most, {after} kB after");
    assert_eq!(statuses, [200; 8]);
    // The decoder's limit (`MAX_MEMORY`, 127,000 kB), plus freed memory that glibc keeps.
    assert!(peak - before < 127_000 + KEPT_BY_GLIBC, "{before} kB before, {peak} kB at most");
    assert!(after < before + KEPT_BY_GLIBC, "{before} kB before, {after} kB after");
    serving.stop();
}
