"""What a route did between two looks at its counters: rates, errors, latencies.

Rules:
- A counter that is less than before began anew with the gateway: what it has now is what was counted since.
- A latency is of the requests of the interval alone, read off the buckets of the histogram as PromQL's
  `histogram_quantile` does it: within a bucket requests are taken to be spread evenly.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from .top_scrape import Sample

#: Statuses of gRPC that are faults of the server (OpenTelemetry, semantic conventions of RPC: spans of servers).
_GRPC_FAULTS = frozenset({"2", "4", "12", "13", "14", "15"})
#: What the rows may be ordered by: largest first, names by alphabet.
SORTS = ("rate", "errors", "p50", "p99", "total", "route")


class RouteFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One route at one listener; rates are per second of the interval.

    Attributes:
        listener: such as `Gateway/default/edge/http`.
        route: such as `HTTPRoute/default/shop`.
        rate: requests, or connections and flows of TCP, TLS and UDP.
        errors: of these, answers 5xx, and calls of gRPC that end in a fault of the server; a call that has both
            counts once.
        client_errors: of these, answers 4xx.
        p50: seconds within which half of the requests ended; None: there was none. What is above all bounds of the
            buckets is shown as the highest bound.
        p99: the same for 99 of 100.
        active: connections and flows that are open; None: a route of requests.
        total: requests, or connections and flows, since the gateway began.
    """

    listener: str
    route: str
    rate: float
    errors: float
    client_errors: float
    p50: float | None
    p99: float | None
    active: int | None
    total: int


class TopReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/top/v1"):
    """What `--output json` writes, a line for each interval.

    Attributes:
        address: that was asked.
        time: of the second look, seconds since 1970.
        seconds: between the two looks.
        generation: of the configuration that serves.
        unusable: objects that cannot be used as they are.
        connections: of clients that are open.
        rate: requests, connections and flows of all routes, per second.
        answered: what the gateway answered or ended itself, per second, by code (`docs/errors.md`).
        routes: those that the filter leaves, in the order that was asked for.
    """

    address: str
    time: float
    seconds: float
    generation: int
    unusable: int
    connections: int
    rate: float
    answered: dict[str, float]
    routes: tuple[RouteFigures, ...]


class Counters:
    """The figures of one look, by what they are of."""

    def __init__(self, found: Iterable[Sample]) -> None:
        self.plain: dict[str, float] = {}
        #: By listener and route, then by name of the figure and what tells its samples apart.
        self.routes: dict[tuple[str, str], dict[tuple[str, str], float]] = defaultdict(dict)
        self.codes: dict[str, float] = {}
        for name, labels, value in found:
            if "route" in labels and "listener" in labels:
                part = next((labels[key] for key in ("class", "grpc_status", "le") if key in labels), "")
                self.routes[labels["listener"], labels["route"]][name.removeprefix("sluicegate_"), part] = value
            elif name == "sluicegate_errors_total":
                self.codes[labels.get("code", "")] = value
            elif not labels:
                self.plain[name.removeprefix("sluicegate_")] = value


def compared(
    old: Counters, new: Counters, *, address: str, now: float, seconds: float, order: str, wanted: str = ""
) -> TopReport:
    """What happened between two looks.

    Args:
        old: the first look.
        new: the second one.
        address: of the gateway.
        now: when the second one was, seconds since 1970.
        seconds: between the two; above 0.
        order: one of `SORTS`.
        wanted: only routes that have this in their name or their listener's, in any case; empty: all.
    """
    found = [_route(key, old.routes.get(key, {}), counts, seconds) for key, counts in new.routes.items()]
    shown = [item for item in found if wanted.lower() in f"{item.route} {item.listener}".lower()]
    codes = {code: _grown(value, old.codes.get(code, 0)) / seconds for code, value in sorted(new.codes.items())}
    return TopReport(
        address=address,
        time=now,
        seconds=seconds,
        generation=int(new.plain.get("config_generation", 0)),
        unusable=int(new.plain.get("config_unusable", 0)),
        connections=int(new.plain.get("connections_active", 0)),
        rate=sum(item.rate for item in found),
        answered={code: rate for code, rate in codes.items() if rate},
        routes=tuple(sorted_by(order, shown)),
    )


def sorted_by(order: str, routes: Iterable[RouteFigures]) -> list[RouteFigures]:
    """Routes in an order, one of `SORTS`; those that are alike by name."""

    def key(item: RouteFigures) -> tuple[float, str, str]:
        value = 0 if order == "route" else getattr(item, order)
        return (-(value if value is not None else -1), item.route, item.listener)

    return sorted(routes, key=key)


def _grown(new: float, old: float) -> float:
    return new - old if new >= old else new


def _route(
    key: tuple[str, str],
    old: Mapping[tuple[str, str], float],
    new: Mapping[tuple[str, str], float],
    seconds: float,
) -> RouteFigures:
    def grown(name: str, part: str) -> float:
        return _grown(new[name, part], old.get((name, part), 0))

    requests = {part: grown(name, part) for name, part in new if name == "requests_total"}
    faults = sum(grown(name, part) for name, part in new if name == "grpc_requests_total" and part in _GRPC_FAULTS)
    flows = grown("l4_connections_total", "") if ("l4_connections_total", "") in new else 0
    bounds = {float(part): grown(name, part) for name, part in new if name == "request_duration_seconds_bucket"}
    buckets = sorted(bounds.items())
    totals = [value for (name, _), value in new.items() if name in {"requests_total", "l4_connections_total"}]
    active = new.get(("l4_connections_active", ""))
    return RouteFigures(
        listener=key[0],
        route=key[1],
        rate=(sum(requests.values()) + flows) / seconds,
        # The gateway's own answers to calls of gRPC are 200, so a call is nearly never both.
        errors=(requests.get("5xx", 0) + faults) / seconds,
        client_errors=requests.get("4xx", 0) / seconds,
        p50=quantile(0.5, buckets),
        p99=quantile(0.99, buckets),
        active=int(active) if active is not None else None,
        total=int(sum(totals)),
    )


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """Seconds within which a share of the requests ended; None: there was none.

    Args:
        share: between 0 and 1.
        buckets: upper bounds in seconds, ascending and with the infinite one, and how many ended within each.
    """
    total = buckets[-1][1] if buckets else 0
    if total <= 0:
        return None
    rank = share * total
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return low
            inside = count - below
            return low + (bound - low) * ((rank - below) / inside if inside > 0 else 1.0)
        low, below = bound, count
    return low
