"""What the settings of ingress-nginx ask of the whole Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from .. import values
from ..features import BodyLimit, ClientAddress, ClientConnections, Feature, Underscores
from ..losses import Cause, Ledger
from ..settings import Settings
from .tls_versions import VERSIONS

#: What is said of connections of clients.
_OF_CONNECTIONS = (
    "keep-alive",
    "keep-alive-requests",
    "http2-max-concurrent-streams",
    "large-client-header-buffers",
    "ssl-protocols",
)


def of_gateway(settings: Settings, ledger: Ledger) -> Iterator[Feature]:
    """Make features of the settings."""
    size = settings.value("proxy-body-size")
    octets = settings.octets("proxy-body-size")
    if octets:
        yield BodyLimit(causes=(size.cause,), octets=octets)
    if not settings.flag("enable-underscores-in-headers"):
        yield Underscores(causes=(settings.value("enable-underscores-in-headers").cause,))
    yield from _connections(settings)
    forwarded, proxy = settings.flag("use-forwarded-headers"), settings.flag("use-proxy-protocol")
    if not (forwarded or proxy):
        return
    cause = settings.value("use-forwarded-headers" if forwarded else "use-proxy-protocol").cause
    trusted = settings.networks("proxy-real-ip-cidr")
    if not trusted:
        message = "everybody is believed there, and nobody here: who is has to be named"
        remedy = "give the addresses of the load balancers in proxy-real-ip-cidr"
        ledger.tell(cause, "no-equivalent", message, remedy)
        return
    yield ClientAddress(
        causes=(cause, settings.value("proxy-real-ip-cidr").cause), trusted=trusted, proxy_protocol=proxy
    )


def _connections(settings: Settings) -> Iterator[Feature]:
    """What is written of connections of clients; the defaults are not: those of the gateway are as good."""
    causes: list[Cause] = [settings.value(name).cause for name in _OF_CONNECTIONS if settings.is_written(name)]
    if not causes:
        return

    def number(name: str) -> int:
        return settings.number(name) if settings.is_written(name) else 0

    unkept = settings.is_written("keep-alive") and not settings.number("keep-alive")
    buffers = settings.value("large-client-header-buffers")
    count, _, size = buffers.text.partition(" ")
    octets = (values.number(count) or 0) * (values.octets(size.strip()) or 0)
    written = settings.value("ssl-protocols").text.split() if settings.is_written("ssl-protocols") else []
    yield ClientConnections(
        causes=tuple(causes),
        idle=number("keep-alive"),
        requests=1 if unkept else number("keep-alive-requests"),
        streams=number("http2-max-concurrent-streams"),
        head_octets=octets if settings.is_written("large-client-header-buffers") else 0,
        versions=tuple(dict.fromkeys(VERSIONS[item] for item in written if item in VERSIONS)),
    )
