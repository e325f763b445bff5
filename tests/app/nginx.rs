//! nginx in front of the application, as on EC2: what it answers itself and what it forwards. Trusted addresses:
//! nginx_visitors.rs; hostile clients: nginx_raw.rs; a real browser: browser.rs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reqwest::{Client, Response, redirect};
use sample_app::views::asset;

use crate::support::nginx::{LOAD_BALANCER, SECURITY_HEADERS};
use crate::support::{Browser, Page, TestApp};

/// A client with this loopback address.
pub fn client_at(address: &str) -> Client {
    let from = address.parse::<std::net::IpAddr>().unwrap();
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().local_address(from);
    client.build().unwrap()
}

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client_at("127.0.0.1").get(format!("http://{}{path}", app.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

pub fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// The security headers.
fn security(answer: &Response) -> BTreeMap<String, String> {
    for name in SECURITY_HEADERS {
        assert!(answer.headers().get_all(name).iter().count() <= 1, "{name} twice");
    }
    SECURITY_HEADERS.map(|name| (name.to_owned(), header(answer, name).to_owned())).into()
}

/// The folder of nginx's static files.
fn www(app: &TestApp) -> std::path::PathBuf {
    app.nginx.as_ref().unwrap().folder.path().join("www")
}

#[actix_web::test]
async fn static_files_come_from_nginx_compressed_and_for_ever() {
    let app = TestApp::start_behind_nginx().await;
    for (name, content_type) in [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
        ("vendor/htmx-2.0.11.min.js", "text/javascript; charset=utf-8"),
    ] {
        for (accepted, encoding, suffix) in [("gzip, br", "br", ".br"), ("gzip", "gzip", ".gz"), ("", "", "")]
        {
            let answer = get(&app, asset(name), &[("accept-encoding", accepted)]).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(header(&answer, "content-encoding"), encoding, "{name}");
            assert_eq!(header(&answer, "content-type"), content_type);
            assert_eq!(header(&answer, "cache-control"), "public, max-age=31536000, immutable");
            assert_eq!(header(&answer, "vary"), "Accept-Encoding");
            assert_eq!(header(&answer, "x-request-id"), "", "the application was not asked");
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("static").join(format!("{name}{suffix}"));
            assert!(answer.bytes().await.unwrap() == std::fs::read(file).unwrap(), "{name}{suffix}");
        }
    }
    // Everything else goes to the application: no version, another version, a path like a folder, other methods.
    let by_another_way = asset("app.css").replace("?v=", "?v=./");
    for path in [
        by_another_way.as_str(),
        "/static/app.css",
        "/static/app.css?v=0123456789ab",
        "/static/app.css?v=../errors",
        "/static/app.css?v=.",
        "/static/../app.css",
        "/robots.txt",
        "/favicon.ico",
        "/errors/503.html",
    ] {
        let answer = get(&app, path, &[]).await;
        assert!(!header(&answer, "x-request-id").is_empty(), "{path}");
        assert!(!header(&answer, "cache-control").contains("immutable"), "{path}");
    }
    let post = client_at("127.0.0.1").post(format!("http://{}{}", app.address, asset("app.css")));
    let answer = post.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), header(&answer, "allow")), (405, "GET, HEAD"));
}

/// A page of an older version still finds its files after a newer version added its own.
#[actix_web::test]
async fn files_of_other_versions_stay() {
    let app = TestApp::start_behind_nginx().await;
    let folder = www(&app).join("0123456789ab/static");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("app.css"), "older").unwrap();
    let program = env!("CARGO_BIN_EXE_sample-app");
    let again = Command::new(program).arg("assets").arg(www(&app)).env_clear().status().unwrap();
    assert!(again.success());
    let answer = get(&app, "/static/app.css?v=0123456789ab", &[]).await;
    assert!(header(&answer, "cache-control").contains("immutable"));
    assert_eq!(answer.text().await.unwrap(), "older");
    let left_over = |entry: &std::fs::DirEntry| entry.file_name().to_str().unwrap().starts_with('.');
    assert!(!std::fs::read_dir(www(&app).join("errors")).unwrap().any(|entry| left_over(&entry.unwrap())));
}

#[test]
fn assets_says_what_it_cannot_do() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let program = env!("CARGO_BIN_EXE_sample-app");
    let done = Command::new(program).arg("assets").arg(file.path()).env_clear().output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.starts_with(&format!("cannot write to {}", file.path().display())), "{said}");
}

