//! The TLS connection to a mail server: implicit TLS or STARTTLS.
//!
//! lettre's own STARTTLS keeps its read buffer across the TLS handshake, so a man in the middle can inject plain-text
//! replies that pass for the server's. This module does the plain-text part itself and reads it byte by byte. So it
//! buffers nothing that follows the reply to STARTTLS, and whatever follows must be valid TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use lettre::transport::smtp::client::AsyncTokioStream;
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::SmtpTls;

/// Maximum length of a plain-text reply, in bytes; real ones have some hundred.
const MAX_REPLY: usize = 8 * 1024;

#[derive(Debug)]
pub(super) struct MailStream {
    /// Returned by the first reads, because lettre expects a greeting and servers do not repeat theirs after STARTTLS.
    greeting: &'static [u8],
    stream: TlsStream<TcpStream>,
}

impl MailStream {
    /// Connects, and fails if TLS is not available.
    pub(super) async fn open(
        (host, port): (&str, u16),
        begins: SmtpTls,
        hello: &ClientId,
        tls: &Arc<ClientConfig>,
    ) -> io::Result<MailStream> {
        let mut stream = TcpStream::connect((host, port)).await?;
        // lettre sends the final dot of a mail separately, and Nagle's algorithm would delay it by 40 ms.
        stream.set_nodelay(true)?;
        let greeting: &[u8] = match begins {
            SmtpTls::Implicit => b"",
            SmtpTls::StartTls => {
                ask_for_tls(&mut stream, hello).await?;
                b"220 encrypted\r\n"
            }
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await?;
        Ok(MailStream { greeting, stream })
    }
}

async fn ask_for_tls(stream: &mut TcpStream, hello: &ClientId) -> io::Result<()> {
    read_reply(stream, "220").await?;
    stream.write_all(format!("EHLO {hello}\r\n").as_bytes()).await?;
    let offers = read_reply(stream, "250").await?;
    let is_offer = |line: &str| line.get(4..).is_some_and(|word| word.eq_ignore_ascii_case("STARTTLS"));
    if !offers.lines().any(is_offer) {
        return Err(io::Error::other(
            "the mail server does not offer STARTTLS, and without TLS it is told nothing",
        ));
    }
    stream.write_all(b"STARTTLS\r\n").await?;
    read_reply(stream, "220").await.map(|_| ())
}

/// Reads exactly one reply, not a byte more. Fails if it does not have this code.
async fn read_reply(stream: &mut TcpStream, code: &str) -> io::Result<String> {
    let (mut reply, mut line) = (String::new(), 0);
    while reply.len() < MAX_REPLY {
        reply.push(char::from(stream.read_u8().await?));
        if !reply.ends_with('\n') {
            continue;
        }
        // A dash after the code means that another line follows (RFC 5321, section 4.2.1).
        let is_last = reply.as_bytes().get(line + 3) != Some(&b'-');
        if is_last && reply[line..].starts_with(code) {
            return Ok(reply);
        }
        if is_last {
            break;
        }
        line = reply.len();
    }
    Err(io::Error::other(format!("not {code}: {}", reply.trim_end())))
}

impl AsyncTokioStream for MailStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

impl AsyncRead for MailStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.greeting.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let (now, later) = self.greeting.split_at(self.greeting.len().min(buf.remaining()));
        buf.put_slice(now);
        self.greeting = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MailStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
