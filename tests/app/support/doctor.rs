//! Runs `sample-app doctor` as a user does, and checks its output.

use tempfile::TempDir;

use super::smtp::PASSWORD_CANARY;
use super::{Certificates, Program, Server};

/// The wrong password in these tests.
pub const CANARY: &str = "canary-wrong-password";

/// The exit code, stdout with white space collapsed, and stderr.
pub struct Said {
    pub code: Option<i32>,
    pub text: String,
    pub complaints: String,
}

pub fn doctor(program: &Program) -> Said {
    let done = program.run(&["doctor"]);
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    // Certificates valid for two days have 2 days left within their first second.
    let text = text.replace("2 days left", "1 day left");
    println!("{}", done.stdout);
    let url = &program.database.url;
    let database_password = url.split('@').next().and_then(|account| account.rsplit(':').next());
    for secret in [CANARY, "canary", PASSWORD_CANARY]
        .into_iter()
        .chain(database_password.filter(|_| program.database.is_mysql()))
    {
        assert!(!done.stdout.contains(secret) && !done.stderr.contains(secret), "{secret} in {text}");
    }
    Said { code: done.code, text, complaints: done.stderr }
}

impl Said {
    /// Asserts that all services pass, and that the output contains these words.
    pub fn assert_well(&self, words: &[&str]) {
        assert_eq!(self.code, Some(0), "{}{}", self.text, self.complaints);
        assert!(self.text.contains("All 5 services are well: "), "{}", self.text);
        assert!(!self.text.contains("FAILED") && !self.text.contains("skipped"), "{}", self.text);
        self.assert_said(words);
    }

    /// Asserts that this service fails at this step, that the others pass, and that the output contains these words.
    pub fn assert_ill(&self, service: &str, step: &str, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.text, self.complaints);
        let summary = format!("1 of 5 services need attention: {service}.");
        assert!(self.text.ends_with(&summary), "{summary} in {}", self.text);
        assert_eq!(self.text.matches("FAILED").count(), 1, "{}", self.text);
        assert!(self.text.contains(&format!("FAILED {step} ")), "{step} in {}", self.text);
        assert_eq!(self.text.matches("do this:").count(), 1, "{}", self.text);
        self.assert_said(words);
    }

    pub fn assert_said(&self, words: &[&str]) {
        for words in words {
            assert!(self.text.contains(words), "{words:?} in {}", self.text);
        }
    }
}

/// A program with an up-to-date database and everything else embedded.
pub async fn program() -> Program {
    let program = Program::development().await;
    program.succeed(&["migrate"]);
    program
}

pub fn other_authority() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Certificates::create(folder.path()).ca.display().to_string();
    (folder, ca)
}

pub fn port(server: &Server) -> u16 {
    server.address.port()
}
