"""What the settings of ingress-nginx ask of the whole Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from .. import values
from ..features import BodyLimit, ClientAddress, Feature, Underscores
from ..losses import Ledger
from ..settings import Settings


def of_gateway(settings: Settings, ledger: Ledger) -> Iterator[Feature]:
    """Make features of the settings."""
    size = settings.value("proxy-body-size")
    octets = values.octets(size.text)
    if octets:
        yield BodyLimit(causes=(size.cause,), octets=octets)
    if not settings.flag("enable-underscores-in-headers"):
        yield Underscores(causes=(settings.value("enable-underscores-in-headers").cause,))
    forwarded, proxy = settings.flag("use-forwarded-headers"), settings.flag("use-proxy-protocol")
    if not (forwarded or proxy):
        return
    cause = settings.value("use-forwarded-headers" if forwarded else "use-proxy-protocol").cause
    blocks = [values.network(item) for item in values.words(settings.value("proxy-real-ip-cidr").text)]
    trusted = tuple(item for item in blocks if item is not None and not item.endswith("/0"))
    if not trusted:
        message = "everybody is believed there, and nobody here: who is has to be named"
        remedy = "give the addresses of the load balancers in proxy-real-ip-cidr"
        ledger.tell(cause, "no-equivalent", message, remedy)
        return
    yield ClientAddress(
        causes=(cause, settings.value("proxy-real-ip-cidr").cause), trusted=trusted, proxy_protocol=proxy
    )
