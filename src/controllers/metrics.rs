//! Metrics for Prometheus, on an address of their own: they reveal more than visitors should know.

use actix_web::HttpResponse;
use actix_web::web::Data;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::app::{self, App};
use crate::error::{Error, Result};
use crate::mail::outbox;
use crate::telemetry::process_metrics;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Calls {
    service: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lines {
    outcome: &'static str,
}

/// GET /metrics, in the OpenMetrics text format, which Prometheus asks for and reads.
pub async fn show(app: Data<App>) -> Result<HttpResponse> {
    let mut registry = Registry::default();
    app.request_metrics.register(&mut registry);
    process_metrics::register(&mut registry);
    let own = registry.sub_registry_with_prefix("sample_app");
    calls(&app, own);
    refused(&app, own);
    let (used, max) = app.db.in_use();
    gauge(own, "database_connections_in_use", "Connections of the pool in use", used as u64);
    gauge(own, "database_connections_max", "Connections that the pool may have", max as u64);
    if let Some(reader) = &app.reader {
        gauge(
            own,
            "database_reader_in_use",
            "1 while pages are read from the reader",
            u64::from(reader.is_in_use()),
        );
        if let Some(lag) = reader.lag() {
            let lag = ConstGauge::new(lag.as_secs_f64());
            own.register("database_reader_lag_seconds", "How far the reader is behind the writer", lag);
        }
    }
    // While the database is down, these two are missing, which is what Prometheus expects.
    let depth = async { outbox::depth(&mut app.db.conn().await?).await };
    if let Ok((waiting, failed)) = depth.await {
        gauge(own, "outbox_waiting", "Mails that wait for delivery", waiting.cast_unsigned());
        gauge(own, "outbox_failed", "Mails that were given up", failed.cast_unsigned());
    }
    log_lines(&app, own);
    let mut body = String::new();
    text::encode(&mut body, &registry).map_err(Error::internal)?;
    Ok(HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(body))
}

fn calls(app: &App, registry: &mut Registry) {
    let calls = Family::<Calls, Counter>::default();
    for service in app::services(app) {
        let (answered, failed) = (service.call_stats)(app).snapshot().totals;
        for (result, count) in [("answered", answered), ("failed", failed)] {
            calls.get_or_create(&Calls { service: service.name, result }).inc_by(count);
        }
    }
    registry.register("service_calls", "Calls to each service by result", calls);
}

fn refused(app: &App, registry: &mut Registry) {
    let refused = Family::<Refused, Counter>::default();
    for (class, count) in app.admission.refused() {
        refused.get_or_create(&Refused { class }).inc_by(count);
    }
    let help = "Requests refused because of overload, by class; http_requests does not count them";
    registry.register("refused_requests", help, refused);
}

fn log_lines(app: &App, registry: &mut Registry) {
    let Some(shipping) = app.logs.shipping() else { return };
    gauge(registry, "logstash_connected", "1 while connected to Logstash", u64::from(shipping.connected));
    gauge(registry, "logstash_waiting_lines", "Log lines in memory", shipping.waiting);
    gauge(registry, "logstash_spooled_bytes", "Log lines on disk, in bytes", shipping.spooled_bytes);
    let lines = Family::<Lines, Counter>::default();
    for (outcome, count) in [("shipped", shipping.shipped), ("dropped", shipping.dropped)] {
        lines.get_or_create(&Lines { outcome }).inc_by(count);
    }
    registry.register("logstash_lines", "Log lines by outcome", lines);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    registry.register(name, help, ConstGauge::new(value));
}
