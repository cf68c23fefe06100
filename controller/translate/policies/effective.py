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

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import itemgetter
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

    @property
    def is_wide(self) -> bool:
        """Whether it stands for several objects: without a name any, without a namespace those of any."""
        return not self.name or not self.namespace

    def wider(self) -> tuple[Target, ...]:
        """What stands for an object among others; nothing stands for a section."""
        if self.section:
            return ()
        kind, namespace, name, _ = self
        return (Target(kind, namespace, ""), Target(kind, "", name), Target(kind, "", ""))

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
        wide: some of its targets stand for several objects.
    """

    key: ObjectKey
    created: int
    targets: tuple[Target, ...]
    stanzas: Mapping[str, Stanza]
    overrides: bool = False
    wide: bool = False

    @property
    def precedence(self) -> tuple[int, str, str]:
        """Sort key: the smallest goes first."""
        return (self.created, self.key.namespace, self.key.name)

    def is_at(self, level: Target) -> bool:
        """Whether it is attached to just this object or section."""
        return level in self.targets or (self.wide and any(target in self.targets for target in level.wider()))


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


@dataclass(frozen=True, slots=True)
class Level:
    """The policies of one kind at one level of a place.

    Attributes:
        target: the level.
        first: by stanza the policy that has it there.
        lost: by stanza the other ones, and to which each lost.
    """

    target: Target
    first: Mapping[str, Source]
    lost: Mapping[str, Mapping[ObjectKey, ObjectKey]]


def level_of(policies: Iterable[Source], target: Target) -> Level:
    """What policies of one kind come to at one level; `policies`: in any order, others are left out."""
    first: dict[str, Source] = {}
    lost: dict[str, dict[ObjectKey, ObjectKey]] = {}
    for item in sorted((item for item in policies if item.is_at(target)), key=lambda item: item.precedence):
        for name in item.stanzas:
            winner = first.setdefault(name, item)
            if winner is not item:
                lost.setdefault(name, {})[item.key] = winner.key
    return Level(target, first, lost)


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
    found = tuple(policies)
    return merge([level_of(found, target) for target in place], tightens)


def merge(levels: Sequence[Level], tightens: Set[str] = frozenset()) -> tuple[Effective, Mapping[str, Provenance]]:
    """The same of levels that are known, the highest first."""
    held: dict[str, tuple[Stanza, ...]] = {}
    provenance: dict[str, Provenance] = {}
    for name in sorted({name for level in levels for name in level.first}):
        winners = _winners(levels, name, tightens)
        found = provenance[name] = _provenance(levels, name, winners)
        if found.off is None:
            held[name] = tuple(item.stanzas[name] for item in winners)
    return held, provenance


def _winners(levels: Sequence[Level], name: str, tightens: Set[str]) -> list[Source]:
    """The policies whose stanza holds, the highest first; one that is off stands alone."""
    overriding: list[Source] = []
    defaults: list[Source] = []
    for level in levels:
        first = level.first.get(name)
        if first is not None:
            (overriding if first.overrides and level.target.kind in OVERRIDING else defaults).append(first)
    if not overriding:
        return defaults[-1:]
    if name not in tightens:
        return overriding[:1]
    all_of_them = {item.key: item for item in (*overriding, *defaults[-1:]) if not item.stanzas[name].off}
    return list(all_of_them.values()) or overriding[:1]


def _provenance(levels: Sequence[Level], name: str, winners: Sequence[Source]) -> Provenance:
    """What became of all policies that have a stanza."""
    holds = tuple(item.key for item in winners)
    present = (level.first[name].key for level in levels if name in level.first)
    replaced = {key: holds[0] for key in present if key not in holds}
    lost = (item for level in levels for item in level.lost.get(name, {}).items())
    return Provenance(
        holds=holds,
        off=holds[0] if winners[0].stanzas[name].off else None,
        replaced=replaced,
        conflicted={key: by for key, by in lost if key not in holds and key not in replaced},
    )


def names(
    levels: Sequence[Level], order: Iterable[str], tightens: Set[str] = frozenset(), on: str = ""
) -> tuple[str, ...]:
    """Ids of the IR that a part of a hierarchy names: the highest level first, and of one level in an order of stanzas.

    The engine asks for the credentials of policies that override in this order. One that is off is named too: what is
    below a listener is joined by the engine, which has to know of it. `on`: what names them, where not all of them may
    be named; what means nothing there is left out.
    """
    found = [
        (_height(levels, name, item), item.stanzas[name]) for name in order for item in _winners(levels, name, tightens)
    ]
    found.sort(key=itemgetter(0))
    return tuple(stanza.id for _, stanza in found if not on or on in stanza.acts_on)


def _height(levels: Sequence[Level], name: str, winner: Source) -> int:
    """Place of the level at which a policy has a stanza; 0: the highest."""
    return next(place for place, level in enumerate(levels) if level.first.get(name) is winner)


def external_place(namespace: str, name: str) -> Place:
    """The level of an XBackend."""
    return (Target("XBackend", namespace, name),)


def service_place(namespace: str, service: str, port: str) -> Place:
    """The levels of a port of a Service; one without a name is the Service."""
    whole = Target("Service", namespace, service)
    return (whole, whole._replace(section=port)) if port else (whole,)
