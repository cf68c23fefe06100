"""What a provider is: a controller of Ingresses, its annotations and settings as tables, and their reading.

A provider is a package of its own (`nginx`). It says what each annotation means (`Annotation`, a row of its table,
which is also its documentation) and reads those of an Ingress into features. Annotations that no row has are told here,
and so is the fate of each that an Ingress has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from ..api import Object
from ..api.ingress import Ingress, TextMap
from . import values
from .features import Feature
from .inventory import Inventory
from .losses import Cause, Fate, Ledger, nearest
from .options import Name

#: How something is said: by the standard channel, the experimental one, a policy or filter of ours; it may be dropped;
#: there is nothing like it.
Class = Literal["S", "X", "P", "D", "N"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A row of a provider's table.

    Attributes:
        name: without the prefix.
        kind: how it is said.
        fate: what becomes of it, as a rule: a value may do worse.
        words: what is made of it, what is different, or why there is nothing; a sentence without its full stop.
        advice: what to do; empty where there is nothing to do.
        group: of the module that reads it; empty: none does.
        aliases: older names.
    """

    name: str
    kind: Class
    fate: Fate
    words: str
    advice: str = ""
    group: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """What a controller does by itself, whatever annotations say.

    Attributes:
        shows_certificate: hosts without one are served on port 443, with a certificate of the controller's own.
        answers_everywhere: it answers `/` of a host whose Ingress has no such path, by `spec.defaultBackend` or by 404.
        adds_slash: a path that ends in `/` is asked for by 301 where the request lacks the `/`.
        prefixes_by_text: the prefix `/tea` takes `/teapot`.
    """

    shows_certificate: bool = False
    answers_everywhere: bool = False
    adds_slash: bool = False
    prefixes_by_text: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of a provider's table of settings.

    Attributes:
        name: key of the ConfigMap.
        default: what holds without it, as it would be written.
        fate: what becomes of it.
        words: what is made of it, or why nothing.
        advice: what to do; empty where there is nothing to do.
    """

    name: str
    default: str
    fate: Fate
    words: str
    advice: str = ""


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
        provider: Provider,
        settings: Settings,
        inventory: Inventory,
        ledger: Ledger,
        item: Object | None = None,
    ) -> None:
        """Begin. `item` has the annotations where the Ingress itself does not, such as a Service."""
        self.ingress = ingress
        self._item: Object = ingress if item is None else item
        self.inventory = inventory
        self.settings = settings
        self.ledger = ledger
        self._provider = provider
        self._told: set[str] = set()
        self._other: Object | None = None
        self._instead: frozenset[str] = frozenset()
        self._besides: frozenset[str] = frozenset()

    def inherit(self, item: Object, *, instead: frozenset[str], besides: frozenset[str]) -> None:
        """Read some annotations from another object: always, or where the Ingress does not have them."""
        self._other, self._instead, self._besides = item, instead, besides

    def value(self, name: str) -> Value | None:
        """An annotation, by its name or an older one; None: it is not there, or says nothing."""
        row = self._provider.annotations[name]
        own = None if name in self._instead else self._value_of(self._item, row)
        if own is None and self._other is not None and name in self._instead | self._besides:
            return self._value_of(self._other, row)
        return own

    def _value_of(self, item: Object, row: Annotation) -> Value | None:
        for each in (row.name, *row.aliases):
            written = f"{self._provider.prefix}{each}"
            text = item.metadata.annotations.get(written, "").strip()
            if text:
                return Value(text, self.inventory.of_annotation(item, written))
        return None

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

    def seconds(self, name: str, default: int = 0) -> int:
        """An annotation that is a time in seconds; nonsense is told and is the default."""
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
        written = f"{self._provider.prefix}{name}"
        if written in self._item.metadata.annotations:
            self._told.add(written)
            cause = self.inventory.of_annotation(self._item, written)
            self.ledger.tell(cause, "dropped-harmless", message, "take it out")

    def tell(self, name: str, fate: Fate, message: str, remedy: str = "") -> None:
        """Tell something else of an annotation than its row does."""
        found = self.value(name)
        if found is not None:
            self._told.add(found.cause.subject)
            self.ledger.tell(found.cause, fate, message, remedy)

    def tell_fates(self) -> None:
        """Tell the fate of each annotation that has the provider's prefix and of which nothing was told."""
        prefix, rows = self._provider.prefix, self._provider.rows
        for name in sorted(self._item.metadata.annotations):
            if not name.startswith(self._provider.owned) or name in self._told:
                continue
            cause = self.inventory.of_annotation(self._item, name)
            row = rows.get(name.removeprefix(prefix))
            if row is not None:
                self.ledger.tell(cause, row.fate, row.words, row.advice)
                continue
            near = nearest(name.removeprefix(prefix), rows)
            known = f"the nearest one that there is: {prefix}{near}" if near else "take it out"
            remedy = self._provider.invented.get(name.removeprefix(prefix), known)
            self.ledger.tell(cause, "unknown-annotation", "there is no such annotation: it never did anything", remedy)

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


class Provider(Protocol):
    """A controller of Ingresses.

    Attributes:
        name: of `--provider`.
        title: what it is called.
        prefix: of its annotations, which the names of its table lack; empty: they are whole.
        owned: what names of annotations that are its own begin with.
        controllers: `spec.controller` of its IngressClasses.
        ingress_class: the class that it serves where no IngressClass is known.
        annotations: its table, by name.
        rows: the same by every name, older ones too.
        invented: names that people write and that never were, with what to write instead.
        settings: the table of its ConfigMap.
        traits: what it does by itself.
    """

    name: str
    title: str
    prefix: str
    owned: tuple[str, ...]
    controllers: tuple[str, ...]
    ingress_class: str
    annotations: Mapping[str, Annotation]
    rows: Mapping[str, Annotation]
    invented: Mapping[str, str]
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
