//! Undoing a change of address: someone who knows the password can change the address, so the mail to the old address
//! contains a link that undoes it, whatever happened since.

use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::support::page::Form;
use crate::support::people::{PASSWORD, Person};
use crate::support::wait::wait_for;
use crate::support::{Browser, Page, TestApp};

const OWN: &str = "my own again";
const INVALID: &str = "Invalid link: it was used, or is older than seven days.";
const DONE: &str = "Your account has this address and a new password. Everybody else was logged out.";

/// Requests a new address and confirms it.
async fn change(app: &TestApp, browser: &mut Browser, person: &Person, password: &str, email: &str) {
    let form = browser.get(&format!("/users/{}/edit", person.id)).await.form("Save changes");
    browser.submit(form.set("user[email]", email).set("user[current_password]", password)).await;
    let page = browser.get(&app.mails_to(email, 1).await[0].link()).await;
    browser.submit(page.form("Use this address")).await.assert_at(200, "/");
}

/// A user, and the browser of a thief who knew the password and changed the address.
async fn stolen(app: &TestApp) -> (Person, Browser) {
    let michael = app.db_person("michael").await;
    let mut thief = app.logged_in(&michael).await;
    change(app, &mut thief, &michael, PASSWORD, "thief@example.com").await;
    (michael, thief)
}

/// The links sent to an address, oldest first. Waits until there are `number`.
async fn links(app: &TestApp, email: &str, number: usize) -> Vec<String> {
    wait_for(async || {
        let mut links: Vec<_> = app.mails_to(email, number).await.iter().map(|mail| mail.link()).collect();
        links.retain(|link| link.starts_with("/email_restores/"));
        if links.len() >= number { Ok(links) } else { Err(format!("{links:?}")) }
    })
    .await
}

fn fill(page: &Page, password: &str) -> Form {
    let form = page.form("Take my account back").set("user[password]", password);
    form.set("user[password_confirmation]", password)
}

async fn restore(browser: &mut Browser, link: &str) -> Page {
    let page = browser.get(link).await;
    browser.submit(fill(&page, OWN)).await
}

async fn email_of(app: &TestApp, person: &Person) -> String {
    app.database.db_text(&format!("SELECT email FROM users WHERE id = {}", person.id)).await
}

#[actix_web::test]
async fn the_former_address_takes_the_account_back_from_whoever_knows_the_password() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut thief = app.browser();
    thief.log_in_remembered(&michael.email, PASSWORD).await;
    change(&app, &mut thief, &michael, PASSWORD, "thief@example.com").await;
    // A new password invalidates other links, but not this one.
    let form = thief.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let form = form.set("user[password]", "the thief's own").set("user[current_password]", PASSWORD);
    thief.submit(form.set("user[password_confirmation]", "the thief's own")).await;
    assert_eq!(email_of(&app, &michael).await, "thief@example.com");
    app.browser().log_in("thief@example.com", "the thief's own").await.assert_at(200, "/users/1");

    for (number, link) in links(&app, &michael.email, 2).await.into_iter().enumerate() {
        let mut owner = app.browser();
        let page = owner.get(&link).await;
        if number == 1 {
            page.assert_flash("danger", INVALID);
            continue;
        }
        page.assert_at(200, "/email_restores/kept/edit");
        assert_eq!(email_of(&app, &michael).await, "thief@example.com", "following it changes nothing");
        let page = owner.submit(fill(&page, "short")).await;
        page.assert_at(422, "/email_restores/kept");
        let page = owner.submit(fill(&page, OWN)).await;
        page.assert_at(200, &format!("/users/{}", michael.id));
        page.assert_flash("success", DONE);
        assert!(owner.is_logged_in().await);
        owner.get(&link).await.assert_flash("danger", INVALID);
    }
    assert_eq!(email_of(&app, &michael).await, michael.email);
    assert!(!thief.is_logged_in().await, "neither the session nor the device");
    thief.log_in(&michael.email, "the thief's own").await.assert_at(422, "/login");
    assert_eq!(app.browser().log_in(&michael.email, OWN).await.status, 200);
}

/// The link also works before the new address is confirmed, and cancels the pending change.
#[actix_web::test]
async fn the_link_ends_a_change_that_is_still_waiting() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut thief = app.logged_in(&michael).await;
    let form = thief.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
    let form = form.set("user[email]", "thief@example.com").set("user[current_password]", PASSWORD);
    thief.submit(form).await;
    let confirm = app.mail_to("thief@example.com", 1).await.link();
    let button = thief.get(&confirm).await.form("Use this address");
    let link = links(&app, &michael.email, 1).await.remove(0);
    restore(&mut app.browser(), &link).await.assert_flash("success", DONE);
    thief.submit(button).await.assert_at(200, "/");
    assert_eq!(email_of(&app, &michael).await, michael.email);
    assert!(!thief.is_logged_in().await);
}

