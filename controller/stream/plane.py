"""What one data plane should have: resources by section, each with its version.

The content is JSON with its digest as version: the same content has the same version at every controller.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import msgspec

from sluicegate import ir

from .protocol import SECTIONS, cost_of
from .tickets import SharedKeys

#: (namespace, name) of a data plane: of its Deployment and of its ServiceAccount.
PlaneKey = tuple[str, str]
#: (section, id) of a resource.
Node = tuple[str, str]
#: Ids that changed, by section.
Changed = Mapping[str, Set[str]]

#: The section of the keys of session tickets, one resource for each Gateway.
TICKETS = "session_tickets"
#: The section of the number of pods, one resource for each plane.
REPLICAS = "replicas"
#: Of what makes a plane large, so many are named.
NAMED = 5
#: Bytes of the digest that is a version.
DIGEST = 12

_ENCODER = msgspec.json.Encoder()

#: A resource of any section.
Resource: TypeAlias = Any


class Item(NamedTuple):
    """A resource as a data plane gets it: the object, its version, its JSON."""

    resource: Resource
    version: str
    data: bytes


@dataclass(slots=True)
class Plane:
    """What one data plane should have.

    Attributes:
        gateways: `<namespace>/<name>` of its Gateways.
        tables: resources by section and id.
        uses: how many resources of the plane lead to one, by section and id.
        cost: bytes that all of it costs a pod that has nothing yet.
        ticketed: what the keys of session tickets were made of.
    """

    gateways: frozenset[str]
    tables: dict[str, dict[str, Item]] = field(default_factory=lambda: {section: {} for section in SECTIONS})
    uses: dict[Node, int] = field(default_factory=dict)
    cost: int = 0
    ticketed: tuple[SharedKeys | None, frozenset[str]] = (None, frozenset())

    def count_pods(self, key: PlaneKey, pods: int) -> Changed:
        """Take over how many pods there are; returns what changed by that."""
        name, table = "/".join(key), self.tables[REPLICAS]
        item = item_of(ir.Replicas(id=name, pods=pods))
        if table.get(name) == item:
            return {}
        table[name] = item
        return {REPLICAS: {name}}

    def size(self) -> int:
        """Number of resources."""
        return sum(len(table) for table in self.tables.values())

    def largest(self) -> list[tuple[str, int]]:
        """What most of the content is, for people: routes and other resources with their bytes, at most `NAMED`."""
        sizes: Counter[str] = Counter()
        for section, table in self.tables.items():
            for name, item in table.items():
                owner = getattr(item.resource, "route", None) or f"{section} {name}"
                sizes[owner] += cost(name, item)
        return sizes.most_common(NAMED)


def cost(name: str, item: Item | None) -> int:
    """Bytes that a resource costs a pod."""
    return cost_of(name, item.version, item.data) if item is not None else 0


def item_of(resource: object) -> Item:
    """A resource as data planes get it."""
    data = _ENCODER.encode(resource)
    return Item(resource, hashlib.blake2b(data, digest_size=DIGEST).hexdigest(), data)
