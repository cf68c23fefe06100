//! The figures as text for Prometheus, version 0.0.4 of the format. `docs/metrics.md` says what each is.

use super::durations::{OWN, Total, in_seconds};
use super::open_metrics::Format;
use super::status_class::CLASSES;
use super::{GRPC_STATUSES, MirrorFailure, Registry, WorkerMetrics};
use crate::error::ErrorCode;
use crate::observe::counter::{Counter, escape, family, header};
use crate::observe::l4;
use crate::observe::l4::L4Reason;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// How long requests of clients took, and tries at endpoints (semantic conventions for HTTP metrics, stable), as Prometheus
/// spells them.
pub(super) const SERVED: &str = "http_server_request_duration_seconds";
pub(super) const SENT: &str = "http_client_request_duration_seconds";

impl Registry {
    fn sum(&self, of: impl Fn(&WorkerMetrics) -> &Counter) -> u64 {
        self.workers.iter().map(|worker| of(worker).get()).sum()
    }

    fn render_upstreams(&self, text: &mut String) {
        simple(
            text,
            "upstream_connects_total",
            "counter",
            "Connections opened to endpoints.",
            self.sum(|it| &it.upstream_connects),
        );
        simple(
            text,
            "upstream_connect_failures_total",
            "counter",
            "Connections to endpoints that failed.",
            self.sum(|it| &it.upstream_connect_failures),
        );
        simple(
            text,
            "upstream_reused_total",
            "counter",
            "Exchanges on a pooled connection.",
            self.sum(|it| &it.upstream_reused),
        );
        simple(
            text,
            "upstream_retries_total",
            "counter",
            "Tries after the first one.",
            self.sum(|it| &it.upstream_retries),
        );
        simple(
            text,
            "upstream_idle_connections",
            "gauge",
            "Pooled connections that wait for use.",
            self.sum(|it| &it.upstream_idle),
        );
        simple(
            text,
            "upstream_ejections_total",
            "counter",
            "Times that an endpoint was ejected.",
            self.sum(|it| &it.upstream_ejections),
        );
        simple(
            text,
            "upstream_ejected_endpoints",
            "gauge",
            "Endpoints that are ejected, counted by each worker for itself.",
            self.sum(|it| &it.upstream_ejected),
        );
        simple(
            text,
            "upstream_pending_requests",
            "gauge",
            "Requests and flows that wait for a place at a backend with limits.",
            self.sum(|it| &it.upstream_pending),
        );
    }

    /// The Prometheus text exposition format, version 0.0.4.
    #[cfg(test)]
    pub fn render(&self, events_dropped: u64, log_lines_dropped: u64) -> String {
        self.render_as(Format::Text, events_dropped, log_lines_dropped)
    }

