"""What a data plane has: resources as JSON with their versions, and the transaction that brings the engine there.

Nothing is decoded here: what the controller sent goes to the engine as it came, and the engine checks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from sluicegate import ir

from ..controller.stream.protocol import SECRETS, SECTIONS


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A resource: its version and its JSON."""

    version: str
    data: msgspec.Raw


Tables = Mapping[str, Mapping[str, Held]]


@dataclass(slots=True)
class Change:
    """A transaction of the controller while it comes in.

    Attributes:
        upserts: resources by section and id.
        removals: ids by section.
        full: it is all there is.
    """

    upserts: dict[str, dict[str, Held]] = field(default_factory=dict)
    removals: dict[str, set[str]] = field(default_factory=dict)
    full: bool = False

    def put(self, section: str, name: str, held: Held) -> None:
        """Add or replace a resource."""
        self.upserts.setdefault(section, {})[name] = held

    def remove(self, section: str, name: str) -> None:
        """Remove a resource."""
        self.removals.setdefault(section, set()).add(name)

    def is_empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.full and not any(self.upserts.values()) and not any(self.removals.values())

    def transaction(self, generation: int) -> bytes:
        """The IR transaction (JSON) with a generation."""
        upserts = {section: [item.data for item in table.values()] for section, table in self.upserts.items() if table}
        secrets = {section: upserts.pop(section) for section in SECRETS if section in upserts}
        document: dict[str, object] = {"version": ir.VERSION, "generation": generation, "full": self.full}
        document |= {"upsert": upserts, "secrets": secrets}
        document["remove"] = {section: sorted(names) for section, names in self.removals.items() if names}
        return msgspec.json.encode(document)


class Holdings:
    """The resources that the engine has taken."""

    def __init__(self, tables: Tables | None = None) -> None:
        """Begin with what a snapshot has, or with nothing."""
        self.tables: dict[str, dict[str, Held]] = {section: {} for section in SECTIONS}
        for section, table in (tables or {}).items():
            if section in self.tables:
                self.tables[section].update(table)

    def everything(self) -> Change:
        """All of it as one full transaction."""
        return Change(upserts={section: dict(table) for section, table in self.tables.items()}, full=True)

    def versions(self, section: str) -> Iterable[tuple[str, str]]:
        """Ids and versions of a section."""
        return ((name, held.version) for name, held in self.tables[section].items())

    def version(self, section: str, name: str) -> str:
        """Version of one resource; empty where there is none."""
        held = self.tables[section].get(name)
        return held.version if held is not None else ""

    def apply(self, change: Change) -> None:
        """Take over a change that the engine took."""
        if change.full:
            for table in self.tables.values():
                table.clear()
        for section, names in change.removals.items():
            for name in names:
                self.tables[section].pop(name, None)
        for section, items in change.upserts.items():
            self.tables[section].update(items)
