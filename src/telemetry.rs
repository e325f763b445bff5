//! What the program tells about itself: logs, request ids, and counts of requests and of calls to services. Every other
//! room may report here.

pub mod call_stats;
pub mod logs;
pub mod request_id;
pub mod request_metrics;
