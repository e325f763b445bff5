//! Bad input in forms. Whatever a field contains, it is rejected with a page that says what is wrong; nothing changes,
//! and the form keeps what was typed except passwords. Generated from a table of forms. Files are in multipart.rs,
//! paths and queries in bad_paths.rs.

use reqwest::Method;

use crate::bad_paths::NOT_NUMBERS;
use crate::support::people::PASSWORD;
use crate::support::{Browser, Page, TestApp};

/// Kinds of fields, each with its own invalid values.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Text that the rejected form shows again.
    Text,
    /// Never shown again.
    Password,
    Number,
    /// 1, 0 or absent.
    Tick,
    /// The address in the form of a mail link; optional.
    LinkEmail,
}
use Kind::{LinkEmail, Number, Password, Text, Tick};

type Field = (&'static str, &'static str, Kind);

/// Every form: method, path and fields, each with a valid value.
const FORMS: [(&str, &str, &[Field]); 8] = [
    (
        "POST",
        "/users",
        &[
            ("user[name]", "New Person", Text),
            ("user[email]", "new@example.com", Text),
            ("user[password]", PASSWORD, Password),
            ("user[password_confirmation]", PASSWORD, Password),
        ],
    ),
    (
        "PATCH",
        "/users/1",
        &[
            ("user[name]", "Renamed", Text),
            ("user[email]", "changed@example.com", Text),
            ("user[password]", "another good one", Password),
            ("user[password_confirmation]", "another good one", Password),
            ("user[current_password]", PASSWORD, Password),
        ],
    ),
    (
        "POST",
        "/login",
        &[
            ("session[email]", "michael@example.com", Text),
            ("session[password]", PASSWORD, Password),
            ("session[remember_me]", "1", Tick),
        ],
    ),
    ("POST", "/password_resets", &[("password_reset[email]", "michael@example.com", Text)]),
    ("POST", "/account_activations", &[("account_activation[email]", "waiting@example.com", Text)]),
    (
        "PATCH",
        "/password_resets/kept",
        &[
            ("email", "michael@example.com", LinkEmail),
            ("user[password]", PASSWORD, Password),
            ("user[password_confirmation]", PASSWORD, Password),
        ],
    ),
    ("POST", "/microposts", &[("micropost[content]", "A post", Text)]),
    ("POST", "/relationships", &[("followed_id", "2", Number)]),
];

/// Invalid inputs for a field: a description, and the encoded pairs that replace the field's own.
fn bad(field: &str, good: &str, kind: Kind) -> Vec<(String, String)> {
    let good: String = url::form_urlencoded::byte_serialize(good.as_bytes()).collect();
    let mut bad = vec![
        ("repeated", format!("{field}={good}&{field}={good}")),
        ("a list", format!("{field}[]={good}")),
        ("a list, escaped", format!("{field}%5B%5D={good}")),
        ("nested twice", format!("{field}[x][y]={good}")),
        ("a list of objects", format!("{field}[][x]={good}")),
    ];
    for value in ["%FF%FE", "%E2%82", "%ED%A0%80", "%C0%AF", "%00", "%1B%5B2J", "%EF%BF%BD"] {
        bad.push(("no text", format!("{field}={good}{value}")));
        bad.push(("no text", format!("{field}={value}")));
    }
    bad.push(("invalid UTF-8, raw", format!("{field}={good}\u{1}RAW")));
    for length in [300, 7_000, 1_000_000] {
        bad.push(("long", format!("{field}={}", "x".repeat(length))));
    }
    if !matches!(kind, Tick | LinkEmail) {
        bad.push(("missing", String::new()));
        bad.push(("empty", format!("{field}=")));
        bad.push(("blank", format!("{field}=+%09%0A+")));
        bad.push(("nested", format!("{field}[x]={good}")));
    }
    if matches!(kind, Number | Tick) {
        bad.extend(NOT_NUMBERS.iter().map(|value| ("no number", format!("{field}={value}"))));
    }
    bad.into_iter().map(|(what, pairs)| (what.to_owned(), pairs)).collect()
}

#[actix_web::test]
async fn no_field_of_any_form_takes_what_it_must_not() {
    let (app, browsers) = start().await;
    for (verb, path, fields) in FORMS {
        let browser = browser_for(&browsers, path);
        let before = app.database.db_dump().await;
        for (field, good, kind) in fields {
            for (what, pairs) in bad(field, good, *kind) {
                let place = format!("{field} {what} ({:.40}) to {verb} {path}", pairs);
                let rest = fields.iter().filter(|(other, ..)| other != field);
                let mut body = url::form_urlencoded::Serializer::new(String::new());
                body.extend_pairs(rest.clone().map(|(name, value, _)| (name, value)));
                let body = format!("{}&{pairs}", body.finish()).into_bytes();
                let page = send(browser, verb, path, FORM, raw(body)).await;
                assert_refused(&page, &place);
                assert_eq!(page.status == 413, pairs.len() > 1_000_000, "{place}: {}", page.status);
                if page.status != 422 {
                    continue;
                }
                for (other, value, _) in rest.filter(|(.., kind)| *kind == Text) {
                    assert_eq!(kept(&page, other), *value, "{place}");
                }
                if what == "long" && *kind == Text {
                    assert_eq!(kept(&page, field), pairs.split_once('=').unwrap().1, "{place}");
                }
            }
            assert_eq!(app.database.db_dump().await, before, "{field} to {verb} {path}");
        }
    }
}

