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
MAX_REMEMBERED = 16_384
#: Texts that no reader of YAML takes for anything else, but for some words; none of them looks like a number.
_WORD = re.compile(r"[A-Za-z/][-A-Za-z0-9._/]*")
#: What some reader of YAML, of whatever version, takes for a number.
_NUMBER = re.compile(r"[-+]?(?:[0-9._:]+(?:[eE][-+]?[0-9]*)?|0[xXoObB][0-9a-fA-F_]*|\.(?:inf|nan))", re.IGNORECASE)
_OTHER = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
#: Characters of a value that a comment shows.
MAX_SHOWN = 100

#: A step of the path of a part.
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class _Parts(dict[str | int, "_Parts"]):
    """Where a part comes from, and those of its own parts that say so, by key or number."""

    causes: tuple[Cause, ...] = ()


def write_manifests(manifests: Iterable[Manifest]) -> Iterator[str]:
    """The text of manifests, each a document, without its last end of line."""
    for manifest in manifests:
        parts = _parts(manifest.causes)
        lines = ["---", *_comments(parts.causes, "")]
        _mapping(manifest.document, "", parts, lines)
        yield "\n".join(lines)


def _parts(causes: Mapping[str, tuple[Cause, ...]]) -> _Parts:
    """Causes by the steps of their paths, such as `spec.rules[0]`."""
    whole = _Parts()
    for path, found in causes.items():
        part = whole
        for key, number in _STEP.findall(path):
            part = part.setdefault(key or int(number), _Parts())
        part.causes = found
    return whole


def _mapping(value: Mapping[str, Any], indent: str, parts: _Parts | None, lines: list[str]) -> None:
    """The lines of a mapping, behind others. Most of a manifest has no causes of its own: `parts` is None there."""
    for key, item in value.items():
        part = parts.get(key) if parts else None
        if part is not None:
            lines += _comments(part.causes, indent)
        head = f"{indent}{_text(key)}:"
        if type(item) is str and "\n" not in item:  # most of them
            lines.append(f"{head} {_text(item)}")
        elif isinstance(item, dict) and item:
            lines.append(head)
            _mapping(item, f"{indent}  ", part, lines)
        elif isinstance(item, (list, tuple)) and item:
            lines.append(head)
            _sequence(item, indent, part, lines)
        elif isinstance(item, str) and "\n" in item.rstrip("\n") and _is_plain_block(item):
            lines.append(f"{head} |{'' if item.endswith(chr(10)) else '-'}")
            lines += (f"{indent}  {line}" if line else "" for line in item.rstrip("\n").split("\n"))
        else:
            lines.append(f"{head} {_scalar(item)}")


def _sequence(items: Iterable[Any], indent: str, parts: _Parts | None, lines: list[str]) -> None:
    for number, item in enumerate(items):
        part = parts.get(number) if parts else None
        if part is not None:
            lines += _comments(part.causes, indent)
        if isinstance(item, dict) and item:
            first = len(lines)
            _mapping(item, f"{indent}  ", part, lines)
            lines[first] = f"{indent}- {lines[first][len(indent) + 2 :]}"
        else:
            lines.append(f"{indent}- {_scalar(item)}")


def _is_plain_block(text: str) -> bool:
    """Whether a text may stand as it is: YAML has no place for some characters, nor for blanks at its beginning."""
    return not text.startswith((" ", "\n")) and all(line.isprintable() for line in text.split("\n"))


def _scalar(value: Any) -> str:  # noqa: ANN401 (any YAML)
    if isinstance(value, str):
        return _text(value)
    return str(value) if type(value) is int else _plain(value)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _text(value: str) -> str:
    if _WORD.fullmatch(value):
        return json.dumps(value) if value.lower() in _OTHER else value
    return json.dumps(value) if _NUMBER.fullmatch(value) else _plain(value)


def _plain(value: Any) -> str:  # noqa: ANN401 (any YAML)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _comments(causes: Iterable[Cause], indent: str) -> Iterator[str]:
    return (f"{indent}# {_comment(cause)}" for cause in causes)


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def _comment(cause: Cause) -> str:
    value = cause.value if len(cause.value) <= MAX_SHOWN else f"{cause.value[:MAX_SHOWN]}..."
    parts = [cause.place, *([cause.object] if cause.line else []), cause.subject + (f": {value}" if value else "")]
    return one_line(" ".join(part for part in parts if part))
