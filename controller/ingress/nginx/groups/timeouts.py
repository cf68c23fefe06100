"""How long a backend may be silent: between two reads, never for an answer as a whole.

Source: `internal/ingress/annotations/proxy`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, Timeouts
from ...losses import Cause
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    found: dict[str, int] = {}
    causes: list[Cause] = []
    for name in ("proxy-connect-timeout", "proxy-read-timeout"):
        if reading.value(name) is not None:
            found[name] = reading.bare_seconds(name, reading.settings.number(name))
            causes += reading.causes(name)
        elif reading.settings.is_written(name):
            found[name] = reading.settings.number(name)
            causes.append(reading.settings.value(name).cause)
    if any(found.values()):
        connect, wait = found.get("proxy-connect-timeout", 0), found.get("proxy-read-timeout", 0)
        yield Timeouts(causes=tuple(causes), connect=connect * 1000, read=wait * 1000)
