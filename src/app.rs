//! Puts the application together from its settings.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::clock::Clock;
use crate::config::{AppEnv, Config};
use crate::db::Db;
use crate::error::Result;
use crate::jobs::Wakeup;
use crate::mail::mailer::Mailer;
use crate::mail::sns::Sns;
use crate::models::values::password::Passwords;
use crate::services::cache::Cache;
use crate::services::images::Images;
use crate::services::leaderboard::Leaderboard;
use crate::services::limits::Limits;
use crate::services::picture_decoder::PictureDecoder;
use crate::services::redis::Redis;
use crate::services::sessions::Sessions;
use crate::services::tls;
use crate::telemetry::logs::Logs;
use crate::telemetry::request_metrics::RequestMetrics;
use crate::web::cookies::Cookies;
use crate::web::middleware::security_headers::Headers;

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
    pub request_metrics: RequestMetrics,
    /// Ids of the people who have the most followers.
    pub most_followed: Leaderboard,
    /// Pictures of posts.
    pub images: Images,
    /// The way out for mails.
    pub mailer: Mailer,
    /// What the program has to say.
    pub logs: Logs,
    /// Wakes the worker that delivers mails.
    pub mail_wakeup: Wakeup,
    /// Wakes the worker that does jobs: deletions of people, clean-up.
    pub jobs_wakeup: Wakeup,
    /// Wakes the worker that answers requests for a mail.
    pub mail_request_wakeup: Wakeup,
    /// Wakes the worker that deletes pictures.
    pub picture_deletion_wakeup: Wakeup,
    /// What SES tells, if it tells us.
    pub sns: Option<Sns>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// Decodes uploaded pictures.
    pub picture_decoder: PictureDecoder,
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

impl App {
    /// Puts the application together. Connects to nothing yet.
    ///
    /// # Errors
    /// When a setting leads to something that cannot be used here.
    pub fn new(config: Config, clock: Clock) -> Result<App> {
        tls::install();
        let redis = Redis::from_config(&config)?;
        Ok(App {
            cookies: Cookies::new(&config, clock.clone()),
            clock,
            db: Db::open(&config.database)?,
            sessions: Sessions::new(redis.clone()),
            limits: Limits::new(redis.clone(), config.limit_numbers.clone()),
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
            stopping: AtomicBool::new(false),
            config,
        })
    }

    /// Says from now on that people should be sent elsewhere (/readyz).
    pub(crate) fn begin_stopping(&self) {
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
