//! A database reader that is down, frozen or late costs nobody anything.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sample_app::db::MAX_LAG;

use crate::database_reader::{Site, is_read_from, statements};
use crate::support::TestApp;
use crate::support::wait::until;

/// Waits until visitors use open connections to the reader, so that what happens next meets statements under way.
async fn is_busy(app: &TestApp) {
    let [_, before] = statements(app);
    until("many read from the reader", async || statements(app)[1] >= before + 200).await;
}

/// Visitors who look at this page until `end`; no page may fail. Returns the longest time that one took.
async fn look(app: &TestApp, path: &str, end: impl Future<Output = ()>) -> Duration {
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let visitors = (0..4).map(|_| async {
        let (mut browser, mut longest) = (app.browser(), Duration::ZERO);
        while !*stopped.borrow() {
            let start = Instant::now();
            let page = browser.get_only(path).await;
            assert_eq!(page.status, 200, "{}", page.text());
            longest = longest.max(start.elapsed());
        }
        longest
    });
    let ended = async {
        end.await;
        stop.send_replace(true);
    };
    let (longest, ()) = tokio::join!(join_all(visitors), ended);
    longest.into_iter().max().unwrap()
}

#[actix_web::test]
async fn a_frozen_or_killed_reader_costs_no_failed_request() {
    let Some(site) = Site::start().await else { return };
    let app = &site.apps[0];
    let anna = app.db_person("anna").await;
    app.db_post(&anna, "here").await;
    site.servers.reader.db_until("SELECT COUNT(*) FROM test.microposts", 1).await;
    let profile = format!("/users/{}", anna.id);
    let longest = look(app, &profile, async {
        for _ in 0..2 {
            is_busy(app).await;
            site.servers.end_point.freeze();
            is_read_from(app, false).await;
            site.servers.end_point.thaw();
            is_read_from(app, true).await;
        }
        is_busy(app).await;
        site.servers.reader.kill();
        is_read_from(app, false).await;
        tokio::time::sleep(Duration::from_millis(700)).await;
    })
    .await;
    println!("the longest page took {longest:?}");
    let mut browser = app.browser();
    let ready = browser.get_only("/readyz").await;
    assert_eq!(ready.status, 200);
    assert!(ready.text().contains(r#""reader":"down""#), "{}", ready.text());
    let stack = browser.get("/stack").await;
    assert!(stack.all(".board-services h2").contains(&"Database reader down".to_owned()), "{}", stack.text());
    assert!(stack.text().contains("the writer serves its reads"), "{}", stack.text());
    app.pool_is_whole().await;
}

#[actix_web::test]
async fn a_reader_that_is_late_is_left_until_it_has_caught_up() {
    let Some(site) = Site::start().await else { return };
    let app = &site.apps[0];
    let anna = app.db_person("anna").await;
    site.servers.reader.db_until("SELECT COUNT(*) FROM test.users", 1).await;
    let start = Instant::now();
    site.servers.stop_applying().await;
    app.db_post(&anna, "not there yet").await;
    let profile = format!("/users/{}", anna.id);
    site.is_read_from(false).await;
    assert!(start.elapsed() + Duration::from_secs(1) > MAX_LAG, "too early: {:?}", start.elapsed());
    assert_eq!(app.browser().get(&profile).await.microposts().len(), 1, "strangers see it now");
    let stack = app.browser().get("/stack").await;
    assert!(stack.text().contains("behind the writer"), "{}", stack.text());
    site.servers.start_applying().await;
    site.is_read_from(true).await;
    let stack = app.browser().get("/stack").await;
    assert!(stack.all(".board-services h2").contains(&"Database reader up".to_owned()), "{}", stack.text());
}
