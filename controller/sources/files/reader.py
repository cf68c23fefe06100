"""Reads paths, and reads again only what changed.

Rules:
- A file is read once, however many paths and links lead to it.
- Directories are read recursively, `.yaml`, `.yml` and `.json`, sorted; names that begin with a dot are left out (so a
  mounted ConfigMap, whose files are links into `..data`, is read once). A file that is named is read whatever its name.
- A file whose size, time and identity did not change is not opened again; a part of a file whose text did not change is
  not parsed again.
- What cannot be read is a `Diagnostic` with its place, and nothing else is lost because of it.
- With `Settling`, a file that somebody is still writing keeps its last state until it is whole (see there).
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from ... import caught
from ...api import Diagnostic
from .disk import (
    STANDARD_INPUT,
    Stamp,
    Unreadable,
    each_once,
    is_below,
    is_open_for_writing,
    is_passing,
    is_plain,
    is_shared,
    is_stream,
    manifests_below,
    missing_path,
    read_file,
    read_stream,
    stamp_of,
)
from .documents import Document, printable, unreadable
from .pieces import Piece, pieces_of, reread
from .settle import Look, Settling

#: Files below the given paths.
MAX_FILES = 100_000
#: Seconds within which a file system may give two changes the same time.
SAME_TIME = 0.02

#: Called with the file about to be read, and the number of files read and known so far.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class File:
    """What one file holds.

    Attributes:
        path: as it was given, or found below a directory that was given.
        documents: in the order of the file.
        diagnostics: what could not be read.
        unread: parts that could not be read, or not whole.
    """

    path: str
    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]
    unread: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What all paths hold at one moment.

    Attributes:
        files: in the order of the paths; a file that is unchanged is the very same object as before.
        diagnostics: of all files, and of paths that are not there.
        missing: paths that were given and are not there.
        held: files that are not there, or cannot be looked for, and are kept for now.
        restless: absolute paths to look at again, because somebody may be writing there.
        due: seconds until that is worth it; None where there are none.
    """

    files: tuple[File, ...]
    diagnostics: tuple[Diagnostic, ...]
    missing: frozenset[str]
    held: frozenset[str] = frozenset()
    restless: frozenset[str] = frozenset()
    due: float | None = None

    @property
    def documents(self) -> list[Document]:
        """All documents, in order."""
        return [document for file in self.files for document in file.documents]


@dataclass(slots=True)
class _Known:
    """A file that was read: how it looked, and what it held."""

    stamp: Stamp
    file: File
    text: str
    pieces: list[Piece]

    @property
    def look(self) -> Look:
        return Look(self.text, len(self.file.documents), len(self.file.diagnostics))


