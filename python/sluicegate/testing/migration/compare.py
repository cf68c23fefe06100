"""What two answers to one request differ in."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.probes import Answer, Probe

#: Fields that a gateway adds for caches, and that say nothing by themselves.
_IGNORED = frozenset({"vary", "content-length", "content-type", "date", "www-authenticate", "allow"})
#: Fields whose value is a list without an order.
_LISTS = frozenset({"access-control-allow-methods", "access-control-allow-headers", "access-control-expose-headers"})
_REFUSED, _CLOSED, _NOT_FOUND = frozenset({401, 403}), 500, 404


def differences(probe: Probe, theirs: Answer, ours: Answer) -> tuple[Aspect, ...]:
    """What two answers differ in; empty: nothing.

    Args:
        probe: the request.
        theirs: the source's answer.
        ours: that of the converted table.
    """
    return tuple(dict.fromkeys(_differences(probe, theirs, ours)))


def _differences(probe: Probe, theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    if not ours.server and theirs.server not in {"", "_"} and ours.status == _NOT_FOUND != theirs.status:
        yield "reach"  # no listener
        return
    if theirs.refused or ours.refused or theirs.carried != ours.carried:
        if (theirs.refused, theirs.carried) != (ours.refused, ours.carried):
            yield "reach"
        return
    if theirs.status == 0 == ours.status:
        yield from _forwarded(theirs, ours)
    elif _is_redirect(theirs) and _is_redirect(ours):
        yield from _redirected(theirs, ours)
    elif probe.method == "OPTIONS" and {theirs.status, ours.status} & {200, 204}:
        yield from _preflight(theirs, ours)
    elif _is_redirect(theirs) or _is_redirect(ours):
        yield "closed" if ours.status == _CLOSED else "redirect"
    elif theirs.status != ours.status:
        if ours.status == _CLOSED:
            yield "closed"
        else:
            yield "access" if {theirs.status, ours.status} & _REFUSED else "status"
    elif plain(theirs.fields) != plain(ours.fields):
        yield "answer-fields"


def _is_redirect(answer: Answer) -> bool:
    return 300 <= answer.status < 400


def _preflight(theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    answered = 200 <= theirs.status < 300, 200 <= ours.status < 300
    if not any(answered):
        if theirs.status != ours.status:
            yield "closed" if ours.status == _CLOSED else "status"
    elif ours.status == _CLOSED:
        yield "closed"
    elif not all(answered) or _cors(theirs.fields) != _cors(ours.fields):
        yield "preflight"


def _redirected(theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    if theirs.status != ours.status:
        yield "redirect-status"
    if theirs.location != ours.location:
        (left, _, left_query), (right, _, right_query) = (item.location.partition("?") for item in (theirs, ours))
        if left != right:
            yield "redirect-slash" if left.removesuffix("/") == right.removesuffix("/") else "redirect"
        if left_query != right_query:
            # The slash that is taken off may be one of the query.
            yield "redirect-slash" if f"{left_query}/" == right_query else "redirect-query"
    if plain(theirs.fields) != plain(ours.fields):
        yield "answer-fields"


def _forwarded(theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    if theirs.backends != ours.backends:
        yield "backend"
    if theirs.carried:
        return
    if theirs.target != ours.target:
        yield "target"
    if theirs.authority.lower() != ours.authority.lower():
        yield "authority"
    if theirs.sent != ours.sent:
        yield "request-fields"
    if theirs.mirrored != ours.mirrored:
        yield "mirror"
    if plain(theirs.fields) != plain(ours.fields):
        yield "answer-fields"
    asked = set(theirs.asked) ^ set(ours.asked)
    if "external" in asked:
        yield "access"
    if "limits" in asked:
        yield "limits"
    if "snippet" in asked:
        yield "snippet"


def plain(fields: dict[str, str]) -> dict[str, object]:
    """The fields of an answer that are compared, lists without their order."""
    return {name: _value(name, value) for name, value in fields.items() if name not in _IGNORED}


def _cors(fields: dict[str, str]) -> dict[str, object]:
    return {name: _value(name, value) for name, value in fields.items() if name.startswith("access-control-")}


def _value(name: str, value: str) -> object:
    return frozenset(item.strip().lower() for item in value.split(",")) if name in _LISTS else value
