"""Paths as expressions, and what backends get in their place.

Source: `createLocation`, `generateIngressPath` of `internal/configs/ingress.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import ExactPaths, Feature, PathEdit, RegexPaths, Rewrite
from ...reading import Reading

_REGEX, _REWRITES, _TARGET = "nginx.org/path-regex", "nginx.org/rewrites", "nginx.org/rewrite-target"
_REWRITE = re.compile(r"serviceName=(?P<service>\S+)\s+rewrite=(?P<path>/\S*)")
#: `exact` is about all types of paths.
_TYPES = ("Exact", "Prefix", "ImplementationSpecific", "")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    kind, target = reading.value(_REGEX), reading.value(_TARGET)
    has_expressions = kind is not None and kind.text in {"case_sensitive", "case_insensitive"}
    if kind is not None and kind.text == "exact":
        yield ExactPaths(causes=(kind.cause,), types=_TYPES)
    elif has_expressions and kind is not None:
        yield RegexPaths(causes=(kind.cause,), ignores_case=kind.text == "case_insensitive")
    elif kind is not None:
        message = f"there is no kind {kind.text}: paths stay prefixes, as before"
        reading.tell(_REGEX, "invalid", message, "write case_sensitive, case_insensitive or exact")
    wrong = [item for item in _entries(reading) if not _REWRITE.fullmatch(item)]
    if wrong:
        message = f"no rewrite: {'; '.join(wrong)}: the controller refused the Ingress"
        reading.tell(_REWRITES, "invalid", message, "write serviceName=NAME rewrite=/PATH, parted by ;")
    if target is None:
        return
    if reading.value(_REWRITES) is not None:
        reading.tell(_TARGET, "dropped-harmless", "rewrites goes before it, and it never did anything", "take it out")
    elif has_expressions:
        yield Rewrite(causes=(target.cause,), target=target.text)
    elif not target.text.startswith("/") or "$" in target.text:
        message = "a path is expected, and groups need path-regex: nothing is rewritten"
        reading.tell(_TARGET, "invalid", message, "write path-regex as well")
    else:
        yield PathEdit(causes=(target.cause,), kind="Full", replacement=target.text)


def of_service(reading: Reading, service: str) -> Iterator[Feature]:
    """The rewrite of one Service."""
    for entry in _entries(reading):
        found = _REWRITE.fullmatch(entry)
        if found is not None and found["service"] == service:
            yield PathEdit(causes=reading.causes(_REWRITES), kind="Prefix", replacement=found["path"])


def _entries(reading: Reading) -> list[str]:
    return [item.strip() for item in reading.text(_REWRITES).split(";") if item.strip()]
