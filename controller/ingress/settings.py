"""Settings of a controller: what its ConfigMap says, with the defaults of the controller written out.

A value that is none of its kind is as good as not written, and is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ..api.ingress import TextMap
from . import values
from .inventory import Inventory
from .kinds import Kind
from .losses import Cause, Ledger, nearest
from .rows import Setting


class Value(NamedTuple):
    """A value as it is written, and where."""

    text: str
    cause: Cause


class Settings:
    """The controller's settings: what a ConfigMap says, or the defaults."""

    def __init__(self, rows: Mapping[str, Setting], written: TextMap | None, inventory: Inventory, source: str) -> None:
        """Take a ConfigMap; None: the defaults hold. `source` is what the controller is called."""
        self._rows = rows
        self._written = written
        self._inventory = inventory
        self._source = source
        self._known: dict[str, Value] = {}

    def value(self, key: str) -> Value:
        """A setting, with its default where nobody says otherwise. Each Ingress asks for the same ones."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._value(key)
        return found

    def _value(self, key: str) -> Value:
        if self._written is not None and self.is_written(key):
            return Value(str(self._written.data[key]).strip(), self._inventory.of_key(self._written, key))
        default = self._rows[key].default
        return Value(default, Cause(f"default of {self._source}", "", 0, key, default))

    @property
    def names(self) -> Iterable[str]:
        """Keys that the controller takes, as far as its table has them."""
        return self._rows.keys()

    def is_written(self, key: str) -> bool:
        """Whether the ConfigMap says it, and says something that can be read."""
        if self._written is None or key not in self._written.data:
            return False
        kind = self._rows[key].kind
        return kind is None or bool(kind.instead) or kind.takes(str(self._written.data[key]).strip())

    def flag(self, key: str) -> bool:
        """A setting that is true or false."""
        return values.flag(self.value(key).text) is True

    def number(self, key: str) -> int:
        """A setting that is a whole number."""
        return values.number(self.value(key).text) or 0

    def octets(self, key: str) -> int:
        """A setting that is a size."""
        return values.octets(self.value(key).text) or 0

    def seconds(self, key: str) -> int:
        """A setting that is a time, in seconds."""
        return values.seconds(self.value(key).text) or 0

    def networks(self, key: str) -> tuple[str, ...]:
        """A setting that is a list of CIDR blocks, without what is no block and without those that are everybody."""
        blocks = map(values.network, values.words(self.value(key).text))
        return tuple(item for item in blocks if item is not None and not item.endswith("/0"))

    def tell(self, ledger: Ledger, *, has_more: bool = False) -> None:
        """Tell the fate of each key that is written; `has_more`: the controller takes keys that have no row."""
        written = self._written
        if written is None:
            return
        # Of several hosts another one may have what this one has lost.
        is_one_host = len({rule.host for item in self._inventory.ingresses for rule in item.spec.rules}) < 2
        for key, text in sorted(written.data.items()):
            cause, row = self._inventory.of_key(written, key), self._rows.get(key)
            if row is None:
                near = nearest(key, self._rows)
                if has_more and not near:
                    message = "no setting that a conversion knows: nothing is made of it"
                    ledger.tell(cause, "no-equivalent", message, "look up whether it matters")
                    continue
                remedy = f"the nearest one that there is: {near}" if near else "take it out"
                ledger.tell(cause, "unknown-annotation", "no setting that a conversion knows", remedy)
            elif row.kind is not None and not _is_taken(row.kind, str(text).strip()):
                holds = f"{row.default} holds" if row.default else "it counts as not written"
                message = f"{row.kind.wanted} is expected; {row.kind.instead or holds}"
                ledger.tell(cause, "invalid", message, "correct the value")
            else:
                ruled = is_one_host and row.fate == "converted-with-difference"
                ledger.tell(cause, row.fate, row.words, row.advice, as_a_rule=ruled)


def _is_taken(kind: Kind, text: str) -> bool:
    return kind.takes(text) or (kind.may_be_empty and not text)
