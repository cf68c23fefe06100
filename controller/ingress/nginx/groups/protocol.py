"""How backends are spoken to: protocols, and TLS.

Source: `backendprotocol`, `proxyssl` of `internal/ingress/annotations`. ingress-nginx does not verify certificates of
backends unless `proxy-ssl-verify` is `on`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from sluicegate.words import listed

from ... import values
from ...features import BackendTls, Closed, Feature, FreshConnections, Protocol
from ...reading import Reading
from ..tls_versions import OLDER, VERSIONS
from .ciphers import named_suites

_NAMES: dict[str, Literal["HTTP", "HTTPS", "GRPC", "GRPCS"]] = {
    "HTTP": "HTTP",
    "HTTPS": "HTTPS",
    "GRPC": "GRPC",
    "GRPCS": "GRPCS",
    "AUTO_HTTP": "HTTP",
}
#: What is about TLS towards backends.
_OF_TLS = (
    "proxy-ssl-secret",
    "proxy-ssl-verify",
    "proxy-ssl-name",
    "proxy-ssl-server-name",
    "proxy-ssl-protocols",
    "proxy-ssl-ciphers",
)


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    yield from _connections(reading)
    written = reading.text("backend-protocol", "HTTP").upper()
    cause = reading.causes("backend-protocol")
    if written == "FCGI":
        reading.tell("backend-protocol", "no-equivalent", "no FastCGI: its paths answer 500", "serve HTTP")
        yield Closed(causes=cause, reason="FastCGI")
        return
    if written == "AUTO_HTTP":
        message = "requests go by plain HTTP, also those that came by TLS"
        reading.tell("backend-protocol", "converted-with-difference", message, "write HTTP or HTTPS")
    name = _NAMES.get(written)
    if name is None:
        reading.tell(
            "backend-protocol", "invalid", f"there is no protocol {written}: HTTP holds, as before", "correct it"
        )
    if cause and name is not None:
        yield Protocol(causes=cause, name=name)
    if name not in {"HTTPS", "GRPCS"}:
        for each in _OF_TLS:
            reading.tell(each, "dropped-harmless", "backends are not spoken to over TLS", "take it out")
        return
    secret = reading.value("proxy-ssl-secret")
    verify = reading.text("proxy-ssl-verify", "off")
    if verify not in {"on", "off"}:
        reading.tell("proxy-ssl-verify", "invalid", "on or off is expected; off holds, as before", "correct the value")
    hostname = reading.text("proxy-ssl-name").lower()
    if hostname and not values.is_host(hostname):
        reading.tell("proxy-ssl-name", "invalid", "it is no host: that of the Service is verified", "correct the name")
        hostname = ""
    yield BackendTls(
        causes=(*cause, *reading.causes(*_OF_TLS)),
        verify=verify == "on",
        secret=reading.object_name(secret.text) if secret is not None else None,
        hostname=hostname,
        versions=_versions(reading),
        suites=named_suites(reading, "proxy-ssl-ciphers", "backends"),
        refuses_verification=reading.value("proxy-ssl-verify") is not None and verify == "off",
        nameless=reading.text("proxy-ssl-server-name") == "off",
    )


def _versions(reading: Reading) -> tuple[Literal["1.2", "1.3"], ...]:
    """The versions that are spoken; none: as the gateway does."""
    written = reading.text("proxy-ssl-protocols").split()
    found = tuple(dict.fromkeys(VERSIONS[item] for item in written if item in VERSIONS))
    older = [item for item in written if item in OLDER]
    unknown = [item for item in written if item not in VERSIONS and item not in OLDER]
    if unknown:
        message = f"there is no {listed(unknown)}: left out"
        reading.tell("proxy-ssl-protocols", "invalid", message, "write TLSv1.2, TLSv1.3")
    if older and not found:
        message = f"{listed(older)}: not spoken, and backends that know nothing newer cannot be reached"
        reading.tell("proxy-ssl-protocols", "no-equivalent", message, "have them speak TLS 1.2")
    elif older:
        message = f"{listed(older)}: not spoken; backends that know nothing newer cannot be reached"
        reading.tell("proxy-ssl-protocols", "converted-with-difference", message, "have them speak TLS 1.2")
    return found


def _connections(reading: Reading) -> Iterator[Feature]:
    """`connection-proxy-header`: `close` ends a connection with its answer; all else keeps it, as the gateway does."""
    written = reading.value("connection-proxy-header")
    if written is not None and written.text.lower() == "close":
        yield FreshConnections(causes=(written.cause,))
