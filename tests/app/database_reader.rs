//! A database reader: pages that may be a moment old are read from a replica, and everybody sees at once what they wrote
//! themselves.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures_util::future::join_all;
use sample_app::db::Reader;

use crate::support::doctor::doctor;
use crate::support::people::Person;
use crate::support::replica::Replicated;
use crate::support::wait::wait_for;
use crate::support::{Browser, Page, Program, Proxy, Server, TestApp, env_number, redis};

/// Two instances on a writer and its replica.
pub struct Site {
    pub servers: Replicated,
    pub apps: [TestApp; 2],
    _sessions: Server,
}

impl Site {
    pub async fn start() -> Option<Site> {
        let servers = Replicated::start().await?;
        let [url, reader_url] = servers.urls();
        let sessions = redis::start();
        let sessions_url = redis::url(&sessions);
        let secret = "0123456789abcdef".repeat(4);
        let settings = [
            ("DATABASE_URL", url.as_str()),
            ("DATABASE_READER_URL", &reader_url),
            ("REDIS_URL", &sessions_url),
            ("SECRET_KEY_BASE", &secret),
            ("LIMITS", "off"),
        ];
        let apps = [TestApp::start_unmigrated(&settings).await, TestApp::start_unmigrated(&settings).await];
        apps[0].app.db.migrate().await.unwrap();
        let site = Site { servers, apps, _sessions: sessions };
        site.is_read_from(true).await;
        Some(site)
    }

    /// Waits until both instances use the reader, or neither does.
    pub async fn is_read_from(&self, expected: bool) {
        for app in &self.apps {
            is_read_from(app, expected).await;
        }
    }
}

pub fn reader(app: &TestApp) -> &Reader {
    app.app.reader.as_ref().unwrap()
}

pub async fn is_read_from(app: &TestApp, expected: bool) {
    wait_for(async || match reader(app) {
        reader if reader.is_in_use() == expected => Ok(()),
        reader => Err(format!("in use: {}, lag: {:?}", !expected, reader.lag())),
    })
    .await;
}

/// Statements so far on the writer and on the reader.
pub fn statements(app: &TestApp) -> [u64; 2] {
    [app.app.db.call_stats(), reader(app).call_stats()].map(|stats| {
        let (answered, failed) = stats.snapshot().totals;
        answered + failed
    })
}

/// Somebody who writes on one instance and looks on the other one.
struct Author<'a> {
    site: &'a Site,
    browser: Browser,
    person: Person,
    other: Person,
    requests: usize,
}

impl Author<'_> {
    /// The next request goes to the other instance.
    async fn get(&mut self, path: &str) -> Page {
        self.requests += 1;
        self.browser.move_to(self.site.apps[self.requests % 2].address);
        let page = self.browser.get_only(path).await;
        assert_eq!(page.status, 200, "{path}");
        page
    }

    async fn write(&mut self, path: &str, fields: &[(&str, &str)]) {
        self.requests += 1;
        self.browser.move_to(self.site.apps[self.requests % 2].address);
        assert_eq!(self.browser.post(path, fields).await.status, 303, "{path}");
    }

    async fn act(&mut self, round: usize) {
        let (me, them) = (format!("/users/{}", self.person.id), format!("/users/{}", self.other.id));
        let text = format!("post {round} of {}", self.person.id);
        self.write("/microposts", &[("micropost[content]", &text)]).await;
        assert!(self.get("/").await.text().contains(&text), "their own post, in the feed");
        assert!(self.get(&me).await.text().contains(&text), "and on their profile");

        let name = format!("{} {round}", self.person.name);
        let email = self.person.email.clone();
        let fields = [("_method", "patch"), ("user[name]", &name), ("user[email]", &email)];
        self.write(&me, &fields).await;
        assert_eq!(self.get(&me).await.one("section.user_info h1"), name, "their new name");
        assert!(self.get("/users").await.text().contains(&name), "also in the list");

        self.write("/relationships", &[("followed_id", &self.other.id.to_string())]).await;
        let profile = self.get(&them).await;
        let unfollow = profile.form("Unfollow");
        assert!(
            self.get(&format!("{me}/following")).await.has(&format!("main a[href='{them}']")),
            "their follow"
        );
        self.write(&unfollow.action, &[("_method", "delete")]).await;
        assert!(!self.get(&them).await.text().contains("Unfollow"), "and its end");
    }
}

