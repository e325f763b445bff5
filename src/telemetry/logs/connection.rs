//! Connections to Logstash: TCP, or TLS with certificate verification. TLS never falls back to plain TCP.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Time-out for DNS, TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// TCP_USER_TIMEOUT: time within which the peer's kernel must acknowledge data.
const USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Below 60 s, after which load balancers drop an idle connection.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Address of Logstash.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// `None` for plain TCP.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
pub(super) type Connection = Box<dyn Stream>;

impl Target {
    pub(super) async fn connect(&self) -> io::Result<Connection> {
        timeout(CONNECT_TIMEOUT, self.try_to_connect())
            .await
            .unwrap_or_else(|_| Err(slow("no connection", CONNECT_TIMEOUT)))
    }

    /// Resolves the name each time, because its address may change.
    async fn try_to_connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(USER_TIMEOUT))?;
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(tls.clone()).connect(name, stream).await.map_err(explain)?))
    }
}

/// Waits for the end of the connection. Logstash sends no data; any that arrives is discarded.
pub(super) async fn wait_for_eof(mut reading: ReadHalf<Connection>) -> io::Error {
    let mut nothing = [0; 1024];
    loop {
        match reading.read(&mut nothing).await {
            Ok(0) => return io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Adds the setting that makes a certificate trusted.
fn explain(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(_)) => {
            io::Error::other(format!("{error} (LOGSTASH_CA_FILE names who may sign its certificate)"))
        }
        _ => error,
    }
}

pub(super) fn slow(what: &str, limit: Duration) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("{what} within {} s", limit.as_secs()))
}
