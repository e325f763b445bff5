//! Delivers one mail, to an SMTP server or, in development, to a folder.

mod folder;
mod pause;
mod smtp;
mod starttls;

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

/// Clones share the connection.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    configuration_set: Option<String>,
    call_stats: CallStats,
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// A folder of .eml files for development; /inbox shows them.
    Folder(PathBuf),
    Smtp(Arc<Smtp>),
}

/// Why a mail was not delivered. The texts contain no email address.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Not tried: the address is suppressed, or the message cannot be built.
    #[error("{0}")]
    Unsendable(String),
    /// The server refuses this mail permanently (5xx to the recipient or the data).
    #[error("{0}")]
    Permanent(String),
    /// The server refuses this mail for now (4xx to the recipient or the data: greylisting, a full mailbox), but may
    /// accept others.
    #[error("{0}")]
    Deferred(String),
    /// The server rejects our credentials (for example 535). That is our fault, so the mail does not fail at once.
    #[error(
        "{0}; check user and password of SMTP_URL, or SES_SECRET_ACCESS_KEY (SES has SMTP passwords of its own, one for each \
         region)"
    )]
    AuthFailed(String),
    /// The server accepts no mail for now: it does not answer, or refuses the session, the sender or the rate.
    #[error("{0}")]
    Transient(String),
}

impl Mailer {
    /// Does not connect yet.
    ///
    /// # Errors
    /// When MAIL_FROM is not a valid address, or the file of SMTP_CA_FILE cannot be used.
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
        // lettre checks the sender more strictly when it builds a message than when it parses an address.
        mailer.sample().map_err(|error| unusable(&error))?;
        Ok(mailer)
    }

    /// The folder, if mails are stored as files.
    pub fn folder(&self) -> Option<&Path> {
        match &self.backend {
            Backend::Folder(folder) => Some(folder),
            Backend::Smtp(_) => None,
        }
    }

    /// Name of the backend, for display.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Folder(_) => "a folder",
            Backend::Smtp(_) => "SMTP",
        }
    }

    pub fn call_stats(&self) -> &CallStats {
        &self.call_stats
    }

    /// The folder's path or the server's URL, for display.
    pub fn address(&self) -> String {
        match &self.backend {
            Backend::Folder(folder) => folder.display().to_string(),
            Backend::Smtp(smtp) => smtp.address(),
        }
    }

    /// Health check. For SMTP it covers everything from the DNS lookup to the log-in.
    ///
    /// # Errors
    /// When mails cannot be delivered; the text says why.
    pub async fn ping(&self) -> Result<()> {
        match &self.backend {
            Backend::Folder(folder) => {
                let probed = self.call_stats.observe(probe::write_read_delete(folder)).await;
                probed.map_err(|error| Error::unavailable(unusable(folder, "SMTP_URL", error)))
            }
            Backend::Smtp(smtp) => smtp.ping().await.map_err(Error::unavailable),
        }
    }

    /// # Errors
    /// When the mail was not accepted, or it is unknown whether it was.
    pub async fn deliver(&self, mail: &LeasedMail) -> Result<(), DeliveryError> {
        let message = self.message(mail).map_err(|error| DeliveryError::Unsendable(masked_text(&error)))?;
        match &self.backend {
            Backend::Folder(folder) => {
                // Named after the Message-ID: a second delivery overwrites the first.
                let name = mail.message_id.split('@').next().unwrap_or_default();
                let mail = message.formatted();
                let stored = self.call_stats.observe(folder::store(folder, name, &mail)).await;
                stored.map_err(|error| DeliveryError::Transient(unusable(folder, "SMTP_URL", error)))
            }
            Backend::Smtp(smtp) => smtp.send(&message).await,
        }
    }

    /// Tests delivery without sending: builds a message, and for SMTP sends MAIL FROM.
    ///
    /// # Errors
    /// When no mail could be sent.
    pub async fn rehearse(&self) -> Result<(), DeliveryError> {
        let message = self.sample().map_err(|error| DeliveryError::Unsendable(masked_text(&error)))?;
        match &self.backend {
            Backend::Folder(_) => Ok(()),
            Backend::Smtp(smtp) => smtp.rehearse(&message).await,
        }
    }

    /// Closes the idle connection, if there is one. Call it when there is nothing left to deliver, because SES
    /// disconnects idle clients.
    pub async fn close_idle(&self) {
        if let Backend::Smtp(smtp) = &self.backend {
            smtp.close_idle().await;
        }
    }

    /// An RFC 5322 message with a plain-text part and an HTML part. Date and Message-ID are the same for every attempt.
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

    /// A test message from the sender to the sender; it is never sent.
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
            // RFC 3834: prevents out-of-office replies and other automatic replies.
            .raw_header(header("Auto-Submitted", "auto-generated"));
        match &self.configuration_set {
            Some(set) => message.raw_header(header("X-SES-CONFIGURATION-SET", set)),
            None => message,
        }
    }
}

/// The error's text with email addresses masked; servers often quote them.
fn masked_text(error: &impl ToString) -> String {
    without_addresses(&error.to_string())
}
