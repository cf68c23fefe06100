"""Paths as regular expressions, and what becomes of them.

Source: `internal/ingress/annotations/rewrite`, `buildProxyPass` of `template.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, RegexPaths, Rewrite
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if reading.flag("use-regex"):
        yield RegexPaths(causes=reading.causes("use-regex"))
    target = reading.value("rewrite-target")
    if target is not None:
        yield Rewrite(causes=(target.cause,), target=target.text)
