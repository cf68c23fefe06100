"""Canaries. Precedence: header, cookie, weight.

Source: `internal/ingress/annotations/canary`, `route_to_alternative_balancer` of `balancer.lua`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import Canary, Feature
from ...reading import Reading

_NAMES = ("weight", "weight-total", "by-header", "by-header-value", "by-header-pattern", "by-cookie")
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
#: Below it a total does not count.
_LEAST_TOTAL = 100


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if not reading.flag("canary"):
        for name in _NAMES:
            reading.tell(f"canary-{name}", "dropped-harmless", "without canary it never did anything", "take it out")
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
    yield Canary(
        causes=reading.causes("canary", *(f"canary-{name}" for name in _NAMES)),
        header=header,
        value=value if header else "",
        pattern=pattern if header else "",
        cookie=cookie,
        weight=weight,
        total=total,
    )


def _name(reading: Reading, name: str) -> str:
    found = reading.text(name)
    if found and not _TOKEN.fullmatch(found):
        reading.tell(name, "invalid", f"{found} is no name: it did nothing", "correct it")
        return ""
    return found
