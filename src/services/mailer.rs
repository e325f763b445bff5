//! Takes one mail and gets it out of the house.

use std::path::{Path, PathBuf};

use lettre::Message;
use lettre::message::{Mailbox, MultiPart};

use crate::error::{Error, Result};
use crate::models::outbox::Parcel;

/// The way out for mails. Clones share it.
#[derive(Clone)]
pub struct Mailer {
    from: Mailbox,
    backend: Backend,
}

#[derive(Clone)]
enum Backend {
    /// A folder of .eml files: for development, where /inbox shows them.
    Folder(PathBuf),
}

impl Mailer {
    /// Mails go into a folder, which is made with the first of them.
    ///
    /// # Errors
    /// When the sender's address is none.
    pub fn to_folder(from: &str, folder: PathBuf) -> Result<Mailer> {
        let address = from.parse().map_err(|e| Error::internal(format!("MAIL_FROM {from}: {e}")))?;
        Ok(Mailer {
            from: Mailbox::new(Some("Sample App".into()), address),
            backend: Backend::Folder(folder),
        })
    }

    /// The folder, if mails go into one.
    pub fn folder(&self) -> Option<&Path> {
        let Backend::Folder(folder) = &self.backend;
        Some(folder)
    }

    /// Delivers a mail.
    ///
    /// # Errors
    /// When it was not taken; the text says why.
    pub async fn deliver(&self, parcel: &Parcel) -> Result<()> {
        let message = self.message(parcel)?;
        let Backend::Folder(folder) = &self.backend;
        let stored = async {
            tokio::fs::create_dir_all(folder).await?;
            // Named by its Message-ID: a mail that is delivered twice is there once.
            let name = parcel.message_id.split('@').next().unwrap_or_default();
            let unfinished = folder.join(format!("{name}.part"));
            tokio::fs::write(&unfinished, message.formatted()).await?;
            tokio::fs::rename(&unfinished, folder.join(format!("{name}.eml"))).await
        };
        stored.await.map_err(Error::unavailable)
    }

    /// RFC 5322, with a part in plain text and one in HTML.
    fn message(&self, parcel: &Parcel) -> Result<Message> {
        let to = parcel.recipient.parse().map_err(Error::internal)?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&parcel.subject)
            .message_id(Some(format!("<{}>", parcel.message_id)))
            .multipart(MultiPart::alternative_plain_html(parcel.text_body.clone(), parcel.html_body.clone()))
            .map_err(Error::internal)
    }
}
