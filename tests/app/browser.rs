//! Behavior and layout that only a real browser shows. Pages use plain http and a host other than localhost, as in a
//! new Beanstalk environment: the browser then sends no Sec-Fetch-Site, only Origin.

use crate::support::chrome::{Chrome, Look};
use crate::support::people::PASSWORD;
use crate::support::{TestApp, redis};

#[actix_web::test]
async fn follow_and_unfollow_change_the_page_in_place() {
    for app in TestApp::start_both_ways().await {
        let (michael, lana) = (app.db_person("michael").await, app.db_person("lana").await);
        let chrome = Chrome::open(&app, Look::DESKTOP).await;
        chrome.log_in(&michael.email, PASSWORD).await;
        chrome.get(&format!("/users/{}", lana.id)).await;
        chrome.ask("window.stillHere = true").await;

        chrome.button("Follow").await.click().await.unwrap();
        chrome.eventually("return document.querySelector('#followers').textContent === '1'").await;
        chrome.button("Unfollow").await.click().await.unwrap();
        chrome.eventually("return document.querySelector('#followers').textContent === '0'").await;
        assert_eq!(chrome.text("#follow_form button").await, "Follow");
        assert_eq!(chrome.ask("return window.stillHere").await, true, "the page was left");
        assert_eq!(chrome.path().await, format!("/users/{}", lana.id));
        assert_eq!(chrome.console().await, Vec::<String>::new());

        // The session is ended elsewhere; the next click leads to the log-in page.
        app.database.db_execute("UPDATE users SET sign_in_epoch = sign_in_epoch + 1").await;
        chrome.button("Follow").await.click().await.unwrap();
        chrome.eventually("return location.pathname === '/login'").await;
        chrome.close().await;
    }
}

#[actix_web::test]
async fn deleting_asks_first() {
    for app in TestApp::start_both_ways().await {
        let michael = app.db_person("michael").await;
        let chrome = Chrome::open(&app, Look::DESKTOP).await;
        chrome.log_in(&michael.email, PASSWORD).await;
        chrome.get("/").await;
        chrome.fill("micropost[content]", "Hello, world").await;
        chrome.button("Post").await.click().await.unwrap();
        chrome.eventually("return document.querySelectorAll('ol.microposts > li').length === 1").await;

        chrome.button("delete").await.click().await.unwrap();
        chrome.driver.dismiss_alert().await.unwrap();
        chrome.get("/").await;
        assert_eq!(chrome.ask("return document.querySelectorAll('ol.microposts > li').length").await, 1);

        chrome.button("delete").await.click().await.unwrap();
        chrome.driver.accept_alert().await.unwrap();
        chrome.eventually("return document.querySelectorAll('ol.microposts > li').length === 0").await;
        assert!(chrome.text(".alert-success").await.contains("Micropost deleted"));
        chrome.close().await;
    }
}

#[actix_web::test]
async fn a_picture_that_is_too_large_is_not_sent_and_without_javascript_refused_in_words() {
    for app in TestApp::start_both_ways().await {
        let michael = app.db_person("michael").await;
        let file = app.folder.path().join("large.png");
        std::fs::write(&file, vec![7; 11 * 512 * 1024]).unwrap();
        for javascript in [true, false] {
            let chrome = Chrome::open(&app, Look { javascript, ..Look::DESKTOP }).await;
            chrome.log_in(&michael.email, PASSWORD).await;
            chrome.get("/").await;
            chrome.fill("micropost[content]", "A very large picture").await;
            chrome.fill("micropost[picture]", file.to_str().unwrap()).await;
            chrome.button("Post").await.click().await.unwrap();
            if javascript {
                let message = "return document.querySelector('#micropost_picture').validationMessage";
                assert_eq!(chrome.ask(message).await, "Picture should be less than 5MB");
                assert_eq!(chrome.path().await, "/");
            } else {
                assert!(chrome.text("#error_explanation").await.contains("Picture should be less than 5MB"));
                assert_eq!(chrome.text("#micropost_content").await, "A very large picture");
            }
            chrome.close().await;
        }
        assert_eq!(app.database.db_number("SELECT COUNT(*) FROM microposts").await, 0);
    }
}

#[actix_web::test]
async fn the_account_menu_opens_and_logs_out_without_javascript() {
    for app in TestApp::start_both_ways().await {
        let michael = app.db_person("michael").await;
        let chrome = Chrome::open(&app, Look { javascript: false, width: 360, ..Look::DESKTOP }).await;
        chrome.log_in(&michael.email, PASSWORD).await;
        chrome.find("details summary").await.click().await.unwrap();
        chrome.button("Log out").await.click().await.unwrap();
        chrome.eventually("return location.pathname === '/'").await;
        assert!(chrome.find("a[href='/login']").await.is_displayed().await.unwrap());
        chrome.close().await;
    }
}

#[actix_web::test]
async fn every_page_fits_its_window_and_loads_nothing_from_elsewhere() {
    for app in TestApp::start_both_ways().await {
        let admin = app.db_admin("michael").await;
        let long = app.db_person(&"W".repeat(50)).await;
        let profile = format!("/users/{}", long.id);
        let settings = format!("/users/{}/edit", admin.id);
        for (dark, width) in [(false, 360), (true, 360), (false, 1280), (true, 1280)] {
            let chrome = Chrome::open(&app, Look { dark, width, javascript: true }).await;
            let public =
                ["/", "/help", "/about", "/contact", "/signup", "/login", "/password_resets/new", "/nowhere"];
            for path in public {
                fits(&chrome, path, width).await;
            }
            chrome.log_in(&admin.email, PASSWORD).await;
            for path in [
                "/",
                "/users",
                &profile,
                &format!("{profile}/followers"),
                &settings,
                "/stack",
                "/admin/outbox",
            ] {
                fits(&chrome, path, width).await;
            }
            // The browser's own message about the missing page.
            let mut console = chrome.console().await;
            console.retain(|line| !line.contains("/nowhere"));
            assert_eq!(console, Vec::<String>::new(), "dark {dark}, {width} px");
            chrome.close().await;
        }
    }
}

/// The stack page stays open; a service fails and recovers, and the page updates itself.
#[actix_web::test]
async fn the_stack_page_is_live() {
    let mut server = redis::start();
    let app = TestApp::start_with(&[("REDIS_URL", &redis::url(&server))]).await;
    let chrome = Chrome::open(&app, Look::DESKTOP).await;
    chrome.get("/stack").await;
    chrome.ask("window.stillHere = true").await;
    let is = |state: &str| {
        format!(
            "return document.querySelectorAll('.board-services > li.service-{state}')[0]?.innerText.startsWith('Sessions')"
        )
    };
    server.kill();
    chrome.eventually(&is("down")).await;
    server.start_again();
    chrome.eventually("return document.querySelectorAll('.service-down').length === 0").await;
    assert_eq!(chrome.ask("return window.stillHere").await, true, "the page was left");
    chrome.close().await;
}

async fn fits(chrome: &Chrome, path: &str, width: u32) {
    chrome.get(path).await;
    let page_width = chrome.ask("return document.scrollingElement.scrollWidth").await;
    assert!(page_width.as_u64().unwrap() <= u64::from(width), "{path} is {page_width} px wide in {width}");
    let elsewhere = "return performance.getEntriesByType('resource').map(e => e.name)\
                     .filter(name => !name.startsWith(location.origin + '/') && !name.startsWith('data:'))";
    assert_eq!(chrome.ask(elsewhere).await, serde_json::json!([]), "{path}");
}
