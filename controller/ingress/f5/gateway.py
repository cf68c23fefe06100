"""What the settings of F5's controller ask of the whole Gateway."""

from __future__ import annotations

from collections.abc import Iterator

from .. import values
from ..features import BodyLimit, ClientAddress, Feature, Underscores
from ..losses import Cause, Ledger
from ..settings import Settings


def of_gateway(settings: Settings, title: str, ledger: Ledger) -> Iterator[Feature]:
    """Make features of the settings; `title` is what the controller is called."""
    size = settings.value("client-max-body-size")
    octets = settings.octets("client-max-body-size")
    if octets:
        yield BodyLimit(causes=(size.cause,), octets=octets)
    # The directive has no key: nginx drops such fields unless a snippet says otherwise.
    yield Underscores(causes=(Cause(f"default of {title}", "", 0, "underscores_in_headers", "off"),))
    proxy = settings.flag("proxy-protocol")
    by_header = settings.value("real-ip-header").text.lower() == "x-forwarded-for"
    source = settings.value("set-real-ip-from")
    networks = [values.network(item) for item in values.words(source.text)]
    trusted = tuple(item for item in networks if item is not None and not item.endswith("/0"))
    if not (proxy or (by_header and source.text)):
        return
    cause = settings.value("proxy-protocol" if proxy else "real-ip-header").cause
    if not trusted:
        message = "everybody is believed there, and nobody here: who is has to be named"
        ledger.tell(cause, "no-equivalent", message, "give the addresses of the load balancers in set-real-ip-from")
        return
    yield ClientAddress(causes=(cause, source.cause), trusted=trusted, proxy_protocol=proxy)
