"""From the text of a file to documents: split at `---`, parse each part once, keep the place of everything.

A part that cannot be read costs itself and nothing else.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from sluicegate.words import kind_of

from ... import caught
from ...api import Diagnostic, Origin
from . import lists, shapes
from .content import Content
from .json_text import JsonError, read_values
from .loader import MAX_DEPTH, Loaded, YamlError, load
from .other_files import TEMPLATE
from .places import Item

#: One document. The API server takes at most 3 MiB in a request.
MAX_DOCUMENT_BYTES = 3 * 1024 * 1024

#: Kind of lists, and the end of the kinds of lists of one kind.
LIST = "List"

#: What a large text has that may be a list of objects: each of these is held to the limit, the text is not.
_MAY_BE_LIST = re.compile(r"^items\s*:", re.MULTILINE)

_NONE: Mapping[str, str] = MappingProxyType({})
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
        content: what it says.
        origin: file and line of its first key.
        text: the text that it was read from: its part of the file, or what it is of a List.
        first_line: 1-based line of `text` in the file.
        prefix: where the object is in the text: empty, or `items[3]` where the text is a whole List.
    """

    content: Content
    origin: Origin
    text: str
    first_line: int
    prefix: str = ""

    @property
    def data(self) -> dict[str, Any]:
        """The object, as parsed; made anew each time."""
        return self.content.read()

    def line_of(self, path: str) -> int:
        """Line of a field such as `spec.rules[0].matches`; of its nearest ancestor where it is not written."""
        return self.lines_of((path,))[0]

    def lines_of(self, paths: Iterable[str]) -> list[int]:
        """Lines of several fields, for the price of one."""
        wholes = [".".join(filter(None, (self.prefix, path))) for path in paths] if self.prefix else list(paths)
        found = shapes.field_lines(self.text, wholes) if any(wholes) else [0] * len(wholes)
        return [
            line + self.first_line - 1 if line and whole else self.origin.line
            for line, whole in zip(found, wholes, strict=True)
        ]


class PartDocument(NamedTuple):
    """A document of a part; `text` and `prefix` are those of `Document`, both lines are relative to the part."""

    content: Content
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


def parse(text: str, *, as_json: bool = False, defaults: Mapping[str, str] = _NONE) -> Part:
    """Read one part.

    Args:
        text: the part.
        as_json: it is JSON; else it may be, as for `kubectl`.
        defaults: `apiVersion` and `kind` of what says neither.
    """
    first = _first_content(text)
    if first is None:
        return Part((), (), text)
    begins_like_json = text.lstrip()[:1] == "{"
    part = _parse_json(text, first, defaults) if as_json or begins_like_json else None
    if part is not None and (as_json or part.documents):
        return part
    if len(text) > MAX_DOCUMENT_BYTES and not _MAY_BE_LIST.search(text):
        return Part((), (_too_large("", first, text),), text)
    try:
        known = shapes.read(text)
        loaded = Loaded(known) if known is not None else lists.read(text) or load(_without_directives(text))
        _check_text(text, loaded.value)
    except Exception as error:  # an odd part of a file must not cost the rest
        return Part((), (_no_yaml(text, error, first),), text)
    if loaded.value is None:
        return Part((), (), text)
    return _part(_documents(loaded.value, _Place(first, text, 1, loaded.items), defaults), text)


def _parse_json(text: str, first: int, defaults: Mapping[str, str]) -> Part:
    """Read a stream of JSON objects, as far as it is one."""
    found: list[PartDocument | Diagnostic] = []
    try:
        for item in read_values(text):
            first = item.line
            _check_text(item.text, item.value)
            found += _documents(item.value, _Place(item.line, item.text, item.line, item.items), defaults)
    except Exception as error:  # an odd part of a file must not cost the rest
        found.append(unreadable("", *_reason(error, first, "not valid JSON")))
    return _part(found, text)


def _part(found: Iterable[PartDocument | Diagnostic], text: str) -> Part:
    both = list(found)
    documents = tuple(item for item in both if isinstance(item, PartDocument))
    return Part(documents, tuple(item for item in both if isinstance(item, Diagnostic)), text)


def _check_text(text: str, value: object) -> None:
    """Refuse what is no text: some parsers take it, and nobody can write it again.

    Raises:
        UnicodeEncodeError: it has half of a surrogate pair.
    """
    if "\\u" in text or "\\U" in text:
        json.dumps(value, ensure_ascii=False, default=str).encode()


