"""Ports of both sets, with the listeners and rules there, and which hosts of them something may have changed for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sluicegate import ir

from .side import Rule, Side

#: A host that nobody has, and the label that stands for a wildcard.
UNLISTED, LABEL = "unlisted.invalid", "any"


@dataclass(frozen=True, slots=True, order=True)
class Port:
    """Where a client connects to.

    Attributes:
        plane: name of the data plane.
        number: as the Gateway has it.
        is_udp: whether it is one of UDP, which has ports of its own.
    """

    plane: str
    number: int
    is_udp: bool


@dataclass(slots=True)
class Half:
    """What one set has at a port.

    Attributes:
        listeners: contents by id.
        rules: that are attached to one of them, by id.
        contents: of the rules, by id.
    """

    listeners: dict[str, bytes] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class Place:
    """What both sets have at a port.

    Attributes:
        port: it.
        old, new: what each has there.
        protocols: of all listeners.
        hostnames: of all listeners and rules, without the empty one.
    """

    port: Port
    old: Half = field(default_factory=Half)
    new: Half = field(default_factory=Half)
    protocols: set[ir.ListenerProtocol] = field(default_factory=set)
    hostnames: set[str] = field(default_factory=set)

    @property
    def is_equal(self) -> bool:
        """Whether both have the same."""
        return self.old.listeners == self.new.listeners and self.old.contents == self.new.contents


def places_of(old: Side, new: Side) -> list[Place]:
    """All ports of two sets, in their order."""
    found: dict[Port, Place] = {}
    for side, name in ((old, "old"), (new, "new")):
        halves: dict[str, tuple[Place, Half]] = {}
        for listener in side.resources.listeners:
            port = Port(side.plane_of(listener), listener.port, listener.protocol is ir.ListenerProtocol.UDP)
            place = found.setdefault(port, Place(port))
            half: Half = getattr(place, name)
            half.listeners[listener.id] = side.content_of_listener(listener)
            halves[listener.id] = (place, half)
            place.protocols.add(listener.protocol)
            place.hostnames.update({listener.hostname} - {""})
        rules: list[Rule] = [*side.resources.http_rules, *side.resources.l4_rules]
        for rule in rules:
            content = side.content_of_rule(rule)
            for listener_id in ir.listeners_of(rule, side.attachments):
                if listener_id not in halves:
                    continue
                place, half = halves[listener_id]
                half.rules[rule.id] = rule
                # A listener that it is attached to is part of what it is.
                half.contents[rule.id] = half.contents.get(rule.id, content) + b"\0" + listener_id.encode()
                place.hostnames.update(rule.hostnames)
    return [found[port] for port in sorted(found)]


class ByHost:
    """Rules by the hosts that they hold for."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Take rules."""
        self._by_name: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            for name in rule.hostnames or ("",):
                self._by_name[name].append(rule)

    def of(self, host: str) -> dict[str, Rule]:
        """Those that hold for a host, by id."""
        names = ["", host]
        rest = host
        while "." in rest:
            rest = rest.partition(".")[2]
            names.append(f"*.{rest}")
        return {rule.id: rule for name in names for rule in self._by_name.get(name, ())}


def hosts_of(place: Place) -> Iterator[tuple[str, str]]:
    """Hosts to ask for, and what each stands for: itself, a wildcard, or all that nobody has."""
    for name in sorted(place.hostnames):
        if not name.startswith("*"):
            yield name, name
            continue
        label = LABEL
        while f"{label}{name[1:]}" in place.hostnames:
            label += "x"
        yield f"{label}{name[1:]}", name
    yield UNLISTED, "*"
