//! Mail recipients, links in mails and redirect targets cannot be influenced from outside.

use reqwest::Method;
use reqwest::header::HOST;

use crate::support::app::APP_URL;
use crate::support::people::PASSWORD;
use crate::support::{Browser, TestApp};

/// No form that sends mail lets a line break into a mail header.
#[actix_web::test]
async fn line_breaks_reach_no_mail_header() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let settings = format!("/users/{}", michael.id);
    let before = app.database.db_dump().await;
    for line_break in
        ["\r\n", "\n", "\r", "\r\n\r\n", "\u{2028}", "\u{85}", "\0", "%0d%0a", "\\r\\n", "\u{b}"]
    {
        for injected in [
            "Bcc: victim@example.org",
            "To: victim@example.org",
            "Content-Type: text/html",
            ".",
            "victim@example.org",
        ] {
            let addresses = [
                format!("a@example.com{line_break}{injected}"),
                format!("a{line_break}{injected}@example.com"),
                format!("{injected}{line_break}a@example.com"),
                format!("a@example.com, {injected}"),
                format!("\"{line_break}{injected}\" <a@example.com>"),
            ];
            for address in &addresses {
                let name = format!("Eve{line_break}{injected}");
                let sign_up = |name, email| {
                    [
                        ("user[name]", name),
                        ("user[email]", email),
                        ("user[password]", PASSWORD),
                        ("user[password_confirmation]", PASSWORD),
                    ]
                };
                let settings_form = [
                    ("_method", "patch"),
                    ("user[name]", "michael"),
                    ("user[email]", address),
                    ("user[current_password]", PASSWORD),
                ];
                let visible = line_break.starts_with('%') || line_break.starts_with('\\');
                for (path, form) in [
                    ("/users", &sign_up("Eve", address)[..]),
                    // In a name, a spelled-out line break (%0a, \n) is ordinary text.
                    ("/users", &sign_up(if visible { "" } else { &name }, "eve@example.com")),
                    ("/password_resets", &[("password_reset[email]", address.as_str())]),
                    ("/account_activations", &[("account_activation[email]", address.as_str())]),
                    (&settings, &settings_form),
                ] {
                    let page = browser.post(path, form).await;
                    assert_eq!(page.status, 422, "{address:?} or {name:?} to {path}");
                }
            }
        }
    }
    assert_eq!(app.database.db_dump().await, before);
    assert!(app.all_mails().await.is_empty());

    let page = browser
        .post("/password_resets", &[("password_reset[email]", &format!(" {}\r\n", michael.email))])
        .await;
    assert_eq!(page.status, 303, "blanks around an address are none of it");
    let mail = app.mail_to(&michael.email, 1).await;
    let head = mail.raw.split("\r\n\r\n").next().unwrap().to_lowercase();
    let recipients =
        head.lines().filter(|line| ["to:", "cc:", "bcc:"].iter().any(|name| line.starts_with(name)));
    assert_eq!(recipients.collect::<Vec<_>>(), [format!("to: {}", michael.email)]);
}

/// Links and redirects use the configured host, whatever the request claims.
#[actix_web::test]
async fn a_forged_host_gets_nowhere() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let evil = "evil.example";
    let forge = |browser: &Browser, method: Method, path: &str| {
        let mut request = browser.request(method, path).header(HOST, evil);
        for (name, value) in [
            ("x-forwarded-host", evil),
            ("x-forwarded-server", evil),
            ("x-original-host", evil),
            ("x-host", evil),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "666"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-prefix", "/evil.example"),
            ("x-original-url", "/evil.example"),
            ("x-rewrite-url", "/evil.example"),
            ("forwarded", "host=evil.example;proto=https"),
            ("referer", "https://evil.example/users"),
        ] {
            request = request.header(name, value);
        }
        request
    };
    let mut browser = app.browser();
    let sign_up = [
        ("user[name]", "New"),
        ("user[email]", "new@example.com"),
        ("user[password]", PASSWORD),
        ("user[password_confirmation]", PASSWORD),
    ];
    let log_in = [("session[email]", michael.email.as_str()), ("session[password]", PASSWORD)];
    for (path, form) in [
        ("/users", &sign_up[..]),
        ("/users", &sign_up),
        ("/password_resets", &[("password_reset[email]", "michael@example.com")]),
        ("/account_activations", &[("account_activation[email]", "new@example.com")]),
        ("/login", &log_in),
        ("/microposts", &[("micropost[content]", "x")]),
        ("/microposts/1", &[("_method", "delete")]),
        (
            "/users/1",
            &[
                ("_method", "patch"),
                ("user[name]", "michael"),
                ("user[email]", "m2@example.com"),
                ("user[current_password]", PASSWORD),
            ],
        ),
        ("/logout", &[("_method", "delete")]),
    ] {
        let page = browser.send(forge(&browser, Method::POST, path).form(form), path).await;
        let location = page.location().unwrap_or_default();
        assert!(
            page.status == 303 && location.starts_with('/') && !location.starts_with("//"),
            "{path}: {location}"
        );
        assert!(!format!("{:?}", page.headers).contains("evil"), "{path}: {:?}", page.headers);
    }
    let mails = app.all_mails().await;
    assert_eq!(mails.len(), 6, "two sign-ups, a reset, an activation, a change and word of it");
    for mail in mails {
        assert!(!mail.raw.contains("evil") && !mail.text.contains("evil") && !mail.html.contains("evil"));
        assert!(mail.link().starts_with('/'), "begins with {APP_URL}: {}", mail.text);
    }
    for path in ["/", "/login", "/users/1", "/users", "/nowhere"] {
        let page = browser.send(forge(&browser, Method::GET, path), path).await;
        assert!(!page.text().contains("evil") && !format!("{:?}", page.headers).contains("evil"), "{path}");
    }
}

