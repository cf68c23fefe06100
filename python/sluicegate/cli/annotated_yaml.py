"""YAML with a comment at each part that says where it comes from."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from sluicegate.controller.ingress import Cause, Manifest
from sluicegate.words import one_line

#: Scalars that are remembered: names and namespaces come again and again.
MAX_REMEMBERED = 4096
#: Texts that no reader of YAML takes for anything else, but for these.
_WORD = re.compile(r"[A-Za-z/][-A-Za-z0-9._/]*")
#: What some reader of YAML, of whatever version, takes for a number.
_NUMBER = re.compile(r"[-+]?(?:[0-9._:]+(?:[eE][-+]?[0-9]*)?|0[xXoObB][0-9a-fA-F_]*|\.(?:inf|nan))", re.IGNORECASE)
_OTHER = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
#: Characters of a value that a comment shows.
MAX_SHOWN = 100


def write_manifests(manifests: Iterable[Manifest]) -> Iterator[str]:
    """The lines of manifests, each a document."""
    for manifest in manifests:
        yield "---"
        yield from _comments(manifest.causes.get("", ()), "")
        yield from _mapping(manifest.document, "", "", manifest.causes)


def _mapping(
    value: Mapping[str, Any], indent: str, path: str, causes: Mapping[str, tuple[Cause, ...]]
) -> Iterator[str]:
    for key, item in value.items():
        here = f"{path}.{key}".lstrip(".")
        yield from _comments(causes.get(here, ()), indent)
        yield from _entry(f"{indent}{_scalar(key)}:", item, indent, here, causes)


def _entry(
    head: str,
    item: Any,  # noqa: ANN401 (any YAML)
    indent: str,
    path: str,
    causes: Mapping[str, tuple[Cause, ...]],
) -> Iterator[str]:
    if isinstance(item, Mapping) and item:
        yield head
        yield from _mapping(item, f"{indent}  ", path, causes)
    elif isinstance(item, (list, tuple)) and item:
        yield head
        yield from _sequence(item, indent, path, causes)
    elif isinstance(item, str) and "\n" in item.rstrip("\n") and _is_plain_block(item):
        yield f"{head} |{'' if item.endswith(chr(10)) else '-'}"
        yield from (f"{indent}  {line}" if line else "" for line in item.rstrip("\n").split("\n"))
    else:
        yield f"{head} {_scalar(item)}"


def _sequence(items: Iterable[Any], indent: str, path: str, causes: Mapping[str, tuple[Cause, ...]]) -> Iterator[str]:
    for number, item in enumerate(items):
        here = f"{path}[{number}]"
        yield from _comments(causes.get(here, ()), indent)
        if isinstance(item, Mapping) and item:
            lines = _mapping(item, f"{indent}  ", here, causes)
            first = next(lines)
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from lines
        else:
            yield f"{indent}- {_scalar(item)}"


def _is_plain_block(text: str) -> bool:
    """Whether a text may stand as it is: YAML has no place for some characters, nor for blanks at its beginning."""
    return not text.startswith((" ", "\n")) and all(line.isprintable() for line in text.split("\n"))


def _scalar(value: Any) -> str:  # noqa: ANN401 (any YAML)
    if isinstance(value, str):
        if value.lower() in _OTHER or _NUMBER.fullmatch(value):
            return json.dumps(value)
        return value if _WORD.fullmatch(value) else _text(value)
    return str(value) if type(value) is int else _plain(value)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _text(value: str) -> str:
    return _plain(value)


def _plain(value: Any) -> str:  # noqa: ANN401 (any YAML)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _comments(causes: Iterable[Cause], indent: str) -> Iterator[str]:
    for cause in causes:
        value = cause.value if len(cause.value) <= MAX_SHOWN else f"{cause.value[:MAX_SHOWN]}..."
        parts = [cause.place, *([cause.object] if cause.line else []), cause.subject + (f": {value}" if value else "")]
        yield f"{indent}# {one_line(' '.join(part for part in parts if part))}"
