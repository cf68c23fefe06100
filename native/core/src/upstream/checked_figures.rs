//! Figures of endpoints that are asked whether they do well.

use super::load::Load;
use route::table::Table;
use std::fmt::Write;

/// The figures of all backends whose endpoints are asked, for Prometheus.
pub fn render_checked(table: &Table, text: &mut String) {
    let asked = || {
        table.backends().filter_map(|backend| {
            backend.policy.as_ref()?.active.as_ref()?;
            Some((backend, Load::of(backend)?.checked()))
        })
    };

    text.push_str("# HELP sluicegate_upstream_checked_endpoints Endpoints that are asked whether they do well.\n");
    text.push_str("# TYPE sluicegate_upstream_checked_endpoints gauge\n");
    for (backend, checked) in asked() {
        let unhealthy = checked.verdicts().unhealthy();
        let healthy = backend.selectable().len().saturating_sub(unhealthy);
        for (health, count) in [("healthy", healthy), ("unhealthy", unhealthy)] {
            let _ = writeln!(
                text,
                "sluicegate_upstream_checked_endpoints{{backend=\"{}\",health=\"{health}\"}} {count}",
                backend.id
            );
        }
    }
    text.push_str("# HELP sluicegate_upstream_health_checks_total Questions to endpoints whether they do well.\n");
    text.push_str("# TYPE sluicegate_upstream_health_checks_total counter\n");
    for (backend, checked) in asked() {
        for (result, count) in ["success", "failure"].into_iter().zip(checked.counts()) {
            let _ = writeln!(
                text,
                "sluicegate_upstream_health_checks_total{{backend=\"{}\",result=\"{result}\"}} {count}",
                backend.id
            );
        }
    }
}
