//! The stack page: each of the five services, where it is, and how it is doing at this moment. Open, it asks again every two
//! seconds; what other requests noticed is shown at once.

use std::future::Future;
use std::time::Duration;

use actix_web::HttpResponse;
use askama::Template;

use crate::app::App;
use crate::error::Result;
use crate::mail::outbox;
use crate::telemetry::call_stats::{CallStats, STEPS, Snapshot};
use crate::views::{Layout, pluralize};
use crate::web::roles::Operator;

/// A service that was asked so recently is not asked again.
const FRESH: Duration = Duration::from_millis(1500);
/// Who does not answer within this time is down, as far as the page is concerned.
const PATIENCE: Duration = Duration::from_secs(2);
/// Height of the plot, in its own units; a bar's height goes with the logarithm of the time.
const PLOT: u32 = 24;

#[derive(Template)]
#[template(path = "stack/show.html")]
struct Show {
    layout: Layout,
    services: Vec<Service>,
    steps: usize,
    plot: u32,
}

/// One service, as the page shows it.
struct Service {
    role: &'static str,
    kind: &'static str,
    is_remote: bool,
    address: String,
    /// up, slow, down or idle.
    state: &'static str,
    latency: String,
    last_error: Option<(String, String)>,
    bars: Vec<Bar>,
    /// Pools and queues.
    depths: Vec<String>,
}

/// One step of the plot.
struct Bar {
    x: usize,
    y: u32,
    height: u32,
    failed: bool,
}

/// GET /stack
pub async fn show(operator: Operator) -> Result<HttpResponse> {
    let app = &operator.app;
    tokio::join!(
        probe(app.db.call_stats(), FRESH, app.db.ping()),
        probe(app.sessions.call_stats(), FRESH, app.sessions.ping()),
        probe(app.images.call_stats(), FRESH, app.images.ping()),
        probe(app.mailer.call_stats(), FRESH, app.mailer.ping()),
        probe(app.logs.call_stats(), FRESH, app.logs.ping()),
    );
    let services = services(app).await;
    operator.render(&Show { layout: operator.layout("Stack"), services, steps: STEPS, plot: PLOT })
}

/// Asks a service, unless somebody did so recently. Its call_stats know what came of it.
pub(super) async fn probe(call_stats: &CallStats, fresh: Duration, ping: impl Future<Output = Result<()>>) {
    if call_stats.pulse().last_ended.is_some_and(|ended| ended < fresh) {
        return;
    }
    if tokio::time::timeout(PATIENCE, ping).await.is_err() {
        call_stats.note(PATIENCE, Some(&format!("no answer within {} s", PATIENCE.as_secs())));
    }
}

async fn services(app: &App) -> Vec<Service> {
    let (used, most) = app.db.in_use();
    let mut shipping = vec!["JSON on standard output in production".to_owned()];
    if let Some(lines) = app.logs.shipping() {
        shipping = vec![
            if lines.connected { "connected".to_owned() } else { "not connected".to_owned() },
            format!("{} shipped, {} waiting in memory", count(lines.shipped, "line"), lines.waiting),
            format!(
                "{} ({} kB) spooled on disk",
                count(lines.spooled_lines, "line"),
                lines.spooled_bytes / 1000
            ),
            format!("{} dropped", count(lines.dropped, "line")),
        ];
    }
    let pictures = app.images.in_use().map(|(used, most)| format!("{used} of {most} transfers under way"));
    vec![
        service(
            "Database",
            app.db.kind(),
            app.db.address(),
            100,
            app.db.call_stats(),
            vec![format!("{used} of {most} connections in use")],
        ),
        service(
            "Sessions and cache",
            app.sessions.kind(),
            app.sessions.address(),
            50,
            app.sessions.call_stats(),
            vec![],
        ),
        service(
            "Pictures",
            app.images.kind(),
            app.images.address(),
            500,
            app.images.call_stats(),
            pictures.into_iter().collect(),
        ),
        service(
            "Mail",
            app.mailer.kind(),
            app.mailer.address(),
            1500,
            app.mailer.call_stats(),
            outbox_depth(app).await,
        ),
        service("Logs", app.logs.kind(), app.logs.address(), 500, app.logs.call_stats(), shipping),
    ]
}

/// What waits for the mail server stands in the database, which may be away itself.
async fn outbox_depth(app: &App) -> Vec<String> {
    let depth = async { outbox::depth(&mut app.db.conn().await?).await };
    match depth.await {
        Ok((waiting, failed)) => {
            vec![format!("{} waiting", pluralize(&waiting, "mail")), format!("{failed} failed")]
        }
        Err(_) => vec!["the outbox is in the database, which does not answer".to_owned()],
    }
}

fn count(number: u64, one: &str) -> String {
    pluralize(&number.cast_signed(), one)
}

/// `slow`: milliseconds from which an answer counts as slow.
fn service(
    role: &'static str,
    kind: &'static str,
    address: String,
    slow: u128,
    call_stats: &CallStats,
    depths: Vec<String>,
) -> Service {
    let pulse = call_stats.pulse();
    let (state, latency) = match pulse.last {
        None => ("idle", String::new()),
        Some(Err(())) => ("down", String::new()),
        Some(Ok(took)) if took.as_millis() >= slow => ("slow", milliseconds(took)),
        Some(Ok(took)) => ("up", milliseconds(took)),
    };
    Service {
        role,
        kind,
        is_remote: matches!(kind, "MySQL" | "Redis" | "S3" | "SMTP" | "Logstash"),
        address,
        state,
        latency,
        bars: bars(&pulse),
        last_error: pulse.last_error.map(|(text, ago)| (text, format!("{} s", ago.as_secs()))),
        depths,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

fn bars(pulse: &Snapshot) -> Vec<Bar> {
    let seen = pulse.steps.iter().enumerate().filter(|(_, step)| step.answered + step.failed > 0);
    seen.map(|(x, step)| {
        // 10 us is the lowest bar, every factor of 10 a quarter of the height, 1 s and more the highest.
        let tenths = (step.slowest.as_micros().max(10) as f64 / 10.0).log10() / 5.0;
        let height = ((tenths * f64::from(PLOT)) as u32).clamp(2, PLOT);
        Bar { x, y: PLOT - height, height, failed: step.failed > 0 }
    })
    .collect()
}
