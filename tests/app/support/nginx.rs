//! A real nginx with the configuration from nginx/, in front of an application on a Unix socket. Only values that
//! depend on the machine are replaced: ports, paths, the trusted range, the host.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::program::program;
use super::server::{Server, free_address};
use super::wait::wait_for;

/// The address from which nginx trusts X-Forwarded-For.
pub const LOAD_BALANCER: &str = "127.0.0.9";

/// The security headers that every response must have exactly once, including nginx's own responses.
pub const SECURITY_HEADERS: [&str; 7] = [
    "content-security-policy",
    "x-content-type-options",
    "referrer-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "permissions-policy",
    "strict-transport-security",
];

/// Killed on drop.
pub struct Nginx {
    pub server: Server,
    /// With TLS: the plain HTTP address that redirects.
    pub plain: SocketAddr,
    pub folder: TempDir,
}

impl Nginx {
    /// Starts as behind a load balancer. The application must listen at app.sock in this folder, a second instance at
    /// app-2.sock.
    pub fn start(folder: TempDir) -> Nginx {
        Nginx::start_with(folder, "sample-app.conf")
    }

    /// Starts with TLS in nginx.
    pub fn start_tls(folder: TempDir) -> Nginx {
        let tls = folder.path().join("tls");
        let certificates = Certificates::create(&tls);
        std::fs::copy(certificates.cert, tls.join("fullchain.pem")).unwrap();
        std::fs::copy(certificates.key, tls.join("privkey.pem")).unwrap();
        Nginx::start_with(folder, "sample-app-tls.conf")
    }

    fn start_with(folder: TempDir, name: &'static str) -> Nginx {
        write_assets(&folder.path().join("www"));
        let (place, plain) = (folder.path().to_owned(), free_address());
        let server = Server::start(move |port| {
            let main = configure(&place, name, port, plain.port());
            let mut command = Command::new("/usr/sbin/nginx");
            command.arg("-e").arg(place.join("nginx.log")).arg("-c").arg(main);
            command
        });
        Nginx { server, plain, folder }
    }

    /// The access log so far.
    pub fn log(&self) -> String {
        self.text("access.log")
    }

    /// The error logs so far.
    pub fn complaints(&self) -> String {
        [self.text("error.log"), self.text("nginx.log")].concat()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.folder.path().join(name)).unwrap_or_default())
            .into_owned()
    }

    /// The matching lines of the access log. Waits until there are `count`.
    pub async fn lines(&self, count: usize, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        wait_for(async || {
            let log = self.log();
            let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let lines = whole.lines().map(|line| serde_json::from_str(line).expect(line));
            let lines: Vec<Value> = lines.filter(|line| fits(line)).collect();
            if lines.len() >= count {
                Ok(lines)
            } else {
                Err(format!("{} of {count} lines: {log}", lines.len()))
            }
        })
        .await
    }
}

fn write_assets(folder: &Path) {
    let done = Command::new(program()).arg("assets").arg(folder).env_clear().status().unwrap();
    assert!(done.success());
}

/// Writes the configuration and returns the main file, which replaces the distribution's.
pub fn configure(place: &Path, name: &str, port: u16, plain: u16) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx");
    let folder = place.display().to_string();
    let replaced = [
        ("listen 3000;", format!("listen 127.0.0.1:{port};")),
        ("listen [::]:3000;", format!("listen [::1]:{port};")),
        ("listen 443 ", format!("listen 127.0.0.1:{port} ")),
        ("listen [::]:443 ", format!("listen [::1]:{port} ")),
        ("listen 80;", format!("listen 127.0.0.1:{plain};")),
        ("listen [::]:80;", format!("listen [::1]:{plain};")),
        ("unix:/run/sample-app.sock", format!("unix:{folder}/app.sock")),
        ("/opt/sample-app/www", format!("{folder}/www")),
        ("/var/log/sample-app", folder.clone()),
        ("/etc/letsencrypt/live/www.example.com", format!("{folder}/tls")),
        ("www.example.com", "sample.test".to_owned()),
        ("10.0.0.0/8", LOAD_BALANCER.to_owned()),
    ];
    let second = format!("server unix:{folder}/app-2.sock;");
    let copy = |from: PathBuf, to: PathBuf| {
        let mut text = std::fs::read_to_string(&from).unwrap();
        if place.join("app-2.sock").exists() {
            text = text.replace("# server unix:/run/sample-app-2.sock;", &second);
        }
        let text = replaced.iter().fold(text, |text, (old, new)| text.replace(old, new));
        std::fs::write(to, text).unwrap();
    };
    std::fs::create_dir_all(place.join("sample-app")).unwrap();
    std::fs::create_dir_all(place.join("temporary")).unwrap();
    for included in std::fs::read_dir(source.join("sample-app")).unwrap() {
        let included = included.unwrap();
        copy(included.path(), place.join("sample-app").join(included.file_name()));
    }
    copy(source.join(name), place.join(name));
    // A single process, so that killing it ends nginx; runs as the current user.
    let user = if is_root() { "user root;" } else { "" };
    let main = format!(
        "daemon off;
        master_process off;
        {user}
        pid {folder}/nginx.pid;
        error_log {folder}/nginx.log;
        worker_rlimit_nofile 8192;
        include /etc/nginx/modules-enabled/*brotli-static.conf;
        events {{
            worker_connections 4096;
        }}
        http {{
            include /etc/nginx/mime.types;
            client_body_temp_path {folder}/temporary/body;
            proxy_temp_path {folder}/temporary/proxy;
            fastcgi_temp_path {folder}/temporary/fastcgi;
            uwsgi_temp_path {folder}/temporary/uwsgi;
            scgi_temp_path {folder}/temporary/scgi;
            include {name};
        }}
        "
    );
    let path = place.join("nginx.conf");
    std::fs::write(&path, main).unwrap();
    path
}

/// Whether the tests run as root. Then nginx's workers run as another user unless configured.
pub fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}
