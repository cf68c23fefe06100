"""Paths as regular expressions, and what becomes of them.

Source: `internal/ingress/annotations/rewrite`, `buildProxyPass` of `template.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Feature, RegexPaths, RequestHeaders, Rewrite
from ...provider import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if reading.flag("use-regex"):
        yield RegexPaths(causes=reading.causes("use-regex"))
    target, prefix = reading.value("rewrite-target"), reading.value("x-forwarded-prefix")
    if target is not None:
        yield Rewrite(causes=(target.cause,), target=target.text)
    if prefix is not None and not values.is_field_value(prefix.text):
        reading.tell("x-forwarded-prefix", "invalid", "it cannot stand in a field: it is left out", "use plain text")
    elif prefix is not None and target is not None:
        yield RequestHeaders(causes=(prefix.cause,), fields=(("X-Forwarded-Prefix", prefix.text),))
    elif prefix is not None:
        message = "without rewrite-target it never did anything"
        reading.tell("x-forwarded-prefix", "dropped-harmless", message, "take it out")
