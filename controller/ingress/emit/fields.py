"""Fields of requests and answers: by filters of the Gateway API, and by HTTPFilters what these have no room for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from ..features import Field, RequestHeaders, ResponseHeaders
from ..hosts import Location
from ..losses import Cause
from .output import Output
from .rules import RuleDraft

#: Fields of a list of a filter. Of answers one is kept free: `Strict-Transport-Security` comes later.
MAX_SET, MAX_KEPT = 16, 15

_T = TypeVar("_T")


def request_fields(feature: RequestHeaders, rule: RuleDraft, location: Location, output: Output) -> None:
    """Say which fields the backend gets."""
    rule.request |= _by_name(feature.fields)
    rule.removed += [name for name in feature.removed if name.lower() not in rule.request]
    parts = {"set": _set(_spilled(rule.request, MAX_SET), feature.computed), "remove": _cut(rule.removed)}
    _extend("request", parts, rule, location, output, feature.causes)


def response_fields(feature: ResponseHeaders, rule: RuleDraft, location: Location, output: Output) -> None:
    """Say which fields clients get."""
    rule.response |= _by_name(feature.fields)
    rule.added += feature.added
    rule.hidden += [name for name in feature.hidden if name.lower() not in rule.response]
    parts = {
        "set": _set(_spilled(rule.response, MAX_KEPT), feature.computed),
        "add": [{"name": name, "value": value} for name, value in _cut(rule.added)],
        "remove": _cut(rule.hidden),
    }
    _extend("response", parts, rule, location, output, feature.causes)


def forwarding_fields(rule: RuleDraft, location: Location, output: Output) -> None:
    """Say what the source's controller tells backends of where a request comes from, unless the Ingress says it.

    What the Ingress computes comes behind, and holds; what a filter of the Gateway API sets or takes out would not.
    """
    if not output.options.forwarding_headers:
        return
    said = {*rule.request, *(name.lower() for name in rule.removed)}
    fields = [(name, text) for name, text in output.provider.traits.forwarding if name.lower() not in said]
    if not fields:
        return
    names = ", ".join(name for name, _ in output.provider.traits.forwarding)
    cause = Cause(f"default of {output.provider.title}", subject=names)
    parts = {"set": [{"name": name, "expression": text} for name, text in fields]}
    made = output.filter(location.ingress, "forwarding", {"headers": {"request": parts}}, (cause,))
    if made is not None:
        rule.extensions.insert(0, made)


def _by_name(fields: Iterable[Field]) -> dict[str, Field]:
    return {name.lower(): (name, value) for name, value in fields}


def _spilled(fields: dict[str, Field], room: int) -> list[Field]:
    """Take out what there is no room for."""
    return [fields.pop(name) for name in list(fields)[room:]]


def _cut(items: list[_T]) -> list[_T]:
    """Take out what there is no room for."""
    found = items[MAX_SET:]
    del items[MAX_SET:]
    return found


def _set(fields: Iterable[Field], computed: Iterable[Field]) -> list[Any]:
    by_name = {name.lower(): {"name": name, "value": value} for name, value in fields}
    by_name |= {name.lower(): {"name": name, "expression": text} for name, text in computed}
    return list(by_name.values())


def _extend(
    side: Literal["request", "response"],
    parts: dict[str, list[Any]],
    rule: RuleDraft,
    location: Location,
    output: Output,
    causes: tuple[Cause, ...],
) -> None:
    """HTTPFilters with the rest, as many as it takes."""
    for start in range(0, max(map(len, parts.values())), MAX_SET):
        content = {key: some for key, items in parts.items() if (some := items[start : start + MAX_SET])}
        name = output.filter(location.ingress, "fields", {"headers": {side: content}}, causes)
        rule.extensions += [name] if name is not None else []
