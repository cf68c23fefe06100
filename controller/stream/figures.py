"""What the pods of data planes count, for whoever looks at the controller's page, and at no other time.

The controller asks: a response of type `figures` with the names of the routes that are shown. The pod answers: a
request of that type, JSON in `error_detail.details`. Neither has part in a transaction. An older pod does not answer,
and an older controller does not ask.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .messages import AnyMessage, Request, Resource, Response, Status
from .protocol import FIGURES, type_url

#: Routes that a pod is asked for at once, and that it tells of.
MAX_ROUTES = 1_024
#: Error codes and backends that a pod tells of, classes and buckets of a route. Stops a pod that makes some up.
MAX_NAMES, MAX_PARTS = 1_024, 32


class RouteCounters(msgspec.Struct, frozen=True, kw_only=True):
    """Counters of a route since this process started, over all listeners.

    Attributes:
        requests: by class, such as `2xx`.
        buckets: requests by the upper bounds of `Counters.bounds`, each with those before it; the last is all.
        connections: of TCP and TLS, and sessions of UDP.
        active: of these, open now.
    """

    requests: dict[str, int] = msgspec.field(default_factory=dict)
    buckets: tuple[int, ...] = ()
    connections: int = 0
    active: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one engine counted, or several together.

    Attributes:
        connections: of clients, open now.
        accepted: of clients, since the start.
        requests: of all clients, whoever took them.
        errors: answers of its own, by code.
        bounds: of the histogram, in seconds, without the infinite one.
        routes: by route.
        checked: endpoints by backend, and by `healthy` or `unhealthy`.
    """

    connections: int = 0
    accepted: int = 0
    requests: int = 0
    errors: dict[str, int] = msgspec.field(default_factory=dict)
    bounds: tuple[float, ...] = ()
    routes: dict[str, RouteCounters] = msgspec.field(default_factory=dict)
    checked: dict[str, dict[str, int]] = msgspec.field(default_factory=dict)


def question(routes: Iterable[str]) -> Response:
    """Ask a pod what it counted, of these routes and in all."""
    return Response(type_url=type_url(FIGURES), resources=[Resource(name=route) for route in routes])


def asked_for(response: Response) -> frozenset[str]:
    """The routes of a question."""
    return frozenset(resource.name for resource in response.resources[:MAX_ROUTES])


def answer(figures: Figures) -> Request:
    """What a pod counted."""
    detail = AnyMessage(type_url(FIGURES), msgspec.json.encode(figures))
    return Request(type_url=type_url(FIGURES), error_detail=Status(details=[detail]))


_FIGURES = msgspec.json.Decoder(Figures)


def read_answer(request: Request, routes: frozenset[str]) -> Figures:
    """What a pod says, of the routes that it was asked for; cut to its limits.

    Raises:
        DecodeError, UnicodeDecodeError, RecursionError (`caught.UNREADABLE`): it is none.
    """
    details = request.error_detail.details if request.error_detail is not None else ()
    found = _FIGURES.decode(details[0].value if details else b"")
    return Figures(
        connections=max(found.connections, 0),
        accepted=max(found.accepted, 0),
        requests=max(found.requests, 0),
        errors=_cut(found.errors, MAX_NAMES),
        bounds=found.bounds[:MAX_PARTS],
        routes={name: _route(item) for name, item in found.routes.items() if name in routes},
        checked={name: _cut(item, 2) for name, item in list(found.checked.items())[:MAX_NAMES]},
    )


def _route(found: RouteCounters) -> RouteCounters:
    return RouteCounters(
        requests=_cut(found.requests, MAX_PARTS),
        buckets=tuple(max(count, 0) for count in found.buckets[: MAX_PARTS + 1]),
        connections=max(found.connections, 0),
        active=max(found.active, 0),
    )


def _cut(counts: dict[str, int], limit: int) -> dict[str, int]:
    return {name: max(count, 0) for name, count in list(counts.items())[:limit]}
