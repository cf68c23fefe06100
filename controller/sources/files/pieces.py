"""A file as pieces between separators, each at its first line: what did not change is not parsed again."""

from __future__ import annotations

import bisect
import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple

from ...api import Diagnostic, Origin, placed_at
from .documents import Document, Part, parse, split

#: Below this many parts a changed file is simply read again.
MIN_PIECES_TO_REUSE = 16

#: Files of kustomize, whose documents may leave out what they are.
#: Source: `FixKustomizationPreUnmarshalling` of kustomize's api/types.
_KUSTOMIZATIONS = frozenset({"kustomization.yaml", "kustomization.yml"})
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}

#: Characters compared at once.
_COMPARED = 65_536


class Piece(NamedTuple):
    """A part of a file at its first line."""

    first_line: int
    part: Part
    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]


def pieces_of(path: str, text: str, line: int, before: Mapping[str, Part]) -> Iterator[Piece]:
    """Parse text that begins at a line of its file; parts that are known already are not parsed."""
    as_json = path.endswith(".json")
    defaults = _KUSTOMIZATION if os.path.basename(path) in _KUSTOMIZATIONS else {}
    parts = dict(before)
    for first_line, part_text in [(1, text)] if as_json else split(text):
        part = parts.get(part_text)
        if part is None:
            part = parts[part_text] = parse(part_text, as_json=as_json, defaults=defaults)
        yield _place(path, part, line + first_line - 1)


def _place(path: str, part: Part, first_line: int) -> Piece:
    documents = tuple(
        Document(
            item.content,
            Origin(path, first_line + item.line - 1),
            item.text,
            first_line + item.first_line - 1,
            item.prefix,
        )
        for item in part.documents
    )
    diagnostics = tuple(placed_at(item, Origin(path, first_line + item.line - 1)) for item in part.diagnostics)
    return Piece(first_line, part, documents, diagnostics)


def reread(path: str, text: str, old: str, pieces: list[Piece]) -> list[Piece] | None:
    """Parse only what lies between the unchanged beginning and the unchanged end of a file.

    Returns None where that is not worth it, or not safe (JSON has no parts).
    """
    if path.endswith(".json") or len(pieces) < MIN_PIECES_TO_REUSE:
        return None
    shared = min(len(old), len(text))
    head = _common(shared, lambda low, high: old[low:high] == text[low:high])
    ends = len(old), len(text)
    tail = _common(
        shared - head,
        lambda low, high: old[ends[0] - high : ends[0] - low] == text[ends[1] - high : ends[1] - low],
    )
    starts = [0, *itertools.accumulate(map(len, map(attrgetter("part.text"), pieces)))]
    # One piece of context on each side: an edit at a seam can join or part its neighbours.
    first = max(bisect.bisect_right(starts, head, hi=len(pieces)) - 2, 0)
    last = min(bisect.bisect_left(starts, len(old) - tail) + 1, len(pieces))
    begin, end = starts[first], starts[last]
    shift = len(text) - len(old)
    known_parts = {piece.part.text: piece.part for piece in pieces[first:last]}
    middle = list(pieces_of(path, text[begin : end + shift], pieces[first].first_line, known_parts))
    lines = text.count("\n", begin, end + shift) - old.count("\n", begin, end)
    rest = pieces[last:]
    if lines:
        rest = [_place(path, piece.part, piece.first_line + lines) for piece in rest]
    return [*pieces[:first], *middle, *rest]


def _common(limit: int, equal: Callable[[int, int], bool]) -> int:
    """Length, up to `limit`, over which two texts are equal; `equal(low, high)` compares a piece of both."""
    low = 0
    while low < limit and equal(low, min(low + _COMPARED, limit)):
        low = min(low + _COMPARED, limit)
    high = min(low + _COMPARED, limit)
    while low < high:
        middle = (low + high + 1) // 2
        if equal(low, middle):
            low = middle
        else:
            high = middle - 1
    return low
