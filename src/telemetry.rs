//! Logs, request ids, and counts of requests and service calls. Every other module may report here.

pub mod call_stats;
pub mod logs;
pub mod process_metrics;
pub mod request_id;
pub mod request_metrics;