class Reader:
    """Reads the same paths again and again."""

    def __init__(
        self, paths: Sequence[str], standard_input: str | None = None, settling: Settling | None = None
    ) -> None:
        """Make a reader.

        Args:
            paths: files, directories, pipes, `-` for standard input.
            standard_input: text for `-`; None: it is read, once.
            settling: says when a file that changed counts; None: at once.
        """
        self.paths = tuple(dict.fromkeys(paths))
        self._given = frozenset(self.paths)
        self._standard_input = standard_input
        self._settling = settling
        self._known: dict[str, _Known] = {}
        self._by_place: dict[str, str] = {}
        self._shared = False
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

    def forget(self) -> None:
        """Open every file again next time, also those that look as they did."""
        for known in self._known.values():
            known.stamp = ()

    def _read_some(self, changed: frozenset[str]) -> Reading | None:
        """Read only files that are known and still plain files; None where more may have changed."""
        if self._last is None or self._last.held or self._shared:
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
        before = self._last
        files = tuple(self._read_file(file.path) or file if file.path in touched else file for file in before.files)
        known = {item for file in before.files for item in file.diagnostics}
        diagnostics = [item for item in before.diagnostics if item not in known]
        diagnostics.extend(item for file in files for item in file.diagnostics)
        return self._reading(files, diagnostics, before.missing, frozenset())

    def _read_all(self, progress: Progress | None) -> Reading:
        found: list[str] = []
        diagnostics: list[Diagnostic] = []
        missing: set[str] = set()
        closed: list[str] = []
        for path in self.paths:
            if os.path.isdir(path):
                found.extend(manifests_below(path, diagnostics, closed))
            elif path == STANDARD_INPUT or os.path.exists(path):
                found.append(path)
            else:  # a link that leads nowhere counts too: what was below it may come back
                missing.add(path)
        unique = each_once(found)
        if len(unique) > MAX_FILES:
            diagnostics.append(
                unreadable(unique[MAX_FILES], 0, f"more than {MAX_FILES:,} files: this one and the rest are left")
            )
            del unique[MAX_FILES:]
        files = []
        for number, path in enumerate(unique):
            if progress is not None:
                progress(path, number, len(unique))
            file = self._read_file(path)
            if file is not None:
                files.append(file)
        held = self._held(frozenset(unique), closed)
        files.extend(self._known[path].file for path in held)
        diagnostics.extend(missing_path(path) for path in missing if not any(is_below(name, path) for name in held))
        known = [*unique, *held]
        self._known = {path: self._known[path] for path in known if path in self._known}
        on_disk = [file.path for file in files if file.path != STANDARD_INPUT]
        self._by_place = {os.path.abspath(path): path for path in on_disk}
        # Of a file that has several names the system tells only the one by which it was written.
        self._shared = any(map(is_shared, self._by_place))
        if self._settling is not None:
            self._settling.keep(frozenset((*known, *missing)))
        diagnostics.extend(item for file in files for item in file.diagnostics)
        return self._reading(tuple(files), diagnostics, frozenset(missing), frozenset(held))

    def _reading(
        self, files: tuple[File, ...], diagnostics: list[Diagnostic], missing: frozenset[str], held: frozenset[str]
    ) -> Reading:
        settling = self._settling
        restless = frozenset(map(os.path.abspath, settling.restless)) if settling is not None else frozenset[str]()
        due = settling.due if settling is not None else None
        return Reading(files, tuple(diagnostics), missing, held, restless, due)

    def _held(self, there: frozenset[str], closed: Sequence[str]) -> list[str]:
        """Files that were there and are not now, but are kept: nobody can look, or they may come back at once."""
        gone = [path for path in self._known if path not in there]
        return [
            path
            for path in gone
            if any(is_below(path, folder) for folder in closed)
            or (self._settling is not None and not self._settling.is_gone(path))
        ]

    def _read_file(self, path: str) -> File | None:
        """What a file holds; None for one that is new and not yet whole."""
        known = self._known.get(path)
        try:
            if printable(path) != path:
                # Everything that is told of it would have to quote the name, and nobody can write it.
                reason = "its name is not UTF-8: rename it"
                return File(printable(path), (), (unreadable(path, 0, reason),))
            if path in self._given and is_stream(path):
                return known.file if known is not None else self._read_stream(path)
            stamp = stamp_of(path)
            if known is not None and known.stamp == stamp:
                if self._settling is not None:
                    self._settling.forget(path)
                return known.file
            return self._take(path, stamp, read_file(path), known)
        except Unreadable as error:
            if error.gone and known is not None and self._settling is not None and not self._settling.is_gone(path):
                return known.file
            return File(path, (), (error.diagnostic,))
        except Exception as error:  # an odd file must not cost the others
            return File(path, (), (unreadable(path, 0, caught.note("read", error)),))

    def _read_stream(self, path: str) -> File:
        given = self._standard_input if path == STANDARD_INPUT else None
        text = given.replace("\r\n", "\n") if given is not None else read_stream(path)
        known = self._known[path] = self._parse_file(path, text, (), None)
        return known.file

    def _take(self, path: str, stamp: Stamp, text: str, known: _Known | None) -> File | None:
        """Take the text of a file, unless somebody is still writing it."""
        seen, changed = stamp, stamp[3] / 1e9
        if time.time() - changed < SAME_TIME:
            stamp = ()  # another change may get the same time: compare the text next time
        if known is not None and text == known.text:
            known.stamp = stamp
            if self._settling is not None:
                self._settling.forget(path)
            return known.file
        found = self._parse_file(path, text, stamp, known)
        settling = self._settling if self._last is not None else None
        before = known.look if known is not None else None
        if settling is not None:
            written = is_open_for_writing(path)
            written = True if written is False and stamp_of(path) != seen else written  # since it was read
            if not settling.is_whole(path, stamp or text, changed, before, found.look, written=written):
                return known.file if known is not None else None
        had_some = known is not None and (known.file.documents or known.file.diagnostics)
        if had_some and (not text or text.isspace()):
            # Most likely it is about to be written, by a program that takes its time.
            reason = "is empty now; what it had goes on: write it, or remove the file to remove that"
            found.file = File(path, (), (Diagnostic(path=path, severity="error", code="emptied", message=reason),))
        self._known[path] = found
        return found.file

    def _parse_file(self, path: str, text: str, stamp: Stamp, known: _Known | None) -> _Known:
        pieces = reread(path, text, known.text, known.pieces) if known is not None else None
        if pieces is None:
            before = {piece.part.text: piece.part for piece in known.pieces} if known is not None else {}
            pieces = list(pieces_of(path, text, 1, before))
        documents = tuple(itertools.chain.from_iterable(map(attrgetter("documents"), pieces)))
        diagnostics = tuple(itertools.chain.from_iterable(map(attrgetter("diagnostics"), pieces)))
        unread = tuple(piece for piece in pieces if piece.diagnostics)
        return _Known(stamp, File(path, documents, diagnostics, unread), text, pieces)


def read(paths: Sequence[str], standard_input: str | None = None, progress: Progress | None = None) -> Reading:
    """Read paths once; see `Reader`."""
    return Reader(paths, standard_input).read(progress)
