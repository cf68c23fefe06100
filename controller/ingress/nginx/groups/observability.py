"""What is written down of requests.

Source: `internal/ingress/annotations/log`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, NoAccessLog
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if not reading.flag("enable-access-log", default=True):
        yield NoAccessLog(causes=reading.causes("enable-access-log"))
