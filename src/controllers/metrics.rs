//! Metrics for Prometheus (text format 0.0.4), on an address of their own: they reveal more than visitors should know.

use std::fmt::Write as _;

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::app::App;
use crate::mail::outbox;
use crate::telemetry::request_metrics::BOUNDS;

/// GET /metrics
pub async fn show(app: Data<App>) -> HttpResponse {
    let mut text = String::new();
    requests(&app, &mut text);
    services(&app, &mut text);
    let (used, most) = app.db.in_use();
    gauge(&mut text, "database_connections_in_use", "Connections of the pool in use.", used);
    gauge(&mut text, "database_connections_max", "Connections that the pool may have.", most);
    // While the database is down, these two are missing, which is what Prometheus expects.
    let depth = async { outbox::depth(&mut app.db.conn().await?).await };
    if let Ok((waiting, failed)) = depth.await {
        gauge(&mut text, "outbox_waiting", "Mails that wait to leave.", waiting);
        gauge(&mut text, "outbox_failed", "Mails that were refused.", failed);
    }
    if let Some(lines) = app.logs.shipping() {
        gauge(&mut text, "logstash_connected", "Whether the connection stands.", u8::from(lines.connected));
        gauge(&mut text, "logstash_waiting_lines", "Log lines in memory.", lines.waiting);
        gauge(&mut text, "logstash_spooled_bytes", "Log lines on disk, in bytes.", lines.spooled_bytes);
        head(&mut text, "logstash_lines_total", "counter", "Log lines by what became of them.");
        line(&mut text, "logstash_lines_total", "{became=\"shipped\"}", lines.shipped);
        line(&mut text, "logstash_lines_total", "{became=\"dropped\"}", lines.dropped);
    }
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(text)
}

fn requests(app: &App, text: &mut String) {
    const NAME: &str = "http_request_duration_seconds";
    head(text, NAME, "histogram", "Time from the request's head to its answer, by route and status.");
    for ((route, status), answers) in app.request_metrics.snapshot() {
        // Our own route patterns: nothing in them needs escaping.
        let labels = format!("route=\"{route}\",status=\"{status}\"");
        for (bound, within) in BOUNDS.into_iter().zip(answers.within) {
            let bound = bound as f64 / 1000.0;
            line(text, &format!("{NAME}_bucket"), &format!("{{{labels},le=\"{bound}\"}}"), within);
        }
        line(text, &format!("{NAME}_bucket"), &format!("{{{labels},le=\"+Inf\"}}"), answers.count);
        line(text, &format!("{NAME}_sum"), &format!("{{{labels}}}"), answers.total.as_secs_f64());
        line(text, &format!("{NAME}_count"), &format!("{{{labels}}}"), answers.count);
    }
}

fn services(app: &App, text: &mut String) {
    head(text, "service_calls_total", "counter", "Calls to the services behind, by what came of them.");
    for (service, call_stats) in [
        ("database", app.db.call_stats()),
        ("sessions", app.sessions.call_stats()),
        ("images", app.images.call_stats()),
        ("mail", app.mailer.call_stats()),
        ("logs", app.logs.call_stats()),
    ] {
        let (answered, failed) = call_stats.snapshot().totals;
        for (result, count) in [("answered", answered), ("failed", failed)] {
            let labels = format!("{{service=\"{service}\",result=\"{result}\"}}");
            line(text, "service_calls_total", &labels, count);
        }
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: impl std::fmt::Display) {
    head(text, name, "gauge", help);
    line(text, name, "", value);
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP sample_app_{name} {help}\n# TYPE sample_app_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "sample_app_{name}{labels} {value}");
}
