"""The annotations of one Ingress, while they are read into features, and what becomes of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..api import Object
from ..api.ingress import Ingress
from . import patterns, values
from .inventory import Inventory
from .losses import Cause, Fate, Ledger, nearest
from .options import Name, accept
from .rows import Annotation, Table
from .settings import Settings, Value

_T = TypeVar("_T")

#: What annotations of other controllers begin with, and whose they are.
_OTHERS = {
    "nginx.ingress.kubernetes.io/": "ingress-nginx",
    "nginx.org/": "F5's controller",
    "nginx.com/": "F5's controller",
    "traefik.ingress.kubernetes.io/": "Traefik",
    "haproxy.org/": "HAProxy's controller",
    "haproxy-ingress.github.io/": "HAProxy Ingress",
    "konghq.com/": "Kong",
    "alb.ingress.kubernetes.io/": "the AWS Load Balancer Controller",
    "appgw.ingress.kubernetes.io/": "Application Gateway",
}
#: Of ingress-nginx before 0.9; charts have it beside the present one.
_OLD_PREFIX = "ingress.kubernetes.io/"


class Reading:
    """The annotations of one Ingress, or of an object that it uses, while they are read.

    Attributes:
        ingress: whose they are.
        inventory: what is in hand.
        settings: of the controller.
        ledger: takes what is told.
    """

    def __init__(
        self,
        ingress: Ingress,
        table: Table,
        settings: Settings,
        inventory: Inventory,
        ledger: Ledger,
        item: Object | None = None,
        pattern_error: Callable[[str], str | None] = accept,
    ) -> None:
        """Begin.

        Args:
            ingress: whose annotations they are.
            table: of the controller.
            settings: of the controller.
            inventory: what is in hand.
            ledger: takes what is told.
            item: has the annotations where the Ingress itself does not, such as a Service.
            pattern_error: what is wrong with a regular expression for RE2; None: nothing.
        """
        self.ingress = ingress
        self._item: Object = ingress if item is None else item
        self.inventory = inventory
        self.settings = settings
        self.ledger = ledger
        self._table = table
        self._pattern_error = pattern_error
        self._there = frozenset(row.name for name in self._item.metadata.annotations if (row := self._row(name)))
        self._known: dict[str, Value] = {}
        self._told: set[str] = set()
        self._other: Object | None = None
        self._instead: frozenset[str] = frozenset()
        self._besides: frozenset[str] = frozenset()

    def is_expressible(self, pattern: str) -> bool:
        """Whether RE2 can say an expression of Perl."""
        return not patterns.reason(pattern) and not self._pattern_error(pattern)

    def inherit(self, item: Object, *, instead: frozenset[str], besides: frozenset[str]) -> None:
        """Read some annotations from another object: always, or where the Ingress does not have them."""
        self._other, self._instead, self._besides = item, instead, besides

    def value(self, name: str) -> Value | None:
        """An annotation, by its name or an older one; None: it is not there, or says nothing."""
        row = self._table.annotations[name]
        there = name in self._there and name not in self._instead
        own = self._own(row) if there else None
        if own is None and self._other is not None and name in self._instead | self._besides:
            return self._value_of(self._other, row)
        return own

    def _row(self, written: str) -> Annotation | None:
        """The row of an annotation; None: the controller reads no such one."""
        name = written.lower() if self._table.ignores_case else written
        return self._table.rows.get(name.removeprefix(self._table.prefix))

    def _own(self, row: Annotation) -> Value | None:
        """What the object itself says; a group may ask for it several times."""
        found = self._known.get(row.name) or self._value_of(self._item, row)
        if found is not None:
            self._known[row.name] = found
        return found

    def _value_of(self, item: Object, row: Annotation) -> Value | None:
        for each in (row.name, *row.aliases):
            written = self._written(item, f"{self._table.prefix}{each}")
            text = item.metadata.annotations.get(written, "").strip()
            if text:
                return Value(text, self.inventory.of_annotation(item, written))
        return None

    def _written(self, item: Object, name: str) -> str:
        """An annotation as an object writes it, where the controller takes it in any case."""
        annotations = item.metadata.annotations
        if name in annotations or not self._table.ignores_case:
            return name
        return next((each for each in annotations if each.lower() == name.lower()), name)

    def text(self, name: str, default: str = "") -> str:
        """The text of an annotation."""
        found = self.value(name)
        return found.text if found is not None else default

    def flag(self, name: str, *, default: bool = False) -> bool:
        """An annotation that is true or false; nonsense is told and is the default."""
        return self._parsed(name, values.flag, "true or false", default=default)

    def number(self, name: str, default: int = 0) -> int:
        """An annotation that is a whole number, 0 or more; nonsense is told and is the default."""
        return self._parsed(name, values.number, "a whole number", default=default)

    def octets(self, name: str, default: int = 0) -> int:
        """An annotation that is a size, such as `8m`; nonsense is told and is the default."""
        return self._parsed(name, values.octets, "a size such as 8m", default=default)

    def bare_seconds(self, name: str, default: int = 0) -> int:
        """An annotation that is a number of seconds, and takes no unit; nonsense is told and is the default."""
        return self._parsed(name, values.number, "a whole number of seconds without a unit", default=default)

    def seconds(self, name: str, default: int = 0) -> int:
        """An annotation that is a time, in seconds, with a unit or without; nonsense is told and is the default."""
        return self._parsed(name, values.seconds, "a number of seconds", default=default)

    def words(self, name: str) -> tuple[str, ...]:
        """An annotation that is a list, separated by commas."""
        return values.words(self.text(name))

    def causes(self, *names: str) -> tuple[Cause, ...]:
        """Where those of some annotations that there are come from."""
        return tuple(found.cause for name in names if (found := self.value(name)) is not None)

    def setting_or(self, name: str, key: str) -> Value:
        """An annotation; where it is not there, the setting that holds in its place."""
        return self.value(name) or self.settings.value(key)

    def object_name(self, text: str) -> Name:
        """`namespace/name`, or a name in the namespace of the Ingress."""
        namespace, slash, name = text.rpartition("/")
        return Name(namespace if slash else self.ingress.namespace, name)

    def ignore(self, name: str, message: str) -> None:
        """Tell of an annotation of the Ingress itself that the controller did not read it."""
        written = f"{self._table.prefix}{name}"
        if written in self._item.metadata.annotations:
            self._told.add(written)
            cause = self.inventory.of_annotation(self._item, written)
            self.ledger.tell(cause, "dropped-harmless", message, "take it out")

    def tell(self, name: str, fate: Fate, message: str, remedy: str = "") -> None:
        """Tell something else of an annotation than its row does."""
        found = self.value(name)
        if found is not None:
            self.tell_of(found, fate, message, remedy)

    def tell_of(self, found: Value, fate: Fate, message: str, remedy: str = "") -> None:
        """Tell something of a value: of an annotation, or of the setting that holds in its place."""
        self._told.add(found.cause.subject)
        self.ledger.tell(found.cause, fate, message, remedy)

    def tell_fates(self) -> None:
        """Tell the fate of each annotation that has the provider's prefix and of which nothing was told."""
        prefix = self._table.prefix
        for name in sorted(self._item.metadata.annotations):
            if name in self._told:
                continue
            if not name.startswith(self._table.owned):
                self._tell_foreign(name)
                continue
            cause = self.inventory.of_annotation(self._item, name)
            row = self._row(name)
            empty = not self._item.metadata.annotations[name].strip()
            # An empty snippet is one: it may cost the whole Ingress.
            if row is not None and empty and "snippet" not in row.name:
                self.ledger.tell(cause, "dropped-harmless", "it is empty, and never did anything", "take it out")
                continue
            if row is not None:
                # Of several hosts another one may have what this one has lost.
                ruled = (
                    row.fate == "converted-with-difference" and len({rule.host for rule in self.ingress.spec.rules}) < 2
                )
                self.ledger.tell(cause, row.fate, row.words, row.advice, as_a_rule=ruled)
                continue
            message = "there is no such annotation: it never did anything"
            self.ledger.tell(cause, "unknown-annotation", message, self._instead_of(name.removeprefix(prefix)))

    def _tell_foreign(self, name: str) -> None:
        """Tell of an annotation that another controller reads, or one did long ago."""
        cause = self.inventory.of_annotation(self._item, name)
        other = next((title for prefix, title in _OTHERS.items() if name.startswith(prefix)), "")
        own = f"{self._table.prefix}{name.removeprefix(_OLD_PREFIX)}"
        if other:
            self.ledger.tell(cause, "dropped-harmless", f"{other} reads it, and nobody else: it never did anything")
        elif name.startswith(_OLD_PREFIX) and own in self._item.metadata.annotations:
            self.ledger.tell(cause, "dropped-harmless", f"nobody reads it any more: {own} is there", "take it out")
        elif name.startswith(_OLD_PREFIX) and self._table.prefix:
            bare = name.removeprefix(_OLD_PREFIX)
            remedy = f"write {own}" if bare in self._table.rows else self._instead_of(bare)
            self.ledger.tell(cause, "unknown-annotation", "nobody reads it any more: it never did anything", remedy)

    def _instead_of(self, own: str) -> str:
        """What to write in place of a name that no annotation has; people take settings for annotations."""
        table, keys = self._table, self.settings.names
        bare = own.rpartition("/")[2]
        if own in table.invented:
            return table.invented[own]
        if bare in keys:
            return f"take it out: `{bare}` is a setting of the whole controller, a key of its ConfigMap"
        near = nearest(own, (*table.rows, *table.invented, *(keys if own == bare else ())))
        if not near:
            return "take it out"
        if near in table.rows:
            return f"the nearest one that there is: {table.prefix}{near}"
        if near in table.invented:
            return f"as {near}, which is none either: {table.invented[near]}"
        return f"the nearest name is that of a setting of the whole controller, a key of its ConfigMap: {near}"

    def _parsed(self, name: str, parse: Callable[[str], _T | None], wanted: str, *, default: _T) -> _T:
        found = self.value(name)
        if found is None:
            return default
        parsed = parse(found.text)
        if parsed is None:
            shown = str(default).lower() if isinstance(default, bool) else default
            self.tell(name, "invalid", f"{wanted} is expected; {shown} holds, as before", "correct the value")
            return default
        return parsed
