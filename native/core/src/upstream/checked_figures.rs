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

#[cfg(test)]
mod tests {
    use super::render_checked;
    use crate::upstream::load::Load;
    use crate::worker::{Generation, Worker};
    use serde_json::json;

    /// Of backends whose endpoints are asked, and of no others; whom nobody has asked yet is taken to do well.
    #[test]
    fn figures_of_questions() {
        let active = json!({"type": "tcp"});
        let question = json!({"question": active, "interval_ms": 1000, "timeout_ms": 500, "unhealthy_after": 1,
            "healthy_after": 1, "port": 0});
        let endpoint = |backend: &str, port: u16| {
            json!({"id": format!("{backend}@{port}"), "backend": backend, "address": "192.0.2.1",
                "port": port})
        };
        let worker = Worker::alone(Generation::default()).unwrap();
        let upsert = json!({
            "policies": [{"type": "backend_policy", "id": "asked", "active": question},
                {"type": "backend_policy", "id": "plain"}],
            "backends": [{"id": "one", "policies": ["asked"]}, {"id": "two", "policies": ["plain"]}, {"id": "three"}],
            "endpoints": [endpoint("one", 1), endpoint("one", 2), endpoint("one", 3), endpoint("two", 1)]});
        worker.apply(&upsert).unwrap();
        let generation = worker.generation();
        let figures = || {
            let mut text = String::new();
            render_checked(&generation.table, &mut text);
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(|line| line.replace("sluicegate_upstream_", "")).collect::<Vec<_>>()
        };
        let expected = |healthy: u32, unhealthy: u32, success: u32, failure: u32| {
            [
                format!("checked_endpoints{{backend=\"one\",health=\"healthy\"}} {healthy}"),
                format!("checked_endpoints{{backend=\"one\",health=\"unhealthy\"}} {unhealthy}"),
                format!("health_checks_total{{backend=\"one\",result=\"success\"}} {success}"),
                format!("health_checks_total{{backend=\"one\",result=\"failure\"}} {failure}"),
            ]
        };
        assert_eq!(figures(), expected(3, 0, 0, 0));
        let backend = generation.table.backends().find(|backend| backend.id == "one").unwrap();
        let checked = Load::of(backend).unwrap().checked();
        checked.decide(backend.selectable()[0].uid, false);
        for is_good in [true, false, false] {
            checked.count(is_good);
        }
        assert_eq!(figures(), expected(2, 1, 1, 2));
    }
}
