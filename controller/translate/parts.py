"""The topology, kept up to date part by part: a change of one Gateway translates what it may have a dispute with.

A family is a Gateway with the ListenerSets that name it. Families that depend on each other make a unit
(`gateways.unit_of`), whose `Part` is translated again where one of its objects changed, or something that it looked at,
or when its time has come. A change of the classes begins anew: such are rare.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..api import Gateway, ListenerSet, ObjectKey
from ..store.snapshot import Changes, Snapshot
from .gateways import Family, Surroundings, build_part, unit_of
from .options import Options
from .topology import Classes, Part, Read

#: The unit of everything, where two units want a data plane of one name: then all names have to be looked at together.
EVERYTHING = "*"


class Replaced(NamedTuple):
    """Parts that are gone, and those that stand for them."""

    old: tuple[Part, ...]
    new: tuple[Part, ...]


@dataclass(slots=True)
class _Members:
    gateway: Gateway | None = None
    sets: dict[ObjectKey, ListenerSet] = field(default_factory=dict)


@dataclass(slots=True)
class Parts:
    """All families, by unit, with what each unit came to."""

    _families: dict[ObjectKey, _Members] = field(default_factory=dict)
    _parents: dict[ObjectKey, ObjectKey] = field(default_factory=dict)
    _unit_of: dict[ObjectKey, str] = field(default_factory=dict)
    _members: dict[str, set[ObjectKey]] = field(default_factory=dict)
    _parts: dict[str, Part] = field(default_factory=dict)
    _readers: dict[Read, set[str]] = field(default_factory=dict)
    _classes: Classes | None = None
    _whole: bool = False

    @property
    def due(self) -> float | None:
        """When the first of them changes by itself."""
        return min((part.due for part in self._parts.values() if part.due is not None), default=None)

    @property
    def missing(self) -> dict[str, float]:
        """Since when Secrets are gone whose certificates serve on."""
        return {key: since for part in self._parts.values() for key, since in part.missing.items()}

    def stale(self, changes: Changes, dirty: Iterable[Read], now: float | None, around: Surroundings) -> set[str]:
        """Take in what changed; returns the units that have to be translated again."""
        stale = self._move(changes, around.snapshot)
        if self._classes is not around.classes:
            self._classes = around.classes
            stale.update(self._members)
            for key in self._families:
                stale.update(self._place(key, around.classes, around.options))
        else:
            for key in self._touched(changes):
                stale.update(self._place(key, around.classes, around.options))
        for read in dirty:
            stale.update(self._readers.get(read, ()))
        if now is not None:
            stale.update(unit for unit, part in self._parts.items() if part.due is not None and part.due <= now)
        return stale

    def translate(self, stale: Iterable[str], around: Surroundings) -> Replaced:
        """Translate units again."""
        replaced = self._replace(stale, around)
        if self._whole or not self._is_disputed():
            return replaced
        # Names of data planes are the only thing that units may share, and hardly ever do.
        self._whole = True
        before = set(self._members)
        for key in list(self._families):
            self._place(key, around.classes, around.options)
        again = self._replace({*before, EVERYTHING}, around)
        kept = [part for part in again.old if not any(part is item for item in replaced.new)]
        return Replaced((*replaced.old, *kept), again.new)

    def _touched(self, changes: Changes) -> Iterator[ObjectKey]:
        for namespace, name in changes.get("Gateway", ()):
            yield ObjectKey("Gateway", namespace, name)

    def _replace(self, stale: Iterable[str], around: Surroundings) -> Replaced:
        old: list[Part] = []
        new: list[Part] = []
        for unit in stale:
            before = self._parts.pop(unit, None)
            if before is not None:
                old.append(before)
                for read in before.reads:
                    readers = self._readers[read]
                    readers.discard(unit)
                    if not readers:
                        del self._readers[read]
            members = self._members.get(unit)
            if members is None:
                continue
            part = build_part((self._family(key) for key in members), around)
            self._parts[unit] = part
            new.append(part)
            for read in part.reads:
                self._readers.setdefault(read, set()).add(unit)
        return Replaced(tuple(old), tuple(new))

    def _family(self, key: ObjectKey) -> Family:
        members = self._families[key]
        return Family(members.gateway, members.sets.values())

    def _is_disputed(self) -> bool:
        names: set[str] = set()
        count = 0
        for part in self._parts.values():
            names.update(part.planes)
            count += len(part.planes)
        return len(names) < count

    def _move(self, changes: Changes, snapshot: Snapshot) -> set[str]:
        """Bring the families up to date; returns the units of those that changed, as they were."""
        touched: dict[ObjectKey, None] = {}
        gateways, sets = snapshot.table("Gateway"), snapshot.table("ListenerSet")
        for pair in changes.get("Gateway", ()):
            key = ObjectKey("Gateway", *pair)
            found = gateways.get(pair)
            self._families.setdefault(key, _Members()).gateway = found if isinstance(found, Gateway) else None
            touched[key] = None
        for pair in changes.get("ListenerSet", ()):
            key = ObjectKey("ListenerSet", *pair)
            before = self._parents.pop(key, None)
            if before is not None:
                self._families[before].sets.pop(key)
                touched[before] = None
            item = sets.get(pair)
            if isinstance(item, ListenerSet):
                parent = item.spec.parent_ref
                after = ObjectKey(parent.kind, parent.namespace or item.namespace, parent.name)
                self._parents[key] = after
                self._families.setdefault(after, _Members()).sets[key] = item
                touched[after] = None
        stale: set[str] = set()
        for key in touched:
            unit = self._unit_of.get(key)
            if unit is not None:
                stale.add(unit)
            family = self._families[key]
            if family.gateway is None and not family.sets:
                del self._families[key]
                self._leave(key)
            elif unit is None:
                stale.add(self._join(key, _nobody(key)))
        return stale

    def _place(self, key: ObjectKey, classes: Classes, options: Options) -> Iterable[str]:
        """Put a family into its unit; returns the units that it left and joined."""
        family = self._families.get(key)
        if family is None:
            return ()
        unit = EVERYTHING if self._whole else _nobody(key)
        if not self._whole and family.gateway is not None:
            unit = unit_of(family.gateway, classes, options)
        before = self._unit_of.get(key)
        if before == unit:
            return ()
        self._leave(key)
        self._join(key, unit)
        return (unit,) if before is None else (before, unit)

    def _join(self, key: ObjectKey, unit: str) -> str:
        self._unit_of[key] = unit
        self._members.setdefault(unit, set()).add(key)
        return unit

    def _leave(self, key: ObjectKey) -> None:
        unit = self._unit_of.pop(key, None)
        if unit is not None:
            members = self._members[unit]
            members.discard(key)
            if not members:
                del self._members[unit]


def _nobody(key: ObjectKey) -> str:
    """The unit of ListenerSets that name what does not exist."""
    return f"of {key}"


def joined(parts: Iterable[Part], attribute: str) -> dict[Any, Any]:
    """One of the tables of several parts, together."""
    return {key: value for part in parts for key, value in getattr(part, attribute).items()}
