//! Addresses are normalized, names and posts keep their spelling in any script; hidden characters do not get in.

use crate::support::TestApp;
use crate::support::people::PASSWORD;

#[actix_web::test]
async fn an_address_has_one_spelling() {
    let app = TestApp::start().await;
    let spellings = [
        "Me@bücher.example",
        "ME@BÜCHER.EXAMPLE",
        "me@xn--bcher-kva.example",
        " me@bu\u{308}cher.example ",
        "me@ｂücher。example",
    ];
    for spelling in spellings {
        app.browser().sign_up("Me", spelling, PASSWORD).await.assert_at(200, "/");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_text("SELECT email FROM users").await, "me@xn--bcher-kva.example");
    let mails = app.mails_to("me@xn--bcher-kva.example", spellings.len()).await;
    assert_eq!(app.all_mails().await.len(), mails.len());

    app.database.db_execute("UPDATE users SET activated_at = created_at").await;
    for spelling in spellings {
        assert_eq!(app.browser().log_in(spelling, PASSWORD).await.status, 200, "{spelling}");
    }
}

/// MySQL's collations treat some of these as equal, but the accounts must be distinct.
#[actix_web::test]
async fn what_only_looks_alike_is_another_address() {
    let app = TestApp::start().await;
    let alike =
        ["strasse@example.com", "strasse@example.co", "strasse@xn--exmple-cua.com", "strasse+1@example.com"];
    for email in alike {
        app.browser().sign_up("Me", email, PASSWORD).await.assert_at(200, "/");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 4);
    for refused in ["straße@example.com", "me@exa mple.com", "me\u{202E}@example.com", "me@example.com\u{0}"]
    {
        app.browser().sign_up("Me", refused, PASSWORD).await.assert_at(422, "/users");
    }
}

#[actix_web::test]
async fn control_and_direction_characters_get_into_no_name() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for name in
        ["a\u{0}b", "a\u{202E}b", "a\u{2066}b", "a\u{200F}b", "a\nb", "a\u{1b}[2J", "a\u{7f}b", "a\u{FFFD}b"]
    {
        let page = app.browser().sign_up(name, "archer@example.com", PASSWORD).await;
        page.assert_at(422, "/users");
        assert_eq!(page.errors(), ["Name contains characters that cannot be used"], "{name:?}");
        let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
        let page = browser.submit(form.set("user[name]", name)).await;
        assert_eq!(page.errors(), ["Name contains characters that cannot be used"], "{name:?}");
    }
    assert_eq!(app.database.db_number("SELECT COUNT(*) FROM users").await, 1);
    assert_eq!(app.database.db_text("SELECT name FROM users").await, "michael");
}

#[actix_web::test]
async fn names_and_posts_survive_the_round_trip() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    let settings = format!("/users/{}/edit", michael.id);
    let family = "👩‍👩‍👧‍👦 🏳️‍🌈 𝒳 🦀";
    for text in
        [family, "김철수", "José Ñandú", "عمر الخيام", "O'Brien & \"Sons\" <x> \\ % _", &"🦀".repeat(50)]
    {
        let form = browser.get(&settings).await.form("Save changes").set("user[name]", text);
        let page = browser.submit(form).await;
        page.assert_flash("success", "Profile updated");
        assert_eq!(page.one("section.user_info h1"), text);
        assert_eq!(browser.get(&settings).await.attrs("#user_name", "value"), [text]);
        let form = browser.get("/").await.form("Post").set("micropost[content]", text);
        let page = browser.submit(form).await;
        assert_eq!(page.all("ol.microposts > li span.content")[0], text);
    }
    // Typed decomposed, as some keyboards do.
    let form = browser.get(&settings).await.form("Save changes").set("user[name]", "Jose\u{301}");
    assert_eq!(browser.submit(form).await.one("section.user_info h1"), "José");
}

/// A link without visible text, a post without visible text.
#[actix_web::test]
async fn what_shows_nothing_is_blank() {
    let app = TestApp::start().await;
    let michael = app.db_person("michael").await;
    let mut browser = app.logged_in(&michael).await;
    for invisible in [
        "\u{200B}",
        "\u{3164}",
        "\u{FFA0}",
        "\u{115F}\u{1160}",
        "\u{2800}",
        "\u{AD}",
        "\u{FEFF}",
        "\u{E0041}",
        "\u{200D}",
        "\u{FE0F}",
        "\u{34F}",
        "\u{2060}",
        "\u{180E}",
        "\u{17B4}",
        "\u{1D173}",
        "\u{E0100}",
        "\u{FFF9}",
        " \u{200B}\u{A0}\u{3164}\u{2003} ",
    ] {
        let page = app.browser().sign_up(invisible, "archer@example.com", PASSWORD).await;
        assert_eq!(page.errors(), ["Name can't be blank"], "{}", invisible.escape_unicode());
        let form = browser.get(&format!("/users/{}/edit", michael.id)).await.form("Save changes");
        let page = browser.submit(form.set("user[name]", invisible)).await;
        assert_eq!(page.errors(), ["Name can't be blank"], "{}", invisible.escape_unicode());
        let form = browser.get("/").await.form("Post").set("micropost[content]", invisible);
        let page = browser.submit(form).await;
        assert_eq!(page.errors(), ["Content can't be blank"], "{}", invisible.escape_unicode());
    }
    for visible in [
        "👩\u{200D}👩\u{200D}👧",
        "❤\u{FE0F}",
        "🏴\u{E0067}\u{E0062}\u{E007F}",
        "می\u{200C}خواهم",
        ".",
        "\u{28FF}",
    ] {
        let form = browser.get("/").await.form("Post").set("micropost[content]", visible);
        let page = browser.submit(form).await;
        page.assert_flash("success", "Micropost created!");
        assert_eq!(page.all("ol.microposts span.content")[0], visible);
    }
}
