//! Reads the mails that an application delivered.

use std::path::Path;

use mailparse::MailHeaderMap;

use super::TestApp;
use super::app::APP_URL;
use super::wait::wait_for;

/// A delivered mail.
#[derive(Debug, Clone)]
pub struct Mail {
    pub from: String,
    pub to: String,
    pub subject: String,
    pub message_id: String,
    pub text: String,
    pub html: String,
    pub raw: String,
}

impl Mail {
    /// The path of the link to this application in the mail.
    pub fn link(&self) -> String {
        let links: Vec<_> = self.text.lines().filter_map(|line| line.trim().strip_prefix(APP_URL)).collect();
        assert_eq!(links.len(), 1, "{}", self.text);
        links[0].to_owned()
    }
}

impl TestApp {
    /// All mails to an address, oldest first. Waits until there are at least this many.
    pub async fn mails_to(&self, address: &str, at_least: usize) -> Vec<Mail> {
        mails_to(&self.folder.path().join("mail"), address, at_least).await
    }

    /// Waits for exactly `number` mails to an address and returns the newest.
    pub async fn mail_to(&self, address: &str, number: usize) -> Mail {
        let mails = self.mails_to(address, number).await;
        assert_eq!(mails.len(), number, "mails to {address}");
        mails.into_iter().last().unwrap()
    }

    /// Waits until the outbox is empty. Returns all delivered mails.
    pub async fn all_mails(&self) -> Vec<Mail> {
        let waiting = "SELECT (SELECT COUNT(*) FROM mail_requests) + (SELECT COUNT(*) FROM outbox)";
        self.database.db_until(waiting, 0).await;
        mails_in(&self.folder.path().join("mail"))
    }
}

/// As [`TestApp::mails_to`], from this folder.
pub async fn mails_to(folder: &Path, address: &str, at_least: usize) -> Vec<Mail> {
    wait_for(async || {
        let mut mails = mails_in(folder);
        mails.retain(|mail| mail.to == address);
        if mails.len() >= at_least { Ok(mails) } else { Err(format!("{} mails to {address}", mails.len())) }
    })
    .await
}

/// All mails in a folder, oldest first.
pub fn mails_in(folder: &Path) -> Vec<Mail> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "eml"))
        .map(|path| (path.metadata().unwrap().modified().unwrap(), path))
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| read(&std::fs::read(path).unwrap())).collect()
}

fn read(raw: &[u8]) -> Mail {
    let mail = mailparse::parse_mail(raw).unwrap();
    let header = |name: &str| mail.headers.get_first_value(name).unwrap_or_default();
    assert_eq!(mail.subparts.len(), 2, "a text part and an HTML part");
    assert_eq!(mail.subparts[0].ctype.mimetype, "text/plain");
    assert_eq!(mail.subparts[1].ctype.mimetype, "text/html");
    Mail {
        from: header("From"),
        to: header("To"),
        subject: header("Subject"),
        message_id: header("Message-ID"),
        text: mail.subparts[0].get_body().unwrap(),
        html: mail.subparts[1].get_body().unwrap(),
        raw: String::from_utf8_lossy(raw).into_owned(),
    }
}
