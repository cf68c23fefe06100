"""Reads paths, and reads again only what changed.

Rules:
- Directories are read recursively, `.yaml`, `.yml` and `.json`, sorted; names that begin with a dot are left out (so a
  mounted ConfigMap, whose files are links into `..data`, is read once). A file that is named is read whatever its name.
- A file whose size, time and identity did not change is not opened again; a part of a file whose text did not change is
  not parsed again.
- What cannot be read is a `Fault` with its place, and nothing else is lost because of it.
"""

from __future__ import annotations

import bisect
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sluicegate.controller.model import Origin

from .documents import Document, Fault, Part, parse, split

#: One file. Stops a wrong path (a disk image, a log) from filling the memory.
MAX_FILE_BYTES = 64 * 1024 * 1024
#: Files below the given paths.
MAX_FILES = 100_000

#: Below this many parts a changed file is simply read again.
MIN_PIECES_TO_REUSE = 16

#: Characters compared at once.
_COMPARED = 65_536

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = "-"

#: Called with the file about to be read, and the number of files read and known so far.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class File:
    """What one file holds.

    Attributes:
        path: as it was given, or found below a directory that was given.
        documents: in the order of the file.
        faults: what could not be read.
        readable: False where the whole file could not be read.
    """

    path: str
    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]
    readable: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What all paths hold at one moment.

    Attributes:
        files: in the order of the paths; a file that is unchanged is the very same object as before.
        faults: of all files, and of paths that are not there.
        missing: paths that were given and are not there.
    """

    files: tuple[File, ...]
    faults: tuple[Fault, ...]
    missing: frozenset[str]

    @property
    def documents(self) -> list[Document]:
        """All documents, in order."""
        return [document for file in self.files for document in file.documents]


class _Piece(NamedTuple):
    """A part of a file at its place: offset of its text, and its first line."""

    start: int
    first_line: int
    part: Part
    documents: tuple[Document, ...]
    faults: tuple[Fault, ...]


@dataclass(slots=True)
class _Known:
    """A file that was read: how it looked, and what it held."""

    stamp: tuple[int, ...]
    file: File
    text: str
    pieces: list[_Piece]


class Reader:
    """Reads the same paths again and again."""

    def __init__(self, paths: Sequence[str], standard_input: str | None = None) -> None:
        """Make a reader.

        Args:
            paths: files, directories, `-` for standard input.
            standard_input: text for `-`; None: it is read, once.
        """
        self.paths = tuple(dict.fromkeys(paths))
        self._standard_input = standard_input
        self._known: dict[str, _Known] = {}
        self._by_place: dict[str, str] = {}
        self._last: Reading | None = None

    def read(self, progress: Progress | None = None, changed: frozenset[str] | None = None) -> Reading:
        """Look at the paths again.

        Args:
            progress: called for each file that is read.
            changed: absolute paths that may have changed; None: any. Where they are no more than files that are known,
                nothing else is looked at.
        """
        last = self._read_some(changed) if changed is not None else None
        if last is None:
            last = self._read_all(progress)
        self._last = last
        return last

    def _read_some(self, changed: frozenset[str]) -> Reading | None:
        """Read only files that are known and still plain files; None where more may have changed."""
        if self._last is None:
            return None
        touched = set()
        for path in changed:
            name = self._by_place.get(path)
            if name is not None and is_plain(path):
                touched.add(name)
            elif not is_passing(path):
                return None
        if not touched:
            return self._last
        files = tuple(self._read_file(file.path) if file.path in touched else file for file in self._last.files)
        known = {fault for file in self._last.files for fault in file.faults}
        faults = [fault for fault in self._last.faults if fault not in known]
        faults.extend(fault for file in files for fault in file.faults)
        return Reading(files, tuple(faults), self._last.missing)

    def _read_all(self, progress: Progress | None) -> Reading:
        found: list[str] = []
        faults: list[Fault] = []
        missing: set[str] = set()
        for path in self.paths:
            if path == STANDARD_INPUT:
                found.append(path)
            elif os.path.isdir(path):
                found.extend(_walk(path, faults))
            elif os.path.exists(path):
                found.append(path)
            else:
                missing.add(path)
                faults.append(Fault(path, 0, "no such file or directory: check the path, or mount what belongs there"))
        unique = list(dict.fromkeys(found))
        if len(unique) > MAX_FILES:
            faults.append(Fault(unique[MAX_FILES], 0, f"more than {MAX_FILES:,} files: this one and the rest are left"))
            del unique[MAX_FILES:]
        files = []
        for number, path in enumerate(unique):
            if progress is not None:
                progress(path, number, len(unique))
            files.append(self._read_file(path))
        self._known = {path: self._known[path] for path in unique if path in self._known}
        self._by_place = {os.path.abspath(path): path for path in unique if path != STANDARD_INPUT}
        faults.extend(fault for file in files for fault in file.faults)
        return Reading(tuple(files), tuple(faults), frozenset(missing))

    def _read_file(self, path: str) -> File:
        known = self._known.get(path)
        try:
            if path == STANDARD_INPUT:
                if known is not None:
                    return known.file
                text = self._standard_input if self._standard_input is not None else sys.stdin.read()
                stamp: tuple[int, ...] = ()
            else:
                status = os.stat(path)
                stamp = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
                if known is not None and known.stamp == stamp:
                    return known.file
                if status.st_size > MAX_FILE_BYTES:
                    reason = f"{status.st_size:,} bytes; at most {MAX_FILE_BYTES:,} are read: split the file"
                    return File(path, (), (Fault(path, 0, reason),), readable=False)
                data = Path(path).read_bytes()
                text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            return File(path, (), (Fault(path, line, "not UTF-8 text"),), readable=False)
        except OSError as error:
            return File(path, (), (Fault(path, 0, f"cannot be read: {error.strerror}"),), readable=False)
        return self._parse_file(path, text, stamp, known)

    def _parse_file(self, path: str, text: str, stamp: tuple[int, ...], known: _Known | None) -> File:
        text = text.replace("\r\n", "\n")
        pieces = _reread(path, text, known) if known is not None else None
        if pieces is None:
            before = {piece.part.text: piece.part for piece in known.pieces} if known is not None else {}
            pieces = list(_pieces(path, text, 0, 1, before))
        documents = tuple(document for piece in pieces for document in piece.documents)
        faults = tuple(fault for piece in pieces for fault in piece.faults)
        file = File(path, documents, faults)
        self._known[path] = _Known(stamp, file, text, pieces)
        return file


def read(paths: Sequence[str], standard_input: str | None = None, progress: Progress | None = None) -> Reading:
    """Read paths once; see `Reader`."""
    return Reader(paths, standard_input).read(progress)


def _pieces(path: str, text: str, start: int, line: int, before: Mapping[str, Part]) -> Iterator[_Piece]:
    """Parse text that begins at an offset and a line of its file; parts that are known already are not parsed."""
    as_json = path.endswith(".json")
    parts = dict(before)
    for first_line, part_text in [(1, text)] if as_json else split(text):
        part = parts.get(part_text)
        if part is None:
            part = parts[part_text] = parse(part_text, as_json=as_json)
        yield _place(path, part, start, line + first_line - 1)
        start += len(part_text)


def _place(path: str, part: Part, start: int, first_line: int) -> _Piece:
    documents = tuple(
        Document(data, Origin(path, first_line + line - 1), part.text, first_line, prefix)
        for data, line, prefix in part.documents
    )
    faults = tuple(Fault(path, first_line + line - 1, reason) for line, reason in part.faults)
    return _Piece(start, first_line, part, documents, faults)


def _reread(path: str, text: str, known: _Known) -> list[_Piece] | None:
    """Parse only what lies between the unchanged beginning and the unchanged end of a file.

    Returns None where that is not worth it, or not safe (JSON has no parts).
    """
    old, pieces = known.text, known.pieces
    if path.endswith(".json") or len(pieces) < MIN_PIECES_TO_REUSE:
        return None
    shared = min(len(old), len(text))
    head = _common(shared, lambda low, high: old[low:high] == text[low:high])
    ends = len(old), len(text)
    tail = _common(
        shared - head,
        lambda low, high: old[ends[0] - high : ends[0] - low] == text[ends[1] - high : ends[1] - low],
    )
    starts = [piece.start for piece in pieces]
    # One piece of context on each side: an edit at a seam can join or part its neighbours.
    first = max(bisect.bisect_right(starts, head) - 2, 0)
    last = min(bisect.bisect_left(starts, len(old) - tail) + 1, len(pieces))
    begin, begin_line = pieces[first].start, pieces[first].first_line
    end = pieces[last].start if last < len(pieces) else len(old)
    shift = len(text) - len(old)
    known_parts = {piece.part.text: piece.part for piece in pieces[first:last]}
    middle = list(_pieces(path, text[begin : end + shift], begin, begin_line, known_parts))
    lines = text.count("\n", begin, end + shift) - old.count("\n", begin, end)
    rest = pieces[last:]
    if lines:
        rest = [_place(path, piece.part, piece.start + shift, piece.first_line + lines) for piece in rest]
    elif shift:
        rest = [piece._replace(start=piece.start + shift) for piece in rest]
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


def is_plain(path: str) -> bool:
    """Whether it is a plain file, not a link to one."""
    return os.path.isfile(path) and not os.path.islink(path)


def is_passing(path: str) -> bool:
    """Whether a path is one that editors and shells write and take away: hidden, and a plain file or gone."""
    return os.path.basename(path).startswith(".") and (is_plain(path) or not os.path.lexists(path))


def _walk(root: str, faults: list[Fault]) -> Iterator[str]:
    """Yield the manifests below a directory, sorted; a directory that links lead to is entered once."""
    seen: set[tuple[int, int]] = set()

    def complain(error: OSError) -> None:
        faults.append(Fault(str(error.filename), 0, f"cannot be read: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=complain, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in sorted(_manifests(names)))


def _manifests(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if not name.startswith(".") and os.path.splitext(name)[1] in SUFFIXES)