    /// All figures; of `OpenMetrics` what [`Format::finish`] makes whole.
    pub fn render_as(&self, format: Format, events_dropped: u64, log_lines_dropped: u64) -> String {
        let mut out = String::with_capacity(16 * 1024);
        let text = &mut out;
        header(text, "build_info", "gauge", "1; what runs.");
        let _ = writeln!(text, "sluicegate_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        simple(text, "connections_total", "counter", "Client connections accepted.", self.sum(|it| &it.connections));
        simple(text, "connections_active", "gauge", "Client connections open.", self.sum(|it| &it.connections_active));
        simple(
            text,
            "tls_handshakes_total",
            "counter",
            "TLS handshakes with clients that succeeded.",
            self.sum(|it| &it.handshakes),
        );
        simple(
            text,
            "tls_handshake_failures_total",
            "counter",
            "TLS handshakes with clients that failed.",
            self.sum(|it| &it.handshakes_failed),
        );
        header(text, "http2_faults_total", "counter", "HTTP/2 connections that ended by a fault of their clients.");
        for (reason, count) in
            [("protocol", self.sum(|it| &it.http2_protocol_faults)), ("flood", self.sum(|it| &it.http2_floods))]
        {
            let _ = writeln!(text, "sluicegate_http2_faults_total{{reason=\"{reason}\"}} {count}");
        }
        simple(
            text,
            "accept_failures_total",
            "counter",
            "Connections that could not be accepted.",
            self.sum(|it| &it.accept_failures),
        );
        simple(
            text,
            "panics_total",
            "counter",
            "Connections that ended in a fault of the gateway.",
            self.sum(|it| &it.panics),
        );
        simple(
            text,
            "worker_faults_total",
            "counter",
            "Parts of a worker that ended in a fault of the gateway and began anew.",
            self.sum(|it| &it.faults),
        );
        header(text, "http_requests_total", "counter", "Requests by protocol version.");
        let _ = writeln!(text, "sluicegate_http_requests_total{{version=\"1\"}} {}", self.sum(|it| &it.http1_requests));
        let _ = writeln!(text, "sluicegate_http_requests_total{{version=\"2\"}} {}", self.sum(|it| &it.http2_requests));
        self.render_upstreams(text);
        simple(
            text,
            "mirrored_requests_total",
            "counter",
            "Mirrored requests that were answered.",
            self.sum(|it| &it.mirrored),
        );
        header(text, "mirror_failures_total", "counter", "Requests that were not mirrored, or not whole, by reason.");
        for reason in MirrorFailure::ALL {
            let count = self.sum(|it| &it.mirror_failures[*reason as usize]);
            let _ = writeln!(text, "sluicegate_mirror_failures_total{{reason=\"{}\"}} {count}", reason.name());
        }
        header(text, "errors_total", "counter", "Responses that the gateway made itself, by error code.");
        for code in ErrorCode::ALL {
            let count = self.sum(|it| &it.errors.0[*code as usize]);
            let _ = writeln!(text, "sluicegate_errors_total{{code=\"{}\"}} {count}", code.name());
        }
        simple(
            text,
            "config_generation",
            "gauge",
            "Number of the configuration that serves.",
            self.generation.load(Relaxed),
        );
        let applied_at = Duration::from_millis(self.applied_at.load(Relaxed)).as_secs_f64();
        header(
            text,
            "config_applied_timestamp_seconds",
            "gauge",
            "When the last transaction was applied, seconds since 1970; 0: none was yet.",
        );
        let _ = writeln!(text, "sluicegate_config_applied_timestamp_seconds {applied_at}");
        simple(text, "config_applies_total", "counter", "Transactions applied.", self.applies.load(Relaxed));
        seconds(
            text,
            "config_apply_seconds_total",
            "counter",
            "Time spent applying transactions.",
            self.apply_microseconds.load(Relaxed),
        );
        seconds(
            text,
            "config_last_apply_seconds",
            "gauge",
            "Time the last transaction took.",
            self.last_apply_microseconds.load(Relaxed),
        );
        simple(
            text,
            "config_unusable",
            "gauge",
            "Objects and files that cannot be used now.",
            self.unusable.load(Relaxed),
        );
        simple(
            text,
            "config_exceptions_total",
            "counter",
            "Faults of the gateway while it read or translated, caught.",
            self.caught.load(Relaxed),
        );
        simple(text, "events_dropped_total", "counter", "Events that nobody read in time.", events_dropped);
        simple(
            text,
            "access_log_dropped_total",
            "counter",
            "Access log lines that could not be written in time.",
            log_lines_dropped,
        );
        self.render_routes(text, format);
        self.upstreams.render(text, format);
        self.render_conventional(text, format);
        self.render_l4(text);
        out
    }

    fn render_l4(&self, text: &mut String) {
        header(text, "l4_failures_total", "counter", "L4 connections that failed and datagrams dropped, by reason.");
        for reason in L4Reason::ALL {
            let count = self.sum(|it| it.l4_failures.of(*reason));
            let _ = writeln!(text, "sluicegate_l4_failures_total{{reason=\"{}\"}} {count}", reason.name());
        }
        let Ok(all) = self.l4_series.lock() else { return };
        let labels =
            |listener: &str, route: &str| format!("listener=\"{}\",route=\"{}\"", escape(listener), escape(route));
        let live =
            all.iter().filter_map(|((listener, route), series)| Some((labels(listener, route), series.upgrade()?)));
        let mut live: Vec<_> = live.collect();
        drop(all);
        live.sort_by(|one, two| one.0.cmp(&two.0));
        l4::render(text, &live);
    }

    fn render_conventional(&self, text: &mut String, format: Format) {
        family(text, SERVED, "histogram", "Duration of HTTP server requests.");
        if let Ok(paths) = self.paths.lock() {
            let live: Vec<_> = paths.iter().filter_map(|(path, sets)| Some((escape(path), sets.upgrade()?))).collect();
            drop(paths);
            let routed = live.iter().map(|(path, sets)| (format!(",http_route=\"{path}\""), &**sets));
            self.served.render(SERVED, routed.chain([(String::new(), &*self.unrouted)]), text, format);
        }
        family(text, SENT, "histogram", "Duration of HTTP client requests, each try.");
        self.upstreams.render_conventional(SENT, text, format);
    }

    fn render_routes(&self, text: &mut String, format: Format) {
        let Ok(all) = self.series.lock() else { return };
        let mut live: Vec<_> = all.iter().filter_map(|(key, series)| Some((key, series.upgrade()?))).collect();
        live.sort_by(|one, two| one.0.cmp(two.0));
        header(text, "requests_total", "counter", "Requests by listener, route and status class.");
        for ((listener, route), series) in &live {
            for (class, name) in CLASSES.iter().enumerate() {
                let count: u64 = series.shards().map(|shard| shard.classes[class].get()).sum();
                if count > 0 {
                    let (listener, route) = (escape(listener), escape(route));
                    let _ = writeln!(
                        text,
                        "sluicegate_requests_total{{listener=\"{listener}\",route=\"{route}\",class=\"{name}\"}} {count}"
                    );
                }
            }
        }
        header(text, "grpc_requests_total", "counter", "gRPC requests by listener, route and status number.");
        for ((listener, route), series) in &live {
            for index in 0..=GRPC_STATUSES {
                let counters = series.shards().filter_map(|shard| shard.grpc.get());
                let count: u64 = counters.map(|counters| counters[index].get()).sum();
                if count > 0 {
                    let status = if index < GRPC_STATUSES { index.to_string() } else { "other".to_owned() };
                    let (listener, route) = (escape(listener), escape(route));
                    let _ = writeln!(
                        text,
                        "sluicegate_grpc_requests_total{{listener=\"{listener}\",route=\"{route}\",grpc_status=\"{status}\"}} {count}"
                    );
                }
            }
        }
        header(text, "request_duration_seconds", "histogram", "From the head of a request to the end of its response.");
        for ((listener, route), series) in &live {
            let mut total = Total::default();
            series.shards().for_each(|shard| total.add(&shard.durations));
            if total.count() > 0 {
                let labels = format!("listener=\"{}\",route=\"{}\"", escape(listener), escape(route));
                total.histogram(text, "sluicegate_request_duration_seconds", &labels, OWN, format);
            }
        }
    }
}

fn simple(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    header(text, name, kind, help);
    let _ = writeln!(text, "sluicegate_{name} {value}");
}

fn seconds(text: &mut String, name: &str, kind: &str, help: &str, microseconds: u64) {
    header(text, name, kind, help);
    let _ = writeln!(text, "sluicegate_{name} {}", in_seconds(microseconds));
}
