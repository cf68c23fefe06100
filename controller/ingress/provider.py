"""What a provider is: a controller of Ingresses, its annotations and settings as tables, and their reading.

A provider is a package of its own (`nginx`). It says what each annotation means (`Annotation`, a row of its table,
which is also its documentation) and reads those of an Ingress (`Reading`) into features. Annotations that no row has
are told there, and so is the fate of each that an Ingress has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..api.ingress import Ingress
from .features import Feature, Field
from .losses import Ledger
from .reading import Reading
from .rows import Setting, Table
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Traits:
    """What a controller does by itself, whatever annotations say.

    Attributes:
        shows_certificate: hosts without one are served on port 443, with a certificate of the controller's own.
        answers_everywhere: it answers `/` of a host whose Ingress has no such path, by `spec.defaultBackend` or by 404.
        adds_slash: a path that ends in `/` is asked for by 301 where the request lacks the `/`.
        prefixes_by_text: the prefix `/tea` takes `/teapot`.
        longest_rule_first: of all rules that match the one with the longest text goes first: what a host has no path
            for goes on to its wildcard and to rules without a host, and a prefix may go before a path.
        takes_classless: Ingresses without a class are its own, whatever classes there are.
        field_first: `spec.ingressClassName` goes before the annotation of a class.
        last_name_first: of Ingresses of the same second the last one by namespace and name is the first.
        takes_target_ports: a port of a Service is also named by its `targetPort`, and the first that fits is meant.
        splits_prefixes: the prefix `/foo` is a location for `/foo/` and one for `/foo` alone.
        has_more_settings: its ConfigMap takes keys that the table of settings lacks.
        has_port_maps: its ConfigMaps of TCP and UDP ports have `namespace/service:port` by port.
        forwarding: fields that backends get besides `X-Forwarded-For`, `-Proto` and `-Host`, as CEL over the request.
        not_of_all_hosts: features that an Ingress without rules does not have for what its default backend gets.
    """

    shows_certificate: bool = False
    answers_everywhere: bool = False
    adds_slash: bool = False
    prefixes_by_text: bool = False
    longest_rule_first: bool = False
    takes_classless: bool = False
    field_first: bool = False
    last_name_first: bool = False
    takes_target_ports: bool = False
    splits_prefixes: bool = False
    has_more_settings: bool = False
    has_port_maps: bool = False
    forwarding: tuple[Field, ...] = ()
    not_of_all_hosts: tuple[type[Feature], ...] = ()


class Provider(Table, Protocol):
    """A controller of Ingresses.

    Attributes:
        name: of `--provider`.
        title: what it is called.
        controllers: `spec.controller` of its IngressClasses.
        ingress_class: the class that it serves where no IngressClass is known.
        settings: the table of its ConfigMap.
        traits: what it does by itself.
    """

    name: str
    title: str
    controllers: tuple[str, ...]
    ingress_class: str
    settings: Mapping[str, Setting]
    traits: Traits

    def read(self, reading: Reading) -> Iterable[Feature]:
        """The features of an Ingress; tells what cannot be read."""
        ...

    def of_service(self, reading: Reading, service: str) -> Iterable[Feature]:
        """What holds for the paths of one Service of the Ingress alone; it goes before what holds for all of it."""
        ...

    def refused_host(self, ingress: Ingress, owner: Ingress | None) -> str:
        """Why an Ingress would not be served at a host that another one has first, or nobody; empty: it would."""
        ...

    def rank(self, ingress: Ingress) -> int:
        """Where the Ingress stands when hosts are given away: those of a lower rank go first."""
        ...

    def of_gateway(self, settings: Settings, ledger: Ledger) -> Iterable[Feature]:
        """The features of the whole Gateway, which the settings ask for."""
        ...

    def refused_path(self, kind: str, path: str, settings: Settings) -> str:
        """Why the controller would not serve a path of a type; empty: it would."""
        ...
