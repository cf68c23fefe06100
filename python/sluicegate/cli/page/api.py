"""`/api/v1`: the facts as JSON; GET and HEAD alone, in parts, with a published schema (`docs/schemas/v1/api.json`)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sluicegate.controller.stream.figures import Figures
from sluicegate.observe.answering import Answer
from sluicegate.processes.viewed import ReadFigures

from .asked import (
    BACKENDS,
    CERTIFICATES,
    GATEWAYS,
    GENERATIONS,
    MATCHES,
    POLICIES,
    PROBLEMS,
    ROUTES,
    Asking,
    Listing,
    asking_of,
    request_of,
)
from .facts import (
    BackendFacts,
    Backends,
    Certificates,
    CountersAnswer,
    ErrorAnswer,
    Gateways,
    Generations,
    Matches,
    OverviewAnswer,
    Part,
    Policies,
    Problems,
    RankedMatch,
    RouteAnswer,
    Routes,
)
from .moment import Moment, generations

#: Bytes of an answer: a list ends sooner, and says where it goes on. Stops long objects from filling memory.
MAX_BYTES = 2 * 1024 * 1024
#: Fields that all lists have.
_OF_LISTS = ("search", "sort", "only", "offset", "limit")
_OF_EXPLAIN = ("request", "method", "header", "port", "sni", "from", "as")

Fields = Sequence[tuple[str, str]]


class NotThereError(LookupError):
    """Nothing of the name that is asked for; the message says what there is."""


def overview(moment: Moment, *, live: bool) -> OverviewAnswer:
    """What runs, and how it is."""
    viewed, pods = moment.viewed, generations(moment.viewed)
    certificates = moment.certificates(time.time())
    lists: dict[str, Sequence[Any]] = {
        "gateways": [item for item in moment.gateways if not item.object.startswith("GatewayClass/")],
        "routes": moment.routes,
        "policies": moment.policies,
        "backends": moment.backends,
        "certificates": certificates,
        "generations": pods,
    }
    wrong = {name: sum(not item.good for item in items) for name, items in lists.items()}
    wrong["routes"] = sum(not ROUTES.good(item) for item in moment.routes)
    told = [item for item in moment.problems if item.severity != "info"]
    return OverviewAnswer(
        version=viewed.version,
        role=viewed.role,
        generation=viewed.generation,
        changed=viewed.changed,
        counts={**{name: len(items) for name, items in lists.items()}, "problems": len(moment.problems)},
        wrong={**wrong, "problems": len(told)},
        live=live,
    )


def matches(moment: Moment, hostname: str) -> Iterable[RankedMatch]:
    """All matches by hostname, or those that a request for a hostname may be for."""
    return moment.ranking.of(hostname) if hostname else moment.ranking.all()


def backends(moment: Moment, figures: Figures | None) -> Iterable[BackendFacts]:
    """All backends, with what active health checks found."""
    checked = figures.checked if figures is not None else {}
    for item in moment.backends:
        if item.id not in checked:
            yield item
            continue
        healthy, unhealthy = checked[item.id].get("healthy", 0), checked[item.id].get("unhealthy", 0)
        good = item.good and healthy > 0
        yield msgspec.structs.replace(item, healthy=healthy, unhealthy=unhealthy, good=good)


def counters(moment: Moment, figures: Figures | None) -> CountersAnswer:
    """Counters now."""
    found = figures if figures is not None else Figures()
    return CountersAnswer(
        time=round(time.monotonic(), 3),
        generation=moment.viewed.generation,
        serial=moment.serial,
        live=figures is not None,
        connections=found.connections,
        accepted=found.accepted,
        requests=found.requests,
        errors=found.errors,
        bounds=found.bounds,
        routes=found.routes,
    )


class Api:
    """Answers for `/api/v1`."""

    def __init__(self, figures: ReadFigures | None) -> None:
        """Take counters from `figures`; None: there are none here."""
        self._figures = figures

    def figures(self, wanted: frozenset[str] | None = None) -> Figures | None:
        """What engines counted, of some routes or all; None: there is no engine."""
        return self._figures(wanted) if self._figures is not None else None

    def answer(self, name: str, fields: Fields, moment: Moment) -> Answer:
        """Answer a question; `name`: what stands behind `/api/v1/`."""
        try:
            return _json(200, self._make(name, fields, moment))
        except NotThereError as error:
            return _json(404, ErrorAnswer(error=str(error)))
        except ValueError as error:
            return _json(400, ErrorAnswer(error=str(error)))

    def _make(self, name: str, fields: Fields, moment: Moment) -> object:
        given = dict(fields)
        known = {
            "": (),
            "route": ("name",),
            "explain": _OF_EXPLAIN,
            "counters": ("route",),
            "matches": ("hostname", *_OF_LISTS),
        }.get(name, _OF_LISTS)
        unknown = [item for item in given if item not in known]
        if unknown:
            takes = f"takes {', '.join(known)}" if known else "takes nothing"
            raise ValueError(f"{unknown[0]!r} is not known: /api/v1{f'/{name}' if name else ''} {takes}")
        match name:
            case "":
                return overview(moment, live=self._figures is not None)
            case "route":
                found = moment.route(given.get("name", ""))
                if found is None:
                    raise NotThereError(f"there is no route {given.get('name', '')!r}: name=HTTPRoute/default/shop")
                return RouteAnswer(**{field: getattr(found, field) for field in found.__struct_fields__})
            case "explain":
                return moment.explain(request_of(fields))
            case "counters":
                routes = frozenset(value for key, value in fields if key == "route")
                return counters(moment, self.figures(routes or None))
        return self._list(name, given, moment)

    def _list(self, name: str, given: dict[str, str], moment: Moment) -> object:
        asking = asking_of(given)
        match name:
            case "gateways":
                return _part(Gateways, GATEWAYS, moment.gateways, asking)
            case "routes":
                return _part(Routes, ROUTES, moment.routes, asking)
            case "matches":
                return _part(Matches, MATCHES, matches(moment, given.get("hostname", "")), asking)
            case "policies":
                return _part(Policies, POLICIES, moment.policies, asking)
            case "backends":
                return _part(Backends, BACKENDS, backends(moment, self.figures(frozenset())), asking)
            case "certificates":
                return _part(Certificates, CERTIFICATES, moment.certificates(time.time()), asking)
            case "problems":
                return _part(Problems, PROBLEMS, moment.problems, asking)
            case "generations":
                return _part(Generations, GENERATIONS, generations(moment.viewed), asking)
        raise NotThereError(f"there is no /api/v1/{name}; {_THERE}")


_LISTS = ("gateways", "routes", "matches", "policies", "backends", "certificates", "problems", "generations")
_THERE = f"below /api/v1 are {', '.join(_LISTS)}, route, explain and counters"


def _part(kind: type[Part], listing: Listing[Any], items: Iterable[Any], asking: Asking) -> Part:
    """A part of a list that is no longer than an answer may be."""
    taken, total = listing.take(items, asking)
    room, fitting = MAX_BYTES, 0
    for item in taken:
        room -= len(msgspec.json.encode(item))
        if room < 0 and fitting:
            break
        fitting += 1
    end = asking.offset + fitting
    return kind(  # type: ignore[call-arg]
        list=kind.__name__.lower(),
        total=total,
        offset=asking.offset,
        next=end if end < total else None,
        items=tuple(taken[:fitting]),
    )


def _json(status: int, document: object) -> Answer:
    return Answer(status, "application/json", msgspec.json.encode(document) + b"\n")


__all__ = ["Api", "backends", "counters", "matches", "overview"]
