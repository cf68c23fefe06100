"""Hosts, their locations and their certificates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..api.ingress import Ingress
from .backends import Backend
from .features import Canary, ClientCertificates, Features, OpenPaths
from .losses import Cause
from .options import Name

PathKind = Literal["Exact", "Prefix"]


@dataclass(frozen=True, slots=True)
class CanaryBackend:
    """What takes a part of a location's requests.

    Attributes:
        feature: which part.
        backend: where they go.
        cause: the path of the canary's Ingress.
    """

    feature: Canary
    backend: Backend
    cause: Cause


@dataclass(slots=True)
class Location:
    """A path of a host.

    Attributes:
        ingress: that has it.
        features: of the Ingress.
        path: as it is written, `/` where it is empty.
        kind: what it is where the host has no regular expressions.
        backend: where its requests go; None: nowhere, nobody has the path.
        cause: where it is written.
        canary: what takes a part of its requests.
        implied: no Ingress has written it; the controller answers there, 404 where there is no backend.
    """

    ingress: Ingress
    features: Features
    path: str
    kind: PathKind
    backend: Backend | None
    cause: Cause
    canary: CanaryBackend | None = None
    implied: bool = False

    @property
    def asks_nobody(self) -> bool:
        """Whether it needs no credentials, whatever its Ingress asks for."""
        feature = self.features.get(OpenPaths)
        return feature is not None and self.path.startswith(feature.paths)

    @property
    def is_default(self) -> bool:
        """Whether an Ingress says so by its default backend."""
        return self.cause.subject == "spec.defaultBackend"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate of a host.

    Attributes:
        secret: that has it.
        owner: the Ingress that says so.
        cause: where that is written.
    """

    secret: Name
    owner: Ingress
    cause: Cause


@dataclass(slots=True)
class Host:
    """A host.

    Attributes:
        name: in lower case; empty: all that no other host has.
        owner: the Ingress that named it first.
        features: of the owner.
        cause: where it is written.
        locations: of all Ingresses; `put` and `replace` change them.
        hidden: locations that another one hides, and that the source's controller has all the same.
        aliases: other names, and where they are written.
        certificate: None where it has none.
        regex: what makes its paths expressions; None: they are none.
        clients: which certificates clients show; None: none.
        refused: the source's controller cannot read which certificates, and answers nobody.
        are_prefixes: whether prefixes say the same as its expressions; None: nobody has asked yet.
        have_alternatives: whether one of its expressions has alternatives; None: the same.
    """

    name: str
    owner: Ingress
    features: Features
    cause: Cause
    locations: list[Location] = field(default_factory=list)
    hidden: list[Location] = field(default_factory=list)
    aliases: dict[str, Cause] = field(default_factory=dict)
    certificate: Certificate | None = None
    regex: Cause | None = None
    clients: ClientCertificates | None = None
    refused: bool = False
    are_prefixes: bool | None = None
    have_alternatives: bool | None = None
    _by_path: dict[tuple[str, PathKind], Location] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its other names."""
        return (self.name, *self.aliases)

    def hides(self, made: Location) -> bool:
        """Whether there is the same location before one, and the first one of its path is of another type.

        ingress-nginx looks at the first one alone, and has both then (`getBackendServers`).
        """
        first = next((item for item in self.locations if item.path == made.path), None)
        return first is not None and first.kind != made.kind

    def find(self, path: str, kind: PathKind) -> Location | None:
        """The location with a path."""
        return self._by_path.get((path, kind))

    def put(self, made: Location) -> None:
        """Take a location behind the others."""
        self.locations.append(made)
        self._by_path.setdefault((made.path, made.kind), made)

    def replace(self, there: Location, made: Location) -> None:
        """Take a location in place of one with its path."""
        self.locations[self.locations.index(there)] = made
        self._by_path[made.path, made.kind] = made
