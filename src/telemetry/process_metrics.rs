//! The kernel's statistics of this process, under the names that every Prometheus client library uses.

use std::fs;

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Clock ticks per second in /proc: 100 on every Linux, whatever the kernel's own rate is (proc_pid_stat(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes per page on x86-64, and on Graviton under Amazon Linux.
const PAGE_SIZE: i64 = 4096;

/// Adds `process_cpu_seconds_total`, `process_resident_memory_bytes` and `process_open_fds`, as far as /proc is
/// readable.
pub fn register(registry: &mut Registry) {
    if let Some(ticks) = cpu_ticks() {
        let seconds = ConstCounter::new(ticks / TICKS_PER_SECOND);
        registry.register("process_cpu_seconds", "CPU time in user and kernel mode", seconds);
    }
    if let Some(pages) = resident_pages() {
        let bytes = ConstGauge::new(pages * PAGE_SIZE);
        registry.register("process_resident_memory_bytes", "Resident memory", bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let count = i64::try_from(files.count()).unwrap_or(i64::MAX);
        registry.register("process_open_fds", "Open file descriptors", ConstGauge::new(count));
    }
}

/// utime plus stime, fields 14 and 15 of proc_pid_stat(5). Field 2 may contain blanks and ends with a parenthesis.
fn cpu_ticks() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
}

/// The second field of proc_pid_statm(5).
fn resident_pages() -> Option<i64> {
    fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()
}
