//! nginx in front of the application, as on EC2: what it answers itself, what it lets through, whom it believes, what it
//! writes down. Hostile senders: nginx_raw.rs; the walk of a real browser: browser.rs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use reqwest::{Client, Method, Response, redirect};
use sample_app::models::secret::random_hex;
use sample_app::views::asset;

use crate::support::nginx::{LOAD_BALANCER, configure};
use crate::support::people::PASSWORD;
use crate::support::server::{free_address, tool};
use crate::support::{Browser, Nginx, Page, TestApp};

/// A visitor of this address on the loopback.
fn client_at(address: &str) -> Client {
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

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// What browsers are told about security.
fn security(answer: &Response) -> BTreeMap<String, String> {
    let names = [
        "content-security-policy",
        "x-content-type-options",
        "referrer-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "permissions-policy",
        "strict-transport-security",
    ];
    for name in names {
        assert!(answer.headers().get_all(name).iter().count() <= 1, "{name} twice");
    }
    names.map(|name| (name.to_owned(), header(answer, name).to_owned())).into()
}

/// The folder that nginx hands files out of.
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
    // The application has the rest: no version, another one, something that wants to be a folder, other verbs.
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

/// A page of an older version finds its files after a newer one has put its own beside them.
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

/// S51, S52: what nginx answers itself carries what the application's answers carry, each once.
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
    // By https for whom the load balancer says so; the word of others is worth nothing.
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
        assert_eq!(page.all("h1"), ["Back in a moment"]);
        // The same files as on every page, and these are there.
        for link in ["link[rel=stylesheet]", "link[rel=icon]"] {
            assert_eq!(page.attrs(link, "href"), usual.attrs(link, "href"));
        }
        for style in page.attrs("link[rel=stylesheet]", "href") {
            assert_eq!(browser().get_only(&style).await.status, 200, "{style}");
        }
    }
    assert_eq!(browser().post("/login", &[("session[email]", "a")]).await.status, 503);
    // As soon as somebody is there again, he is asked.
    let socket = nginx.folder.path().join("app.sock");
    std::fs::remove_file(&socket).unwrap();
    let _somebody = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let asked = client_at("127.0.0.1").get(format!("http://{}/", nginx.server.address));
    assert!(asked.timeout(std::time::Duration::from_secs(1)).send().await.unwrap_err().is_timeout());
}

/// The application takes up to 5 MB and gives the text back with its refusal; from 6 MB on nginx refuses.
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

/// S81: whatever visitors say of their address, they are who the load balancer saw, or who came.
#[actix_web::test]
async fn forged_addresses_change_nothing() {
    let app = TestApp::start_behind_nginx().await;
    let log_in = async |from: &str, forwarded: String| {
        let request = client_at(from).post(format!("http://{}/login", app.address));
        let request = request.header("sec-fetch-site", "same-origin").header("x-forwarded-for", forwarded);
        // Another account each time, so that it is the visitor who is counted.
        let email = format!("{}@example.com", random_hex::<8>().unwrap());
        let fields = [("session[email]", email.as_str()), ("session[password]", "wrong password")];
        request.form(&fields).send().await.unwrap().status().as_u16()
    };
    for (from, forwarded) in [
        ("127.0.0.1", &(|n| format!("192.0.2.{n}")) as &dyn Fn(usize) -> String),
        (LOAD_BALANCER, &|n| format!("192.0.2.{n}, 198.51.100.1")),
    ] {
        let mut statuses = Vec::new();
        for n in 0..40 {
            statuses.push(log_in(from, forwarded(n)).await);
        }
        let refused = statuses.iter().filter(|status| **status == 429).count();
        assert_eq!((refused, statuses[0]), (15, 422), "{from}: {statuses:?}");
    }
    // The next visitor of the same load balancer is another one.
    assert_eq!(log_in(LOAD_BALANCER, "198.51.100.2".to_owned()).await, 422);
    let lines = app.nginx.as_ref().unwrap().lines(81, |line| line["path"] == "/login").await;
    assert_eq!(lines[0]["client"], "127.0.0.1");
    assert_eq!(lines[40]["client"], "198.51.100.1");
}

