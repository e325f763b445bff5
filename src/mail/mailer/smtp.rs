//! Sends mails to an SMTP server such as SES, always over TLS.
//!
//! One connection is enough, because the worker delivers one mail at a time. This module handles idle time and timeouts
//! itself: lettre's pool keeps idle connections for up to twice the configured time, and its asynchronous connections
//! wait for replies without a timeout.

use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lettre::Message;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Noop, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::starttls::MailStream;
use super::{DeliveryError, masked_text};
use crate::config::{self, SmtpTls, authority};
use crate::error::Result;
use crate::telemetry::call_stats::CallStats;
use crate::tls;

/// Timeout from the DNS lookup to the reply to EHLO, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the reply to one command. The timeouts for one mail add up to less than its lease (mail/outbox.rs).
const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection that was idle for this time is not reused. SES closes idle connections after 10 s.
const MAX_IDLE: Duration = Duration::from_secs(5);
/// Timeout for QUIT.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Smtp {
    host: String,
    port: u16,
    tls_mode: SmtpTls,
    tls: Arc<ClientConfig>,
    credentials: Option<Credentials>,
    hello: ClientId,
    /// Minimum interval between mails.
    min_interval: Duration,
    call_stats: CallStats,
    idle: Mutex<IdleConnection>,
}

struct IdleConnection {
    open: Option<AsyncSmtpConnection>,
    used_at: Instant,
    next_mail_at: Instant,
}

impl Smtp {
    /// Does not connect yet. `domain` is our own domain, sent with EHLO.
    pub(super) fn new(
        server: &config::Smtp,
        ca_file: Option<&Path>,
        rate: u16,
        domain: &str,
        call_stats: CallStats,
    ) -> Result<Smtp> {
        let tls = tls::client(ca_file).map_err(|error| error.about("SMTP_CA_FILE"))?;
        let credentials = server.username.clone().zip(server.password.as_ref());
        let now = Instant::now();
        Ok(Smtp {
            host: server.host.clone(),
            port: server.port,
            tls_mode: server.tls,
            tls,
            credentials: credentials
                .map(|(user, password)| Credentials::new(user, password.expose().to_owned())),
            hello: ClientId::Domain(domain.to_owned()),
            min_interval: Duration::from_secs(1) / u32::from(rate.max(1)),
            call_stats,
            idle: Mutex::new(IdleConnection { open: None, used_at: now, next_mail_at: now }),
        })
    }

    pub(super) fn address(&self) -> String {
        let scheme = match self.tls_mode {
            SmtpTls::Implicit => "smtps",
            SmtpTls::StartTls => "smtp",
        };
        format!("{scheme}://{}", authority(&self.host, self.port))
    }

    /// Sends one mail. Waits first if the rate limit requires it.
    pub(super) async fn send(&self, mail: &Message) -> Result<(), DeliveryError> {
        let mut idle = self.idle.lock().await;
        sleep_until(idle.next_mail_at).await;
        let start = Instant::now();
        idle.next_mail_at = start + self.min_interval;
        let sent = self.send_on(&mut idle, mail).await;
        // A server that refuses a single mail is healthy.
        let concerns_mail =
            |error: &&_| matches!(error, DeliveryError::Permanent(_) | DeliveryError::Deferred(_));
        let trouble = sent.as_ref().err().filter(|error| !concerns_mail(error));
        self.call_stats.record(start.elapsed(), trouble);
        sent
    }

    async fn send_on(&self, idle: &mut IdleConnection, mail: &Message) -> Result<(), DeliveryError> {
        let mut connection = match take_idle(idle).await {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = transmit(&mut connection, mail).await;
        let is_usable = match &sent {
            Ok(()) => true,
            Err(DeliveryError::Permanent(_) | DeliveryError::Deferred(_)) => {
                reset(&mut connection).await.is_ok()
            }
            // The state of the session is unknown, so the next mail gets a new connection.
            Err(_) => false,
        };
        if is_usable {
            idle.open = Some(connection);
            idle.used_at = Instant::now();
        } else {
            close(connection).await;
        }
        sent
    }

    /// Does what a delivery does up to MAIL FROM, on a separate connection.
    pub(super) async fn rehearse(&self, mail: &Message) -> Result<(), DeliveryError> {
        let mut connection = self.connect().await?;
        let rehearsed = async {
            mail_from(&mut connection, mail).await?;
            reset(&mut connection).await
        };
        let rehearsed = rehearsed.await;
        close(connection).await;
        rehearsed
    }

    /// Connects, logs in and sends NOOP, on a separate connection.
    pub(super) async fn ping(&self) -> Result<(), DeliveryError> {
        let round_trip = async {
            let mut connection = self.connect().await?;
            let answered = with_timeout(COMMAND_TIMEOUT, connection.command(Noop)).await;
            close(connection).await;
            answered.map(|_| ()).map_err(session_fault)
        };
        self.call_stats.observe(round_trip).await
    }

    pub(super) async fn close_idle(&self) {
        if let Some(connection) = self.idle.lock().await.open.take() {
            close(connection).await;
        }
    }

    /// Connects and logs in. No error here is specific to a mail.
    async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let mut connection = with_timeout(CONNECT_TIMEOUT, self.connect_by_tls()).await.map_err(transient)?;
        if let Some(credentials) = &self.credentials
            && let Err(fault) =
                with_timeout(COMMAND_TIMEOUT, connection.auth(DEFAULT_MECHANISMS, credentials)).await
        {
            close(connection).await;
            return Err(if fault.code.is_some_and(|code| code >= 500) {
                DeliveryError::AuthFailed(fault.text)
            } else {
                transient(fault)
            });
        }
        Ok(connection)
    }