#[actix_web::test]
async fn the_first_owner_wins_over_every_later_address() {
    let app = TestApp::start().await;
    let (michael, mut thief) = stolen(&app).await;
    change(&app, &mut thief, &michael, PASSWORD, "second@example.com").await;
    let of_thief = links(&app, "thief@example.com", 2).await.remove(1);
    let of_owner = links(&app, &michael.email, 2).await.remove(1);
    let button = fill(&thief.get(&of_thief).await, "stolen once more");

    restore(&mut app.browser(), &of_owner).await.assert_flash("success", DONE);
    thief.submit(button).await.assert_flash("danger", INVALID);
    app.browser().get(&of_thief).await.assert_flash("danger", INVALID);
    assert_eq!(email_of(&app, &michael).await, michael.email);
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM email_restores").await, 0);
}

/// The reverse: a thief who first uses the link sent to his own address does not invalidate the owner's.
#[actix_web::test]
async fn a_later_link_does_not_end_an_earlier_one() {
    let app = TestApp::start().await;
    let (michael, mut thief) = stolen(&app).await;
    change(&app, &mut thief, &michael, PASSWORD, "second@example.com").await;
    let of_thief = links(&app, "thief@example.com", 2).await.remove(1);
    restore(&mut thief, &of_thief).await.assert_flash("success", DONE);
    assert_eq!(email_of(&app, &michael).await, "thief@example.com");
    let of_owner = links(&app, &michael.email, 2).await.remove(1);
    restore(&mut app.browser(), &of_owner).await.assert_flash("success", DONE);
    assert_eq!(email_of(&app, &michael).await, michael.email);
    assert!(!thief.is_logged_in().await);
}

#[actix_web::test]
async fn a_former_address_that_another_account_has_by_now_says_so_and_the_link_stays_good() {
    let app = TestApp::start().await;
    let (michael, _) = stolen(&app).await;
    let link = links(&app, &michael.email, 2).await.remove(1);
    let mut owner = app.browser();
    let page = owner.get(&link).await;
    // A sign-up that was never activated does not block the address.
    let second = app.db_unactivated("michael").await;
    app.browser().get(&link).await.assert_at(200, "/email_restores/kept/edit");
    let activate = format!("UPDATE users SET activated_at = created_at WHERE id = {}", second.id);
    app.database.db_execute(&activate).await;
    for page in [owner.submit(fill(&page, OWN)).await, app.browser().get(&link).await] {
        assert_eq!(page.status, 422);
        let (kind, said) = page.flash().unwrap();
        assert!(kind == "danger" && said.starts_with("Another account uses this address"), "{said}");
    }
    assert_eq!(email_of(&app, &michael).await, "thief@example.com");
    app.database
        .db_execute(&format!("UPDATE users SET email = 'x@example.com' WHERE id = {}", second.id))
        .await;
    restore(&mut owner, &link).await.assert_flash("success", DONE);
    assert_eq!(email_of(&app, &michael).await, michael.email);
}

#[actix_web::test]
async fn a_link_is_good_for_seven_days_and_only_with_its_address() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    change(&app, &mut browser, &michael, PASSWORD, "new@example.com").await;
    let link = links(&app, &michael.email, 2).await.remove(1);
    app.browser().get(&link.replace("michael%40", "other%40")).await.assert_flash("danger", INVALID);
    app.pass(TimeDelta::days(7) - TimeDelta::minutes(1));
    app.browser().get(&link).await.assert_at(200, "/email_restores/kept/edit");
    app.pass(TimeDelta::minutes(1));
    app.browser().get(&link).await.assert_flash("danger", INVALID);
}

#[actix_web::test]
async fn of_twenty_parallel_uses_one_succeeds() {
    let app = TestApp::start().await;
    let (michael, _) = stolen(&app).await;
    let mut browser = app.browser();
    let page = browser.get(&links(&app, &michael.email, 2).await[1]).await;
    let uses = (0..20).map(|_| {
        let (mut browser, form) = (browser.clone(), fill(&page, OWN));
        async move { browser.submit_until_taken(form).await.location().unwrap() }
    });
    let led_to = join_all(uses).await;
    assert_eq!(led_to.iter().filter(|path| path.starts_with("/users/")).count(), 1, "{led_to:?}");
}
