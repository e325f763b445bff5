//! Markup injection: whatever names and texts users choose, every page and mail has the same elements and attributes as
//! with harmless words, and shows the words as typed.

use scraper::Html;

use crate::support::{Browser, Page, TestApp};

const HARMLESS: &str = "harmless";

/// Names of at most 50 characters that are markup or close their context: HTML, attributes, titles, text areas,
/// scripts, styles, URLs and templates.
const PAYLOADS: [&str; 34] = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert`1`>",
    "\"><script>alert(1)</script>",
    "'><script>alert(1)</script>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=alert(1) x=\"",
    "` onload=alert(1)",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</bdi></h1></main><h1>defaced",
    "</style><script>alert(1)</script>",
    "</noscript><script>alert(1)</script>",
    "<iframe src=javascript:alert(1)>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;//evil.example>",
    "<form action=//evil.example><button>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "javascript:alert(1)",
    "http://evil.example/",
    "<!-- ",
    "--> <b>x",
    "<![CDATA[<b>x</b>]]>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;b&#62; &amp; &quot;",
    "{{7*7}} ${7*7} <%= 7*7 %> #{7*7}",
    "{% raw %} {# x #}",
    "<math><mtext></p><style><b>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\u{ff1c}script\u{ff1e}alert(1)\u{ff1c}/script\u{ff1e}",
    "<ſcript>alert(1)</ſcript>",
];

/// The page without user text: elements and attributes, with `payload` removed and numbers replaced.
fn skeleton(html: &str, payload: &str) -> Vec<String> {
    let html = Html::parse_document(html);
    let elements = html.root_element().descendent_elements();
    let is_key = |value: &str| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
    let described = elements.map(|element| {
        let mut attributes: Vec<String> = element
            .value()
            .attrs()
            .map(|(name, value)| (name, if is_key(value) { "KEY" } else { value }))
            .map(|(name, value)| format!("{name}={}", fold_numbers(&value.replace(payload, HARMLESS))))
            .collect();
        attributes.sort();
        format!("{} {attributes:?}", element.value().name())
    });
    described.collect()
}

fn fold_numbers(text: &str) -> String {
    let mut folded = String::new();
    for c in text.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if !(c == '0' && folded.ends_with('0')) {
            folded.push(c);
        }
    }
    folded
}

/// Sets a name and posts a text. Returns every page that shows them.
async fn pages(app: &TestApp, browsers: &mut [Browser; 2], id: i64, words: &str) -> Vec<Page> {
    let [own, admins] = browsers;
    let form = own.get(&format!("/users/{id}/edit")).await.form("Save changes");
    let saved = own.submit(form.set("user[name]", words)).await;
    assert_eq!(saved.status, 200, "{words}: {:?}", saved.errors());
    let form = own.get("/").await.form("Post").set("micropost[content]", words);
    assert_eq!(own.submit(form).await.status, 200, "{words}");
    let mut pages = Vec::new();
    for path in ["/", "/users", &format!("/users/{id}"), &format!("/users/{id}/edit"), "/users/2/following"] {
        pages.push(own.get(path).await);
    }
    for path in ["/users", &format!("/users/{id}"), &format!("/users/{id}/following"), "/users/2/following"] {
        pages.push(admins.get(path).await);
    }
    let profile = own.get(&format!("/users/{id}")).await;
    assert_eq!(profile.title(), format!("{} | Sample App", fold(words)));
    assert_eq!(profile.one("section.user_info h1 bdi"), fold(words));
    assert_eq!(profile.one("ol.microposts span.content"), fold(words));
    own.press_delete(&profile).await;
    assert_eq!(app.database.db_text(&format!("SELECT name FROM users WHERE id = {id}")).await, words.trim());
    pages
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[actix_web::test]
async fn names_and_posts_bring_no_elements_into_a_page() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let (writer, admin) = (app.db_person("writer").await, app.db_admin("admin").await);
    assert_eq!((writer.id, admin.id), (1, 2));
    let mut browsers = [app.logged_in(&writer).await, app.logged_in(&admin).await];
    browsers[1].post("/relationships", &[("followed_id", "1")]).await;
    let harmless = pages(&app, &mut browsers, writer.id, HARMLESS).await;
    for payload in PAYLOADS {
        let got = pages(&app, &mut browsers, writer.id, payload).await;
        for (page, harmless) in got.iter().zip(&harmless) {
            let (got, expected) =
                (skeleton(&page.text(), payload.trim()), skeleton(&harmless.text(), HARMLESS));
            assert_eq!(got, expected, "{payload} on {}", page.path);
        }
    }
}

