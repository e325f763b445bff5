//! A newcomer's first run, without any setup or settings: starts the program in an empty folder and visits the pages.
//! `scripts/soak` sets TEST_CARGO_RUN and gets the files as after a clone, and compiles them with `cargo run`.

use std::path::Path;
use std::process::Command;

use crate::support::program::{Serving, program};
use crate::support::{Browser, posts};

/// Copies the files tracked by git, as after a clone.
fn clone_into(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = Command::new("git").arg("-C").arg(root).args(["ls-files", "-z"]).output().unwrap();
    assert!(listed.status.success(), "this test needs git: {}", String::from_utf8_lossy(&listed.stderr));
    let files = String::from_utf8(listed.stdout).unwrap();
    for file in files.split_terminator('\0') {
        let copy = folder.join(file);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        // A tracked file that was just deleted is skipped.
        if root.join(file).exists() {
            std::fs::copy(root.join(file), copy).unwrap();
        }
    }
}

/// On port 3000, the default that a newcomer gets.
#[actix_web::test]
async fn the_first_run_needs_no_settings_and_shows_everything() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut command = Command::new(program());
    command.env_clear();
    if std::env::var_os("TEST_CARGO_RUN").is_some() {
        clone_into(folder);
        command = Command::new("cargo");
        command.arg("run").env_clear();
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        // Outside of the folder, so that the next run finds the dependencies built.
        let target = Path::new(env!("CARGO_BIN_EXE_sample-app")).ancestors().nth(2).unwrap();
        command.env("CARGO_TARGET_DIR", target.join("first_run"));
    }
    command.current_dir(folder);
    let mut serving = Serving::start_patiently(command, std::time::Duration::from_secs(900));
    let ready = serving.wait_for("Sample App is ready: ");
    let url = ready.split("ready: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(url, "http://localhost:3000");

    let mut browser = Browser::at(&url, "127.0.0.1:3000".parse().unwrap());
    assert!(browser.get("/").await.has("a[href='/signup']"));
    let form = browser.get("/signup").await.form("Create my account");
    let form = form.set("user[name]", "New Comer").set("user[email]", "new@example.com");
    let form = form.set("user[password]", "correct horse battery");
    let page = browser.submit(form.set("user[password_confirmation]", "correct horse battery")).await;
    page.assert_flash("info", "Please check your email to activate your account.");

    let inbox = browser.get_until("/inbox", |inbox| inbox.has("ul.mails a")).await;
    let mail = browser.get(&inbox.attrs("ul.mails a", "href")[0]).await;
    assert_eq!(mail.one("h1"), "Account activation");
    let links = mail.attrs("article.mail a[href*='account_activations']", "href");
    assert!(links[0].starts_with("http://localhost:3000/account_activations/"), "{links:?}");
    let page = browser.get(&links[0]).await;
    let page = browser.submit(page.form("Activate my account")).await;
    page.assert_flash("success", "Account activated!");

    let form = browser.get("/").await.form("Post").set("micropost[content]", "Hello, world");
    let page = browser.submit(form.attach("micropost[picture]", "world.png", posts::png(800, 400))).await;
    page.assert_flash("success", "Micropost created!");
    assert!(page.one("ol.microposts > li span.content").contains("Hello, world"));
    let picture = page.attrs("ol.microposts img.picture", "src").concat();
    let picture = image::load_from_memory(&browser.get(&picture).await.body).unwrap();
    assert_eq!((picture.width(), picture.height()), (400, 200));

    for name in ["sample_app.db", "images", "mail"] {
        assert!(folder.join("var").join(name).exists(), "var/{name}");
    }
    // `cargo run` replaces itself with the program (exec).
    serving.stop();
}