/// A write and what shows it, on alternating instances. `scripts/soak` sets TEST_READER_REQUESTS.
#[actix_web::test]
async fn nobody_misses_what_they_wrote_themselves_on_either_instance() {
    let Some(site) = Site::start().await else { return };
    let requests = env_number("TEST_READER_REQUESTS").unwrap_or(400);
    let mut people = Vec::new();
    for name in ["anna", "berta", "clara", "dora"] {
        people.push(site.apps[0].db_person(name).await);
    }
    let (start, before) = (Instant::now(), statements(&site.apps[0]));
    let mut done = 0;
    for (delay, share) in [(5, requests / 2), (0, requests)] {
        site.servers.delay(delay).await;
        let first = done;
        let mut authors = Vec::new();
        for (n, person) in people.iter().enumerate() {
            let browser = site.apps[0].logged_in(person).await;
            let other = people[(n + 1) % people.len()].clone();
            authors.push(Author { site: &site, browser, person: person.clone(), other, requests: n });
        }
        let act = async |author: &mut Author<'_>| {
            let mut round = first;
            while author.requests < (share - first) / people.len() {
                author.act(round).await;
                round += 1;
            }
            author.requests
        };
        done += join_all(authors.iter_mut().map(act)).await.iter().sum::<usize>();
        let lag = reader(&site.apps[0]).lag();
        println!("{done} requests after {:?}, the reader {lag:?} behind", start.elapsed());
    }
    let [writer, replica] = statements(&site.apps[0]);
    println!("statements on the writer: {}, on the reader: {}", writer - before[0], replica - before[1]);
    assert!(replica - before[1] > requests as u64 / 4, "the reader was not used");
    site.apps[0].pool_is_whole().await;
}

/// Asserts that a page takes this many statements on the writer and on the reader. The probes run statements, too, so the
/// minimum of several counts; and a probe that is late takes the reader out of use for a moment, which does not count.
async fn page_costs(app: &TestApp, browser: &mut Browser, path: &str, expected: [u64; 2], what: &str) {
    let mut fewest = [u64::MAX; 2];
    wait_for(async || {
        let was_in_use = reader(app).is_in_use();
        let cost = cost(app, browser, path).await;
        if was_in_use && reader(app).is_in_use() {
            fewest = [0, 1].map(|n| fewest[n].min(cost[n]));
        }
        if fewest == expected { Ok(()) } else { Err(format!("{what}: {fewest:?}, not {expected:?}")) }
    })
    .await;
}

async fn cost(app: &TestApp, browser: &mut Browser, path: &str) -> [u64; 2] {
    let before = statements(app);
    assert_eq!(browser.get_only(path).await.status, 200);
    let after = statements(app);
    [0, 1].map(|n| after[n] - before[n])
}

#[actix_web::test]
async fn only_pages_after_a_write_cost_more_statements() {
    let Some(site) = Site::start().await else { return };
    let app = &site.apps[0];
    let anna = app.db_person("anna").await;
    site.servers.reader.db_until("SELECT COUNT(*) FROM test.users", 1).await;
    let profile = format!("/users/{}", anna.id);
    let mut browser = app.logged_in(&anna).await;
    assert!(browser.cookies.remove("last_write").is_some(), "for what she wrote in other browsers");
    page_costs(app, &mut app.browser(), &profile, [0, 2], "the person and the posts").await;
    page_costs(app, &mut browser, &profile, [1, 3], "the log-in on the writer; person, posts and follow")
        .await;
    let refused = browser.post("/microposts", &[("micropost[content]", " ")]).await;
    assert_eq!((refused.status, browser.cookies.contains_key("last_write")), (422, false));
    browser.post("/microposts", &[("micropost[content]", "text")]).await.assert_redirect("/");
    let set = browser.set_cookies.iter().find(|cookie| cookie.contains("last_write")).unwrap();
    assert!(set.ends_with("; HttpOnly; SameSite=Lax; Path=/; Max-Age=60"), "{set}");
    page_costs(app, &mut browser, &profile, [1, 6], "and, for each query, whether the reader has it").await;
    app.pass(TimeDelta::seconds(61));
    page_costs(app, &mut browser, &profile, [1, 3], "the cookie is over").await;
}

