"""Copies of requests.

Source: `internal/ingress/annotations/mirror`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Feature, Mirror
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    target = reading.value("mirror-target")
    if target is None:
        for name in ("mirror-host", "mirror-request-body"):
            reading.tell(name, "dropped-harmless", "without mirror-target it never did anything", "take it out")
        return
    host = reading.text("mirror-host")
    if host and not values.is_host(host.lower()):
        reading.tell("mirror-host", "invalid", "it is no host: that of the URL holds", "correct the name")
        host = ""
    yield Mirror(
        causes=reading.causes("mirror-target", "mirror-host", "mirror-request-body"),
        url=target.text,
        host=host.lower(),
        body=reading.text("mirror-request-body", "on") != "off",
    )