const ELSEWHERE: [&str; 14] = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "%09//evil.example",
    "/%09/evil.example",
    "///evil.example",
    "https:evil.example",
    "https://evil.example/",
    "http://sample.test.evil.example/",
    "http://sample.test@evil.example/",
    "javascript:alert(1)",
    "data:text/html,x",
    "%2f%2fevil.example",
];

/// A log-in redirects to the page that required it, and never to a target forged in the cookie or the URL.
#[actix_web::test]
async fn log_in_leads_to_own_pages_only() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let profile = format!("/users/{}", michael.id);
    for target in ELSEWHERE {
        for path in [format!("/login?return_to={target}"), format!("/login?next={target}&url={target}")] {
            let mut browser = app.browser();
            browser.cookies.insert("return_to".into(), target.to_owned());
            let form = browser.get(&path).await.form("Log in");
            let form = form.set("session[email]", &michael.email).set("session[password]", PASSWORD);
            let form = form.set("return_to", target).set("session[return_to]", target);
            assert_eq!(browser.submit_only(form).await.location(), Some(profile.clone()), "{target}");
        }
        // A page that requires a log-in keeps its own path, whatever its query is.
        let mut browser = app.browser();
        let asked = format!("/users?page=1&to={}", target.replace('\\', "%5c"));
        assert_eq!(browser.get(&asked).await.path, "/login");
        let form = browser.get("/login").await.form("Log in");
        let form = form.set("session[email]", &michael.email).set("session[password]", PASSWORD);
        assert_eq!(browser.submit_only(form).await.location(), Some(asked), "{target}");
    }
    // A signature of another cookie or another value is invalid.
    let mut browser = app.browser();
    browser.get("/users").await;
    let signed = browser.cookies["return_to"].clone();
    let forged = signed.replace("users", "logout");
    assert_ne!(signed, forged);
    browser.cookies.insert("return_to".into(), forged);
    assert_eq!(browser.log_in(&michael.email, PASSWORD).await.path, profile);
    // No page has a URL this long; stored in a cookie, it would make a response that proxies reject.
    let mut browser = app.browser();
    let page = browser.get_only(&format!("/users?x={}", "y".repeat(5000))).await;
    assert_eq!((page.status, browser.cookies.contains_key("return_to")), (303, false));
}

/// Deleting a post redirects back to its page, only if that is a page of the application.
#[actix_web::test]
async fn deleting_leads_back_to_own_pages_only() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let own = format!("/users/{}?page=1", michael.id);
    let cases = ELSEWHERE.iter().flat_map(|target| {
        [
            ((*target).to_owned(), "/"),
            (format!("http://evil.example{target}"), "/"),
            (format!("https://sample.test{target}"), "/"),
        ]
    });
    let ours = [
        (format!("{APP_URL}{own}"), own.as_str()),
        (format!("{APP_URL}//evil.example"), "/"),
        (format!("{APP_URL}/\\evil.example"), "/"),
        (format!("{APP_URL}:80/"), "/"),
        (format!("{APP_URL}.evil.example/users"), "/"),
        (format!("{APP_URL}@evil.example/users"), "/"),
        (String::new(), "/"),
    ];
    for (number, (referer, expected)) in cases.chain(ours).enumerate() {
        browser.post("/microposts", &[("micropost[content]", "x")]).await;
        let path = format!("/microposts/{}", number + 1);
        let request =
            browser.request(Method::POST, &path).header("referer", &referer).form(&[("_method", "delete")]);
        let page = browser.send(request, &path).await;
        assert_eq!((page.status, page.location().as_deref()), (303, Some(expected)), "{referer}");
    }
}
