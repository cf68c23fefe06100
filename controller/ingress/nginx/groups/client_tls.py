"""Certificates of clients: they are asked for by port here. Until somebody says how, nobody gets in without one.

Source: `internal/ingress/annotations/authtls`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Closed, Feature
from ...provider import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    secret = reading.value("auth-tls-secret")
    if secret is not None and reading.text("auth-tls-verify-client", "on") != "off":
        yield Closed(causes=(secret.cause,), reason="certificates of clients")