def _no_yaml(text: str, error: Exception, first: int) -> Diagnostic:
    """What is wrong with a part that is no YAML: most likely a program has to make that of it first."""
    line, reason = _reason(error, first, "not valid YAML")
    template = TEMPLATE.search(text)
    if template is not None:
        line = text.count("\n", 0, template.start()) + 1
        reason = "a template ({{ ... }}), not YAML: it has to be rendered first, such as by `helm template`"
    return unreadable("", line, reason)


def _reason(error: Exception, first: int, what: str) -> tuple[int, str]:
    """Line and reason of a part that cannot be read; `first` is the line where it begins."""
    if isinstance(error, (JsonError, YamlError)):
        return error.line or first, f"{what}: {error.reason}"
    if isinstance(error, UnicodeEncodeError):
        return first, f"{what}: half of a surrogate pair is no character: write both halves, or the character itself"
    if isinstance(error, RecursionError):
        return first, f"{what}: nested deeper than {MAX_DEPTH} levels"
    return first, caught.note("read", error)


def _too_large(field: str, line: int, text: str) -> Diagnostic:
    reason = f"a document of {len(text):,} characters; at most {MAX_DOCUMENT_BYTES:,} are read: split it"
    return unreadable("", line, reason, field)


class _Place(NamedTuple):
    """Where a value is.

    Attributes:
        line: of its first content, in the part.
        text: its own.
        begin: line of the part at which the text begins.
        items: where those of its `items` are, with lines of the part.
        prefix: where it is in the text; empty where it is all of it.
        field: of the part's document, for what is told.
    """

    line: int
    text: str
    begin: int
    items: tuple[Item, ...]
    prefix: str = ""
    field: str = ""


def _documents(value: object, place: _Place, defaults: Mapping[str, str]) -> Iterator[PartDocument | Diagnostic]:
    """The documents that a value is, and what is wrong with it."""
    if not isinstance(value, dict):
        expected = "an object" if place.field else "an object with apiVersion and kind"
        yield unreadable("", place.line, f"{expected} is expected, not a {kind_of(value)}", place.field)
    elif _is_list(value):
        yield from _of_list(value, place)
    elif len(place.text) > MAX_DOCUMENT_BYTES and not place.prefix:
        yield _too_large(place.field, place.line, place.text)
    else:
        value = {**defaults, **value} if defaults and not value.get("kind") else value
        yield PartDocument(Content(value), place.line, place.text, place.begin, place.prefix)


def _is_list(data: dict[str, Any]) -> bool:
    """Whether it is a list of objects, as kubectl tells: of any kind (`List`, `ServiceList`), with `items`."""
    kind = data.get("kind")
    if isinstance(kind, str) and isinstance(data.get("items"), list):
        return True
    return kind == LIST and data.get("apiVersion") == "v1"


def _of_list(value: dict[str, Any], place: _Place) -> Iterator[PartDocument | Diagnostic]:
    """Take a list apart: each object gets its own text, so that its lines are found without the others.

    Lists in lists are taken apart as well. Items of a `ServiceList` may leave out their kind, as the API server does.
    Source: `FlattenListVisitor` of cli-runtime, `unstructuredJSONScheme` of apimachinery.
    """
    items, field = value.get("items"), f"{place.field}.items".lstrip(".")
    if items is None and "items" in value:
        return  # empty, as Go writes it
    if not isinstance(items, list):
        what = "it has none" if items is None else f"it is a {kind_of(items)}"
        yield unreadable("", place.line, f"a {value['kind']} has a list of objects, but {what}", field)
        return
    kind = value["kind"].removesuffix(LIST)
    known = len(place.items) == len(items) and not place.prefix  # not where they are merged in (`<<`)
    for index, written in enumerate(items):
        own = f"{field}[{index}]"
        if known:
            found = place.items[index]
            at = _Place(found.line, found.text, found.line, found.items, field=own)
        else:
            prefix = f"{place.prefix}.items[{index}]".lstrip(".")
            at = _Place(place.line, place.text, place.begin, (), prefix, own)
        item = written
        if kind and isinstance(written, dict) and not written.get("kind"):
            item = {**written, "apiVersion": value.get("apiVersion"), "kind": kind}
        yield from _documents(item, at, _NONE)


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
