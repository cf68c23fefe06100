"""From the text of a file to documents: split at `---`, parse each part once, keep the place of everything.

A part that cannot be read costs itself and nothing else.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sluicegate.controller import caught
from sluicegate.controller.api import Diagnostic, Origin

from .loader import MAX_DEPTH, YamlError, field_lines, item_places, load

#: One document. The API server takes at most 3 MiB in a request.
MAX_DOCUMENT_BYTES = 3 * 1024 * 1024

#: Kind of lists, and the end of the kinds of lists of one kind.
LIST = "List"

_SEPARATOR = re.compile(r"^(?:---|\.\.\.)(?=\s|$)", re.MULTILINE)
_BLANK = re.compile(r"\s*(?:#.*)?$|---\s*(?:#.*)?$|\.\.\.\s*$|%")


def printable(text: str) -> str:
    """Text that can be written anywhere: bytes of file names that are not UTF-8 are shown as escapes."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def unreadable(path: str, line: int, message: str, field: str = "") -> Diagnostic:
    """Tell that a file, or a part of it, cannot be read.

    Args:
        path: file, directory, or `-` for standard input.
        line: 1-based; 0 where the whole file is meant.
        message: what is wrong, and what to do where that is not plain.
        field: path in the document; empty for all of it.
    """
    place, told = printable(path), printable(message)
    return Diagnostic(path=place, line=line, severity="error", field=field, code="unreadable", message=told)


class Document(NamedTuple):
    """One document of a manifest.

    Attributes:
        data: the object, as parsed.
        origin: file and line of its first key.
        text: the text that it was read from: its part of the file, or what it is of a List.
        first_line: 1-based line of `text` in the file.
        prefix: where the object is in the text: empty, or `items[3]` where the text is a whole List.
    """

    data: dict[str, Any]
    origin: Origin
    text: str
    first_line: int
    prefix: str = ""

    def line_of(self, path: str) -> int:
        """Line of a field such as `spec.rules[0].matches`; of its nearest ancestor where it is not written."""
        return self.lines_of((path,))[0]

    def lines_of(self, paths: Iterable[str]) -> list[int]:
        """Lines of several fields, for the price of one."""
        wholes = [".".join(part for part in (self.prefix, path) if part) for path in paths]
        found = field_lines(self.text, wholes) if any(wholes) else [0] * len(wholes)
        return [
            line + self.first_line - 1 if line and whole else self.origin.line
            for line, whole in zip(found, wholes, strict=True)
        ]


