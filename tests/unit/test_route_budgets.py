"""What routes may cost: no owner of a route takes the memory, or the time, of all others."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.checks import native_checks
from sluicegate.controller.api import ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import Checks, Options, PatternFacts, RouteLimits, Translation, Translator

GATEWAY_API = "gateway.networking.k8s.io/v1"
LIMITS = RouteLimits(expressions=1_000, namespace_expressions=1_000, places=1_000, namespace_places=10)


class Bench:
    """Routes come and go; an expression takes 100 bytes for each character."""

    def __init__(self, limits: RouteLimits = LIMITS, checks: Checks | None = None) -> None:
        self.measured: list[str] = []
        checks = checks if checks is not None else Checks(pattern=self.measure)
        self.translator = Translator(options=Options(checks=checks, routes=limits))
        self.store = Store(())
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]
        self.apply("Gateway", "infra", "gateway", {"gatewayClassName": "sluicegate", "listeners": listeners})

    def measure(self, pattern: str) -> PatternFacts:
        self.measured.append(pattern)
        return PatternFacts(size=100 * len(pattern))

    def apply(self, kind: str, namespace: str, name: str, spec: Any, created: int = 1) -> None:
        metadata = {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": f"2026-01-{created:02}T00:00:00Z",
        }
        self.store.handle(Apply(decode({"apiVersion": GATEWAY_API, "kind": kind, "metadata": metadata, "spec": spec})))

    def route(self, name: str, *patterns: str, namespace: str = "team", created: int = 1, places: int = 0) -> None:
        """A route with an expression for each pattern, and matches without."""
        paths = [{"type": "RegularExpression", "value": pattern} for pattern in patterns]
        paths += [{"value": f"/{number}"} for number in range(places)]
        parents = [{"name": "gateway", "namespace": "infra"}]
        spec = {"parentRefs": parents, "rules": [{"matches": [{"path": path} for path in paths]}]}
        self.apply("HTTPRoute", namespace, name, spec, created)

    def translate(self) -> Translation:
        return self.translator.translate(self.store.snapshot())

    def refused(self) -> dict[str, str]:
        """Names of routes that are refused, and why; what is refused has no rules, and what has none is refused."""
        found = {}
        translation = self.translate()
        for key, status in translation.statuses.items():
            if key.kind == "HTTPRoute":
                [parent] = status.parents  # type: ignore[union-attr]
                condition = next(item for item in parent.conditions if item.type == "Accepted")
                assert (f"{key}/0" in translation.ir.http_rules) == (condition.status == "True")
                if condition.status == "False":
                    assert condition.reason == "UnsupportedValue"
                    found[key.name] = condition.message
        codes = [item.object.rpartition("/")[2] for item in translation.diagnostics if item.code == "over-budget"]
        assert sorted(codes) == sorted(found)
        return found


def test_a_route_over_its_own_budget_is_refused_before_the_rest_of_it_is_looked_at() -> None:
    bench = Bench()
    bench.route("greedy", *(f"/{number:03}" for number in range(100)))
    bench.route("modest", "/abc", created=2)
    [message] = bench.refused().values()
    assert "1,000 bytes" in message
    assert len(bench.measured) == 4  # 400 bytes each: two fit, the third is one too many; one of the other route


def test_the_oldest_routes_of_a_namespace_have_its_budget_and_others_have_theirs() -> None:
    bench = Bench()
    bench.route("old", "/123456", created=2)
    bench.route("elsewhere", "/123456", namespace="other", created=9)
    assert bench.refused() == {}
    bench.route("new", "/abc", created=4)
    assert set(bench.refused()) == {"new"}
    bench.route("small", "/a", created=5)
    assert set(bench.refused()) == {"new"}
    bench.route("same", "/123456", created=3)
    assert set(bench.refused()) == {"new"}
    bench.route("older", "/older", created=1)
    assert set(bench.refused()) == {"old", "same", "small"}  # 600 bytes, then 400: those of 700 and 200 find no room
    bench.store.handle(Delete(ObjectKey("HTTPRoute", "team", "older")))
    bench.store.handle(Delete(ObjectKey("HTTPRoute", "team", "old")))
    bench.store.handle(Delete(ObjectKey("HTTPRoute", "team", "same")))
    assert bench.refused() == {}


def test_places_are_counted_as_well() -> None:
    bench = Bench()
    bench.route("first", places=6, created=1)
    bench.route("second", places=6, created=2)
    bench.route("third", places=4, created=3)
    assert set(bench.refused()) == {"second"}
    bench = Bench(RouteLimits(places=5))
    bench.route("large", places=6)
    assert set(bench.refused()) == {"large"}


def test_what_is_attached_to_nothing_takes_nothing_from_others() -> None:
    bench = Bench()
    paths = [{"path": {"type": "RegularExpression", "value": "/12345"}}]
    spec = {"parentRefs": [{"name": "another", "namespace": "infra"}], "rules": [{"matches": paths}]}
    bench.apply("HTTPRoute", "team", "foreign", spec)
    bench.route("ours", "/abcdef", created=2)
    assert bench.refused() == {}


def test_most_that_routes_can_say_is_not_compiled() -> None:
    """2,176 expressions of a route, each as large as may be, took 7 s; 20 such routes ended the controller."""
    check, sizes = native_checks().pattern, []

    def measure(pattern: str) -> PatternFacts:
        facts = check(pattern)
        sizes.append(facts.size)
        return facts

    bench = Bench(RouteLimits(), Checks(pattern=measure))
    for number in range(20):
        bench.route(f"greedy-{number}", *(rf"/{number}/{place}/(\w|\pL){{1,2}}" for place in range(128)))
    bench.route("modest", "/users/[0-9]+", namespace="other")
    steps = bench.translator.steps
    assert len(bench.refused()) == 20
    assert bench.translator.steps - steps == 21
    assert sum(sizes) < 21 * (RouteLimits().expressions + max(sizes))


@pytest.mark.parametrize("pattern", [r"/api/v[0-9]+/users/[^/]+", r"/[a-z]{2}(-[A-Z]{2})?/.*", r"\d+", "(a|b|c)/.*"])
def test_usual_expressions_are_small(pattern: str) -> None:
    facts = native_checks().pattern(pattern)
    assert facts.error is None
    assert 0 < facts.size < 40_000
