//! The services behind the application: one table for the welcome page, /stack, /readyz and /metrics.

use std::future::ready;
use std::pin::Pin;

use super::App;
use crate::db::Reader;
use crate::error::Result;
use crate::telemetry::call_stats::CallStats;

type Ping<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

pub struct Service {
    /// In metrics and at /readyz.
    pub name: &'static str,
    /// At /stack.
    pub title: &'static str,
    /// On the welcome page.
    pub role: &'static str,
    /// The counterpart on AWS.
    pub aws: &'static str,
    /// The chapter of the walkthrough about it.
    pub chapter: &'static str,
    /// Response time from which the service counts as slow, in milliseconds.
    pub slow_ms: u128,
    /// Whether each ping is a log-in or a billed request, so that its result is reused for a while.
    pub ping_is_costly: bool,
    pub is_configured: fn(&App) -> bool,
    /// The implementation in use.
    pub kind: fn(&App) -> &'static str,
    pub address: fn(&App) -> String,
    pub call_stats: fn(&App) -> &CallStats,
    /// Boxed: the compiler refuses a future that nests those of sqlx, redis and the AWS SDK.
    pub ping: fn(&App) -> Ping<'_>,
}

/// The services that this application uses.
pub fn services(app: &App) -> impl Iterator<Item = &'static Service> {
    SERVICES.iter().filter(|service| (service.is_configured)(app))
}

static SERVICES: [Service; 6] = [
    Service {
        name: "database",
        title: "Database",
        role: "Users and posts",
        aws: "RDS MySQL",
        chapter: "05-database",
        slow_ms: 100,
        ping_is_costly: false,
        is_configured: |_| true,
        kind: |app| app.db.kind(),
        address: |app| app.db.address(),
        call_stats: |app| app.db.call_stats(),
        ping: |app| Box::pin(app.db.ping()),
    },
    Service {
        name: "reader",
        title: "Database reader",
        role: "Pages that may be a moment old",
        aws: "RDS read replica",
        chapter: "14-replicas",
        slow_ms: 100,
        ping_is_costly: false,
        is_configured: |app| app.reader.is_some(),
        kind: |app| app.db.kind(),
        address: |app| app.reader.as_ref().map_or_else(String::new, Reader::address),
        call_stats: |app| app.reader.as_ref().map_or_else(|| app.db.call_stats(), Reader::call_stats),
        // It probes itself all the time (`Reader::watch`).
        ping: |app| Box::pin(ready(app.reader.as_ref().map_or(Ok(()), Reader::ping))),
    },
    Service {
        name: "sessions",
        title: "Sessions and cache",
        role: "Sessions and cache",
        aws: "ElastiCache (Redis)",
        chapter: "09-cache",
        slow_ms: 50,
        ping_is_costly: false,
        is_configured: |_| true,
        kind: |app| app.sessions.kind(),
        address: |app| app.sessions.address(),
        call_stats: |app| app.sessions.call_stats(),
        ping: |app| Box::pin(app.sessions.ping()),
    },
    Service {
        name: "pictures",
        title: "Pictures",
        role: "Pictures",
        aws: "S3",
        chapter: "06-pictures",
        slow_ms: 500,
        ping_is_costly: true,
        is_configured: |_| true,
        kind: |app| app.images.kind(),
        address: |app| app.images.address(),
        call_stats: |app| app.images.call_stats(),
        ping: |app| Box::pin(app.images.ping()),
    },
    Service {
        name: "mail",
        title: "Mail",
        role: "Mail",
        aws: "SES",
        chapter: "08-mail",
        slow_ms: 1500,
        ping_is_costly: true,
        is_configured: |_| true,
        kind: |app| app.mailer.kind(),
        address: |app| app.mailer.address(),
        call_stats: |app| app.mailer.call_stats(),
        ping: |app| Box::pin(app.mailer.ping()),
    },
    Service {
        name: "logs",
        title: "Logs",
        role: "Logs",
        aws: "Logstash",
        chapter: "12-logs",
        slow_ms: 500,
        ping_is_costly: true,
        is_configured: |_| true,
        kind: |app| app.logs.kind(),
        address: |app| app.logs.address(),
        call_stats: |app| app.logs.call_stats(),
        ping: |app| Box::pin(app.logs.ping()),
    },
];