class PartDocument(NamedTuple):
    """A document of a part; `text` and `prefix` are those of `Document`, both lines are relative to the part."""

    data: dict[str, Any]
    line: int
    text: str
    first_line: int = 1
    prefix: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one part of a file, between two separators, came to; lines are relative to the part, 1-based.

    Attributes:
        documents: what was read.
        diagnostics: what could not be read, without the path.
        text: the part.
    """

    documents: tuple[PartDocument, ...]
    diagnostics: tuple[Diagnostic, ...]
    text: str


def split(text: str) -> Iterator[tuple[int, str]]:
    """Split at document separators; each part keeps its own separator and comes with its 1-based first line."""
    starts = [0, *(found.start() for found in _SEPARATOR.finditer(text) if found.start() > 0), len(text)]
    line = 1
    for start, end in itertools.pairwise(starts):
        part = text[start:end]
        if part:
            yield line, part
            line += part.count("\n")


def parse(text: str, *, as_json: bool = False) -> Part:
    """Read one part."""
    first = _first_content(text)
    if first is None:
        return Part((), (), text)
    if len(text) > MAX_DOCUMENT_BYTES:
        reason = f"a document of {len(text):,} characters; at most {MAX_DOCUMENT_BYTES:,} are read: split it"
        return Part((), (unreadable("", first, reason),), text)
    try:
        data = _values(text, as_json=as_json)
    except Exception as error:  # an odd part of a file must not cost the rest
        return Part((), (unreadable("", *_reason(error, first, as_json=as_json)),), text)
    if data is None:
        return Part((), (), text)
    if not isinstance(data, dict):
        reason = f"an object with apiVersion and kind is expected, not a {_kind_of(data)}"
        return Part((), (unreadable("", first, reason),), text)
    if _is_list(data):
        documents, diagnostics = _parse_list(data, text, 1, first)
        return Part(tuple(documents), tuple(diagnostics), text)
    return Part((PartDocument(data, first, text),), (), text)


def _values(text: str, *, as_json: bool) -> object:
    data = json.loads(text, object_pairs_hook=_once) if as_json else load(_without_directives(text))
    if "\\u" in text or "\\U" in text:
        # Some parsers take what is no text, and nobody can write it again.
        json.dumps(data, ensure_ascii=False, default=str).encode()
    if as_json:
        _check_depth(data, 0)
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, each key of it there once: else one of two values would be lost without a word.

    Raises:
        KeyError: a key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError(next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1))
    return found


def _reason(error: Exception, first: int, *, as_json: bool) -> tuple[int, str]:
    """Line and reason of a part that cannot be read; `first` is the line where it begins."""
    what = "no JSON" if as_json else "no YAML"
    if isinstance(error, YamlError):
        return error.line or first, f"{what}: {error.reason}"
    if isinstance(error, json.JSONDecodeError):
        return error.lineno, f"{what}: {error.msg}"
    if isinstance(error, UnicodeEncodeError):
        return first, f"{what}: half of a surrogate pair is no character: write both halves, or the character itself"
    if as_json and isinstance(error, KeyError):
        return first, f"{what}: the key {error} is there twice"
    if isinstance(error, RecursionError):
        return first, f"{what}: nested deeper than {MAX_DEPTH} levels"
    if as_json and isinstance(error, ValueError):
        return first, f"{what}: an integer of thousands of digits"
    return first, caught.note("read", error)


def _check_depth(value: object, depth: int) -> None:
    """Hold JSON to the depth that YAML may have.

    Raises:
        RecursionError: it is deeper.
    """
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, (dict, list)):
                _check_depth(item, depth + 1)


def _is_list(data: dict[str, Any]) -> bool:
    """Whether it is a list of objects, as kubectl tells: of any kind (`List`, `ServiceList`), with `items`."""
    kind = data.get("kind")
    if isinstance(kind, str) and isinstance(data.get("items"), list):
        return True
    return kind == LIST and data.get("apiVersion") == "v1"


def _parse_list(data: dict[str, Any], text: str, begin: int, first: int) -> tuple[list[PartDocument], list[Diagnostic]]:
    """Take a list apart: each object gets its own text, so that its lines are found without the others.

    Lists in lists are taken apart as well. Items of a `ServiceList` may leave out their kind, as the API server does.
    Source: `FlattenListVisitor` of cli-runtime, `unstructuredJSONScheme` of apimachinery.

    Args:
        data: the list.
        text: of the list.
        begin: line of the part at which the text begins.
        first: line of its first content.
    """
    documents: list[PartDocument] = []
    diagnostics: list[Diagnostic] = []
    items = data.get("items")
    if items is None and "items" in data:
        return documents, diagnostics  # empty, as Go writes it
    if not isinstance(items, list):
        what = "it has none" if items is None else f"it is a {_kind_of(items)}"
        return documents, [unreadable("", first, f"a {data['kind']} has a list of objects, but {what}", "items")]
    kind = data["kind"].removesuffix(LIST)
    places = item_places(text)
    if len(places) != len(items):
        places = [(first - begin + 1, "")] * len(items)
    for index, (written, (place, own)) in enumerate(zip(items, places, strict=True)):
        prefix, line = f"items[{index}]", begin + place - 1
        if not isinstance(written, dict):
            diagnostics.append(unreadable("", line, f"an object is expected, not a {_kind_of(written)}", prefix))
            continue
        item = written
        if kind and not item.get("kind"):
            item = {**item, "apiVersion": data.get("apiVersion"), "kind": kind}
        if own and _is_list(item):
            inner = _parse_list(item, own, line, line)
            documents += inner[0]
            diagnostics += [unreadable("", at.line, at.message, f"{prefix}.{at.field}") for at in inner[1]]
        elif own:
            documents.append(PartDocument(item, line, own, line))
        else:
            documents.append(PartDocument(item, line, text, begin, prefix))
    return documents, diagnostics


def _first_content(text: str) -> int | None:
    """Line of the first content; None where there are only comments and separators."""
    for number, line in enumerate(text.split("\n"), 1):
        if not _BLANK.match(line):
            return number
    return None


def _without_directives(text: str) -> str:
    """Blank out `%YAML` and a closing `...`, which mean nothing once the text is split."""
    if text.startswith("..."):
        text = "   " + text[3:]
    if "%" not in text:
        return text
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if line.startswith("%"):
            lines[index] = ""
        elif not _BLANK.match(line):
            break
    return "\n".join(lines)


def _kind_of(value: object) -> str:
    names = {
        dict: "mapping",
        list: "list",
        str: "text",
        int: "number",
        float: "number",
        bool: "boolean",
        type(None): "null",
    }
    return names.get(type(value), type(value).__name__)
