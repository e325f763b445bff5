//! Bad input in URLs and cookies: path parameters of every route, query parameters, and arbitrary cookies. It is
//! rejected with a page that says so, and nothing changes.

use reqwest::Method;
use sample_app::routes::TABLE;

use crate::support::TestApp;
use crate::support::table::{filled, form_for};

/// Texts that are not integers from 1 to 2^63 - 1.
pub const NOT_NUMBERS: [&str; 18] = [
    "-1",
    "-0",
    "9223372036854775808",
    "18446744073709551616",
    "-9223372036854775809",
    "9e99",
    "1e0",
    "0x1",
    "1.5",
    "1,5",
    "NaN",
    "Infinity",
    "abc",
    "%D9%A1",
    "%EF%BC%91",
    "%2B1",
    "1%00",
    "%201",
];

#[actix_web::test]
async fn no_path_parameter_takes_what_it_must_not() {
    let app = TestApp::start().await;
    let (admin, owner) = (app.db_admin("admin").await, app.db_owner("owner").await);
    let browser = app.logged_in(&admin).await;
    let before = app.database.db_dump().await;
    let long = "9".repeat(3000);
    let bad: Vec<&str> = NOT_NUMBERS
        .into_iter()
        .chain([
            "0",
            "%FF",
            "%C0%AF",
            "%00",
            "%0d%0a",
            "%ED%A0%80",
            "{id}",
            "*",
            "[]",
            "[1]",
            "a'b",
            "a\"b",
            "%25",
            "%",
        ])
        .chain([long.as_str(), "1;2", "1%2F2", "null", "undefined"])
        .collect();
    for (verb, path) in TABLE.iter().filter(|(_, path)| path.contains('{')) {
        let (start, _) = path.split_once('{').unwrap();
        for value in &bad {
            let (_, end) = path.split_once('}').unwrap();
            let to = format!("{start}{value}{end}");
            let mut browser = browser.clone();
            let method = Method::from_bytes(verb.as_bytes()).unwrap();
            let mut request = browser.request(method, &to);
            if *verb != "GET" {
                request = request.form(&form_for(verb, path, &owner, "new@example.com"));
            }
            let page = browser.send(request, &to).await;
            if path.contains("{token}") && page.status == 303 {
                // Mail links report it on the next page, as in the Rails sample.
                let page = browser.get(&page.location().unwrap()).await;
                let (kind, _) = page.flash().unwrap_or_else(|| panic!("{verb} {to:.60} says nothing"));
                assert_eq!((page.status, kind.as_str()), (200, "danger"), "{verb} {to:.60}");
                assert!(!browser.cookies.contains_key("mail_link"), "{verb} {to:.60} is no link to be kept");
            } else {
                assert!(matches!(page.status, 400 | 404), "{verb} {to:.60}: {}", page.status);
                assert!(!page.one("section.error_page p:nth-of-type(2)").is_empty());
            }
        }
        for id in ["9223372036854775807", "4711"] {
            let to = format!("{start}{id}");
            let page = browser.clone().get(&to).await;
            assert!(page.status < 500, "{to}");
        }
    }
    assert_eq!(app.database.db_dump().await, before);
}

/// The log-in check always comes before parameter errors: the response does not depend on which finishes first.
#[actix_web::test]
async fn log_in_comes_before_bad_parameters() {
    let app = TestApp::start().await;
    let owner = app.db_owner("owner").await;
    let mut signed_in = app.logged_in(&owner.person).await;
    for path in ["/users?page=0", "/users/abc/edit", "/users/abc/following", "/users/1/followers?page=x"] {
        for _ in 0..20 {
            let anonymous = app.browser().get_only(path).await;
            assert_eq!((anonymous.status, anonymous.location().as_deref()), (303, Some("/login")), "{path}");
            let page = signed_in.get_only(path).await;
            assert!(matches!(page.status, 400 | 404), "{path}: {}", page.status);
            assert!(page.has("form[action='/logout']"), "it knows who asks: {path}");
        }
    }
}

/// Query parameters: the page of every list, and the address in mail links.
#[actix_web::test]
async fn no_query_parameter_takes_what_it_must_not() {
    let app = TestApp::start().await;
    let owner = app.db_owner("owner").await;
    let mut browser = app.logged_in(&owner.person).await;
    let lists = ["/", "/users", "/users/{id}", "/users/{id}/following", "/users/{id}/followers"];
    let structures =
        ["page[]=1", "page[x]=1", "page[x][y]=1", "page%5B%5D=1", "page=1&page=1", "page=1&page[]=1"];
    let flood: String = (0..65).map(|number| format!("&p{number}=1")).collect();
    for list in lists {
        let list = filled(list, &owner);
        let values =
            NOT_NUMBERS.iter().copied().chain(["0", "4294967296", "%FF", "%00", "1%0a", "%20", "[]"]);
        let queries = values.map(|value| format!("page={value}")).chain(structures.map(str::to_owned));
        for query in queries.chain([format!("page={}", "1".repeat(5000))]) {
            let page = browser.get(&format!("{list}?{query}")).await;
            assert_eq!(page.status, 400, "{list}?{query:.60}");
            assert!(page.one("section.error_page").len() > 40);
        }
        for far in ["2", "1000000", "4294967295"] {
            assert_eq!(browser.get(&format!("{list}?page={far}")).await.status, 404, "{list}?page={far}");
        }
        for fine in [
            "page=1",
            "page=",
            "utm_source=%FF",
            "x=%00",
            "page=1&y[z]=1",
            "tag[]=x",
            "tag[]=x&tag[]=y&page=1",
            "a=1&a=2",
            "a[b][c]=1",
            "pages[]=1",
            "email[]=a",
            &flood,
        ] {
            assert_eq!(browser.get(&format!("{list}?{fine}")).await.status, 200, "{list}?{fine}");
        }
    }
    for link in [
        "/account_activations/{token}/edit",
        "/password_resets/{token}/edit",
        "/email_changes/{token}/edit",
        "/email_restores/{token}/edit",
    ] {
        let link = filled(link, &owner);
        for query in ["email=a@b.com&email=a@b.com", "email[]=a@b.com", "email[x][y]=a@b.com"] {
            assert_eq!(browser.get(&format!("{link}?{query}")).await.status, 400, "{link}?{query}");
        }
        for query in [
            "",
            "email=",
            "email=%FF",
            "email=%00",
            "email[x]=1",
            "email=-1",
            "a=1&a=2",
            &flood,
            &"x".repeat(5000),
        ] {
            let page = browser.get(&format!("{link}?{query}")).await;
            assert_eq!(
                (page.status, page.one("h1").as_str()),
                (404, "This link is not complete"),
                "{link}?{query:.60}"
            );
        }
    }
}

#[actix_web::test]
async fn no_cookie_does_harm() {
    let app = TestApp::start().await;
    for name in
        ["session", "remember_me", "flash", "return_to", "mail_link", "draft", "last_write", "other", ""]
    {
        for value in
            ["", "x", "%FF", "%00", "=", "a=b=c", "\"", "a b", &"x".repeat(5000), "0:0", ":", "-1", "[]", "%"]
        {
            let mut browser = app.browser();
            browser.cookies.insert(name.into(), value.into());
            for path in ["/", "/login", "/users", "/password_resets/kept/edit"] {
                let page = browser.get_only(path).await;
                assert!(matches!(page.status, 200 | 303), "{name}={value:.20} on {path}: {}", page.status);
            }
            assert_eq!(browser.get("/users").await.path, "/login");
        }
    }
}
