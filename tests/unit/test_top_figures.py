"""`sluicegate top`: what two looks at counters come to, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import pytest

from sluicegate.cli.top_figures import SORTS, Counters, RouteFigures, TopReport, compared, quantile, sorted_by
from sluicegate.cli.top_scrape import samples
from sluicegate.cli.top_screen import lines_of

Run = Callable[..., tuple[int, str]]
Buckets = list[tuple[float, float]]

SHOP = 'listener="Gateway/default/edge/http",route="HTTPRoute/default/shop"'
CALLS = 'listener="Gateway/default/edge/http",route="GRPCRoute/default/calls"'
LINES = 'listener="Gateway/default/edge/tcp",route="TCPRoute/default/lines"'


def look(*, shop: int = 0, failed: int = 0, slow: int = 0, calls: int = 0, flows: int = 0, code: int = 0) -> Counters:
    """The figures of a gateway that has done so much; `slow` requests of the shop took more than the last bound."""
    return Counters(
        samples(
            f"""\
# HELP sluicegate_requests_total Requests.
# TYPE sluicegate_requests_total counter
sluicegate_config_generation 7
sluicegate_config_unusable 1
sluicegate_connections_active 3
sluicegate_errors_total{{code="no_route"}} {code}
sluicegate_requests_total{{{SHOP},class="2xx"}} {shop}
sluicegate_requests_total{{{SHOP},class="4xx"}} 5
sluicegate_requests_total{{{SHOP},class="5xx"}} {failed}
sluicegate_request_duration_seconds_bucket{{{SHOP},le="0.01"}} {shop}
sluicegate_request_duration_seconds_bucket{{{SHOP},le="5"}} {shop + failed}
sluicegate_request_duration_seconds_bucket{{{SHOP},le="+Inf"}} {shop + failed + slow}
sluicegate_requests_total{{{CALLS},class="2xx"}} {calls}
sluicegate_grpc_requests_total{{{CALLS},grpc_status="0"}} {calls - calls // 4}
sluicegate_grpc_requests_total{{{CALLS},grpc_status="14"}} {calls // 4}
sluicegate_l4_connections_total{{{LINES}}} {flows}
sluicegate_l4_connections_active{{{LINES}}} 2
not a sample at all
sluicegate_broken{{a="b"}} many
"""
        )
    )


def report(old: Counters, new: Counters, order: str = "rate", wanted: str = "") -> TopReport:
    return compared(old, new, address="127.0.0.1:1", now=1.0, seconds=2.0, order=order, wanted=wanted)


def test_what_happened_between_two_looks() -> None:
    found = report(look(shop=100, flows=1), look(shop=180, failed=20, calls=40, flows=5, code=6))
    rows = {item.route.rpartition("/")[2]: item for item in found.routes}
    assert (found.generation, found.unusable, found.connections, found.answered) == (7, 1, 3, {"no_route": 3.0})
    assert found.rate == 50 + 20 + 2
    shop, calls, lines = rows["shop"], rows["calls"], rows["lines"]
    assert (shop.rate, shop.errors, shop.client_errors, shop.total, shop.active) == (50, 10, 0, 205, None)
    assert shop.p50 == pytest.approx(0.01 * 50 / 80)
    assert shop.p99 == pytest.approx(0.01 + 4.99 * 19 / 20)
    assert (calls.rate, calls.errors, calls.p50) == (20, 5, None)
    assert (lines.rate, lines.active, lines.total) == (2, 2, 5)


def test_counters_that_began_anew_count_from_nothing() -> None:
    """A gateway that was restarted between two looks: no rate is below zero, and what it did since is counted."""
    [shop] = report(look(shop=10_000, failed=50), look(shop=30, failed=2), wanted="shop").routes
    assert (shop.rate, shop.errors) == (16, 1)
    assert shop.p50 is not None


def test_a_route_that_is_new_and_one_that_is_gone() -> None:
    other = Counters(samples(f'sluicegate_config_generation 8\nsluicegate_requests_total{{{LINES},class="2xx"}} 4'))
    assert [item.rate for item in report(other, look(shop=10), wanted="shop").routes] == [7.5]
    assert [item.route for item in report(look(shop=10), other).routes] == ["TCPRoute/default/lines"]


@pytest.mark.parametrize(
    ("share", "buckets", "wanted"),
    [
        (0.5, [], None),
        (0.5, [(1.0, 0.0), (math.inf, 0.0)], None),
        (0.5, [(1.0, 10.0), (2.0, 10.0), (math.inf, 10.0)], 0.5),
        (0.99, [(1.0, 0.0), (2.0, 100.0), (math.inf, 100.0)], 1.99),
        (0.5, [(1.0, 0.0), (2.0, 0.0), (math.inf, 4.0)], 2.0),
        (1.0, [(1.0, 3.0), (math.inf, 3.0)], 1.0),
    ],
)
def test_quantiles_are_those_of_promql(share: float, buckets: Buckets, wanted: float | None) -> None:
    assert quantile(share, buckets) == (None if wanted is None else pytest.approx(wanted))


def figures(route: str, **values: float | None) -> RouteFigures:
    whole = {"rate": 0.0, "errors": 0.0, "client_errors": 0.0, "p50": None, "p99": None, "active": None, "total": 0}
    return msgspec.convert({"listener": "a", "route": route, **whole, **values}, RouteFigures)


@pytest.mark.parametrize("order", SORTS)
def test_every_order(order: str) -> None:
    """Largest first; without a latency last; alike ones by name."""
    values = {} if order == "route" else {order: 7}
    rows = [figures("b"), figures("c", **values), figures("a")]
    wanted = ["a", "b", "c"] if order == "route" else ["c", "a", "b"]
    assert [item.route for item in sorted_by(order, rows)] == wanted


def test_labels_are_taken_apart_as_they_were_put_together() -> None:
    text = 'x{a="1\\"2\\\\3\\n4",b="}",c="a,b=\\"c\\""} 1.5e3\ny 2\nz{} NaN\n{a="b"} 1\nname\n'
    first, second, third = samples(text)
    assert (first.labels, first.value) == ({"a": '1"2\\3\n4', "b": "}", "c": 'a,b="c"'}, 1500)
    assert (second.name, second.labels) == ("y", {})
    assert math.isnan(third.value)


def test_no_name_writes_on_the_terminal() -> None:
    """Names of routes are Kubernetes' own, but whoever answers may write what he wants."""
    hostile = figures("HTTPRoute/a/\x1b[2J\x07\u202e\n" + "x" * 500, rate=1, p50=0.25, p99=3)
    found = TopReport(
        address="a:1",
        time=0,
        seconds=1,
        generation=1,
        unusable=2,
        connections=1,
        rate=1,
        answered={},
        routes=(hostile,),
    )
    for width in (20, 80, 300):
        lines = lines_of(found, "rate", "\x1b[31m", width)
        assert all(line.isprintable() and len(line) <= width for line in lines)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nowhere",), "is no address and port"),
        (("127.0.0.1:70000",), "is no address and port"),
        (("a:1", "b:2"), "name one admin listener"),
        (("--interval", "0"), "--interval"),
        (("--interval", "nan"), "--interval"),
        (("--sort", "size"), "invalid choice"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: tuple[str, ...], text: str, command: Run) -> None:
    status, told = command("top", *arguments)
    assert status == 2
    assert text in told
