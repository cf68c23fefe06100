//! The figures of endpoints as text for Prometheus. Counted under the lock, written down without it.

use super::super::durations::{OWN, Total};
use super::super::open_metrics::Format;
use super::{BackendSeries, Kept, RESULTS, Shards, UpstreamSeries};
use crate::observe::counter::{escape, header};
use std::fmt::Write;
use std::net::SocketAddr;

/// What stands for all that have no figures of their own.
const OTHER: &str = "other";

struct EndpointRow {
    labels: String,
    results: [u64; RESULTS.len()],
    total: Total,
}

struct BackendRow {
    labels: String,
    total: Total,
    endpoints: Vec<EndpointRow>,
}

impl UpstreamSeries {
    pub(in crate::observe::metrics) fn render(&self, text: &mut String, format: Format) {
        let Ok(rows) = self.kept.lock().map(|kept| rows(&kept)) else { return };
        let endpoints = || rows.iter().flat_map(|backend| &backend.endpoints);
        header(text, "upstream_requests_total", "counter", "Requests to endpoints by how they ended, each try.");
        for row in endpoints() {
            for (name, count) in RESULTS.iter().zip(row.results).filter(|(_, count)| *count > 0) {
                let labels = &row.labels;
                let _ = writeln!(text, "sluicegate_upstream_requests_total{{{labels},result=\"{name}\"}} {count}");
            }
        }
        let own = |name: &str| format!("sluicegate_{name}");
        let name = "upstream_endpoint_duration_seconds";
        header(text, name, "summary", "From the begin of a try to the end of its response, by endpoint.");
        for row in endpoints().filter(|row| row.total.count() > 0) {
            row.total.sum_and_count(text, &own(name), &row.labels);
        }
        let name = "upstream_request_duration_seconds";
        header(text, name, "histogram", "From the begin of a try to the end of its response, by backend.");
        for row in rows.iter().filter(|row| row.total.count() > 0) {
            row.total.histogram(text, &own(name), &row.labels, OWN, format);
        }
    }

    /// Under OpenTelemetry's name. An endpoint of several backends is one: the conventions know addresses alone.
    pub(in crate::observe::metrics) fn render_conventional(&self, name: &str, text: &mut String, format: Format) {
        let Ok(kept) = self.kept.lock() else { return };
        let endpoints = kept.backends.values().flat_map(|series| &series.endpoints);
        let sets = endpoints.filter_map(|(address, shards)| Some((*address, shards.first()?.1.sets.clone()?)));
        let sets: Vec<_> = sets.collect();
        drop(kept);
        let labels = |address: &SocketAddr| {
            format!(",server_address=\"{}\",server_port=\"{}\"", address.ip().to_canonical(), address.port())
        };
        self.limited.render(name, sets.iter().map(|(address, sets)| (labels(address), &**sets)), text, format);
    }
}

fn rows(kept: &Kept) -> Vec<BackendRow> {
    let mut rows: Vec<_> = kept.backends.iter().map(|(id, series)| of_backend(id, series)).collect();
    if !kept.others.is_empty() {
        let others = of_endpoint(OTHER, OTHER, &kept.others);
        let labels = format!("backend=\"{OTHER}\"");
        rows.push(BackendRow { labels, total: others.total.clone(), endpoints: vec![others] });
    }
    rows
}

fn of_backend(id: &str, series: &BackendSeries) -> BackendRow {
    let named = series.endpoints.iter().map(|(address, shards)| of_endpoint(id, &address.to_string(), shards));
    let others = (!series.others.is_empty()).then(|| of_endpoint(id, OTHER, &series.others));
    let endpoints: Vec<_> = named.chain(others).collect();
    let mut total = series.gone.clone();
    for row in &endpoints {
        total.join(&row.total);
    }
    BackendRow { labels: format!("backend=\"{}\"", escape(id)), total, endpoints }
}

fn of_endpoint(backend: &str, address: &str, shards: &Shards) -> EndpointRow {
    let labels = format!("backend=\"{}\",address=\"{address}\"", escape(backend));
    let (mut results, mut total) = ([0; RESULTS.len()], Total::default());
    for (_, shard) in shards {
        for (sum, count) in results.iter_mut().zip(&shard.results) {
            *sum += count.get();
        }
        total.add(&shard.durations);
    }
    EndpointRow { labels, results, total }
}
