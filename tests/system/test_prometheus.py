"""Every query of the dashboards has a result, and every alert can be evaluated, in a Prometheus that scrapes what runs.

It needs `prometheus` (Debian: the package of that name) and is left out without it; `test_monitoring` needs none.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from system_gateway import until
from system_monitored import Monitored
from system_prometheus import PROMETHEUS, Watched
from test_monitoring import EXPRESSIONS, VARIABLES, rules

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not here: apt-get install prometheus")


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    found = Watched(tmp_path_factory.mktemp("prometheus"), Monitored)
    try:
        # Rates need a series that has grown between two scrapes.
        until(
            lambda: found.world.traffic() or found.samples("count_over_time(sluicegate_config_generation[5m]) > 4"),
            "scrapes",
        )
        yield found
    finally:
        found.close()


@pytest.mark.parametrize("place", [place for place in EXPRESSIONS if ": " in place and "$" not in place])
def test_panels_show_something(place: str, watched: Watched) -> None:
    query = EXPRESSIONS[place].replace("$__rate_interval", "1m")
    for name in VARIABLES:
        query = query.replace(f"${name}", ".*")
    assert watched.samples(query), query


@pytest.mark.parametrize("name", sorted(VARIABLES))
def test_variables_have_values(name: str, watched: Watched) -> None:
    """What Grafana offers to choose from."""
    [query] = [text for place, text in EXPRESSIONS.items() if place.endswith(f": ${name}")]
    metric = query.removeprefix("label_values(").partition("{")[0].partition(",")[0]
    assert watched.ask(f"label/{name}/values", **{"match[]": metric})


def test_exemplars_are_stored(watched: Watched) -> None:
    """OpenMetrics is what is scraped: a figure leads to a trace."""
    query = 'http_server_request_duration_seconds_bucket{http_route="/",http_response_status_code="200"}'
    now = time.time()

    def stored() -> list[Any]:
        watched.world.traffic()
        return list(watched.ask("query_exemplars", query=query, start=str(now - 300), end=str(now + 300)) or ())

    until(stored, "exemplars")
    labels = stored()[0]["exemplars"][0]["labels"]
    assert (len(labels["trace_id"]), len(labels["span_id"])) == (32, 16)


def test_alerts_are_evaluated(watched: Watched) -> None:
    def evaluated() -> list[dict[str, Any]]:
        found = watched.ask("rules")
        every = [rule for group in found["groups"] for rule in group["rules"]]
        return every if all(rule["health"] != "unknown" for rule in every) else []

    until(evaluated, "all rules were evaluated")
    assert {rule["name"]: (rule["health"], rule.get("lastError")) for rule in evaluated()} == {
        rule["alert"]: ("ok", None) for group in rules()["spec"]["groups"] for rule in group["rules"]
    }
