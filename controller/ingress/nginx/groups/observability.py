"""What is written down of requests, and who begins a trace.

Source: `log`, `opentelemetry` of `internal/ingress/annotations`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Feature, NoAccessLog, RequestHeaders
from ...reading import Reading

#: Fields by which a trace goes on (W3C Trace Context).
_TRACE = ("traceparent", "tracestate")
_TRUST = "opentelemetry-trust-incoming-span"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    if not reading.flag("enable-access-log", default=True):
        yield NoAccessLog(causes=reading.causes("enable-access-log"))
    settings = reading.settings
    if not reading.flag("enable-opentelemetry", default=settings.flag("enable-opentelemetry")):
        message = "without enable-opentelemetry it never did anything"
        reading.tell(_TRUST, "dropped-harmless", message, "take it out")
    elif not reading.flag(_TRUST, default=settings.flag(_TRUST)):
        cause = reading.setting_or(_TRUST, _TRUST).cause
        yield RequestHeaders(causes=(cause,), removed=_TRACE)
    else:
        reading.tell(_TRUST, "converted", "`traceparent` and `tracestate` go on")
