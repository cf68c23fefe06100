"""Tables of providers, as they are written down: a line for each row."""

from __future__ import annotations

from collections.abc import Iterable

from .losses import Fate
from .provider import Annotation, Class, Setting

#: What becomes of something, by the letter in a row.
_FATES: dict[str, Fate] = {
    "+": "converted",
    "~": "converted-with-difference",
    "o": "dropped-harmless",
    "-": "no-equivalent",
}

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


def setting_rows(rows: Iterable[SettingRow]) -> dict[str, Setting]:
    """The rows of a table of settings, by key."""
    return {name: Setting(name, default, _FATES[fate], words, advice) for fate, name, default, words, advice in rows}
