"""Annotations of Services: how they are spoken to, and clients that stay with an endpoint.

Source: `loadService` and `getProtocol` of Traefik's provider of Ingresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ...api import Service
from ...api.ingress import IngressServiceBackend
from .. import values
from ..cookie_values import same_site
from ..features import Affinity, BackendTls, Closed, Feature, Protocol
from ..losses import Cause
from ..reading import Reading

_SCHEME, _COOKIE, _MIDDLEWARES = "service.serversscheme", "service.sticky.cookie", "service.middlewares"
_NAMES = tuple(f"{_COOKIE}.{name}" for name in ("name", "path", "maxage", "domain", "samesite", "secure"))
_PROTOCOLS: dict[str, Literal["HTTP", "HTTPS", "GRPC"]] = {"http": "HTTP", "https": "HTTPS", "h2c": "GRPC"}
#: A port that is spoken to by TLS, where no scheme is written; so is one whose name begins with `https`.
_TLS_PORT, _TLS_NAME = 443, "https"


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of a Service."""
    middlewares = reading.value(_MIDDLEWARES)
    if middlewares is not None:
        yield Closed(causes=(middlewares.cause,), reason="Middlewares of a Service are not read")
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
        site = same_site(reading.text(f"{_COOKIE}.samesite"))
        if site is None:
            reading.tell(f"{_COOKIE}.samesite", "invalid", "strict, lax or none is expected", "correct the value")
        domain = reading.text(f"{_COOKIE}.domain").removeprefix(".").lower()
        if domain and not values.is_host(domain):
            reading.tell(f"{_COOKIE}.domain", "invalid", "it is no domain: it is left out", "correct the name")
            domain = ""
        yield Affinity(
            causes=reading.causes(_COOKIE, *_NAMES),
            cookie=name,
            path=path,
            seconds=seconds,
            domain=domain,
            same_site=site or "",
            secure=True if reading.flag(f"{_COOKIE}.secure") else None,
        )
        return
    for each in _NAMES:
        reading.tell(each, "dropped-harmless", "without sticky.cookie it never did anything", "take it out")


def has_scheme(reading: Reading) -> bool:
    """Whether a Service says how it is spoken to."""
    return reading.value(_SCHEME) is not None


def by_port(reading: Reading, name: str, service: Service | None) -> Iterator[Feature]:
    """Make the features that ports of a Service say by themselves, where it has no scheme.

    Args:
        reading: of the Ingress.
        name: of the Service.
        service: None: it is not here, and the Ingress has to say which port it is.
    """
    ports = [(cause, _is_tls(backend, service)) for cause, backend in _backends(reading, name)]
    causes = tuple(cause for cause, by_tls in ports if by_tls)
    if not causes:
        return
    if len(causes) < len(ports):
        message = f"one port of {name} is spoken to by TLS there and another one is not: none is here"
        reading.ledger.tell(causes[0], "no-equivalent", message, "write an Ingress for each port")
        return
    message = f"the port is 443 or called https, so {name} is spoken to by TLS; its certificate has to be for its name"
    reading.ledger.tell(causes[0], "converted-with-difference", message, "see what the BackendTLSPolicy verifies")
    yield Protocol(causes=causes, name="HTTPS")
    yield BackendTls(causes=causes, verify=True)


def _backends(reading: Reading, name: str) -> Iterator[tuple[Cause, IngressServiceBackend]]:
    ingress, inventory = reading.ingress, reading.inventory
    default = ingress.default_backend
    if default is not None and default.name == name:
        yield inventory.cause(ingress, "spec.defaultBackend"), default
    for number, rule in enumerate(ingress.spec.rules):
        for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
            backend = path.backend.of_service()
            if backend is not None and backend.name == name:
                yield inventory.cause(ingress, f"spec.rules[{number}].http.paths[{index}]", path.path or "/"), backend


def _is_tls(backend: IngressServiceBackend, service: Service | None) -> bool:
    number, label = backend.port.number, backend.port.name
    for port in service.spec.ports if service is not None else ():
        if port.port == number or (label and port.name == label):
            number, label = port.port, port.name
            break
    return number == _TLS_PORT or label.startswith(_TLS_NAME)
