//! What lies in deploy/logstash.

use serde_json::Value;

/// todo
pub fn check_fields(_lines: &[Value]) {}