/// A rejected value comes back in the form as a value only.
#[actix_web::test]
async fn refused_forms_bring_no_elements_into_a_page() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let settings = format!("/users/{}", michael.id);
    let too_long = |words: &str| format!("{words}{}", "x".repeat(150));
    for payload in PAYLOADS {
        for (path, fields, kept) in [
            ("/users", &["user[name]", "user[email]"][..], "#user_name, #user_email"),
            (&settings, &["user[name]", "user[email]"], "#user_name, #user_email"),
            ("/login", &["session[email]"], "#session_email"),
            ("/password_resets", &["password_reset[email]"], "#password_reset_email"),
            ("/account_activations", &["account_activation[email]"], "#account_activation_email"),
            ("/microposts", &["micropost[content]"], "#micropost_content"),
        ] {
            let send = async |browser: &mut Browser, words: &str| {
                let typed = too_long(words);
                let mut form: Vec<(&str, &str)> = fields.iter().map(|name| (*name, typed.as_str())).collect();
                form.push(("_method", if path == settings { "patch" } else { "post" }));
                let page = browser.post(path, &form).await;
                assert_eq!(page.status, 422, "{words} to {path}");
                page
            };
            let harmless = send(&mut browser, HARMLESS).await;
            let page = send(&mut browser, payload).await;
            let (got, expected) = (skeleton(&page.text(), payload), skeleton(&harmless.text(), HARMLESS));
            assert_eq!(got, expected, "{payload} to {path}");
            let typed = match path {
                "/microposts" => page.all(kept),
                _ => page.attrs(kept, "value"),
            };
            assert_eq!(typed.len(), fields.len());
            assert!(typed.iter().all(|value| fold(value) == fold(&too_long(payload))), "{path}: {typed:?}");
        }
    }
}

/// No unknown path, parameter or forged message appears on a page as markup.
#[actix_web::test]
async fn addresses_and_forged_messages_bring_nothing_into_a_page() {
    let app = TestApp::start().await;
    let harmless = skeleton(&app.browser().get("/nowhere").await.text(), HARMLESS);
    for payload in PAYLOADS.iter().copied().chain(["danger <b>forged</b>"]) {
        let escaped: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        let escaped = escaped.replace('+', "%20");
        for path in [&format!("/nowhere/{escaped}"), &format!("/nowhere?{escaped}={escaped}")] {
            let page = app.browser().get(path).await;
            assert_eq!((page.status, skeleton(&page.text(), payload)), (404, harmless.clone()), "{path}");
            let text = page.one("html");
            assert!(!text.contains(payload), "{path}: {text}");
        }
        let page = app.browser().get(&format!("/users?page={escaped}")).await;
        assert!(!page.text().contains(payload), "{payload}");
        let mut browser = app.browser();
        browser.cookies.insert("flash".into(), escaped.clone());
        browser.cookies.insert("mail_link".into(), escaped.clone());
        let page = browser.get("/help").await;
        assert!(page.flash().is_none() && !page.text().contains("forged"), "{payload}");
    }
}

/// A mail's HTML part is as safe as a page; its text part contains the name unchanged.
#[actix_web::test]
async fn names_bring_no_elements_into_a_mail() {
    let app = TestApp::start_with(&[("LIMITS", "off")]).await;
    let writer = app.db_person("writer").await;
    let mut browser = app.logged_in(&writer).await;
    let mut number = 0;
    let mut mail_to = async |name: &str| {
        let fields = [("user[name]", name), ("user[email]", writer.email.as_str())];
        let path = format!("/users/{}", writer.id);
        assert_eq!(browser.patch(&path, &fields).await.status, 303, "{name}");
        browser.ask_reset(&writer.email).await;
        number += 1;
        app.mail_to(&writer.email, number).await
    };
    let tokens = |html: &str| {
        html.split('/')
            .map(|part| if part.len() == 64 { "TOKEN" } else { part })
            .collect::<Vec<_>>()
            .join("/")
    };
    let harmless = mail_to(HARMLESS).await;
    let expected = skeleton(&tokens(&harmless.html), HARMLESS);
    for payload in PAYLOADS {
        let mail = mail_to(payload).await;
        assert_eq!(skeleton(&tokens(&mail.html), payload), expected, "{payload}");
        let html = Html::parse_document(&mail.html);
        let said: String = html.root_element().text().collect();
        assert!(said.contains(&format!("Hi {},", payload.trim())), "{said}");
        assert!(mail.text.contains(&format!("Hi {},", payload.trim())), "{}", mail.text);
        assert_eq!(mail.subject, "Password reset");
    }
}
