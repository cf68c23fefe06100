"""Counters of routes, read from the engine's metrics when somebody looks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator

from sluicegate.controller.stream.figures import Figures, RouteCounters

_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
#: Samples without labels that are told.
_PLAIN = {"sluicegate_connections_active": "connections", "sluicegate_connections_total": "accepted"}
_BUCKET = "sluicegate_request_duration_seconds_bucket"
_REQUESTS = "sluicegate_requests_total"
_ALL = "sluicegate_http_requests_total"
#: What a sample of a route is told by, besides the route.
_PARTS = {_REQUESTS: "class", _BUCKET: "le"}
_OF_ROUTES = frozenset({_REQUESTS, _BUCKET, "sluicegate_l4_connections_total", "sluicegate_l4_connections_active"})


class _Sums:
    def __init__(self) -> None:
        self.requests: dict[str, int] = defaultdict(int)
        self.buckets: dict[str, int] = defaultdict(int)
        self.l4 = {"total": 0, "active": 0}


def read_figures(text: str, wanted: Container[str] | None = None) -> Figures:
    """Read what the engine says in the Prometheus text format.

    Args:
        text: of its metrics.
        wanted: routes; None: all of them.
    """
    plain = dict.fromkeys(_PLAIN.values(), 0)
    errors: dict[str, int] = {}
    checked: dict[str, dict[str, int]] = defaultdict(dict)
    sums: dict[str, _Sums] = defaultdict(_Sums)
    requests = 0
    bounds: dict[str, float] = {}
    for line in text.splitlines():
        name, brace, rest = line.partition("{")
        if not brace:
            name, _, written = line.partition(" ")
            if name in _PLAIN:
                plain[_PLAIN[name]] = int(float(written))
            continue
        if name in _OF_ROUTES:
            # There may be twenty thousand of these: what is not wanted is not taken apart.
            route = _label(rest, "route")
            if wanted is not None and route not in wanted:
                continue
            part = _label(rest, _PARTS.get(name, ""))
            _add(sums[route], name, part, int(float(rest[rest.rindex(" ") :])))
            if name == _BUCKET and part not in bounds:
                bounds[part] = float(part)
        elif name == _ALL:
            requests += int(float(rest[rest.rindex(" ") :]))
        elif name == "sluicegate_errors_total":
            labels, value = _labels(rest)
            if value:
                errors[labels["code"]] = value
        elif name == "sluicegate_upstream_checked_endpoints":
            labels, value = _labels(rest)
            checked[labels["backend"]][labels["health"]] = value
    order = sorted(bounds, key=lambda item: bounds[item])
    routes = {
        route: RouteCounters(
            requests=dict(found.requests),
            buckets=tuple(found.buckets[item] for item in order) if found.buckets else (),
            connections=found.l4["total"],
            active=found.l4["active"],
        )
        for route, found in sums.items()
    }
    finite = tuple(bounds[item] for item in order if bounds[item] != float("inf"))
    return Figures(
        connections=plain["connections"],
        accepted=plain["accepted"],
        requests=requests,
        errors=errors,
        bounds=finite,
        routes=routes,
        checked=dict(checked),
    )


def _add(found: _Sums, name: str, part: str, value: int) -> None:
    if name == _REQUESTS:
        found.requests[part] += value
    elif name == _BUCKET:
        found.buckets[part] += value
    else:
        found.l4["active" if name.endswith("active") else "total"] += value


def _label(rest: str, name: str) -> str:
    """A label behind the first one. A quote within a value has a backslash before it, so what is found is a name."""
    start = rest.find(f',{name}="')
    if start < 0:
        return ""
    start += len(name) + 3
    value = rest[start : rest.find('"', start)]
    return value if "\\" not in value else _labels(rest)[0].get(name, "")


def _labels(rest: str) -> tuple[dict[str, str], int]:
    inside, _, value = rest.rpartition("} ")
    return dict(_pairs(inside)), int(float(value))


def _pairs(inside: str) -> Iterator[tuple[str, str]]:
    for name, value in _LABEL.findall(inside):
        yield name, value if "\\" not in value else re.sub(r"\\.", lambda it: _ESCAPES.get(it[0], it[0]), value)
