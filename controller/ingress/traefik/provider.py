"""The provider: annotations of an Ingress, its Middlewares, and annotations of its Services."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ...api.ingress import Ingress
from ..expressions import CLIENT, PORT
from ..features import Feature, Features
from ..losses import Ledger
from ..provider import Traits
from ..reading import Reading
from ..rows import Annotation, Setting
from ..settings import Settings
from . import middlewares, routers, services
from .table import ANNOTATIONS, INVENTED, ROWS

#: By the name that the rows of the table have.
GROUPS: dict[str, Callable[[Reading], Iterable[Feature]]] = {
    "routers": routers.read,
    "middlewares": middlewares.read,
    "services": services.read,
}


class Traefik:
    """See `provider.Provider`."""

    name = "traefik"
    title = "Traefik"
    prefix = "traefik.ingress.kubernetes.io/"
    owned: tuple[str, ...] = (prefix,)
    ignores_case = True
    controllers: tuple[str, ...] = ("traefik.io/ingress-controller",)
    ingress_class = "traefik"
    annotations: Mapping[str, Annotation] = ANNOTATIONS
    rows: Mapping[str, Annotation] = ROWS
    invented: Mapping[str, str] = INVENTED
    settings: Mapping[str, Setting] = {}
    traits = Traits(
        shows_certificate=True,
        prefixes_by_text=True,
        longest_rule_first=True,
        takes_classless=True,
        field_first=True,
        forwarding=(("X-Real-Ip", CLIENT), ("X-Forwarded-Port", PORT)),
    )

    def read(self, reading: Reading) -> Iterable[Feature]:
        """The features of an Ingress; tells what cannot be read."""
        return Features([*routers.read(reading), *middlewares.read(reading)])

    def of_service(self, reading: Reading, service: str) -> Iterator[Feature]:
        """What a Service says of itself."""
        found = reading.inventory.services.get((reading.ingress.namespace, service))
        own = Reading(reading.ingress, self, reading.settings, reading.inventory, reading.ledger, found)
        if found is not None:
            yield from services.read(own)
            own.tell_fates()
        if found is None or not services.has_scheme(own):
            yield from services.by_port(reading, service, found)

    def refused_host(self, _ingress: Ingress, _owner: Ingress | None) -> str:
        """Any Ingress may have a part in a host."""
        return ""

    def rank(self, _ingress: Ingress) -> int:
        """The oldest goes first."""
        return 0

    def of_gateway(self, _settings: Settings, _ledger: Ledger) -> Iterator[Feature]:
        """Nothing: what is about all of Traefik is in its static configuration, which no object has."""
        return iter(())

    def refused_path(self, _kind: str, path: str, _settings: Settings) -> str:
        """Why a path would not be served; empty: it would."""
        return "" if path.startswith("/") else f"the path {path} does not begin with /"


TRAEFIK = Traefik()
