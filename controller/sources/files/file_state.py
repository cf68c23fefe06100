"""What each file came to, and what all of them come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

import msgspec

from ...api import Diagnostic, Object, ObjectKey, Origin, RefusedPolicy, placed_at, refused_in
from .documents import Document
from .judge import Judged
from .reader import File


@dataclass(slots=True)
class FileState:
    """What one file came to: a look at each document, its objects, and those that are kept from before.

    `broken` has the keys of documents that cannot be used, and where these are. What is kept of them counts as there:
    where its good version was there may be another object now. `closed` has the policies that cannot be used and have
    no last good version in the file.
    """

    file: File
    looked: list[Judged] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: dict[ObjectKey, Origin] = field(default_factory=dict)
    closed: dict[ObjectKey, RefusedPolicy] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    by_line: dict[int, Document] | None = None

    def document(self, line: int) -> Document | None:
        """The document that begins at a line; the index is made when it is first asked for."""
        if self.by_line is None:
            self.by_line = {document.origin.line: document for document in self.file.documents}
        return self.by_line.get(line)


def merge(
    states: Mapping[str, FileState], uncertain: frozenset[str], before: Mapping[ObjectKey, Object]
) -> tuple[dict[ObjectKey, Object], bool, list[Diagnostic]]:
    """Put the objects of all files together.

    Of an object that is written twice the one that was in use stays, so that a file that is added takes nothing over;
    at the beginning the first one counts.

    Args:
        states: by path, in order.
        uncertain: paths whose files are not there: most likely renamed, so they decide nothing, and nothing is told of
            them.
        before: what was in use.

    Returns:
        The objects; whether one of them is written twice; what is told of that.
    """
    objects: dict[ObjectKey, Object] = {}
    several: dict[ObjectKey, list[Object]] = {}
    for state in states.values():
        for item in state.objects:
            first = objects.setdefault(item.key, item)
            if first is not item:
                several.setdefault(item.key, [first]).append(item)
    duplicates = []
    for key, written in several.items():
        kept = objects[key] = _kept(written, before.get(key), uncertain)
        for item in written:
            if item is not kept and item.origin.path not in uncertain:
                message = f"already written at {kept.origin}; this one is left out: remove one of the two"
                found = Diagnostic(severity="error", object=str(key), code="duplicate", message=message)
                duplicates.append(placed_at(found, item.origin))
    return objects, bool(several), duplicates


def _kept(written: list[Object], before: Object | None, uncertain: frozenset[str]) -> Object:
    """Which of several counts: the one that was in use, else the first of its file, else the first of all."""
    if before is None or before.origin.path in uncertain:
        return written[0]
    there = [item for item in written if item.origin.path == before.origin.path]
    same = (item for item in there if msgspec.structs.replace(item, origin=before.origin) == before)
    return next(same, (there or written)[0])


def closed_of(file: File, bad: Iterable[Judged], kept: Iterable[Object]) -> dict[ObjectKey, RefusedPolicy]:
    """Policies of a file that cannot be used and have no last good version in it.

    Args:
        file: as it was read.
        bad: its documents that cannot be used.
        kept: what goes on of the file as it was before.
    """
    keys = {item.key for item in kept}
    return together(_closed_of(file, bad, keys, {key.kind for key in keys}))


def closed_whole(file: File, reason: str) -> dict[ObjectKey, RefusedPolicy]:
    """Policies of a file of which nothing is known but its text, because of a fault of ours."""
    texts = (*(item.text for item in file.documents), *(piece.part.text for piece in file.unread))
    return together(refused_in("\n".join(texts), Origin(file.path), reason, ()))


def _closed_of(file: File, bad: Iterable[Judged], keys: Set[ObjectKey], kinds: Set[str]) -> Iterator[RefusedPolicy]:
    for item in bad:
        meant = item.meant_key()
        # One without a name is taken for one of its kind that goes on: nobody can say which it was.
        goes_on = item.closed is not None and (item.closed.key.kind in kinds if meant is None else meant in keys)
        if item.closed is not None and not goes_on:
            yield item.closed
    if file.unread:
        # Together: what comes of a policy by a separator in the wrong place says nothing by itself.
        text = "\n".join(piece.part.text for piece in file.unread)
        known = [str(document.data.get("kind")) for piece in file.unread for document in piece.documents]
        first = file.unread[0].diagnostics[0]
        found = refused_in(text, Origin(first.path, first.line), first.message, known)
        yield from (item for item in found if item.key.kind not in kinds)


def together(found: Iterable[RefusedPolicy]) -> dict[ObjectKey, RefusedPolicy]:
    """By key; of one that is there twice all targets count."""
    result: dict[ObjectKey, RefusedPolicy] = {}
    for item in found:
        first = result.get(item.key, item)
        targets = tuple(dict.fromkeys((*first.targets, *item.targets)))
        result[item.key] = msgspec.structs.replace(first, targets=targets) if targets != first.targets else first
    return result
