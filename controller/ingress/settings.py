"""Settings of a controller: what its ConfigMap says, with the defaults of the controller written out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..api.ingress import TextMap
from . import values
from .inventory import Inventory
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

    def value(self, key: str) -> Value:
        """A setting, with its default where nobody says otherwise."""
        if self._written is not None and key in self._written.data:
            return Value(str(self._written.data[key]).strip(), self._inventory.of_key(self._written, key))
        default = self._rows[key].default
        return Value(default, Cause(f"default of {self._source}", "", 0, key, default))

    def is_written(self, key: str) -> bool:
        """Whether the ConfigMap says it."""
        return self._written is not None and key in self._written.data

    def flag(self, key: str) -> bool:
        """A setting that is true or false; nonsense is the default, as it is told elsewhere."""
        found = values.flag(self.value(key).text)
        return found if found is not None else values.flag(self._rows[key].default) is True

    def number(self, key: str) -> int:
        """A setting that is a whole number."""
        found = values.number(self.value(key).text)
        return found if found is not None else values.number(self._rows[key].default) or 0

    def tell(self, ledger: Ledger) -> None:
        """Tell the fate of each key that is written."""
        written = self._written
        if written is None:
            return
        for key, text in sorted(written.data.items()):
            cause, row = self._inventory.of_key(written, key), self._rows.get(key)
            if row is None:
                near = nearest(key, self._rows)
                remedy = f"the nearest one that there is: {near}" if near else "take it out"
                ledger.tell(cause, "unknown-annotation", "no setting that a conversion knows", remedy)
            elif values.flag(row.default) is not None and values.flag(str(text).strip()) is None:
                ledger.tell(cause, "invalid", f"true or false is expected; {row.default} holds", "correct the value")
            else:
                ledger.tell(cause, row.fate, row.words, row.advice)