/// nginx's own responses have the same headers as the application's, each once.
#[actix_web::test]
async fn its_own_answers_carry_the_same_headers() {
    let app = TestApp::start_behind_nginx().await;
    let expected = security(&get(&app, "/", &[]).await);
    assert!(expected["content-security-policy"].starts_with("default-src 'none'"));
    let two_hosts = [("host", "sample.test")];
    let refused = client_at("127.0.0.1")
        .post(format!("http://{}/microposts", app.address))
        .body(vec![b'x'; 7 * 1024 * 1024])
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 413);
    assert_eq!(security(&refused), expected);
    for path in [asset("app.css"), asset("icon.svg"), "/nowhere"] {
        assert_eq!(security(&get(&app, path, &two_hosts).await), expected, "{path}");
    }
    // HSTS only for requests that came by https according to the load balancer; others are not trusted.
    for (from, hsts) in [(LOAD_BALANCER, "max-age=63072000"), ("127.0.0.1", "")] {
        let request = client_at(from).get(format!("http://{}{}", app.address, asset("app.css")));
        let request = request.header("x-forwarded-for", "192.0.2.7").header("x-forwarded-proto", "https");
        assert_eq!(security(&request.send().await.unwrap())["strict-transport-security"], hsts, "{from}");
    }
    let nginx = app.leave_nginx().await;
    let away =
        client_at("127.0.0.1").get(format!("http://{}/users", nginx.server.address)).send().await.unwrap();
    assert_eq!(away.status(), 503);
    assert_eq!(security(&away), expected);
}

#[actix_web::test]
async fn while_the_application_is_away_people_see_a_page_in_its_dress() {
    let app = TestApp::start_behind_nginx().await;
    let usual = app.browser().get("/help").await;
    let nginx = app.leave_nginx().await;
    let browser = || Browser::new(nginx.server.address);
    for path in ["/", "/help", "/static/app.css?v=0123456789ab", "/livez"] {
        let page = browser().get_only(path).await;
        assert_eq!((page.status, page.header("retry-after")), (503, "5"), "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "private, no-cache");
        assert_eq!(page.all("h1"), ["Temporarily unavailable"]);
        // The same files as on every page, and they exist.
        for link in ["link[rel=stylesheet]", "link[rel=icon]"] {
            assert_eq!(page.attrs(link, "href"), usual.attrs(link, "href"));
        }
        for style in page.attrs("link[rel=stylesheet]", "href") {
            assert_eq!(browser().get_only(&style).await.status, 200, "{style}");
        }
    }
    assert_eq!(browser().post("/login", &[("session[email]", "a")]).await.status, 503);
    // Once an application listens again, nginx forwards to it.
    let socket = nginx.folder.path().join("app.sock");
    std::fs::remove_file(&socket).unwrap();
    let _somebody = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let asked = client_at("127.0.0.1").get(format!("http://{}/", nginx.server.address));
    assert!(asked.timeout(std::time::Duration::from_secs(1)).send().await.unwrap_err().is_timeout());
}

/// The application accepts up to 5 MB and returns the text when it rejects more; above 6 MB nginx rejects.
#[actix_web::test]
async fn uploads_end_where_those_of_the_application_do() {
    let app = TestApp::start_behind_nginx().await;
    let mut browser = app.logged_in(&app.db_person("michael").await).await;
    for (half_megabytes, heading) in [(11, None), (14, Some("Too large"))] {
        let form = browser.get("/").await.form("Post").set("micropost[content]", "my words");
        let picture = vec![7; half_megabytes * 512 * 1024];
        let page = browser.submit(form.attach("micropost[picture]", "large.png", picture)).await;
        assert_eq!(page.status, 413);
        match heading {
            None => {
                assert!(page.text().contains("Picture should be less than 5MB"), "{}", page.text());
                assert_eq!(page.all("#micropost_content"), ["my words"]);
            }
            Some(heading) => assert_eq!(page.all("h1"), [heading]),
        }
    }
    let page = browser.post_picture("fine").await;
    assert_eq!(page.status, 200);
    let picture = browser.get(&page.newest_picture()).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/png"));
}

/// Every error page of nginx exists and has the same text as the application's.
#[actix_web::test]
async fn every_error_page_is_there() {
    let app = TestApp::start_behind_nginx().await;
    let server =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx/sample-app/server.conf"));
    let server = server.unwrap();
    let named: Vec<_> =
        server.split("/errors/").skip(1).filter_map(|rest| rest.split_once(".html;")).collect();
    assert!(named.len() >= 6, "{named:?}");
    for (status, _) in named {
        let page = std::fs::read_to_string(www(&app).join(format!("errors/{status}.html"))).unwrap();
        let page = Page::parse(&page);
        assert_eq!(page.all("p.status"), [status]);
        assert!(!page.has("small:not(.site-footer small)"), "no request id");
        assert!(page.all("title")[0].ends_with(" | Sample App"));
    }
}
