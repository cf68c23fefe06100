"""Tables of providers: what is said of annotations and settings, a line for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from .kinds import FLAG, Kind
from .losses import Fate

#: How something is said: by the standard channel, the experimental one, a policy or filter of ours; it may be dropped;
#: there is nothing like it.
Class = Literal["S", "X", "P", "D", "N"]

#: What becomes of something, by the letter in a row.
_FATES: dict[str, Fate] = {
    "+": "converted",
    "~": "converted-with-difference",
    "o": "dropped-harmless",
    "-": "no-equivalent",
}


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
class Setting:
    """A row of a provider's table of settings.

    Attributes:
        name: key of the ConfigMap.
        default: what holds without it, as it would be written.
        fate: what becomes of it.
        words: what is made of it, or why nothing.
        advice: what to do; empty where there is nothing to do.
        kind: what it may say; None: any text.
    """

    name: str
    default: str
    fate: Fate
    words: str
    advice: str = ""
    kind: Kind | None = None


class Table(Protocol):
    """The annotations of a controller.

    Attributes:
        prefix: of its annotations, which the names of its table lack; empty: they are whole.
        owned: what names of annotations that are its own begin with.
        ignores_case: names of annotations are taken in any case, those of the table are in lower case.
        annotations: its table, by name.
        rows: the same by every name, older ones too.
        invented: names that people write and that never were, with what to write instead.
    """

    prefix: str
    owned: tuple[str, ...]
    ignores_case: bool
    annotations: Mapping[str, Annotation]
    rows: Mapping[str, Annotation]
    invented: Mapping[str, str]


#: class, fate, name, group, words, advice; `|` parts a name from an older one.
AnnotationRow = tuple[Class, str, str, str, str, str]
#: fate, key, default, words, advice.
SettingRow = tuple[str, str, str, str, str]


def annotation_rows(rows: Iterable[AnnotationRow]) -> dict[str, Annotation]:
    """The rows of a table of annotations, by name."""
    found: dict[str, Annotation] = {}
    for kind, fate, names, group, words, advice in rows:
        name, *aliases = names.split("|")
        found[name] = Annotation(name, kind, _FATES[fate], words, advice, group, tuple(aliases))
    return found


def setting_rows(rows: Iterable[SettingRow], kinds: Mapping[Kind, str]) -> dict[str, Setting]:
    """The rows of a table of settings, by key.

    Args:
        rows: of the table.
        kinds: the names of what is of a kind, with blanks between; what is true or false by default is a flag.
    """
    of_names = {name: kind for kind, names in kinds.items() for name in names.split()}
    found: dict[str, Setting] = {}
    for fate, name, default, words, advice in rows:
        kind = of_names.pop(name, FLAG if default in {"true", "false"} else None)
        found[name] = Setting(name, default, _FATES[fate], words, advice, kind)
    if of_names:
        raise ValueError(f"kinds of settings that have no row: {sorted(of_names)}")
    return found
