"""What stands in for errors.

Source: `customhttperrors`, `defaultbackend`, `disableproxyintercepterrors` of `internal/ingress/annotations`. An
Ingress without `default-backend` has its errors told by the Service of a flag, `--default-backend-service`.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import ErrorPages, Feature
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    written = reading.value("custom-http-errors")
    if written is None and reading.settings.is_written("custom-http-errors"):
        written = reading.settings.value("custom-http-errors")
    found = [values.number(item) for item in values.words(written.text)] if written is not None else []
    statuses = tuple(sorted({item for item in found if item is not None and 400 <= item < 600}))
    if len(set(found)) != len(statuses):
        message = "statuses from 400 to 599 are expected; the others are left out"
        reading.tell("custom-http-errors", "invalid", message, "correct the list")
    if reading.flag("disable-proxy-intercept-errors"):
        statuses = ()
    backend = reading.value("default-backend")
    if backend is None:
        if written is not None and statuses:
            message = "no Service is named for the pages: errors of backends go on as they are"
            reading.tell_of(written, "no-equivalent", message, "name one by default-backend")
        return
    causes = (backend.cause, *reading.causes("custom-http-errors", "disable-proxy-intercept-errors"))
    yield ErrorPages(causes=causes, statuses=statuses, service=backend.text, namespace=reading.ingress.namespace)