/// S87: a line for each request, as JSON, without what a mail link or a form says, or where somebody came from.
#[actix_web::test]
async fn the_log_is_json_and_keeps_no_secret() {
    let app = TestApp::start_behind_nginx().await;
    let mut browser = app.browser();
    browser.sign_up("Canary", "canary.anna@example.com", PASSWORD).await;
    let link = app.mail_to("canary.anna@example.com", 1).await.link();
    let token = link.split('/').find(|part| part.len() >= 40).unwrap().to_owned();
    browser.get(&link).await;
    for path in [
        format!("/password_resets/{token}/edit?email=canary.anna%40example.com"),
        "/password_resets/canarytoken/edit".to_owned(),
        format!("/nowhere/canary/x{token}"),
        "/nowhere/edit&email=canary.anna%40example.com".to_owned(),
        "/help?token=canary\"}".to_owned(),
    ] {
        let request = browser.request(Method::GET, &path).header("referer", format!("http://canary/{token}"));
        request.header("user-agent", "canary").send().await.unwrap();
    }
    let nginx = app.leave_nginx().await;
    assert_eq!(browser.get_only(&link).await.status, 503);
    let lines = nginx.lines(10, |_| true).await;
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    let expected = [
        "/signup",
        "/users",
        "/",
        "/account_activations/:token",
        "/account_activations/:token",
        "/password_resets/:token",
        "/password_resets/:token",
        "/nowhere/canary/:token",
        "/nowhere/:token",
        "/help",
        "/account_activations/:token",
    ];
    let found: Vec<_> = expected.iter().filter(|path| paths.contains(path)).collect();
    assert_eq!(found.len(), expected.len(), "{paths:#?}");
    assert_eq!(lines[1]["method"], "POST");
    assert!(lines[1]["request_id"].as_str().unwrap().len() == 16);
    let last = lines.last().unwrap();
    assert_eq!((&last["status"], &last["upstream_status"]), (&"503".into(), &"502".into()));
    let written = [nginx.log(), nginx.complaints()].concat().replace("/nowhere/canary/", "");
    for canary in ["canary", "Canary", &token, &token[..20]] {
        assert!(!written.contains(canary), "{canary}: {written}");
    }
}

/// A second line behind the application's own limits: who asks for far too much waits, and nobody else notices. Files are
/// not counted.
#[actix_web::test]
async fn who_asks_for_far_too_much_waits_and_nobody_else() {
    let app = TestApp::start_behind_nginx().await;
    let client = client_at("127.0.0.1");
    let ask = async |path: &str, count: usize| {
        let asked = (0..count).map(|_| client.get(format!("http://{}{path}", app.address)).send());
        let answers = futures_util::future::join_all(asked).await;
        let refused = answers.into_iter().map(Result::unwrap).filter(|answer| answer.status() != 200);
        refused.collect::<Vec<_>>()
    };
    // A page with 30 pictures and 30 avatars.
    assert!(ask("/livez", 61).await.is_empty());
    for _ in 0..20 {
        assert!(ask(asset("app.css"), 100).await.is_empty());
    }
    // More than 100 a second for as long as it takes.
    let mut refused = Vec::new();
    for _ in 0..300 {
        refused = ask("/livez", 100).await;
        if !refused.is_empty() {
            break;
        }
    }
    let answer = refused.pop().expect("nobody is refused");
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, "5"));
    let page = Page::read(answer, "/livez".to_owned()).await;
    assert_eq!(page.all("h1"), ["Too many requests"]);
    let somebody_else = client_at("127.0.0.2").get(format!("http://{}/livez", app.address));
    assert_eq!(somebody_else.send().await.unwrap().status(), 200);
}