    async fn connect_by_tls(&self) -> Result<AsyncSmtpConnection, Fault> {
        let line = MailStream::open((&self.host, self.port), self.tls_mode, &self.hello, &self.tls).await?;
        Ok(AsyncSmtpConnection::connect_with_transport(Box::new(line), &self.hello).await?)
    }
}

/// The idle connection, if the server still answers on it.
async fn take_idle(idle: &mut IdleConnection) -> Option<AsyncSmtpConnection> {
    let mut connection = idle.open.take()?;
    if idle.used_at.elapsed() < MAX_IDLE
        && with_timeout(COMMAND_TIMEOUT, connection.command(Noop)).await.is_ok()
    {
        return Some(connection);
    }
    close(connection).await;
    None
}

async fn transmit(connection: &mut AsyncSmtpConnection, mail: &Message) -> Result<(), DeliveryError> {
    mail_from(connection, mail).await?;
    for recipient in mail.envelope().to() {
        let recipient = Rcpt::new(recipient.clone(), Vec::new());
        with_timeout(COMMAND_TIMEOUT, connection.command(recipient)).await.map_err(mail_fault)?;
    }
    with_timeout(COMMAND_TIMEOUT, connection.command(Data)).await.map_err(mail_fault)?;
    with_timeout(COMMAND_TIMEOUT, connection.message(&mail.formatted())).await.map_err(mail_fault)?;
    Ok(())
}

/// MAIL FROM. All mails have the same sender, so a server that refuses it refuses every mail.
async fn mail_from(connection: &mut AsyncSmtpConnection, mail: &Message) -> Result<(), DeliveryError> {
    let sender = Mail::new(mail.envelope().from().cloned(), Vec::new());
    with_timeout(COMMAND_TIMEOUT, connection.command(sender)).await.map_err(session_fault)?;
    Ok(())
}

async fn reset(connection: &mut AsyncSmtpConnection) -> Result<(), DeliveryError> {
    with_timeout(COMMAND_TIMEOUT, connection.command(Rset)).await.map_err(session_fault)?;
    Ok(())
}

/// An error, with the SMTP reply code if the server sent one.
struct Fault {
    code: Option<u16>,
    text: String,
}

impl From<smtp::Error> for Fault {
    fn from(error: smtp::Error) -> Fault {
        Fault { code: error.status().map(u16::from), text: masked_text(&error) }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault { code: None, text: masked_text(&error) }
    }
}

/// Runs `call` with a timeout.
async fn with_timeout<T, E: Into<Fault>>(
    limit: Duration,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map_err(E::into),
        Err(_) => {
            let text = format!("the mail server did not answer within {} s", limit.as_secs());
            Err(Fault { code: None, text })
        }
    }
}

fn transient(fault: Fault) -> DeliveryError {
    DeliveryError::Transient(fault.text)
}

/// Classifies a failed command that does not depend on the mail.
fn session_fault(fault: Fault) -> DeliveryError {
    match fault.code {
        // "Authentication required" and related codes (RFC 4954).
        Some(530 | 534 | 535 | 538) => DeliveryError::AuthFailed(fault.text),
        _ => transient(fault),
    }
}

/// Classifies a failed command that depends on the mail.
fn mail_fault(fault: Fault) -> DeliveryError {
    match fault.code {
        // 421: the server closes the connection (RFC 5321). 454: the account exceeds its sending rate or daily quota
        // (SES).
        None | Some(421 | 454 | 530 | 534 | 535 | 538) => session_fault(fault),
        Some(500..) => DeliveryError::Permanent(fault.text),
        Some(_) => DeliveryError::Deferred(fault.text),
    }
}

async fn close(mut connection: AsyncSmtpConnection) {
    // The connection is dropped whether or not the server answers QUIT.
    let _ = timeout(QUIT_TIMEOUT, connection.abort()).await;
}
