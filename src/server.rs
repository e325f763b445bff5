//! Serves the application: where it listens, what surrounds every request, the workers beside it, and how it ends.

mod connection;
mod listener;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{HttpServer, rt};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::App;
use crate::config::{Listen, MAX_SHUTDOWN_DELAY};
use crate::controllers::metrics;
use crate::error::{Error, Result};
use crate::jobs;
use crate::jobs::worker::Worker;
use crate::mail;
use crate::web::middleware::{error_pages, host_mismatch, request_log, same_origin, security_headers};
use crate::web::{cookies, form};

/// A request's head has to arrive within this time (slow senders).
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than nginx keeps its connections, and that longer than the load balancer's 60 s: whoever is in front closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// From the last connection that is taken to the shutdown. actix drops what it has taken and not looked at yet, and closes
/// idle connections while whoever is in front may be sending on them: here they get an answer, and that it is the last.
const LEAVE_TAKING: Duration = Duration::from_millis(500);
/// What is under way at shutdown may take so long.
const DRAIN_SECONDS: u64 = 30;
/// What the service manager has to allow for a stop: the longest SHUTDOWN_DELAY, what is under way, the mail in hand, and the
/// last log lines.
pub const MAX_STOP: Duration = Duration::from_secs(MAX_SHUTDOWN_DELAY + 2 * DRAIN_SECONDS + 10);

/// The application while it serves.
pub struct Running {
    /// The application.
    pub app: Data<App>,
    /// Where it listens, by TCP.
    pub addresses: Vec<SocketAddr>,
    /// Where it tells Prometheus its figures.
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

/// Starts serving.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(app: App) -> Result<Running> {
    let app = Data::new(app);
    let (server, addresses) = listener::listen(&app, Server::build()).map_err(|error| {
        Error::internal(format!(
            "cannot listen on {}: {error}; end the program that does, or set LISTEN to another address",
            app.config.listen
        ))
    })?;
    let (metrics, metrics_address) = serve_metrics(&app)?.unzip();
    // Not before all addresses are bound: a start that fails leaves nothing running.
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
    let worker = Worker {
        db: app.db.clone(),
        clock: app.clock.clone(),
        wakeup: app.jobs_wakeup.clone(),
        picture_deletion_wakeup: app.picture_deletion_wakeup.clone(),
    };
    let job_worker = rt::spawn(worker.run(stopped.clone()));
    let mail_request_worker = rt::spawn(mail::request_worker::run(app.clone(), stopped));
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

/// Figures for Prometheus, where METRICS_LISTEN says and nowhere else.
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

/// What surrounds every request, around these routes: ours, and in a test one that panics.
pub fn around(
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
    // The last one wrapped is the first to see a request.
    actix_web::App::new()
        .app_data(app)
        .configure(routes)
        .wrap(from_fn(form::read))
        .wrap(from_fn(same_origin::check))
        .wrap(from_fn(host_mismatch::check))
        .wrap(from_fn(error_pages::dress))
        .wrap(from_fn(cookies::send))
        .wrap(from_fn(security_headers::add))
        .wrap(from_fn(request_log::log))
}

impl Running {
    /// Where it listens, for people.
    pub fn listening(&self) -> String {
        match &self.app.config.listen {
            Listen::Tcp { .. } => {
                self.addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        }
    }

    /// Says at /readyz that people should go elsewhere, waits until that is noticed, or until `hurry`; then takes no new
    /// requests, finishes what is under way and delivers the mail in hand.
    pub async fn stop(self, hurry: impl Future<Output = ()>) {
        self.app.begin_stopping();
        // Whichever is first.
        let _ = tokio::time::timeout(self.app.config.shutdown_delay, hurry).await;
        self.server.pause().await;
        tokio::time::sleep(LEAVE_TAKING).await;
        self.server.stop(true).await;
        if let Some(metrics) = &self.metrics {
            metrics.stop(false).await;
        }
        // The receivers are gone only if the workers are.
        let _ = self.stop_workers.send(true);
        // A mail server that does not answer is not waited for; the mail in hand goes to the next worker.
        let mailing = async { (self.mail_request_worker.await, self.mail_worker.await) };
        let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), mailing).await;
        let _ = self.picture_deletion_worker.await;
        let _ = self.job_worker.await;
        let _ = self.serving.await;
    }
}
