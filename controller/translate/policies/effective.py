"""Which policies hold at a place: one pure function, `effective` (GEP-713, "Policy hierarchies").

Rules:
- Levels, from the highest to the lowest: Gateway, its listener; ListenerSet, its listener; route, its rule. Of a
  backend: Service, its port. A place is the levels that it is in.
- What is merged are stanzas, each as a whole. A stanza that is set lower replaces the same stanza set higher; with the
  strategy `Overrides` (Gateways, ListenerSets and their listeners only) the higher one holds, of several the highest.
- A stanza may be `off`: where it holds there is no such stanza.
- At one level the older policy has the stanza, then namespace and name; of the younger one it is conflicted. (By the
  letter of GEP-713 the younger one, as the challenger, would replace it: a takeover that nobody wants.)
- Some stanzas can only be tightened: under an override the lower one holds as well, and all must be content.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from ...api import ObjectKey


class Target(NamedTuple):
    """What a policy is attached to: an object, or a section of it (a listener, rule or port by name; empty: all)."""

    kind: str
    namespace: str
    name: str
    section: str = ""

    @property
    def whole(self) -> Target:
        """The object."""
        return self._replace(section="")

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}{f'/{self.section}' if self.section else ''}"


#: The levels that a place is in, the highest first.
Place = tuple[Target, ...]

#: Kinds whose policies may override what is set lower.
OVERRIDING = frozenset({"Gateway", "ListenerSet"})


class Stanza(NamedTuple):
    """A stanza of a policy.

    Attributes:
        id: of the IR resource that it comes to.
        off: it switches an inherited one off.
        acts_on: what may name it in the IR.
    """

    id: str
    off: bool = False
    acts_on: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """A policy as far as merging goes.

    Attributes:
        key: the policy.
        created: seconds since 1970; the older one goes first.
        targets: what it is attached to, those that were found only.
        stanzas: by name.
        overrides: `strategy: Overrides`.
    """

    key: ObjectKey
    created: int
    targets: tuple[Target, ...]
    stanzas: Mapping[str, Stanza]
    overrides: bool = False

    @property
    def precedence(self) -> tuple[int, str, str]:
        """Sort key: the smallest goes first."""
        return (self.created, self.key.namespace, self.key.name)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a stanza comes from at a place. Each policy that has it there is in exactly one of these.

    Attributes:
        holds: policies whose stanza holds, the highest first; more than one only of stanzas that tighten.
        off: that of them which switches it off; nothing else is in `holds` then.
        replaced: other policies, and which one holds instead.
        conflicted: policies that lost to an older one on the same target, and to which.
    """

    holds: tuple[ObjectKey, ...]
    off: ObjectKey | None = None
    replaced: Mapping[ObjectKey, ObjectKey] = field(default_factory=dict)
    conflicted: Mapping[ObjectKey, ObjectKey] = field(default_factory=dict)


#: By stanza, what holds: one, or several that must all be content.
Effective = Mapping[str, tuple[Stanza, ...]]


def effective(
    policies: Iterable[Source], place: Place, tightens: Set[str] = frozenset()
) -> tuple[Effective, Mapping[str, Provenance]]:
    """Merge the policies of one kind at a place.

    Args:
        policies: in any order; those that are attached to no level of the place are left out.
        place: its levels.
        tightens: stanzas that can only be tightened under an override.

    Returns:
        What holds, and where each stanza comes from. A stanza that is off has a provenance and nothing that holds.
    """
    present = sorted(
        (item for item in policies if any(target in place for target in item.targets)), key=lambda item: item.precedence
    )
    names = dict.fromkeys(name for item in present for name in item.stanzas)
    held: dict[str, tuple[Stanza, ...]] = {}
    provenance: dict[str, Provenance] = {}
    for name in sorted(names):
        winners, found = _merge([item for item in present if name in item.stanzas], name, place, tightens)
        provenance[name] = found
        if found.off is None:
            held[name] = tuple(item.stanzas[name] for item in winners)
    return held, provenance


def _merge(present: list[Source], name: str, place: Place, tightens: Set[str]) -> tuple[tuple[Source, ...], Provenance]:
    """One stanza; `present` are the policies that have it, in the order of precedence."""
    conflicted: dict[ObjectKey, ObjectKey] = {}
    overriding: list[Source] = []
    defaults: list[Source] = []
    for level in place:
        here = [item for item in present if level in item.targets]
        if here:
            (overriding if here[0].overrides and level.kind in OVERRIDING else defaults).append(here[0])
            conflicted.update((item.key, here[0].key) for item in here[1:])
    if not overriding:
        winners = [defaults[-1]]
    elif name in tightens:
        all_of_them = {item.key: item for item in (*overriding, *defaults[-1:]) if not item.stanzas[name].off}
        winners = list(all_of_them.values()) or [overriding[0]]
    else:
        winners = [overriding[0]]
    holds = tuple(item.key for item in winners)
    replaced = {item.key: holds[0] for item in (*overriding, *defaults) if item.key not in holds}
    return tuple(winners), Provenance(
        holds=holds,
        off=holds[0] if winners[0].stanzas[name].off else None,
        replaced=replaced,
        conflicted={key: by for key, by in conflicted.items() if key not in holds and key not in replaced},
    )


def names(
    policies: Iterable[Source], place: Place, order: Iterable[str], tightens: Set[str] = frozenset(), on: str = ""
) -> tuple[str, ...]:
    """Ids of the IR that a part of a hierarchy names, in an order of stanzas.

    One that is off is named too: what is below a listener is joined by the engine, which has to know of it. `on`: what
    names them, where not all of them may be named; what means nothing there is left out.
    """
    held, provenance = effective(policies := tuple(policies), place, tightens)
    found: list[Stanza] = []
    for name in order:
        if name in held:
            found += held[name]
        elif name in provenance:
            found += [item.stanzas[name] for item in policies if item.key == provenance[name].off]
    return tuple(item.id for item in found if not on or on in item.acts_on)


def service_place(namespace: str, service: str, port: str) -> Place:
    """The levels of a port of a Service; one without a name is the Service."""
    whole = Target("Service", namespace, service)
    return (whole, whole._replace(section=port)) if port else (whole,)