/// As on Aurora: the server under test writes no binary log. It is also the reader, by another address.
#[actix_web::test]
async fn without_positions_a_browser_that_wrote_reads_from_the_writer_for_a_while() {
    let like = TestApp::start().await;
    if !like.database.is_mysql_or_says("a file has no replica") {
        return;
    }
    let server = like.database.url.split('@').nth(1).unwrap().split('/').next().unwrap();
    let end_point = Proxy::to(server.to_owned());
    let reader_url = like.database.url.replace(server, &end_point.address.to_string());
    let settings = [("DATABASE_URL", like.database.url.as_str()), ("DATABASE_READER_URL", &reader_url)];
    let app = TestApp::start_unmigrated(&settings).await;
    is_read_from(&app, true).await;
    let anna = app.db_person("anna").await;
    let mut browser = app.logged_in(&anna).await;
    let profile = format!("/users/{}", anna.id);
    app.pass(TimeDelta::seconds(3));
    page_costs(&app, &mut browser, &profile, [1, 3], "the log-in on the writer, the rest on the reader")
        .await;
    // The server's clock for posts is the application's: the cookie has the time of the write.
    // That holds for 2 s, so a page that comes later on a busy machine is no proof.
    let mut posts = 0;
    wait_for(async || {
        let start = Instant::now();
        browser.post("/microposts", &[("micropost[content]", "text")]).await.assert_redirect("/");
        posts += 1;
        let [_, reads] = cost(&app, &mut browser, &profile).await;
        if start.elapsed() > Duration::from_secs(1) {
            return Err("no page within a second after a post".to_owned());
        }
        assert!(reads < 3, "read from the writer");
        Ok(())
    })
    .await;
    app.pass(TimeDelta::seconds(3));
    page_costs(&app, &mut browser, &profile, [1, 3], "the time after the write is over").await;
    assert_eq!(app.browser().get(&profile).await.microposts().len(), posts);
}

#[actix_web::test]
async fn doctor_looks_whether_the_reader_follows_the_writer() {
    let Some(servers) = Replicated::start().await else { return };
    let [url, reader_url] = servers.urls();
    let program =
        Program::development().await.set("DATABASE_URL", &url).set("DATABASE_READER_URL", &reader_url);
    program.succeed(&["migrate"]);
    let said = doctor(&program);
    assert_eq!(said.code, Some(0), "{}", said.text);
    said.assert_said(&["ok replication it has what the writer has committed", "All 6 services are well: "]);
    let like = Program::development().await;
    let schema = like.database.schema().to_owned();
    let create = format!("CREATE DATABASE {schema}; GRANT ALL ON {schema}.* TO app");
    servers.writer.db_execute(&create).await;
    program.succeed(&["doctor"]);
    servers.stop_applying().await;
    servers.writer.db_execute("CREATE TABLE test.late (id INT); DROP TABLE test.late").await;
    let said = doctor(&program);
    assert_eq!(said.code, Some(1), "{}", said.text);
    said.assert_said(&[
        "FAILED replication after 4 s it does not have",
        "1 of 6 services need attention: reader.",
    ]);

    let itself = program.set("DATABASE_READER_URL", &url.replace("127.0.0.1", "localhost"));
    doctor(&itself)
        .assert_said(&["FAILED replication this is the writer itself", "set the end point of a replica"]);
    let like = like.set("DATABASE_READER_URL", &reader_url.replace("/test", &format!("/{schema}")));
    like.succeed(&["migrate"]);
    doctor(&like).assert_said(&["FAILED replication the writer has no GTIDs", "gtid-mode=ON"]);
}
