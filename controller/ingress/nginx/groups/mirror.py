"""Copies of requests.

Source: `internal/ingress/annotations/mirror`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, Mirror
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    target = reading.value("mirror-target")
    if target is not None:
        yield Mirror(causes=(target.cause,), url=target.text)
