"""Write the pages of `docs/migration`: every annotation and setting, as the tables of the conversion have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from sluicegate.controller.ingress import FATES, PROVIDERS, Annotation, Fate, Provider, Setting

FOLDER = Path(__file__).parents[1] / "docs" / "migration"

#: Of providers whose page is not named as they are.
_PAGES = {"nginx": "ingress-nginx"}

_FATE_WORDS: dict[Fate, str] = {
    "converted": "converted",
    "converted-with-difference": "converted, with a difference",
    "dropped-harmless": "dropped, nothing is lost",
    "no-equivalent": "no equivalent",
}
_CLASSES = {
    "S": "standard channel of the Gateway API",
    "X": "experimental channel",
    "P": "policies and filters of ours",
    "D": "nothing is needed",
    "N": "there is nothing",
}

_HEAD = """\
# Annotations and settings of {title}

What `sluicegate migrate` makes of each; [migration.md](../migration.md) is the guide. A value may do worse than its
annotation: the report says so, with file and line. This page is written by `python tools/migration_page.py`.

{counts}
## Annotations

{prefix}The letter says by what: {classes}.

| annotation | by | what becomes of it | how |
|---|---|---|---|
"""
_SETTINGS = """
## Settings

Keys of the ConfigMap that `--config-map` names. Without it the defaults hold.

| key | default | what becomes of it | how |
|---|---|---|---|
"""
_INVENTED = """
## Names that never were

| annotation | what to do |
|---|---|
"""


def page(provider: Provider) -> str:
    """The page of a provider as it should be."""
    rows = list(provider.annotations.values())
    counts = Counter(row.fate for row in rows)
    lines = [f"- {_FATE_WORDS[fate]}: {counts[fate]}\n" for fate in FATES if counts[fate]]
    classes = ", ".join(f"{letter} {meaning}" for letter, meaning in _CLASSES.items())
    head = _HEAD.format(
        title=provider.title,
        prefix=f"The prefix is `{provider.prefix}`. " if provider.prefix else "",
        classes=classes,
        counts=f"Of {len(rows)} annotations:\n\n{''.join(lines)}",
    )
    invented = (f"| `{name}` | {remedy} |\n" for name, remedy in sorted(provider.invented.items()))
    settings = [_SETTINGS, *_settings(provider.settings.values())] if provider.settings else []
    return "".join([head, *_annotations(rows), *settings, _INVENTED, *invented])


def _annotations(rows: Iterable[Annotation]) -> Iterator[str]:
    for row in rows:
        names = ", ".join(f"`{name}`" for name in (row.name, *row.aliases))
        yield f"| {names} | {row.kind} | {_FATE_WORDS[row.fate]} | {_how(row)} |\n"


def _settings(rows: Iterable[Setting]) -> Iterator[str]:
    for row in rows:
        default = f"`{row.default}`" if row.default else ""
        yield f"| `{row.name}` | {default} | {_FATE_WORDS[row.fate]} | {_how(row)} |\n"


def _how(row: Annotation | Setting) -> str:
    return f"{row.words}{f'; {row.advice}' if row.advice else ''}".replace("|", "\\|")


def files() -> dict[Path, str]:
    """Every file as it should be."""
    return {FOLDER / f"{_PAGES.get(name, name)}.md": page(provider) for name, provider in PROVIDERS.items()}


if __name__ == "__main__":
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
