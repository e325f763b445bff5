//! The files in nginx/: valid, with consistent time-outs, and the TLS variant.

use std::path::Path;
use std::process::{Command, Stdio};

use sample_app::views::asset;

use crate::support::nginx::configure;
use crate::support::server::{free_address, tool};
use crate::support::{Certificates, Nginx, TestApp};

/// nginx accepts the unchanged files, and gixy finds no problems.
#[test]
fn the_configuration_is_sound() {
    let folder = tempfile::tempdir().unwrap();
    let tls = folder.path().join("tls");
    let certificates = Certificates::create(&tls);
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
        // For TLS it needs a port that contains 443; it opens none.
        let main = configure(folder.path(), name, if name.contains("tls") { 443 } else { 3000 }, 80);
        // gixy expects HSTS in nginx, but the application sends it, and headers.conf for other responses.
        let gixy = Command::new(tool("python/bin/gixy")).args(["--skips", "hsts_header"]).arg(main).output();
        let gixy = gixy.unwrap();
        let said = String::from_utf8_lossy(&gixy.stdout).into_owned();
        assert!(gixy.status.success() && !said.contains("Problem"), "{name}: {said}");
        assert!(said.contains("Summary") || said.contains("No issues"), "it looked: {said}");
    }
}

/// Request time-outs decrease and keep-alive time-outs increase from the outside in.
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

/// Without a load balancer: TLS 1.2 and 1.3, HTTP/2, and a redirect from http.
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
        // In another thread, because the application needs this one.
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
    // Only the curves in Mozilla's profile. (TLS 1.2 would also need the certificate's curve.)
    for (group, is_taken) in
        [("X25519", true), ("P-256", true), ("P-384", true), ("P-521", false), ("X448", false)]
    {
        let mut client = Command::new("openssl");
        let to = nginx.server.address.to_string();
        client.args(["s_client", "-connect", &to, "-groups", group, "-tls1_3"]).stdin(Stdio::null());
        let done = tokio::task::spawn_blocking(move || client.output()).await.unwrap().unwrap();
        assert_eq!(done.status.success(), is_taken, "{group}: {done:?}");
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
    // There is no proxy in front, so forwarded headers are not trusted.
    let lied = ["-H", "X-Forwarded-For: 192.0.2.7", "-H", "X-Forwarded-Proto: http"];
    assert!(curl(&lied, port, "https://sample.test/login").await.contains("max-age=63072000"));
    assert!(!nginx.log().contains("192.0.2.7"));
    app.stop().await;
}
