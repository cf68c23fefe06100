"""The provider: reads all groups of annotations of an Ingress, in one order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ...api.ingress import Ingress
from ..expressions import CLIENT, PORT
from ..features import Feature
from ..losses import Ledger
from ..nginx.groups.snippets import read_snippets
from ..provider import Traits
from ..reading import Reading
from ..rows import Annotation, Setting
from ..settings import Settings
from . import mergeable
from .gateway import of_gateway
from .groups import access, backends, limits, paths, redirects, traffic
from .mergeable import INHERITED, MASTER, MINION, NOT_OF_MASTERS, NOT_OF_MINIONS, OF_SERVERS, kind_of
from .settings import SETTINGS
from .table import ANNOTATIONS, INVENTED, ROWS

#: Reads the annotations of a group.
Read = Callable[[Reading], Iterable[Feature]]

_SNIPPETS = ("nginx.org/location-snippets", "nginx.org/server-snippets")


def _merge(reading: Reading) -> Iterable[Feature]:
    """Give a minion what its master says; leave out what the controller takes from neither."""
    kind = kind_of(reading.ingress)
    if kind == MASTER:
        for name in NOT_OF_MASTERS:
            reading.ignore(name, "the controller does not take it from a master: its minions may have it")
    elif kind == MINION:
        for name in NOT_OF_MINIONS:
            reading.ignore(name, "the controller does not take it from a minion: its master may have it")
        master = mergeable.master_of(reading.ingress, reading.inventory)
        reading.inherit(master or reading.ingress, instead=OF_SERVERS, besides=INHERITED)
    elif kind:
        reading.tell(mergeable.KIND, "invalid", f"there is no kind {kind}: it did nothing", "write master or minion")
    return ()


def _read_snippets(reading: Reading) -> Iterable[Feature]:
    """A flag of the controller honours them, which no object has: those that refuse requests close their paths."""
    return read_snippets(reading, _SNIPPETS, "", honoured=True, converted=True)


#: By the name that the rows of the table have.
GROUPS: dict[str, Read] = {
    "mergeable": _merge,
    "redirects": redirects.read,
    "paths": paths.read,
    "access": access.read,
    "limits": limits.read,
    "traffic": traffic.read,
    "backends": backends.read,
    "snippets": _read_snippets,
}


class F5Nginx:
    """See `provider.Provider`."""

    name = "f5"
    title = "NGINX Ingress Controller"
    prefix = ""
    owned: tuple[str, ...] = (
        "nginx.org/",
        "nginx.com/",
        "nsm.nginx.com/",
        "appprotect.f5.com/",
        "appprotectdos.f5.com/",
        "ingress.kubernetes.io/ssl-redirect",
    )
    ignores_case = False
    controllers: tuple[str, ...] = ("nginx.org/ingress-controller",)
    ingress_class = "nginx"
    annotations: Mapping[str, Annotation] = ANNOTATIONS
    rows: Mapping[str, Annotation] = ROWS
    invented: Mapping[str, str] = INVENTED
    settings: Mapping[str, Setting] = SETTINGS
    traits = Traits(
        answers_everywhere=True,
        adds_slash=True,
        prefixes_by_text=True,
        has_more_settings=True,
        forwarding=(("X-Real-IP", CLIENT), ("X-Forwarded-Port", PORT)),
    )

    def read(self, reading: Reading) -> Iterator[Feature]:
        """The features of an Ingress; tells what cannot be read."""
        for read in GROUPS.values():
            yield from read(reading)

    def of_service(self, reading: Reading, service: str) -> Iterator[Feature]:
        """The features of the paths of one Service."""
        if kind_of(reading.ingress) == MASTER:
            return
        yield from paths.of_service(reading, service)
        yield from backends.of_service(reading, service)

    def refused_host(self, ingress: Ingress, owner: Ingress | None) -> str:
        """A host is one Ingress's alone, but for a master and its minions."""
        if kind_of(ingress) == MINION:
            is_master = owner is not None and kind_of(owner) == MASTER
            return "" if is_master else "no master has this host, and a minion has none by itself"
        if owner is None or owner.key == ingress.key:
            return ""
        return f"{owner.key} has this host, and the controller gives it to one Ingress alone"

    def rank(self, ingress: Ingress) -> int:
        """Minions come once all masters are there."""
        return 1 if kind_of(ingress) == MINION else 0

    def of_gateway(self, settings: Settings, ledger: Ledger) -> Iterator[Feature]:
        """The features of the whole Gateway."""
        return of_gateway(settings, self.title, ledger)

    def refused_path(self, _kind: str, path: str, _settings: Settings) -> str:
        """Why a path would not be served; empty: it would."""
        return "" if path.startswith("/") else f"the path {path} does not begin with /"


F5 = F5Nginx()
