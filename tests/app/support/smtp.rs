//! A test's own real mail server, with TLS and AUTH as in SES, and with injected faults (smtp_server.py).

use std::process::Command;

use tempfile::TempDir;

use super::mails::{Mail, mails_in};
use super::server::tool;
use super::wait::wait_for;
use super::{Certificates, Server, TestApp};

/// Part of the SMTP password; must not appear in any log.
pub const PASSWORD_CANARY: &str = "canary/smtp+pass";
const CREDENTIALS: &str = "AKIASMTP:canary%2Fsmtp%2Bpass%3Aword%401";

pub struct MailServer {
    pub server: Server,
    pub certificates: Certificates,
    scheme: &'static str,
    folder: TempDir,
}

impl MailServer {
    /// With implicit TLS, as on port 465, and AUTH PLAIN.
    pub fn start() -> MailServer {
        MailServer::start_with("implicit", "PLAIN")
    }

    /// TLS mode `implicit`, `starttls` or `none`; AUTH `PLAIN` or `LOGIN`.
    pub fn start_with(tls: &'static str, auth: &'static str) -> MailServer {
        let folder = tempfile::tempdir().unwrap();
        let certificates = Certificates::create(&folder.path().join("tls"));
        let (mails, cert, key) =
            (folder.path().join("mails"), certificates.cert.clone(), certificates.key.clone());
        // A fault may be set before the server has got this far.
        std::fs::create_dir(&mails).unwrap();
        let server = Server::start(move |port| {
            let mut command = Command::new(tool("python/bin/python"));
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/app/support/smtp_server.py"));
            command.args(["--port", &port.to_string(), "--tls", tls, "--auth", auth]);
            command.arg("--folder").arg(&mails).arg("--cert").arg(&cert).arg("--key").arg(&key);
            command
        });
        let scheme = if tls == "implicit" { "smtps" } else { "smtp" };
        MailServer { server, certificates, scheme, folder }
    }

    /// The settings for an application that uses this server.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("SMTP_URL", self.url(self.scheme)),
            ("SMTP_CA_FILE", self.certificates.ca.display().to_string()),
            ("SMTP_RATE", "1000".into()),
        ]
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{CREDENTIALS}@localhost:{}", self.server.address.port())
    }

    /// An application that sends its mails here.
    pub async fn app(&self) -> TestApp {
        self.app_with(&[]).await
    }

    /// The same with more settings.
    pub async fn app_with(&self, settings: &[(&str, &str)]) -> TestApp {
        let own = self.settings();
        let own: Vec<_> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        TestApp::start_with(&[&own, settings].concat()).await
    }

    /// Activates a fault; smtp_server.py lists them.
    pub fn set_fault(&self, fault: &str) {
        // Renamed into place, because the server may read the file at any time.
        let file = self.folder.path().join("mails/fault");
        std::fs::write(file.with_extension("new"), fault).unwrap();
        std::fs::rename(file.with_extension("new"), file).unwrap();
    }

    /// Ends the fault.
    pub fn mend(&self) {
        std::fs::remove_file(self.folder.path().join("mails/fault")).unwrap();
    }

    /// The accepted mails, oldest first.
    pub fn mails(&self) -> Vec<Mail> {
        mails_in(&self.folder.path().join("mails"))
    }

    /// The same; waits until there are at least this many.
    pub async fn wait_for_mails(&self, at_least: usize) -> Vec<Mail> {
        wait_for(async || match self.mails() {
            mails if mails.len() >= at_least => Ok(mails),
            mails => Err(format!("{} mails; {:?}", mails.len(), self.events())),
        })
        .await
    }

    /// The server's events, with their times in ms.
    pub fn events(&self) -> Vec<(u64, String)> {
        let text = std::fs::read_to_string(self.folder.path().join("mails/events")).unwrap_or_default();
        let event = |line: &str| {
            let (time, what) = line.split_once(' ')?;
            Some((time.parse().ok()?, what.to_owned()))
        };
        text.lines().filter_map(event).collect()
    }

    /// Waits until the application has closed its connections, because it has nothing more to send.
    pub async fn wait_for_rest(&self) {
        wait_for(async || {
            let is_at_rest = self.count("GONE") >= self.count("CONNECT");
            if is_at_rest { Ok(()) } else { Err(format!("{:?}", self.events())) }
        })
        .await;
    }

    /// Number of events that begin with this word.
    pub fn count(&self, word: &str) -> usize {
        self.events().iter().filter(|(_, what)| what.starts_with(word)).count()
    }
}
