//! The HTTP server: listeners, middleware stack, background workers and graceful shutdown.

mod connection;
mod listener;

use std::future::{Future, ready};
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServerHandle, Service, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{HttpServer, rt};
use futures_util::future::Either;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::{Listen, MAX_SHUTDOWN_DELAY};
use crate::controllers::metrics;
use crate::error::{Error, Result};
use crate::jobs;
use crate::jobs::worker::Worker;
use crate::mail;
use crate::mail::request_worker::RequestWorker;
use crate::routes;
use crate::web::middleware::{
    admission, error_pages, host_mismatch, request_log, same_origin, security_headers,
};
use crate::web::{cookies, form};

/// Time-out for a request's head, against slow senders.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Keep-alive time-outs grow from front to back (load balancer 60 s, then nginx, then this), so that the client side
/// closes first and sends no request on a connection that the server is closing.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Pause between closing the listener and shutting down. At shutdown actix drops accepted connections that it has not
/// read from, and closes idle ones on which a proxy may be sending. During the pause both get a last response.
const PAUSE_BEFORE_SHUTDOWN: Duration = Duration::from_millis(500);
/// Time-out at shutdown for requests in progress, and then again for the mail workers.
const DRAIN_SECONDS: u64 = 30;
/// Stop time-out that the service manager has to allow: the longest SHUTDOWN_DELAY, requests in progress, mails in
/// progress, and 10 s for the last log lines.
pub const MAX_STOP: Duration = Duration::from_secs(MAX_SHUTDOWN_DELAY + 2 * DRAIN_SECONDS + 10);

/// A running server.
pub struct Running {
    pub app: Data<App>,
    /// TCP addresses that the server listens on; empty for a Unix socket.
    pub addresses: Vec<SocketAddr>,
    /// Address of the Prometheus endpoint `/metrics`, if METRICS_LISTEN is set.
    pub metrics_address: Option<SocketAddr>,
    server: ServerHandle,
    metrics: Option<ServerHandle>,
    serving: JoinHandle<std::io::Result<()>>,
    stop_workers: watch::Sender<bool>,
    mail_worker: JoinHandle<()>,
    mail_request_worker: JoinHandle<()>,
    picture_deletion_worker: JoinHandle<()>,
    job_worker: JoinHandle<()>,
}

/// Binds the listeners, then starts the server and its workers.
pub async fn start(app: App) -> Result<Running> {
    let app = Data::new(app);
    let (server, addresses) = listener::listen(&app, Server::build()).map_err(|error| {
        Error::internal(format!(
            "cannot listen on {}: {error}; stop the program that uses it, or set LISTEN to another address",
            app.config.listen
        ))
    })?;
    let (metrics, metrics_address) = serve_metrics(&app)?.unzip();
    // Workers start only after all addresses are bound, so that a failed start leaves nothing running.
    let (stop_workers, stopped) = watch::channel(false);
    let picture_deletion_worker = rt::spawn(jobs::picture_deletion_worker::run(
        app.db.clone(),
        app.images.clone(),
        app.clock.clone(),
        app.picture_deletion_wakeup.clone(),
        stopped.clone(),
    ));
    let mail_worker = rt::spawn(mail::worker::run(
        app.db.clone(),
        app.mailer.clone(),
        app.clock.clone(),
        app.mail_wakeup.clone(),
        stopped.clone(),
    ));
    if let Some(reader) = app.reader.clone() {
        rt::spawn(reader.watch(stopped.clone()));
    }
    let worker = Worker {
        db: app.db.clone(),
        clock: app.clock.clone(),
        wakeup: app.jobs_wakeup.clone(),
        picture_deletion_wakeup: app.picture_deletion_wakeup.clone(),
    };
    let job_worker = rt::spawn(worker.run(stopped.clone()));
    let request_worker = RequestWorker {
        db: app.db.clone(),
        config: app.config.clone(),
        clock: app.clock.clone(),
        wakeup: app.mail_request_wakeup.clone(),
        mail_wakeup: app.mail_wakeup.clone(),
    };
    let mail_request_worker = rt::spawn(request_worker.run(stopped));
    let server = server.shutdown_timeout(DRAIN_SECONDS).disable_signals().run();
    Ok(Running {
        app,
        addresses,
        metrics_address,
        server: server.handle(),
        metrics,
        serving: rt::spawn(server),
        stop_workers,
        mail_worker,
        mail_request_worker,
        picture_deletion_worker,
        job_worker,
    })
}

/// Serves metrics for Prometheus on METRICS_LISTEN only, never on the public listener.
fn serve_metrics(app: &Data<App>) -> Result<Option<(ServerHandle, SocketAddr)>> {
    let Some((host, port)) = &app.config.metrics_listen else { return Ok(None) };
    let data = app.clone();
    let routes =
        move || actix_web::App::new().app_data(data.clone()).route("/metrics", get().to(metrics::show));
    let server = HttpServer::new(routes).workers(1).disable_signals().bind((host.as_str(), *port));
    let server =
        server.map_err(|error| Error::internal(format!("METRICS_LISTEN: cannot listen there: {error}")))?;
    let address = server.addrs().into_iter().next();
    let server = server.run();
    let handle = server.handle();
    rt::spawn(server);
    Ok(address.map(|address| (handle, address)))
}

/// Wraps the middleware stack around `routes`: the application's, or in a test a route that panics.
pub fn build_app(
    app: Data<App>,
    routes: impl FnOnce(&mut ServiceConfig),
) -> actix_web::App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    // The middleware that is wrapped last sees a request first.
    actix_web::App::new()
        .app_data(app)
        .configure(routes)
        .wrap(from_fn(form::read_form))
        .wrap(from_fn(same_origin::require_same_origin))
        .wrap(from_fn(host_mismatch::reject_host_mismatch))
        .wrap(from_fn(error_pages::render_error_pages))
        .wrap(from_fn(cookies::write_cookies))
        .wrap(from_fn(security_headers::add_security_headers))
        .wrap(from_fn(request_log::log_request))
        // Not `from_fn`, which would box the future of every request.
        .wrap_fn(|req, service| match admission::refusal(&req, routes::class_of(&req)) {
            Some(refusal) => Either::Left(ready(Ok(req.into_response(refusal)))),
            None => Either::Right(service.call(req)),
        })
}

impl Running {
    /// The listen addresses, for messages.
    pub fn listening(&self) -> String {
        match &self.app.config.listen {
            Listen::Tcp { .. } => {
                self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }

    /// Shuts down gracefully: /readyz answers 503 for SHUTDOWN_DELAY or until `hurry` completes; then the server
    /// accepts no connections, finishes requests in progress and delivers the mails in progress.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        self.app.begin_stopping();
        // Ends at whichever comes first.
        let _ = tokio::time::timeout(self.app.config.shutdown_delay, hurry).await;
        self.server.pause().await;
        tokio::time::sleep(PAUSE_BEFORE_SHUTDOWN).await;
        self.server.stop(true).await;
        if let Some(metrics) = &self.metrics {
            metrics.stop(false).await;
        }
        // This fails only if all workers have ended.
        let _ = self.stop_workers.send(true);
        // With a mail server that does not answer, this times out; another worker delivers the mail later.
        let mailing = async { (self.mail_request_worker.await, self.mail_worker.await) };
        let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), mailing).await;
        let _ = self.picture_deletion_worker.await;
        let _ = self.job_worker.await;
        let _ = self.serving.await;
    }
}