/// A body that is empty or not a form gives the same error for every form.
#[actix_web::test]
async fn no_form_takes_another_encoding_or_nothing() {
    let (app, browsers) = start().await;
    let before = app.database.db_dump().await;
    for (verb, path, fields) in FORMS {
        let browser = browser_for(&browsers, path);
        let mut good = url::form_urlencoded::Serializer::new(String::new());
        good.extend_pairs(fields.iter().map(|(name, value, _)| (name, value)));
        let good = good.finish();
        let flood: String = (0..65).map(|number| format!("&p{number}=1")).collect();
        for (encoding, body) in [
            ("application/json", r#"{"user":{"name":"x"}}"#),
            ("application/json", good.as_str()),
            ("text/plain", &good),
            ("text/xml", "<user/>"),
            ("application/x-www-form-urlencoded-not", &good),
            ("application/octet-stream", "\0\0"),
            ("nonsense", &good),
            ("", &good),
            ("multipart/form-data", &good),
            ("multipart/form-data; boundary=", &good),
            (FORM, ""),
            (FORM, "&&&="),
            (FORM, "=&==&%"),
            (FORM, "user=1&session=1&micropost=1&password_reset=1&account_activation=1"),
            (FORM, &flood),
            ("", ""),
        ] {
            let place = format!("{encoding:?} {body:.40} to {verb} {path}");
            let page = send(browser, verb, path, encoding, body.into()).await;
            assert_refused(&page, &place);
            let is_form = encoding == FORM || body.is_empty();
            assert!(is_form || page.status == 400, "{place}: {}, as if fields were missing", page.status);
        }
        assert_eq!(app.database.db_dump().await, before, "{verb} {path}");
    }
}

/// The valid input that the tests above vary is accepted, so it is the one variation that is rejected.
#[actix_web::test]
async fn every_form_takes_what_is_good() {
    for (verb, path, fields) in FORMS {
        let (app, browsers) = start().await;
        let before = app.database.db_dump().await;
        let mut good = url::form_urlencoded::Serializer::new(String::new());
        good.extend_pairs(fields.iter().map(|(name, value, _)| (name, value)));
        // Unknown fields (from a password manager or a browser extension) are accepted in any form.
        let body = format!("utm=1&utm=2&tag[]=x&a[b][c]=1&{}", good.finish());
        let encoding = "Application/x-www-form-urlencoded; charset=UTF-8";
        let page = send(browser_for(&browsers, path), verb, path, encoding, body.into()).await;
        assert_eq!(page.status, 303, "{verb} {path}: {}", page.text());
        app.all_mails().await;
        assert_ne!(app.database.db_dump().await, before, "{verb} {path}");
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Michael, logged in, and a browser that followed a password reset link.
async fn start() -> (TestApp, [Browser; 2]) {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    app.db_person("archer").await;
    app.db_unactivated("waiting").await;
    assert_eq!(michael.id, 1);
    let mut resetting = app.browser();
    resetting.post("/password_resets", &[("password_reset[email]", &michael.email)]).await;
    let link = app.mail_to(&michael.email, 1).await.link();
    assert!(resetting.get(&link).await.has("input[type=password]"));
    app.all_mails().await;
    let logged_in = app.logged_in(&michael).await;
    (app, [logged_in, resetting])
}

fn browser_for<'a>(browsers: &'a [Browser; 2], path: &str) -> &'a Browser {
    &browsers[usize::from(path.ends_with("/kept"))]
}

/// For bytes that are not UTF-8, which no Rust string can hold.
fn raw(body: Vec<u8>) -> Vec<u8> {
    match body.windows(4).position(|window| window == b"\x01RAW") {
        Some(at) => [&body[..at], b"\xff\xfe\x80", &body[at + 4..]].concat(),
        None => body,
    }
}

/// Sends with a copy of the initial cookies, so that requests do not affect each other.
async fn send(browser: &Browser, verb: &str, path: &str, encoding: &str, body: Vec<u8>) -> Page {
    let mut browser = browser.clone();
    let mut request = browser.request(Method::from_bytes(verb.as_bytes()).unwrap(), path);
    if !encoding.is_empty() {
        request = request.header("content-type", encoding);
    }
    browser.send(request.body(body), path).await
}

fn assert_refused(page: &Page, place: &str) {
    assert!((400..500).contains(&page.status), "{place}: {}", page.status);
    let reasons = if page.has("section.error_page") {
        page.all("section.error_page p:not(.status)")
    } else {
        page.errors().into_iter().chain(page.flash().map(|(_, message)| message)).collect()
    };
    assert!(reasons.first().is_some_and(|reason| reason.len() > 10), "{place}: {}", page.text());
    assert!(!page.text().contains(PASSWORD) && !page.text().contains("another good one"), "{place}");
    assert!(page.attrs("input[type=password]", "value").iter().all(String::is_empty), "{place}");
}

/// The value of a field in the form that came back.
fn kept(page: &Page, field: &str) -> String {
    let values = match field {
        "micropost[content]" => page.all(&format!("textarea[name='{field}']")),
        _ => page.attrs(&format!("input[name='{field}']"), "value"),
    };
    assert_eq!(values.len(), 1, "{field}: {}", page.text());
    values.into_iter().next().unwrap()
}
