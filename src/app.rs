//! Puts the application together from its settings, and serves it.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{ServerHandle, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig, get};
use actix_web::{HttpServer, rt};
use listenfd::ListenFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{AppEnv, Config, Listen};
use crate::controllers::metrics;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::models::password::Passwords;
use crate::routes;
use crate::services::cache::Cache;
use crate::services::cleaner;
use crate::services::images::Images;
use crate::services::leaderboard::Leaderboard;
use crate::services::limits::Limits;
use crate::services::logs::Logs;
use crate::services::mailer::Mailer;
use crate::services::post_office::{self, Bell};
use crate::services::redis::Redis;
use crate::services::sessions::Sessions;
use crate::services::sns::Sns;
use crate::services::tls;
use crate::services::traffic::Traffic;
use crate::threads::Threads;
use crate::web::cookies::{self, Cookies};
use crate::web::headers::{self, Headers};
use crate::web::{error_pages, form, request_log, same_origin, target};

/// A request's head has to arrive within this time (slow senders).
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than nginx keeps its connections, and that longer than the load balancer's 60 s: whoever is in front closes first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// What is under way at shutdown may take so long.
const DRAIN_SECONDS: u64 = 30;

/// Everything that a handler may need.
pub struct App {
    /// The settings.
    pub config: Config,
    /// The time.
    pub clock: Clock,
    /// The database.
    pub db: Db,
    /// Sessions of people who are logged in.
    pub sessions: Sessions,
    /// How often is too often.
    pub limits: Limits,
    /// Answers that are kept for a while.
    pub cache: Cache,
    /// Requests, counted.
    pub traffic: Traffic,
    /// Ids of the people who have the most followers.
    pub most_followed: Leaderboard,
    /// Pictures of posts.
    pub images: Images,
    /// The way out for mails.
    pub mailer: Mailer,
    /// What the program has to say.
    pub logs: Logs,
    /// Wakes the worker that delivers mails.
    pub bell: Bell,
    /// Wakes the worker that deletes pictures.
    pub cleaner_bell: Bell,
    /// What SES tells, if it tells us.
    pub sns: Option<Sns>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// For other work that keeps a core busy.
    pub threads: Threads,
    /// Reads and writes cookies.
    pub cookies: Cookies,
    /// Security headers.
    pub headers: Headers,
    stopping: AtomicBool,
}

/// A service as the welcome page names it.
pub struct ServiceName {
    /// What it is for.
    pub role: &'static str,
    /// What does it here.
    pub here: &'static str,
    /// What does it on AWS.
    pub aws: &'static str,
}

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
    post_office: JoinHandle<()>,
    cleaner: JoinHandle<()>,
}

impl App {
    /// Puts the application together. Connects to nothing yet.
    ///
    /// # Errors
    /// When a setting leads to something that cannot be used here.
    pub fn new(config: Config, clock: Clock) -> Result<App> {
        tls::install();
        let redis = Redis::from_config(&config)?;
        Ok(App {
            clock,
            db: Db::open(&config.database)?,
            sessions: Sessions::new(redis.clone()),
            limits: Limits::new(redis.clone()),
            cache: Cache::new(redis.clone()),
            traffic: Traffic::default(),
            most_followed: Leaderboard::new("most_followed", redis),
            images: Images::new(&config),
            mailer: Mailer::open(&config)?,
            logs: Logs::new(&config)?,
            bell: Bell::default(),
            cleaner_bell: Bell::default(),
            sns: config.ses_topic.clone().map(Sns::new).transpose()?,
            passwords: Passwords::new()?,
            threads: Threads::new()?,
            cookies: Cookies::new(&config),
            headers: Headers::new(&config),
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Says from now on that people should be sent elsewhere (/readyz).
    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether the process is on its way out.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The folder whose mails /inbox shows.
    pub fn inbox(&self) -> Option<&Path> {
        self.mailer.folder().filter(|_| self.config.env == AppEnv::Development)
    }

    /// What does what, here and on AWS.
    pub fn service_names(&self) -> Vec<ServiceName> {
        let name = |role, here, aws| ServiceName { role, here, aws };
        vec![
            name("Users and posts", self.db.kind(), "RDS MySQL"),
            name("Sessions and cache", self.sessions.kind(), "ElastiCache (Redis)"),
            name("Pictures", self.images.kind(), "S3"),
            name("Mail", self.mailer.kind(), "SES"),
            name("Logs", self.logs.kind(), "Logstash"),
        ]
    }
}

/// Starts serving.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn start(app: App) -> Result<Running> {
    let app = Data::new(app);
    let (stop_workers, stopped) = watch::channel(false);
    let cleaner = rt::spawn(cleaner::run(
        app.db.clone(),
        app.images.clone(),
        app.clock.clone(),
        app.cleaner_bell.clone(),
        stopped.clone(),
    ));
    let post_office = rt::spawn(post_office::run(
        app.db.clone(),
        app.mailer.clone(),
        app.clock.clone(),
        app.bell.clone(),
        stopped,
    ));
    let data = app.clone();
    let server = HttpServer::new(move || around(data.clone(), routes::configure))
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals();
    let listening = match &app.config.listen {
        Listen::Tcp { host, port } => server.bind((host.as_str(), *port)),
        // `bind_uds` removes what is there: the socket of a process that was killed, or one in use, which a successor
        // takes over. Anything but a socket is somebody's file.
        Listen::Unix(path) => match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                Err(std::io::Error::other("there is a file of that name, and it is no socket"))
            }
            _ => server.bind_uds(path),
        },
        Listen::Inherited => {
            let mut inherited = ListenFd::from_env();
            match (inherited.take_unix_listener(0), inherited.take_tcp_listener(0)) {
                (Ok(Some(socket)), _) => server.listen_uds(socket),
                (_, Ok(Some(socket))) => server.listen(socket),
                (_, Err(error)) | (Err(error), _) => Err(error),
                _ => Err(std::io::Error::other("LISTEN_FDS is set, but there is no socket")),
            }
        }
    };
    let server = listening.map_err(|error| {
        Error::internal(format!(
            "cannot listen on {}: {error}; end the program that does, or set LISTEN to another address",
            app.config.listen
        ))
    })?;
    let addresses = server.addrs();
    let (metrics, metrics_address) = serve_metrics(&app)?.unzip();
    let server = server.run();
    Ok(Running {
        app,
        addresses,
        metrics_address,
        server: server.handle(),
        metrics,
        serving: rt::spawn(server),
        stop_workers,
        post_office,
        cleaner,
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
        .wrap(from_fn(target::check))
        .wrap(from_fn(error_pages::dress))
        .wrap(from_fn(cookies::send))
        .wrap(from_fn(headers::add))
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

    /// Takes no new requests, finishes what is under way, delivers the mail in hand.
    pub async fn stop(self) {
        self.app.begin_stopping();
        self.server.stop(true).await;
        if let Some(metrics) = &self.metrics {
            metrics.stop(false).await;
        }
        // The receivers are gone only if the workers are.
        let _ = self.stop_workers.send(true);
        // A mail server that does not answer is not waited for; the mail in hand goes to the next worker.
        let _ = tokio::time::timeout(Duration::from_secs(DRAIN_SECONDS), self.post_office).await;
        let _ = self.cleaner.await;
        let _ = self.serving.await;
    }
}
