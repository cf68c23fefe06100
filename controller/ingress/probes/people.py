"""Who asks, and with which fields: what annotations look at besides host and path."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ...api.ingress import Ingress
from .exchange import Field, Probe

PREFIX = "nginx.ingress.kubernetes.io/"
#: Blocks of one list that are looked at.
MAX_BLOCKS = 4
_CANARY_VALUES = ("always", "never", "something")
_LISTS = (
    "allowlist-source-range",
    "whitelist-source-range",
    "denylist-source-range",
    "limit-allowlist",
    "limit-whitelist",
)
_ORIGINS = ("https://app.example.com", "https://evil.example.net", "http://localhost:3000")
_PREFLIGHT: tuple[Field, ...] = (
    ("access-control-request-method", "PUT"),
    ("access-control-request-headers", "content-type"),
)


def people(base: Probe, ingresses: Iterable[Ingress]) -> Iterator[Probe]:
    """The same request by others: for each annotation of the Ingresses of a host those that it would tell apart.

    Args:
        base: a request of a path.
        ingresses: of the host.
    """
    yield _with(base, "a field with an underscore", headers=(("x_under_score", "1"), ("x-plain", "1")))
    yield _with(base, "a lie about TLS", headers=(("x-forwarded-proto", "https"),))
    annotations: dict[str, set[str]] = {}
    for item in ingresses:
        for name, value in item.metadata.annotations.items():
            if name.startswith(PREFIX):
                annotations.setdefault(name.removeprefix(PREFIX), set()).add(value)
    yield from _canaries(base, annotations)
    yield from _addresses(base, annotations)
    if "auth-type" in annotations:
        yield _with(base, "somebody with a password", user="anna")
    if "auth-tls-secret" in annotations:
        yield _with(base, "somebody with a certificate", certificate=True)
    if base.method != "GET":
        return  # a call of gRPC has its method, and no browser makes one
    yield _with(base, "a method", method="POST")
    if "enable-cors" in annotations:
        yield from _origins(base, annotations)


def _with(base: Probe, edge: str, **changed: Any) -> Probe:  # noqa: ANN401 (any attribute)
    headers = (*base.headers, *changed.pop("headers", ()))
    return msgspec.structs.replace(base, edge=f"{base.edge}, {edge}", headers=headers, **changed)


def _canaries(base: Probe, annotations: dict[str, set[str]]) -> Iterator[Probe]:
    values = sorted({*_CANARY_VALUES, *annotations.get("canary-by-header-value", ())})
    for header in sorted(annotations.get("canary-by-header", ())):
        for value in values:
            yield _with(base, f"{header}: {value}", headers=((header.strip().lower(), value),))
    for cookie in sorted(annotations.get("canary-by-cookie", ())):
        for value in _CANARY_VALUES:
            told = (("cookie", f"other=1; {cookie.strip()}={value}"),)
            yield _with(base, f"the cookie {cookie}={value}", headers=told)
            for header in sorted(annotations.get("canary-by-header", ())):
                both = ((header.strip().lower(), "never"), *told)
                yield _with(base, f"{header}: never, and the cookie {cookie}={value}", headers=both)


def _addresses(base: Probe, annotations: dict[str, set[str]]) -> Iterator[Probe]:
    for name in _LISTS:
        for text in sorted(annotations.get(name, ())):
            for item in text.split(",")[:MAX_BLOCKS]:
                try:
                    block = ipaddress.ip_network(item.strip(), strict=False)
                except ValueError:
                    continue
                first, last = int(block.network_address), int(block.broadcast_address)
                family = ipaddress.IPv4Address if block.version == 4 else ipaddress.IPv6Address
                for number, edge in ((first, "the first of"), (last, "the last of"), (last + 1, "the one behind")):
                    if number < 1 << block.max_prefixlen:
                        yield _with(base, f"{edge} {block}", client=str(family(number)))


def _origins(base: Probe, annotations: dict[str, set[str]]) -> Iterator[Probe]:
    named = {
        item.strip().replace("*", "sub")
        for text in annotations.get("cors-allow-origin", ())
        for item in text.split(",")
        if "://" in item
    }
    for origin in sorted({*_ORIGINS, *named}):
        yield _with(base, f"from {origin}", headers=(("origin", origin),))
        told = (("origin", origin), *_PREFLIGHT)
        yield _with(base, f"a preflight from {origin}", method="OPTIONS", headers=told)
    yield _with(base, "OPTIONS that is no preflight", method="OPTIONS")
