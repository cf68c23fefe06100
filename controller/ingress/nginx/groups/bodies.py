"""Bodies of requests: how large, and whether they are collected.

Source: `internal/ingress/annotations/proxy`. The setting `proxy-body-size` holds for the Gateway, see `emit.gateways`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import BodyLimit, CollectBody, Feature
from ...reading import Reading

#: Octets of a body that may be collected at most (HTTPFilter).
_MAX_COLLECTED = 1 << 30


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    size = reading.octets("proxy-body-size", reading.settings.octets("proxy-body-size"))
    if reading.value("proxy-body-size") is not None:
        yield BodyLimit(causes=reading.causes("proxy-body-size"), octets=size)
    buffering = reading.text("proxy-request-buffering")
    if buffering == "off":
        reading.tell("proxy-request-buffering", "converted", "bodies go on as they come")
    elif buffering == "on":
        yield CollectBody(
            causes=reading.causes("proxy-request-buffering", "proxy-body-size"),
            octets=min(size or _MAX_COLLECTED, _MAX_COLLECTED),
        )
    elif buffering:
        reading.tell(
            "proxy-request-buffering", "invalid", "on or off is expected: bodies go on as they come", "correct it"
        )
