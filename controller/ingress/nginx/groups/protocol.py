"""How backends are spoken to: protocols, and TLS.

Source: `backendprotocol`, `proxyssl` of `internal/ingress/annotations`. ingress-nginx does not verify certificates of
backends unless `proxy-ssl-verify` is `on`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ... import values
from ...features import BackendTls, Closed, Feature, Protocol
from ...reading import Reading

_NAMES: dict[str, Literal["HTTP", "HTTPS", "GRPC", "GRPCS"]] = {
    "HTTP": "HTTP",
    "HTTPS": "HTTPS",
    "GRPC": "GRPC",
    "GRPCS": "GRPCS",
    "AUTO_HTTP": "HTTP",
}


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
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
        causes=(*cause, *reading.causes("proxy-ssl-secret", "proxy-ssl-verify", "proxy-ssl-name")),
        verify=verify == "on",
        secret=reading.object_name(secret.text) if secret is not None else None,
        hostname=hostname,
    )
