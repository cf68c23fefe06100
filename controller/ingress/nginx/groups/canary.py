"""Canaries. Precedence: header, cookie, weight.

Source: `internal/ingress/annotations/canary`, `route_to_alternative_balancer` of `balancer.lua`; whether sessions
have a side is said at the canary (`mergeAlternativeBackend`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import Canary, Feature
from ...reading import Reading

_NAMES = (
    "canary-weight",
    "canary-weight-total",
    "canary-by-header",
    "canary-by-header-value",
    "canary-by-header-pattern",
    "canary-by-cookie",
    "affinity-canary-behavior",
)
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
#: Below it a total does not count.
_LEAST_TOTAL = 100


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if not reading.flag("canary"):
        for name in _NAMES:
            reading.tell(name, "dropped-harmless", "without canary it never did anything", "take it out")
        return
    total = reading.number("canary-weight-total", _LEAST_TOTAL)
    if total < _LEAST_TOTAL:
        reading.tell("canary-weight-total", "invalid", f"only more than 100 counts: {_LEAST_TOTAL} holds", "correct it")
        total = _LEAST_TOTAL
    weight = reading.number("canary-weight")
    if weight > total:
        reading.tell("canary-weight", "invalid", f"it is more than the total: {total} holds", "correct it")
        weight = total
    header, cookie = _name(reading, "canary-by-header"), _name(reading, "canary-by-cookie")
    value = reading.text("canary-by-header-value")
    pattern = "" if value else reading.text("canary-by-header-pattern")
    if value:
        reading.tell("canary-by-header-pattern", "dropped-harmless", "canary-by-header-value goes before it")
    if not header:
        for name in ("canary-by-header-value", "canary-by-header-pattern"):
            reading.tell(name, "dropped-harmless", "without canary-by-header it never did anything", "take it out")
    behavior = reading.text("affinity-canary-behavior", "sticky")
    if behavior not in {"sticky", "legacy"}:
        message = f"there is no {behavior}: sticky holds, as before"
        reading.tell("affinity-canary-behavior", "invalid", message, "write sticky or legacy")
    yield Canary(
        causes=reading.causes("canary", *_NAMES),
        header=header,
        value=value if header else "",
        pattern=pattern if header else "",
        cookie=cookie,
        weight=weight,
        total=total,
        sticky=behavior != "legacy",
    )


def _name(reading: Reading, name: str) -> str:
    found = reading.text(name)
    if found and not _TOKEN.fullmatch(found):
        reading.tell(name, "invalid", f"{found} is no name: it did nothing", "correct it")
        return ""
    return found
