//! Hands mails to an SMTP server such as SES, by TLS or not at all.
//!
//! One connection, because the worker has one mail in its hands at a time. lettre's own pool keeps idle ones for up to
//! twice as long as it is told, and its asynchronous connections wait for answers for ever: both are done here.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::{NotDelivered, tell};
use crate::config::{self, SmtpTls};
use crate::error::{Error, Result};
use crate::services::tls;
use crate::services::vitals::Vitals;

/// From the name's lookup to the server's answer to EHLO, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// For the answer to one command. All of them together stay below the lease of a mail (models/outbox.rs).
const COMMAND: Duration = Duration::from_secs(15);
/// A connection that was silent for so long is not used again; SES hangs up after 10 s.
const IDLE: Duration = Duration::from_secs(5);
/// Time for a polite end.
const GOODBYE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Smtp {
    host: String,
    port: u16,
    tls: SmtpTls,
    tls_parameters: TlsParameters,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// From one mail to the next.
    pace: Duration,
    vitals: Vitals,
    line: Mutex<Line>,
}

struct Line {
    open: Option<AsyncSmtpConnection>,
    used_at: Instant,
    next_mail_at: Instant,
}

impl Smtp {
    /// Connects to nothing yet. `domain` is ours: servers ask who greets them.
    pub(super) fn new(
        server: &config::Smtp,
        ca_file: Option<&Path>,
        rate: u16,
        domain: &str,
        vitals: Vitals,
    ) -> Result<Smtp> {
        tls::install();
        let mut parameters = TlsParameters::builder(server.host.clone());
        if let Some(file) = ca_file {
            parameters = parameters.certificate_store(CertificateStore::None);
            for certificate in
                tls::certificates(file).map_err(|e| Error::internal(format!("SMTP_CA_FILE: {e}")))?
            {
                let certificate = Certificate::from_der(certificate.to_vec()).map_err(Error::internal)?;
                parameters = parameters.add_root_certificate(certificate);
            }
        }
        let credentials = server.username.clone().zip(server.password.as_ref());
        let now = Instant::now();
        Ok(Smtp {
            host: server.host.clone(),
            port: server.port,
            tls: server.tls,
            tls_parameters: parameters.build().map_err(Error::internal)?,
            credentials: credentials
                .map(|(user, password)| Credentials::new(user, password.expose().to_owned())),
            hello: ClientId::Domain(domain.to_owned()),
            pace: Duration::from_secs(1) / u32::from(rate.max(1)),
            vitals,
            line: Mutex::new(Line { open: None, used_at: now, next_mail_at: now }),
        })
    }

