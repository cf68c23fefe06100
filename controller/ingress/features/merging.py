"""Two features of a kind as one: those of several Middlewares, or of annotations and snippets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..losses import Cause
from .access import Addresses, Refusals
from .base import Closed, Feature
from .clients import Limits
from .messages import RequestHeaders, ResponseHeaders
from .paths import PathEdit


def merged(one: Feature, other: Feature) -> Feature | None:
    """Two features of a kind as one; None: they cannot be said together.

    Args:
        one: comes first; of two fields with one name the later one holds.
        other: comes behind it.
    """
    causes = tuple(dict.fromkeys((*one.causes, *other.causes)))
    if isinstance(one, Closed):
        return one
    if replace(one, causes=other.causes) == other:
        return replace(one, causes=causes)
    if isinstance(one, RequestHeaders) and isinstance(other, RequestHeaders):
        return replace(
            one,
            causes=causes,
            fields=(*one.fields, *other.fields),
            computed=(*one.computed, *other.computed),
            removed=(*one.removed, *other.removed),
        )
    if isinstance(one, ResponseHeaders) and isinstance(other, ResponseHeaders):
        return replace(
            one,
            causes=causes,
            fields=(*one.fields, *other.fields),
            added=(*one.added, *other.added),
            computed=(*one.computed, *other.computed),
            hidden=(*one.hidden, *other.hidden),
        )
    if isinstance(one, Refusals) and isinstance(other, Refusals):
        return replace(one, causes=causes, conditions=(*one.conditions, *other.conditions))
    if isinstance(one, Addresses) and isinstance(other, Addresses) and not (one.allowed or other.allowed):
        return replace(one, causes=causes, denied=tuple(dict.fromkeys((*one.denied, *other.denied))))
    if isinstance(one, Limits) and isinstance(other, Limits):
        together = (*one.limits, *other.limits)
        names = {item.name for item in together}
        return replace(one, causes=causes, limits=together) if len(names) == len(together) else None
    return _merged_edits(one, other, causes)


def _merged_edits(one: Feature, other: Feature, causes: tuple[Cause, ...]) -> Feature | None:
    """A prefix that is taken off, and one that is added then."""
    if not (isinstance(one, PathEdit) and isinstance(other, PathEdit)):
        return None
    if (one.kind, other.kind, one.replacement) != ("Prefix", "Add", "/"):
        return None
    return replace(one, causes=causes, replacement=other.replacement)


def each_once(found: Iterable[Feature]) -> tuple[list[Feature], list[Feature]]:
    """Features, one of each kind; and those that cannot be said together with an earlier one of their kind."""
    by_kind: dict[type[Feature], Feature] = {}
    clashing: list[Feature] = []
    for feature in found:
        there = by_kind.get(type(feature))
        made = feature if there is None else merged(there, feature)
        if made is None:
            clashing.append(feature)
        else:
            by_kind[type(made)] = made
    return list(by_kind.values()), clashing
