"""Annotations of Services: how they are spoken to, and clients that stay with an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..features import Affinity, BackendTls, Feature, Protocol
from ..reading import Reading

_SCHEME, _COOKIE = "service.serversscheme", "service.sticky.cookie"
_NAMES = (f"{_COOKIE}.name", f"{_COOKIE}.path", f"{_COOKIE}.maxage")
_PROTOCOLS: dict[str, Literal["HTTP", "HTTPS", "GRPC"]] = {"http": "HTTP", "https": "HTTPS", "h2c": "GRPC"}


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of a Service."""
    scheme = reading.value(_SCHEME)
    protocol = _PROTOCOLS.get(scheme.text.lower()) if scheme is not None else None
    if scheme is not None and protocol is None:
        message = f"there is no scheme {scheme.text}: http holds"
        reading.tell(_SCHEME, "invalid", message, "write http, https or h2c")
    if scheme is not None and protocol is not None:
        yield Protocol(causes=(scheme.cause,), name=protocol)
    if scheme is not None and protocol == "HTTPS":
        yield BackendTls(causes=(scheme.cause,), verify=True)
    if reading.flag(_COOKIE):
        name = reading.text(f"{_COOKIE}.name", "traefik-session")
        seconds = reading.number(f"{_COOKIE}.maxage")
        path = reading.text(f"{_COOKIE}.path", "/")
        yield Affinity(causes=reading.causes(_COOKIE, *_NAMES), cookie=name, path=path, seconds=seconds)
        return
    for each in _NAMES:
        reading.tell(each, "dropped-harmless", "without sticky.cookie it never did anything", "take it out")
