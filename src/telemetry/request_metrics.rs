//! Requests and how long they took, by route and status: for /metrics.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the histogram, in seconds.
const BUCKETS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// The pattern, not the path, so that the number of series is bounded.
    route: String,
    status: u16,
}

/// Clones share the counters.
#[derive(Clone)]
pub struct RequestMetrics {
    requests: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
}

impl Default for RequestMetrics {
    fn default() -> RequestMetrics {
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        RequestMetrics { requests: Family::default(), durations }
    }
}

impl RequestMetrics {
    /// Counts a response. Requests without a route have the label `none`.
    pub fn record(&self, route: Option<&str>, status: u16, took: Duration) {
        let labels = Labels { route: route.unwrap_or("none").to_owned(), status };
        self.requests.get_or_create(&labels).inc();
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Adds `http_requests_total` and `http_request_duration_seconds`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Responses by route and status", self.requests.clone());
        let help = "Time from the request's head to its response, by route and status";
        registry.register("http_request_duration_seconds", help, self.durations.clone());
    }
}
