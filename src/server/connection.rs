//! Connection handling for which actix-web has no hook: a client that connects and sends nothing is disconnected
//! without a response, and a request that the parser rejects gets an error page and a log line like any other.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::GracefulShutdownSignal;
use actix_service::{ServiceFactory, ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::StatusCode;
use actix_web::rt::net::{ActixStream, TcpStream, UnixStream};
use actix_web::web::Data;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::timeout;

use super::{HEAD_TIMEOUT, KEEP_ALIVE, build_app};
use crate::app::App;
use crate::routes;
use crate::web::middleware::{error_pages, request_log};

/// actix's own error response is about 125 bytes long; a response with our headers has more than 600.
const MAX_BARE_RESPONSE: usize = 200;
/// How long a client may keep sending after a response to an incomplete request. Closing earlier would reset the
/// connection, and the client might lose the response (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(2);

type Rejecting = Pin<Box<dyn Future<Output = ()>>>;

/// An accepted TCP or Unix connection. (`ActixStream::poll_read_ready` cannot be used here: it drops the waker together
/// with its temporary future.)
pub(super) trait Stream: ActixStream + 'static {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn peer(&self) -> Option<SocketAddr>;
}

impl Stream for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn peer(&self) -> Option<SocketAddr> {
        self.peer_addr().ok()
    }
}

impl Stream for UnixStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn peer(&self) -> Option<SocketAddr> {
        None
    }
}

/// The HTTP service for the connections of one listener.
pub(super) fn protocol<S: Stream>(
    app: Data<App>,
    shutdown: GracefulShutdownSignal,
) -> impl ServiceFactory<S, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let http = HttpService::build()
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .client_disconnect_timeout(LINGER)
        // A client that closes its sending side counts as disconnected: its work leaves the queues (cpu_pool.rs).
        .h1_allow_half_closed(false)
        .graceful_shutdown_signal({
            let shutdown = shutdown.clone();
            move || {
                let shutdown = shutdown.clone();
                async move { shutdown.notified().await }
            }
        })
        .h1(map_config(build_app(app.clone(), routes::configure), |()| AppConfig::default()));
    let open = move |stream: S| {
        let (app, shutdown) = (app.clone(), shutdown.clone());
        async move {
            let first_byte = timeout(HEAD_TIMEOUT, poll_fn(|cx| stream.poll_readable(cx)));
            // actix would send a 408 here. A client that starts to send at that moment would take it as the response to
            // its request.
            tokio::select! {
                biased;
                begun = first_byte => begun.map_err(|_| DispatchError::SlowRequestTimeout)?.map_err(DispatchError::Io)?,
                () = shutdown.notified() => return Err(DispatchError::DisconnectTimeout),
            };
            let peer = stream.peer();
            Ok((Connection { stream: Some(stream), app, peer, rejecting: None }, peer))
        }
    };
    fn_service(open).and_then(http)
}

/// A connection that replaces the HTTP parser's empty error responses by the application's error pages.
struct Connection<S> {
    stream: Option<S>,
    app: Data<App>,
    peer: Option<SocketAddr>,
    rejecting: Option<Rejecting>,
}

impl<S: Stream> Connection<S> {
    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
    }

    fn reject(&mut self, status: StatusCode) -> Option<Rejecting> {
        let mut stream = self.stream.take()?;
        let id = request_log::log_rejected(&self.app, status, self.peer);
        let answer = error_pages::for_rejected(&self.app, status, id);
        let exchange = async move {
            stream.write_all(&answer).await?;
            stream.shutdown().await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
        };
        Some(Box::pin(async { drop(timeout(LINGER, exchange).await) }))
    }
}

impl<S: Stream> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.rejecting.is_none() {
            match bare_error(bytes) {
                Some((0, status)) => self.rejecting = self.reject(status),
                // First write the responses to earlier, pipelined requests.
                Some((at, _)) => return self.stream()?.poll_write(cx, &bytes[..at]),
                None => return self.stream()?.poll_write(cx, bytes),
            }
        }
        if let Some(rejecting) = &mut self.rejecting {
            ready!(rejecting.as_mut().poll(cx));
        }
        // This ends the dispatcher before it logs the parse error at level ERROR.
        Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

/// Offset and status of the parser's error response, which is always the last on its connection. The application's own
/// responses differ by their x-request-id.
fn bare_error(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(MAX_BARE_RESPONSE);
    let start = from + bytes[from..].windows(7).rposition(|window| window == b"HTTP/1.")?;
    let head = str::from_utf8(&bytes[start..]).ok()?;
    let is_bare = head.contains("\r\ncontent-length: 0\r\n") && !head.contains("\r\nx-request-id: ");
    let status: StatusCode = head.split(' ').nth(1)?.parse().ok()?;
    (is_bare && status.as_u16() >= 400).then_some((start, status))
}