/// Without a load balancer: TLS 1.2 and 1.3, HTTP/2, and who comes by http is sent on.
#[actix_web::test]
async fn it_speaks_tls_itself_where_nobody_else_does() {
    let sockets = tempfile::tempdir().unwrap();
    let listen = format!("unix:{}", sockets.path().join("app.sock").display());
    let settings = [("LISTEN", &*listen), ("TRUSTED_PROXIES", "1"), ("APP_URL", "https://sample.test")];
    let app = TestApp::start_with(&settings).await;
    let nginx = Nginx::start_tls(sockets);
    let curl = async |arguments: &[&str], port: u16, url: &str| {
        let to = format!("sample.test::127.0.0.1:{port}");
        let mut curl = Command::new("curl");
        curl.args(["-sSik", "--max-time", "30", "--connect-to", &to]).args(arguments).arg(url);
        // Not on this thread: the application needs it.
        let done = tokio::task::spawn_blocking(move || curl.output()).await.unwrap();
        let done = done.expect("curl is missing: run scripts/setup");
        [String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)].concat()
    };
    let port = nginx.server.address.port();
    let answer = curl(&["--http2"], port, "https://sample.test/about").await;
    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=63072000"), "{answer}");
    assert_eq!(answer.matches("strict-transport-security").count(), 1);
    let file = curl(&[], port, &format!("https://sample.test{}", asset("app.css"))).await;
    assert!(file.contains("immutable") && file.contains("max-age=63072000"), "{file:.900}");
    for version in ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"] {
        let arguments: Vec<_> = version.split(' ').collect();
        assert!(curl(&arguments, port, "https://sample.test/").await.starts_with("HTTP/2 200"), "{version}");
    }
    for version in ["1.0", "1.1"] {
        let old = [&format!("--tlsv{version}"), "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"];
        let answer = curl(&old, port, "https://sample.test/").await;
        assert!(!answer.contains("HTTP/") && answer.contains("alert protocol version"), "{answer}");
    }
    let answer =
        curl(&["-H", "Host: evil.example"], nginx.plain.port(), "http://sample.test/login?a=b").await;
    assert!(answer.starts_with("HTTP/1.1 301"), "{answer}");
    assert!(answer.contains("Location: https://sample.test/login?a=b\r\n"), "{answer}");
    assert!(answer.contains("Content-Security-Policy: default-src 'none'"), "{answer}");
    // Here nobody stands in front, so nobody's word counts.
    let lied = ["-H", "X-Forwarded-For: 192.0.2.7", "-H", "X-Forwarded-Proto: http"];
    assert!(curl(&lied, port, "https://sample.test/login").await.contains("max-age=63072000"));
    assert!(!nginx.log().contains("192.0.2.7"));
    app.stop().await;
}

/// nginx takes the files as they are, and gixy finds nothing in them.
#[test]
fn the_configuration_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("tls");
    let certificates = crate::support::Certificates::create(&tls);
    std::fs::copy(certificates.cert, tls.join("fullchain.pem")).unwrap();
    std::fs::copy(certificates.key, tls.join("privkey.pem")).unwrap();
    let (port, plain) = (free_address().port(), free_address().port());
    for name in ["sample-app.conf", "sample-app-tls.conf"] {
        for without_brotli in [false, true] {
            let main = configure(folder.path(), name, port, plain);
            if without_brotli {
                std::fs::remove_file(folder.path().join("sample-app/brotli.conf")).unwrap();
                let text = std::fs::read_to_string(&main).unwrap();
                let without = text.replace("include /etc/nginx/modules-enabled/*brotli-static.conf;", "");
                std::fs::write(&main, without).unwrap();
            }
            let done = Command::new("/usr/sbin/nginx").args(["-t", "-e", "stderr", "-c"]).arg(&main).output();
            let said = String::from_utf8_lossy(&done.unwrap().stderr).into_owned();
            assert!(said.contains("test is successful") && !said.contains("[warn]"), "{said}");
        }
        // It takes a port with 443 in it for TLS, and opens none.
        let main = configure(folder.path(), name, if name.contains("tls") { 443 } else { 3000 }, 80);
        // It looks for HSTS around everything; here the application sends it, and headers.conf for the rest.
        let gixy = Command::new(tool("python/bin/gixy")).args(["--skips", "hsts_header"]).arg(main).output();
        let gixy = gixy.unwrap();
        let said = String::from_utf8_lossy(&gixy.stdout).into_owned();
        assert!(gixy.status.success() && !said.contains("Problem"), "{name}: {said}");
        assert!(said.contains("Summary") || said.contains("No issues"), "it looked: {said}");
    }
}

/// Who is further out gives up later; who is further in keeps connections longer.
#[test]
fn time_outs_are_in_the_right_order() {
    let read =
        |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let server = read("nginx/sample-app/server.conf");
    let seconds = |text: &str, name: &str| -> u64 {
        let rest = text.split(&format!("{name} ")).nth(1).unwrap_or_else(|| panic!("{name}"));
        rest.split("s;").next().unwrap().parse().unwrap()
    };
    let program = read("src/server.rs");
    let program = program.split("KEEP_ALIVE: Duration = Duration::from_secs(").nth(1).unwrap();
    let program: u64 = program.split(')').next().unwrap().parse().unwrap();
    let load_balancer = 60;
    let visitors = seconds(&server, "keepalive_timeout");
    let upstream = seconds(&read("nginx/sample-app/http.conf"), "keepalive_timeout");
    assert!(program > upstream && program > visitors && visitors > load_balancer);
    assert!(seconds(&server, "proxy_read_timeout") < load_balancer);
    assert!(server.contains("client_max_body_size 6m;"));
}

/// The page for every refusal of nginx is there, and says what the application says.
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