    pub(super) fn address(&self) -> String {
        let scheme = match self.tls {
            SmtpTls::Implicit => "smtps",
            SmtpTls::StartTls => "smtp",
        };
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    /// Hands one mail over, not before its turn has come.
    pub(super) async fn send(&self, mail: &Message) -> Result<(), NotDelivered> {
        let mut line = self.line.lock().await;
        sleep_until(line.next_mail_at).await;
        let start = Instant::now();
        line.next_mail_at = start + self.pace;
        let sent = self.send_on(&mut line, mail).await;
        // A server that refuses a mail is well.
        let trouble = sent.as_ref().err().filter(|error| !matches!(error, NotDelivered::Refused(_)));
        self.vitals.note(start.elapsed(), trouble);
        sent
    }

    async fn send_on(&self, line: &mut Line, mail: &Message) -> Result<(), NotDelivered> {
        let mut connection = match still_there(line).await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = hand_over(&mut connection, mail).await;
        match &sent {
            Ok(()) => {
                line.open = Some(connection);
                line.used_at = Instant::now();
            }
            // Whatever the server is in the middle of, the next mail begins anew.
            Err(_) => close(connection).await,
        }
        sent
    }

    /// Goes all the way in on a connection of its own.
    pub(super) async fn ping(&self) -> Result<(), NotDelivered> {
        let round_trip = async {
            let mut connection = self.connect().await?;
            let answered = answer(COMMAND, connection.command(Noop)).await;
            close(connection).await;
            answered.map(|_| ()).map_err(later)
        };
        self.vitals.watch(round_trip).await
    }

    pub(super) async fn hang_up(&self) {
        if let Some(connection) = self.line.lock().await.open.take() {
            close(connection).await;
        }
    }

    /// Whatever goes wrong here is no mail's fault.
    async fn connect(&self) -> Result<AsyncSmtpConnection, NotDelivered> {
        let mut connection = answer(CONNECT, self.connect_by_tls()).await.map_err(later)?;
        if let Some(credentials) = &self.credentials
            && let Err(fault) = answer(COMMAND, connection.auth(DEFAULT_MECHANISMS, credentials)).await
        {
            close(connection).await;
            return Err(if fault.code.is_some_and(|code| code >= 500) {
                NotDelivered::Unknown(fault.text)
            } else {
                later(fault)
            });
        }
        Ok(connection)
    }

    async fn connect_by_tls(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let at_once = match self.tls {
            SmtpTls::Implicit => Some(self.tls_parameters.clone()),
            SmtpTls::StartTls => None,
        };
        let server = (self.host.as_str(), self.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, at_once, None).await?;
        if self.tls == SmtpTls::StartTls {
            // An error where the server does not offer it.
            connection.starttls(self.tls_parameters.clone(), &self.hello).await?;
        }
        Ok(connection)
    }
}

/// The connection of the last mail, if the server still answers on it.
async fn still_there(line: &mut Line) -> Option<AsyncSmtpConnection> {
    let mut connection = line.open.take()?;
    if line.used_at.elapsed() < IDLE && answer(COMMAND, connection.command(Noop)).await.is_ok() {
        return Some(connection);
    }
    close(connection).await;
    None
}

async fn hand_over(connection: &mut AsyncSmtpConnection, mail: &Message) -> Result<(), NotDelivered> {
    let envelope = mail.envelope();
    let sender = Mail::new(envelope.from().cloned(), Vec::new());
    answer(COMMAND, connection.command(sender)).await.map_err(judge)?;
    for recipient in envelope.to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        answer(COMMAND, connection.command(recipient)).await.map_err(judge)?;
    }
    answer(COMMAND, connection.command(Data)).await.map_err(judge)?;
    answer(COMMAND, connection.command(with_final_dot(&mail.formatted()))).await.map_err(judge)?;
    Ok(())
}

/// A mail as it follows DATA (RFC 5321, section 4.5.2). In one piece: lettre's own way sends the final dot by itself, and
/// the kernel keeps that back for 40 ms, until the piece before is acknowledged (Nagle).
fn with_final_dot(mail: &[u8]) -> String {
    // ASCII in fact: lettre encodes everything else.
    let text = String::from_utf8_lossy(mail).replace("\r\n.", "\r\n..");
    let line_end = if text.ends_with("\r\n") { "" } else { "\r\n" };
    format!("{text}{line_end}.\r\n")
}

/// What went wrong, with the code if the server said one.
struct Fault {
    code: Option<u16>,
    text: String,
}

/// Waits for an answer, but not for ever.
async fn answer<T>(limit: Duration, call: impl Future<Output = Result<T, smtp::Error>>) -> Result<T, Fault> {
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Fault { code: error.status().map(u16::from), text: tell(&error) }),
        Err(_) => {
            let text = format!("the mail server did not answer within {} s", limit.as_secs());
            Err(Fault { code: None, text })
        }
    }
}

fn later(fault: Fault) -> NotDelivered {
    NotDelivered::NotNow(fault.text)
}

/// By the answer to a command of the mail itself.
fn judge(fault: Fault) -> NotDelivered {
    match fault.code {
        // "Authentication required" and its kin: about us, not about the mail.
        Some(530 | 534 | 535 | 538) => NotDelivered::Unknown(fault.text),
        Some(500..) => NotDelivered::Refused(fault.text),
        _ => later(fault),
    }
}

async fn close(mut connection: AsyncSmtpConnection) {
    // Who does not answer a goodbye is left all the same.
    let _ = timeout(GOODBYE, connection.abort()).await;
}
