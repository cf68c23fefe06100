"""How long a backend may be silent: between two reads, never for an answer as a whole; and between two writes.

Source: `internal/ingress/annotations/proxy`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, Timeouts
from ...losses import Cause
from ...reading import Reading

_CONNECT, _READ, _SEND = "proxy-connect-timeout", "proxy-read-timeout", "proxy-send-timeout"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    found: dict[str, int] = {}
    causes: list[Cause] = []
    for name in (_CONNECT, _READ, _SEND):
        if reading.value(name) is not None:
            found[name] = reading.bare_seconds(name, reading.settings.number(name))
            causes += reading.causes(name)
        elif reading.settings.is_written(name):
            found[name] = reading.settings.number(name)
            causes.append(reading.settings.value(name).cause)
    if not any(found.values()):
        return
    stall = 0
    if _READ in found or _SEND in found:
        # Nobody tells here whether a backend that is waited for should read or write: the longer time holds for both.
        stall = max(found.get(name, reading.settings.number(name)) for name in (_READ, _SEND))
    yield Timeouts(
        causes=tuple(causes),
        connect=found.get(_CONNECT, 0) * 1000,
        read=found.get(_READ, 0) * 1000,
        stall=stall * 1000,
    )
