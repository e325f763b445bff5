//! A small HTTP client: one request per connection, no redirects. hyper is already a dependency of the AWS SDK; reqwest
//! would be a second client for a few requests.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::http::request::Builder;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use crate::error::{Error, Result};

/// Timeout from the DNS lookup to the last byte.
pub const TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY: usize = 128 * 1024;

/// Fetches a URL.
///
/// # Errors
/// [`Error::Unavailable`] when that fails. The text names only the host, because URLs may contain secrets.
pub async fn get(url: &Url, tls: &Arc<ClientConfig>) -> Result<Bytes> {
    let request = Request::get(&url[Position::BeforePath..Position::AfterQuery]);
    let answer = send(url, request, Bytes::new(), tls).await?;
    let status = answer.status();
    if !status.is_success() {
        return Err(Error::unavailable(format!("{}: {status}", url.host_str().unwrap_or_default())));
    }
    Ok(answer.into_body())
}

/// Sends a request to the host of a URL and returns the answer, whatever its status.
///
/// # Errors
/// [`Error::Unavailable`] when there is no answer; the text names only the host.
pub async fn send(
    url: &Url,
    request: Builder,
    body: Bytes,
    tls: &Arc<ClientConfig>,
) -> Result<Response<Bytes>> {
    // URLs write IPv6 addresses in brackets.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let told = |why: String| Error::unavailable(format!("{host}: {why}"));
    let request = request
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .body(Full::new(body))
        .map_err(Error::internal)?;
    let sent = async {
        let port = url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((host, port)).await.map_err(|e| told(e.to_string()))?;
        if url.scheme() == "http" {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|e| told(e.to_string()))?;
        let stream = TlsConnector::from(tls.clone()).connect(name, stream).await;
        exchange(stream.map_err(|e| told(e.to_string()))?, request).await
    };
    tokio::time::timeout(TIMEOUT, sent).await.unwrap_or_else(|_| Err(told("no answer in time".into())))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<Bytes>> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(Error::unavailable)?;
    // The task ends when `sender` is dropped, because that closes the connection.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await.map_err(Error::unavailable)?.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await.map_err(Error::unavailable)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
