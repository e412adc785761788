//! Counts for Prometheus. Labels come from fixed lists, so that nobody can make them grow.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;

/// Upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 12] = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0];

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    searches: Mutex<Histogram>,
    pub(crate) thumbnails_made: AtomicU64,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: f64,
}

impl Metrics {
    pub(crate) fn refused(&self, reason: &'static str) {
        *lock(&self.refused).entry(reason).or_default() += 1;
    }

    pub(crate) fn searched(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let mut searches = lock(&self.searches);
        for (count, bound) in searches.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= bound);
        }
        searches.count += 1;
        searches.sum += seconds;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts every answer by route and status.
pub(crate) async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str);
    let route = route.to_owned();
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16();
    if status == 200 && SEARCHES.contains(&route.as_str()) {
        app.metrics.searched(started.elapsed());
    }
    *lock(&app.metrics.requests).entry((route, status)).or_default() += 1;
    response
}

const SEARCHES: [&str; 4] =
    ["/api/search", "/api/search/image", "/api/photos/{id}/similar", "/api/photos/{id}/rank"];

/// `GET /api/metrics`
pub(crate) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let state = app.state.get();
    let mut text = String::with_capacity(4096);
    let mut family = |name: &str, kind: &str, help: &str, lines: Vec<(String, f64)>| {
        let _ = writeln!(text, "# HELP sbir_{name} {help}\n# TYPE sbir_{name} {kind}");
        for (suffix, value) in lines {
            let _ = writeln!(text, "sbir_{name}{suffix} {value}");
        }
    };
    let one = |value: f64| vec![(String::new(), value)];
    let requests = lock(&app.metrics.requests)
        .iter()
        .map(|((route, status), count)| {
            (format!("{{route=\"{route}\",status=\"{status}\"}}"), *count as f64)
        })
        .collect();
    family("requests_total", "counter", "Answers by route and status.", requests);
    let refused = lock(&app.metrics.refused)
        .iter()
        .map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), *count as f64))
        .collect();
    family("refused_total", "counter", "Requests turned away before their route.", refused);
    let mut lines = Vec::new();
    {
        let searches = lock(&app.metrics.searches);
        for (bound, count) in BUCKETS.iter().zip(searches.buckets) {
            lines.push((format!("_bucket{{le=\"{bound}\"}}"), count as f64));
        }
        lines.push(("_bucket{le=\"+Inf\"}".into(), searches.count as f64));
        lines.push(("_sum".into(), searches.sum));
        lines.push(("_count".into(), searches.count as f64));
    }
    family("search_seconds", "histogram", "Time of a search, waiting included.", lines);
    family(
        "searches_waiting",
        "gauge",
        "Searches that wait for their turn.",
        one(app.searches.waiting() as f64),
    );
    family(
        "pictures_waiting",
        "gauge",
        "Pictures that wait to be decoded.",
        one(app.pictures.waiting() as f64),
    );
    let held = app.drawings.taken() + app.uploads.taken();
    family("body_bytes", "gauge", "Bytes of bodies that arrive or wait.", one(held as f64));
    let streams = app.config.limits.streams - app.streams.available_permits();
    family("event_streams", "gauge", "Open event streams.", one(streams as f64));
    let made = app.metrics.thumbnails_made.load(Ordering::Relaxed);
    family("thumbnails_made_total", "counter", "Thumbnails made.", one(made as f64));
    family("photos", "gauge", "Photos in the gallery.", one(state.photos as f64));
    family("index_done", "gauge", "Files done in this run of the index.", one(state.done as f64));
    family(
        "index_files",
        "gauge",
        "Files to do in this run.",
        one(state.total.unwrap_or(0) as f64),
    );
    family(
        "index_skipped",
        "gauge",
        "Files that could not be read in this run.",
        one(state.skipped as f64),
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}
