//! An HTTP client for small files: one GET, no redirects. Hyper is here with the AWS SDK; reqwest would be a second
//! client for one request.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::error::{Error, Result};

/// Timeout from the DNS lookup to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 64 * 1024;

/// Fetches a URL.
///
/// # Errors
/// [`Error::Unavailable`] when that fails. The text names only the host, because URLs may contain secrets.
pub async fn get(url: &Url, tls: &Arc<ClientConfig>) -> Result<Bytes> {
    // URLs write IPv6 addresses in brackets.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let told = |why: String| Error::unavailable(format!("{host}: {why}"));
    let fetched = async {
        let port = url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((host, port)).await.map_err(|e| told(e.to_string()))?;
        if url.scheme() == "http" {
            return ask(stream, url).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| told(e.to_string()))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
        ask(stream.map_err(|e| told(e.to_string()))?, url).await
    };
    tokio::time::timeout(TIMEOUT, fetched).await.unwrap_or_else(|_| Err(told("no answer in time".into())))
}

async fn ask(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, url: &Url) -> Result<Bytes> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Error::unavailable)?;
    // The task ends when `sender` is dropped, because that closes the connection.
    tokio::spawn(connection);
    let request = Request::get(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
        .body(Empty::<Bytes>::new())
        .map_err(Error::internal)?;
    let answer = sender.send_request(request).await.map_err(Error::unavailable)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(Error::unavailable(format!("{}: {status}", url.host_str().unwrap_or_default())));
    }
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    Ok(body.map_err(Error::unavailable)?.to_bytes())
}
