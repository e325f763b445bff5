//! Takes one mail and gets it out of the house.

mod folder;
mod pause;
mod smtp;
mod tls_stream;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use lettre::Message;
use lettre::address::AddressError;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart};

pub use self::pause::MailPause;
use self::smtp::Smtp;
use super::outbox::LeasedMail;
use crate::config::{self, Config};
use crate::error::{Error, Result, unusable};
use crate::models::values::email::without_addresses;
use crate::services::probe;
use crate::telemetry::call_stats::CallStats;

/// The way out for mails. Clones share it.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    configuration_set: Option<String>,
    call_stats: CallStats,
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// A folder of .eml files: for development, where /inbox shows them.
    Folder(PathBuf),
    /// A mail server: SES.
    Smtp(Arc<Smtp>),
}

/// Why a mail was not taken. The texts hold no address.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// No server was asked: the address is suppressed, or the mail cannot be written.
    #[error("{0}")]
    Unsendable(String),
    /// The server does not take this mail, now or later (5xx to its recipient or text).
    #[error("{0}")]
    Permanent(String),
    /// The server does not take this mail now (4xx to its recipient or text: greylisting, a full mailbox). It may take others.
    #[error("{0}")]
    Deferred(String),
    /// The server does not know us (535): our fault, so no reason to give a mail up.
    #[error(
        "{0}; check user and password of SMTP_URL (those of SES are made for SMTP, one pair for each region)"
    )]
    AuthFailed(String),
    /// The server takes no mail now: it does not answer, or refuses the session, the sender or the rate.
    #[error("{0}")]
    Transient(String),
}

impl Mailer {
    /// As the settings say. Connects to nothing yet.
    ///
    /// # Errors
    /// When the sender's address is none, or the file of SMTP_CA_FILE cannot be used.
    pub fn open(config: &Config) -> Result<Mailer> {
        let (from, call_stats) = (&config.mail_from, CallStats::default());
        let unusable = |error: &dyn Display| Error::internal(format!("MAIL_FROM {from}: {error}"));
        let address = from.parse().map_err(|error: AddressError| unusable(&error))?;
        let backend = match &config.mail {
            config::Mail::Folder(folder) => Backend::Folder(folder.clone()),
            config::Mail::Smtp(server) => Backend::Smtp(Arc::new(Smtp::new(
                server,
                config.smtp_ca_file.as_deref(),
                config.smtp_rate,
                from.rsplit('@').next().unwrap_or("localhost"),
                call_stats.clone(),
            )?)),
        };
        let mailer = Mailer {
            from: Mailbox::new(Some("Sample App".into()), address),
            configuration_set: config.ses_configuration_set.clone(),
            call_stats,
            backend,
        };
        // lettre reads the sender more strictly when it writes a mail than when it parses an address.
        mailer.sample().map_err(|error| unusable(&error))?;
        Ok(mailer)
    }

    /// The folder, if mails go into one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Folder(folder) => Some(folder),
            Backend::Smtp(_) => None,
        }
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Folder(_) => "a folder",
            Backend::Smtp(_) => "SMTP",
        }
    }

    /// How the calls went.
    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// Where mails go, for people.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Folder(folder) => folder.display().to_string(),
            Backend::Smtp(smtp) => smtp.address(),
        }
    }

    /// Asks whether mails would be taken: for SMTP the whole way in, from the name's lookup to the password.
    ///
    /// # Errors
    /// When they would not; the text says why.
    pub async fn ping(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => {
                let probed = self.call_stats.watch(probe::write_read_delete(folder)).await;
                probed.map_err(|error| Error::unavailable(unusable(folder, "SMTP_URL", error)))
            }
            Backend::Smtp(smtp) => smtp.ping().await.map_err(Error::unavailable),
        }
    }

    /// Delivers a mail.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows whether it was.
    pub async fn deliver(&self, mail: &LeasedMail) -> Result<(), DeliveryError> {
        let message = self.message(mail).map_err(|error| DeliveryError::Unsendable(tell(&error)))?;
        match &self.backend {
            Backend::Folder(folder) => {
                // Named by its Message-ID: a mail that is delivered twice is there once.
                let name = mail.message_id.split('@').next().unwrap_or_default();
                let mail = message.formatted();
                let stored = self.call_stats.watch(folder::store(folder, name, &mail)).await;
                stored.map_err(|error| DeliveryError::Transient(unusable(folder, "SMTP_URL", error)))
            }
            Backend::Smtp(smtp) => smtp.send(&message).await,
        }
    }

    /// Goes through a delivery as far as it can without sending: writes a mail, and has an SMTP server take the sender.
    ///
    /// # Errors
    /// When no mail would leave.
    pub async fn rehearse(&self) -> Result<(), DeliveryError> {
        let message = self.sample().map_err(|error| DeliveryError::Unsendable(tell(&error)))?;
        match &self.backend {
            Backend::Folder(_) => Ok(()),
            Backend::Smtp(smtp) => smtp.rehearse(&message).await,
        }
    }

    /// Closes the connection, if there is one: to be called when there is nothing to deliver, because SES hangs up on
    /// clients that keep silent.
    pub async fn rest(&self) {
        if let Backend::Smtp(smtp) = &self.backend {
            smtp.hang_up().await;
        }
    }

    /// RFC 5322, with a part in plain text and one in HTML. The same at every attempt.
    fn message(&self, mail: &LeasedMail) -> Result<Message> {
        let to = mail.recipient.parse().map_err(Error::internal)?;
        let message = self
            .headers(Mailbox::new(None, to), &mail.subject)
            .date(SystemTime::from(mail.created_at))
            .message_id(Some(format!("<{}>", mail.message_id)));
        message
            .multipart(MultiPart::alternative_plain_html(mail.text_body.clone(), mail.html_body.clone()))
            .map_err(Error::internal)
    }

    /// A mail from the sender to the sender, which is not sent.
    fn sample(&self) -> Result<Message> {
        self.headers(self.from.clone(), "Sample").body(String::new()).map_err(Error::internal)
    }

    fn headers(&self, to: Mailbox, subject: &str) -> MessageBuilder {
        let header =
            |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            // RFC 3834: absence notices and other robots do not answer.
            .raw_header(header("Auto-Submitted", "auto-generated"));
        match &self.configuration_set {
            Some(set) => message.raw_header(header("X-SES-CONFIGURATION-SET", set)),
            None => message,
        }
    }
}

/// What an error says, without the addresses that servers like to quote.
fn tell(error: &impl ToString) -> String {
    without_addresses(&error.to_string())
}
