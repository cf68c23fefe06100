"""A case of the migration on two gateways: a real nginx, and the converted manifests on the engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import wire
from migrate_cases import Case
from nginx_annotations import Annotations
from nginx_configuration import Place, configuration
from nginx_process import Nginx
from nginx_site import Site
from surroundings import identity, surroundings
from system_backends import Backend
from system_certificates import Pair
from system_gateway import Gateway, own_address

from sluicegate.controller.api import decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import NGINX, Inventory, Name, convert
from sluicegate.controller.ingress.model import Model
from sluicegate.controller.ingress.probes import Answer, Probe
from sluicegate.engine.native import search_expression
from sluicegate.testing.migration.converted import Converted, Told
from sluicegate.testing.migration.verify import objects_of

Document = dict[str, Any]
OFFSET = 9000
#: Whose backends or clients are others than those of these tests, which speak plain HTTP and have no certificates.
OTHERS = ("auth-tls-secret", "backend-protocol", "ssl-passthrough")
#: Settings by which both believe where a connection says that it comes from.
_PROXY = {"use-proxy-protocol": "true", "proxy-real-ip-cidr": "127.0.0.0/8"}
#: Cases whose values the controller refuses, or whose Ingresses it does not take: nginx never sees them.
REFUSED = {"bad-objects", "classes", "extremes", "nonsense"}
#: Cases about hosts outside, which are not there, and about what is not read without policies of ours.
AWAY = {"auth-fields", "external", "standard-only"}


def fits(case: Case) -> bool:
    """Whether nginx, and the backends of these tests, can do what a case is about."""
    if case.provider is not NGINX or case.name in REFUSED | AWAY:
        return False
    ingresses = [item for item in case.documents() if item["kind"] == "Ingress"]
    return bool(ingresses) and not any(Annotations(item).has(*OTHERS) for item in ingresses)


class Found(NamedTuple):
    """What each of four does with a request: the model of ingress-nginx and nginx, the table and the engine."""

    model: Answer
    nginx: Answer
    table: Told
    engine: Answer


class Twins:
    """A case where who asks comes by the PROXY protocol, with a backend for every port of a Service.

    Attributes:
        inventory: of the case.
        conversion: of it.
        objects: that the model is made of.
        model: of ingress-nginx.
    """

    def __init__(self, case: Case) -> None:
        """Convert it."""
        given = case.options()
        settings = given.config_map or Name("wire", "settings")
        self._documents = case.documents()
        known = [item for item in self._documents if identity(item) == ("ConfigMap", *settings)]
        if not known:
            known = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": settings._asdict(), "data": {}}]
            self._documents += known
        known[0].setdefault("data", {}).update(_PROXY)
        self._options = dataclasses.replace(given, config_map=settings)
        kinds = [_current(item) for item in self._documents if item["kind"] in INGRESS_KINDS]
        self.inventory = Inventory.of(decode(item, CLUSTER, INGRESS_KINDS) for item in kinds)
        self.conversion = convert(self.inventory, NGINX, self._options)
        self._site = Site(self._documents, "/".join(settings))
        self.objects = objects_of(self.inventory, self._options)
        self.model = Model(self.objects, search_expression)
        self._table = Converted(self.conversion, self.inventory)
        self._backends: dict[str, Backend] = {}
        self._nginx: Nginx | None = None
        self._entries: tuple[wire.Entry, wire.Entry] | None = None

    def run(self, binary: str, engine: Gateway, pair: Pair, folder: Path) -> None:
        """Start nginx, and have the engine serve what came out."""
        manifests = [item.document for item in self.conversion.objects]
        wanted = {upstream.backend for upstream in self._site.upstreams.values() if upstream.is_there}
        wanted |= {name for item in manifests for name in _ports(item)}
        self._backends = {name: Backend(wire.backend(name)) for name in (*wanted, "authoriser")}
        at = {name: each.address for name, each in self._backends.items()}
        address, http, https = own_address(), 80 + OFFSET, 443 + OFFSET
        certificate = pair.write(folder, "certificate")
        place = Place(folder, address, http, https, certificate, at, at["authoriser"], wire.PASSWORDS)
        self._nginx = Nginx(binary, configuration(self._site, place), folder, address, http)
        engine.write(*manifests, *surroundings(manifests, pair, at, wire.PASSWORDS))
        self._entries = wire.Entry(address, http, https), wire.Entry(engine.address, http, https)

    def close(self) -> None:
        """Stop nginx and the backends."""
        if self._nginx is not None:
            self._nginx.stop()
        for each in self._backends.values():
            each.close()

    def ask(self, probe: Probe) -> Found:
        """Ask all four."""
        assert self._entries is not None
        theirs, ours = self._entries
        model, table = self.model.answer(probe), self._table.answer(probe)
        nginx, engine = wire.ask(probe, theirs), wire.ask(probe, ours)
        return Found(model, as_far(nginx, model), table, as_far(engine, table.answer))


def _current(item: Document) -> Document:
    """An object in the version of its kind that has the same form."""
    version = item["apiVersion"].replace("extensions/", "networking.k8s.io/")
    return {**item, "apiVersion": version}


def as_far(seen: Answer, said: Answer) -> Answer:
    """An answer with what one request does not show, as it is said to be: shares, copies, who else has a say."""
    names = {item.backend for item in said.backends}
    shares = said.backends if seen.backends and seen.backends[0].backend in names else seen.backends
    return msgspec.structs.replace(seen, backends=shares, mirrored=said.mirrored, asked=said.asked)


def _ports(value: Any) -> Iterator[str]:
    """Every port of a Service that a manifest names."""
    own = value["metadata"].get("namespace", "default")
    for item in _parts(value):
        if "port" in item and "name" in item and item.get("kind", "Service") == "Service":
            yield f"{item.get('namespace', own)}/{item['name']}:{item['port']}"


def _parts(value: Any) -> Iterator[Document]:
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(item, dict):
            yield item
        yield from _parts(item)
