"""What two answers to one request differ in."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.probes import Answer, Probe

#: Fields that a gateway adds for caches, and that say nothing by themselves.
_IGNORED = frozenset({"vary", "content-length", "content-type", "date", "www-authenticate", "allow"})
#: Fields that answers to preflights alone have a meaning in.
_OF_PREFLIGHTS = ("access-control-allow-methods", "access-control-allow-headers", "access-control-max-age")
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
        yield from _forwarded(probe, theirs, ours)
    elif _is_redirect(theirs) and _is_redirect(ours):
        yield from _redirected(probe, theirs, ours)
    elif probe.method == "OPTIONS" and {theirs.status, ours.status} & {200, 204}:
        yield from _preflight(probe, theirs, ours)
    elif _is_redirect(theirs) or _is_redirect(ours):
        yield "closed" if ours.status == _CLOSED else "redirect"
    elif theirs.status != ours.status:
        if ours.status == _CLOSED:
            yield "closed"
        else:
            yield "access" if {theirs.status, ours.status} & _REFUSED else "status"
    elif seen(probe, theirs.fields) != seen(probe, ours.fields):
        yield "answer-fields"


def _is_redirect(answer: Answer) -> bool:
    return 300 <= answer.status < 400


def _preflight(probe: Probe, theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    answered = 200 <= theirs.status < 300, 200 <= ours.status < 300
    if not any(answered):
        if theirs.status != ours.status:
            yield "closed" if ours.status == _CLOSED else "status"
    elif ours.status == _CLOSED:
        yield "closed"
    elif not all(answered) or read_cors(probe, theirs.fields) != read_cors(probe, ours.fields):
        yield "preflight"


def _redirected(probe: Probe, theirs: Answer, ours: Answer) -> Iterator[Aspect]:
    if theirs.status != ours.status:
        yield "redirect-status"
    if theirs.location != ours.location:
        (left, _, left_query), (right, _, right_query) = (item.location.partition("?") for item in (theirs, ours))
        if left != right:
            yield "redirect-slash" if left.removesuffix("/") == right.removesuffix("/") else "redirect"
        if left_query != right_query:
            # The slash that is taken off may be one of the query.
            yield "redirect-slash" if f"{left_query}/" == right_query else "redirect-query"
    if seen(probe, theirs.fields) != seen(probe, ours.fields):
        yield "answer-fields"


def _forwarded(probe: Probe, theirs: Answer, ours: Answer) -> Iterator[Aspect]:
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
    if seen(probe, theirs.fields) != seen(probe, ours.fields):
        yield "answer-fields"
    asked = set(theirs.asked) ^ set(ours.asked)
    if "external" in asked:
        yield "access"
    if "limits" in asked:
        yield "limits"
    if "snippet" in asked:
        yield "snippet"


def seen(probe: Probe, fields: dict[str, str]) -> dict[str, object]:
    """What a client makes of the fields of an answer: those of CORS as browsers do, lists without their order."""
    others = {name: _value(name, value) for name, value in fields.items() if not _is_of_cors(name)}
    return {name: value for name, value in others.items() if name not in _IGNORED} | read_cors(probe, fields)


def read_cors(probe: Probe, fields: dict[str, str]) -> dict[str, object]:
    """What a browser takes from the fields of CORS (Fetch, 4.9 and 4.8).

    Without `Origin` nobody reads them. Where the origin is not allowed all others say nothing. `*` is not for requests
    with credentials, and what is about preflights is read of their answers alone.
    """
    origin, allowed = probe.field("origin"), fields.get("access-control-allow-origin")
    if origin is None or allowed not in {"*", origin}:
        return {}
    named = {name: _value(name, value) for name, value in fields.items() if _is_of_cors(name)}
    credentials = allowed != "*" and fields.get("access-control-allow-credentials") == "true"
    found: dict[str, object] = {"allowed": True, "credentials": credentials}
    if probe.method == "OPTIONS":
        return found | {name: named.get(name) for name in _OF_PREFLIGHTS}
    return found | {"exposed": named.get("access-control-expose-headers")}


def _is_of_cors(name: str) -> bool:
    return name.startswith("access-control-")


def _value(name: str, value: str) -> object:
    return frozenset(item.strip().lower() for item in value.split(",")) if name in _LISTS else value
