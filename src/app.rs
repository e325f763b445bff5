//! Builds the application's shared state from its settings.

mod services;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub use self::services::{Service, services};
use crate::clock::Clock;
use crate::config::{AppEnv, Config};
use crate::db::{Db, Reader};
use crate::error::Result;
use crate::jobs::Wakeup;
use crate::mail::mailer::Mailer;
use crate::mail::sns::Sns;
use crate::models::values::password::Passwords;
use crate::services::cache::Cache;
use crate::services::images::Images;
use crate::services::leaderboard::Leaderboard;
use crate::services::picture_decoder::PictureDecoder;
use crate::services::rate_limits::Limits;
use crate::services::redis::Redis;
use crate::services::sessions::Sessions;
use crate::telemetry::logs::Logs;
use crate::telemetry::request_metrics::RequestMetrics;
use crate::tls;
use crate::web::cookies::Cookies;
use crate::web::middleware::admission::Admission;
use crate::web::middleware::security_headers::Headers;

/// The shared state of all handlers and workers.
pub struct App {
    pub config: Config,
    pub clock: Clock,
    pub db: Db,
    /// A replica for pages that may be a moment old, if one is configured.
    pub reader: Option<Reader>,
    /// Sessions of logged-in users.
    pub sessions: Sessions,
    /// Rate limits.
    pub limits: Limits,
    /// Cached query results, in Redis or in memory.
    pub cache: Cache,
    pub request_metrics: RequestMetrics,
    /// Ids of the users who have the most followers.
    pub most_followed: Leaderboard,
    /// Store for pictures of posts.
    pub images: Images,
    pub mailer: Mailer,
    pub logs: Logs,
    pub mail_wakeup: Wakeup,
    /// Wakes the worker for jobs/job.rs: user deletions, clean-up.
    pub jobs_wakeup: Wakeup,
    /// Wakes the worker that turns visitors' mail requests into mails.
    pub mail_request_wakeup: Wakeup,
    pub picture_deletion_wakeup: Wakeup,
    /// Verifies SNS messages from SES; `None` without SES_TOPIC_ARN.
    pub sns: Option<Sns>,
    pub passwords: Passwords,
    pub picture_decoder: PictureDecoder,
    pub cookies: Cookies,
    pub headers: Headers,
    pub admission: Admission,
    stopping: AtomicBool,
}

impl App {
    /// Builds the state without connecting to any service.
    pub fn new(config: Config, clock: Clock) -> Result<App> {
        tls::install();
        let redis = Redis::from_config(&config)?;
        let db = Db::open(&config.database)?;
        let reader = config.database_reader.as_ref().map(|reader| Reader::open(reader, db.clone()));
        Ok(App {
            cookies: Cookies::new(&config, clock.clone()),
            clock,
            db,
            reader: reader.transpose()?,
            sessions: Sessions::new(redis.clone()),
            limits: Limits::new(redis.clone(), config.rate_limits.clone()),
            cache: Cache::new(redis.clone()),
            request_metrics: RequestMetrics::default(),
            most_followed: Leaderboard::new("most_followed", redis),
            images: Images::new(&config),
            mailer: Mailer::open(&config)?,
            logs: Logs::new(&config)?,
            mail_wakeup: Wakeup::default(),
            jobs_wakeup: Wakeup::default(),
            mail_request_wakeup: Wakeup::default(),
            picture_deletion_wakeup: Wakeup::default(),
            sns: config.ses_topic.clone().map(Sns::new).transpose()?,
            passwords: Passwords::new()?,
            picture_decoder: PictureDecoder::new()?,
            headers: Headers::new(&config),
            admission: Admission::new()?,
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Makes /readyz answer 503 from now on, so that load balancers send visitors elsewhere.
    pub(crate) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether shutdown has begun.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The mail folder that /inbox shows, in development only.
    pub fn inbox(&self) -> Option<&Path> {
        self.mailer.folder().filter(|_| self.config.env == AppEnv::Development)
    }
}
