"""Times, sizes, retries, and fields of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ... import values
from ...features import BodyLimit, Feature, RequestHeaders, ResponseHeaders, Retry, Timeouts
from ...losses import Cause
from ...reading import Reading

_SIZE = "nginx.org/client-max-body-size"
_NEXT, _TRIES = "nginx.org/proxy-next-upstream", "nginx.org/proxy-next-upstream-tries"
_SET, _HIDE = "nginx.org/proxy-set-headers", "nginx.org/proxy-hide-headers"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    default = reading.settings.octets("client-max-body-size")
    if reading.value(_SIZE) is not None:
        yield BodyLimit(causes=reading.causes(_SIZE), octets=reading.octets(_SIZE, default))
    yield from _times(reading)
    yield from _retry(reading)
    yield from _fields(reading)


def _times(reading: Reading) -> Iterator[Feature]:
    found: dict[str, int] = {}
    causes: list[Cause] = []
    for name in ("proxy-connect-timeout", "proxy-read-timeout"):
        if reading.value(f"nginx.org/{name}") is not None:
            found[name] = reading.seconds(f"nginx.org/{name}")
            causes += reading.causes(f"nginx.org/{name}")
        elif reading.settings.is_written(name):
            found[name] = reading.settings.seconds(name)
            causes.append(reading.settings.value(name).cause)
    if any(found.values()):
        connect, wait = found.get("proxy-connect-timeout", 0), found.get("proxy-read-timeout", 0)
        yield Timeouts(causes=tuple(causes), connect=connect * 1000, read=wait * 1000)


def _retry(reading: Reading) -> Iterator[Feature]:
    tries = reading.number(_TRIES, 3) or 3
    words = reading.text(_NEXT).split()
    codes = sorted({int(item[5:]) for item in words if re.fullmatch(r"http_5\d\d", item)})
    if codes and tries > 1 and "off" not in words:
        yield Retry(causes=reading.causes(_NEXT, _TRIES), codes=tuple(codes), attempts=tries - 1)
    elif not codes:
        message = "connections that fail are tried elsewhere; no answers are asked for again"
        reading.tell(_TRIES, "converted-with-difference", message)


def _fields(reading: Reading) -> Iterator[Feature]:
    fields: list[tuple[str, str]] = []
    for item in reading.words(_SET):
        name, colon, value = (part.strip() for part in item.partition(":"))
        if not _TOKEN.fullmatch(name) or "$" in value:
            message = f"{item}: no field with a value that stands there as it is; it is left out"
            reading.tell(_SET, "no-equivalent", message, "HTTPFilter `headers.request.set[].expression`")
        elif colon and value:
            fields.append((name, value))
    if fields:
        yield RequestHeaders(causes=reading.causes(_SET), fields=tuple(fields))
    hidden = reading.value(_HIDE)
    if hidden is None and reading.settings.is_written("proxy-hide-headers"):
        hidden = reading.settings.value("proxy-hide-headers")
    if hidden is not None:
        yield ResponseHeaders(
            causes=(hidden.cause,), hidden=tuple(item for item in values.words(hidden.text) if values.is_token(item))
        )
