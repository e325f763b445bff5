//! Refuses requests before any work while this worker is overloaded: lists first, then profiles, changes last. So the
//! accepted requests are answered in time, instead of all requests late.
//!
//! Two kinds of queues are measured: the event loop's (how late a timer fires) and those for connections to the
//! database and its reader. The refusal page is the same for everybody and is rendered once. A refusal skips
//! the other middleware, because the cost of refusals limits how far beyond its capacity a worker can be loaded.

pub mod controller;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{CACHE_CONTROL, ContentType, HeaderValue};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpResponse, rt};
use thread_local::ThreadLocal;
use tokio::time::sleep_until;

use self::controller::{Class, Controller, Measured};
use super::{error_pages, security_headers};
use crate::app::App;
use crate::error::Result;

/// Interval between two measurements of the event loop's delay.
const PROBE_INTERVAL: Duration = Duration::from_millis(10);
const CONTROL_INTERVAL: Duration = Duration::from_millis(100);
/// Minimum time between two log lines of a worker. Refused requests have no log lines of their own.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// The workers' limits and what they refused.
pub struct Admission {
    page: Bytes,
    workers: ThreadLocal<Worker>,
    /// By class.
    refused: [AtomicU64; 3],
}

#[derive(Default)]
struct Worker {
    controller: Cell<Controller>,
    /// Lists and profiles in progress, and the most of them in this interval.
    in_progress: Cell<usize>,
    peak: Cell<usize>,
    /// Whether there were requests in this interval, and whether one was refused.
    asked: Cell<bool>,
    refused: Cell<bool>,
    /// Refused requests since the last log line, by class.
    unlogged: Cell<[u64; 3]>,
    /// Whether [`measure`] runs.
    measuring: Cell<bool>,
}

/// A list or profile in progress. It lives as long as its request, also if the client has disconnected.
struct InProgress(Data<App>);

impl Drop for InProgress {
    fn drop(&mut self) {
        let count = &self.0.admission.worker().in_progress;
        count.set(count.get().saturating_sub(1));
    }
}

impl Admission {
    pub fn new() -> Result<Admission> {
        let page = error_pages::for_overload()?.into();
        Ok(Admission { page, workers: ThreadLocal::new(), refused: Default::default() })
    }

    fn worker(&self) -> &Worker {
        self.workers.get_or_default()
    }

    /// Requests refused so far, with their classes' names, for the metrics.
    pub fn refused(&self) -> [(&'static str, u64); 3] {
        let count = |class: Class| self.refused[class as usize].load(Ordering::Relaxed);
        [("list", count(Class::List)), ("profile", count(Class::Profile)), ("write", count(Class::Write))]
    }
}

/// The response to a request that this worker refuses; `None` if it accepts it. It always accepts a request without a
/// class: health checks, files, and pages that cost no more than a refusal.
pub fn refusal(req: &ServiceRequest, class: Option<Class>) -> Option<HttpResponse> {
    let (class, app) = (class?, req.app_data::<Data<App>>()?);
    let worker = app.admission.worker();
    if !worker.measuring.replace(true) {
        rt::spawn(measure(app.clone()));
    }
    worker.asked.set(true);
    let in_progress = worker.in_progress.get();
    if !worker.controller.get().admits(class, in_progress) {
        worker.refused.set(true);
        let mut unlogged = worker.unlogged.get();
        unlogged[class as usize] += 1;
        worker.unlogged.set(unlogged);
        app.admission.refused[class as usize].fetch_add(1, Ordering::Relaxed);
        return Some(refuse(app));
    }
    if class != Class::Write {
        worker.in_progress.set(in_progress + 1);
        worker.peak.set(worker.peak.get().max(in_progress + 1));
        req.extensions_mut().insert(InProgress(app.clone()));
    }
    None
}

fn refuse(app: &App) -> HttpResponse {
    let mut response = HttpResponse::ServiceUnavailable()
        .content_type(ContentType::html())
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .body(app.admission.page.clone());
    security_headers::add_to(app, &mut response);
    error_pages::with_retry_after(response, error_pages::RETRY_SECONDS)
}

/// Measures this worker's queues and adjusts its limit, until it is idle for an interval.
async fn measure(app: Data<App>) {
    let worker = app.admission.worker();
    let mut logged = None::<Instant>;
    loop {
        let start = Instant::now();
        let mut lateness = Duration::MAX;
        while start.elapsed() < CONTROL_INTERVAL {
            let due = Instant::now() + PROBE_INTERVAL;
            sleep_until(due.into()).await;
            lateness = lateness.min(due.elapsed());
        }
        let since = start.elapsed();
        let reader = app.reader.as_ref().map(|reader| reader.take_shortest_wait(since));
        let delay = lateness.max(app.db.take_shortest_wait(since)).max(reader.unwrap_or_default());
        let mut controller = worker.controller.get();
        let limit = controller.limit();
        controller.end_interval(Measured {
            delay,
            peak: worker.peak.replace(worker.in_progress.get()),
            refused: worker.refused.take(),
        });
        worker.controller.set(controller);
        let idle = !worker.asked.take() && worker.in_progress.get() == 0;
        let [lists, profiles, writes] = worker.unlogged.get();
        if lists + profiles + writes > 0 && (idle || logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL)) {
            worker.unlogged.take();
            logged = Some(Instant::now());
            let delay_ms = delay.as_millis() as u64;
            tracing::warn!(lists, profiles, writes, delay_ms, limit, "requests refused because of overload");
        }
        if idle {
            worker.controller.take();
            worker.measuring.set(false);
            return;
        }
    }
}
