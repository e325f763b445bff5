//! The stack page: each service with its address and its current state. An open page refreshes every 2 s. The state
//! includes the calls of other requests.

use std::time::Duration;

use actix_web::HttpResponse;
use askama::Template;
use futures_util::future::join_all;

use crate::app::{self, App};
use crate::db::Reader;
use crate::error::Result;
use crate::mail::outbox;
use crate::telemetry::call_stats::{BUCKET_COUNT, Snapshot};
use crate::views::{Layout, pluralize};
use crate::web::roles::Operator;

/// A service that was called this recently is not probed.
const PING_REUSE: Duration = Duration::from_millis(1500);
/// Timeout of a probe. The page shows a service that exceeds it as down.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Height of the plot in its own units. The height of a bar is logarithmic in the time.
const PLOT_HEIGHT: u32 = 24;

#[derive(Template)]
#[template(path = "stack/show.html")]
struct Show {
    layout: Layout,
    services: Vec<Service>,
    buckets: usize,
    plot: u32,
}

struct Service {
    role: &'static str,
    chapter: &'static str,
    kind: &'static str,
    is_remote: bool,
    address: String,
    /// "up", "slow", "down" or "idle".
    state: &'static str,
    latency: String,
    last_error: Option<(String, String)>,
    bars: Vec<Bar>,
    /// Fill levels of pools and queues.
    depths: Vec<String>,
}

/// One time step of the plot.
struct Bar {
    x: usize,
    y: u32,
    height: u32,
    failed: bool,
}

/// GET /stack
pub async fn show(operator: Operator) -> Result<HttpResponse> {
    let app = &operator.app;
    // Cheap probes always run: on a writer that has become read-only, other recent calls succeed.
    let fresh = |service: &app::Service| if service.ping_is_costly { PING_REUSE } else { Duration::ZERO };
    let up = join_all(app::services(app).map(|service| probe(app, service, fresh(service)))).await;
    let services = services(app, &up).await;
    operator.render(&Show {
        layout: operator.layout("Stack"),
        services,
        buckets: BUCKET_COUNT,
        plot: PLOT_HEIGHT,
    })
}

/// Probes a service, unless it was called recently, and returns whether it works. After a probe, that is the result of
/// the probe and not of the last recorded call, which may belong to another request.
pub(super) async fn probe(app: &App, service: &app::Service, fresh: Duration) -> bool {
    let call_stats = (service.call_stats)(app);
    let snapshot = call_stats.snapshot();
    if snapshot.last_ended.is_some_and(|ended| ended < fresh) {
        return snapshot.last != Some(Err(()));
    }
    match tokio::time::timeout(PING_TIMEOUT, (service.ping)(app)).await {
        Ok(answer) => answer.is_ok(),
        Err(_) => {
            call_stats.record(PING_TIMEOUT, Some(&format!("no answer within {} s", PING_TIMEOUT.as_secs())));
            false
        }
    }
}

async fn services(app: &App, up: &[bool]) -> Vec<Service> {
    let mut services = Vec::new();
    for (service, is_up) in app::services(app).zip(up) {
        services.push(card(app, service, *is_up, depths(app, service.name).await));
    }
    services
}

/// Fill levels of the pools and queues of a service.
async fn depths(app: &App, service: &str) -> Vec<String> {
    match service {
        "database" => {
            let (used, most) = app.db.in_use();
            vec![format!("{used} of {most} connections in use")]
        }
        "reader" => app.reader.as_ref().map_or_else(Vec::new, reader_depths),
        "pictures" => {
            let transfers = app.images.in_use();
            transfers
                .map(|(used, most)| format!("{used} of {most} transfers under way"))
                .into_iter()
                .collect()
        }
        "mail" => outbox_depth(app).await,
        "logs" => log_lines(app),
        _ => Vec::new(),
    }
}

fn reader_depths(reader: &Reader) -> Vec<String> {
    let (used, most) = reader.connections();
    vec![
        format!("{used} of {most} connections in use"),
        match reader.lag() {
            Some(lag) => format!("{:.1} s behind the writer", lag.as_secs_f64()),
            None => "no position to measure its lag by".to_owned(),
        },
        if reader.is_in_use() { "in use".to_owned() } else { "the writer serves its reads".to_owned() },
    ]
}

fn log_lines(app: &App) -> Vec<String> {
    let Some(lines) = app.logs.shipping() else {
        return vec!["JSON on standard output in production".to_owned()];
    };
    vec![
        if lines.connected { "connected".to_owned() } else { "not connected".to_owned() },
        format!("{} shipped, {} waiting in memory", pluralize(&lines.shipped, "line"), lines.waiting),
        format!(
            "{} ({} kB) spooled on disk",
            pluralize(&lines.spooled_lines, "line"),
            lines.spooled_bytes / 1000
        ),
        format!("{} dropped", pluralize(&lines.dropped, "line")),
    ]
}

/// The outbox is in the database, which may be down itself.
async fn outbox_depth(app: &App) -> Vec<String> {
    let depth = async { outbox::depth(&mut app.db.conn().await?).await };
    match depth.await {
        Ok((waiting, failed)) => {
            vec![format!("{} waiting", pluralize(&waiting, "mail")), format!("{failed} failed")]
        }
        Err(_) => vec!["the outbox is in the database, which does not answer".to_owned()],
    }
}

fn card(app: &App, service: &app::Service, is_up: bool, depths: Vec<String>) -> Service {
    let snapshot = (service.call_stats)(app).snapshot();
    let kind = (service.kind)(app);
    let (state, latency) = match snapshot.last {
        _ if !is_up => ("down", String::new()),
        None => ("idle", String::new()),
        Some(Err(())) => ("up", String::new()),
        Some(Ok(took)) if took.as_millis() >= service.slow_ms => ("slow", milliseconds(took)),
        Some(Ok(took)) => ("up", milliseconds(took)),
    };
    Service {
        role: service.title,
        chapter: service.chapter,
        kind,
        is_remote: matches!(kind, "MySQL" | "Redis" | "S3" | "SMTP" | "Logstash"),
        address: (service.address)(app),
        state,
        latency,
        bars: bars(&snapshot),
        last_error: snapshot.last_error.map(|(text, ago)| (text, format!("{} s", ago.as_secs()))),
        depths,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn bars(snapshot: &Snapshot) -> Vec<Bar> {
    let seen = snapshot.buckets.iter().enumerate().filter(|(_, bucket)| bucket.answered + bucket.failed > 0);
    seen.map(|(x, bucket)| {
        // 10 us or less is the lowest bar, 1 s or more the highest; each factor of 10 adds a fifth of the height.
        let tenths = (bucket.slowest.as_micros().max(10) as f64 / 10.0).log10() / 5.0;
        let height = ((tenths * f64::from(PLOT_HEIGHT)) as u32).clamp(2, PLOT_HEIGHT);
        Bar { x, y: PLOT_HEIGHT - height, height, failed: bucket.failed > 0 }
    })
    .collect()
}
