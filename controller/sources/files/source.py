"""Documents to objects, with the last good state of what is broken.

Rules:
- An object that cannot be used (wrong type, refused by its schema) keeps its last good version, whichever file that was
  in; a part of a file that is no YAML keeps every object that the file had and has no more; a path that vanished keeps
  all that was below it.
- A policy that cannot be used and has no last good version is not left out: what it holds for is closed.
- Of two documents of a key the one that is in use stays, at the beginning the first one; the other is told and left
  out.
- Documents of kinds that the gateway does not read are counted and otherwise ignored.
"""

from __future__ import annotations

import itertools
import operator
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ... import caught
from ...api import Diagnostic, Object, ObjectKey, Origin, RefusedPolicy, placed_at
from ...api.kind import Kind
from ...api.kinds import BY_NAME
from ...store.store import Apply, Delete, Store
from .documents import Document
from .file_state import FileState, closed_of, closed_whole, merge, together
from .judge import Judge, Judged, Validate, at_place
from .reader import File, Progress, Reader, Reading

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a look at the files came to.

    Attributes:
        changed: keys of objects that are new, different or gone.
        diagnostics: everything that could not be used, now.
        ignored: number of documents by `apiVersion/kind` that the gateway does not read.
        objects: number of objects in use.
        restless: absolute paths to look at again, because somebody may be writing there.
        due: seconds until that is worth it; None where there are none.
    """

    changed: frozenset[ObjectKey]
    diagnostics: tuple[Diagnostic, ...]
    ignored: dict[str, int]
    objects: int
    restless: frozenset[str] = frozenset()
    due: float | None = None


class Source:
    """Turns what a `Reader` finds into events for a `Store`."""

    def __init__(
        self, reader: Reader, store: Store, validate: Validate | None = None, kinds: Mapping[str, Kind] = BY_NAME
    ) -> None:
        """Make a source.

        Args:
            reader: reads the files.
            store: takes the events.
            validate: look at documents as the API server would; None: only at what is read.
            kinds: those that are read.
        """
        self._reader = reader
        self._store = store
        self._judge = Judge(validate, kinds)
        self._files: dict[str, FileState] = {}
        self._objects: dict[ObjectKey, Object] = {}
        self._duplicates: list[Diagnostic] = []
        #: Whether an object is written twice, told or not: of a file that is held nothing is told.
        self._twice = False
        #: Objects whose last good version was in another file than the one that cannot be used, and policies that are
        #: closed for want of one.
        self._strays: frozenset[ObjectKey] = frozenset()
        self._initialised = False

    def refresh(
        self, progress: Progress | None = None, changed: frozenset[str] | None = None, *, anew: bool = False
    ) -> Refresh:
        """Read what changed and tell the store.

        Args:
            progress: called for each file that is read.
            changed: paths that may have changed; None: any.
            anew: open every file and tell the store of every object, whatever is known of them.
        """
        if anew:
            self._reader.forget()
        try:
            return self._refresh(self._reader.read(progress, None if anew else changed), anew=anew)
        except Exception:
            # Half of a change may have been told: next time the store gets everything anew.
            self._initialised = False
            raise

    def _refresh(self, reading: Reading, *, anew: bool) -> Refresh:
        states = {file.path: self._update_guarded(file) for file in reading.files}
        vanished = self._vanished(reading, states)
        states |= vanished
        before, self._files = self._files, states
        told = self._tell_some(before, states) if not anew else None
        if told is None:
            objects, self._twice, self._duplicates = merge(states, reading.held | vanished.keys(), self._objects)
            self._strays = self._add_strays(objects, states) | _close(objects, states)
            told = self._tell(objects, anew=anew)
        found = [item for state in states.values() for item in state.diagnostics]
        general = [item for item in reading.diagnostics if item.path not in states or item.path in reading.missing]
        ignored = sum((state.ignored for state in states.values() if state.ignored), Counter[str]())
        diagnostics = tuple(dict.fromkeys((*general, *found, *self._duplicates, *self._faults())))
        return Refresh(told, diagnostics, dict(ignored), len(self._objects), reading.restless, reading.due)

    def _tell_some(self, before: dict[str, FileState], after: dict[str, FileState]) -> frozenset[ObjectKey] | None:
        """Tell the store what files that changed have changed; None where all of it has to be put together anew.

        That is so at the beginning, where an object is or becomes written twice (then the order of files counts), and
        where the last good version of an object is not in the file that has it now.
        """
        if not self._initialised or self._twice or self._strays or before.keys() != after.keys():
            return None
        old: dict[ObjectKey, Object] = {}
        new: dict[ObjectKey, Object] = {}
        for path, state in after.items():
            if before[path] is state:
                continue
            if state.closed or before[path].closed:
                return None
            was, now = _differing(before[path].objects, state.objects)
            old.update((item.key, item) for item in was)
            for item in now:
                if new.setdefault(item.key, item) is not item:
                    return None
        if any(key not in old and key in self._objects for key in new):
            return None
        changed = [item for key, item in new.items() if old.get(key) is not item]
        gone = [key for key in old if key not in new]
        if gone and any(not state.broken.keys().isdisjoint(gone) for state in after.values()):
            return None
        for item in changed:
            self._objects[item.key] = item
        for key in gone:
            del self._objects[key]
        return self._send(changed, gone)

    def _add_strays(self, objects: dict[ObjectKey, Object], states: Mapping[str, FileState]) -> frozenset[ObjectKey]:
        """Add what was good in another file than the one that has it now, and has it wrong."""
        strays = {
            key: at_place(self._objects[key], origin)
            for state in states.values()
            for key, origin in state.broken.items()
            if key not in objects and key in self._objects and not isinstance(self._objects[key], RefusedPolicy)
        }
        objects.update(strays)
        return frozenset(strays)

    def documents(self) -> list[Document]:
        """All documents of the last look, those too that the gateway has no use for."""
        return [document for state in self._files.values() for document in state.file.documents]

    def document(self, key: ObjectKey) -> Document | None:
        """The document of an object in use; None where it is not known, as of one that is kept from before."""
        item = self._objects.get(key)
        state = self._files.get(item.origin.path) if item is not None else None
        return state.document(item.origin.line) if item is not None and state is not None else None

    def lines_of(self, origin: Origin, paths: Sequence[str]) -> list[int]:
        """Lines of fields of the object that is written at a place; the object's own line where one is not known.

        Args:
            origin: of the object.
            paths: such as `spec.rules[0].matches`; empty for the object.
        """
        state = self._files.get(origin.path)
        document = state.document(origin.line) if state is not None and any(paths) else None
        found = document.lines_of(paths) if document is not None else [origin.line] * len(paths)
        return [line if path else origin.line for line, path in zip(found, paths, strict=True)]

    def with_lines(self, items: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
        """What is told of objects, with the lines of the fields: where they come from, objects alone have lines."""
        by_origin: dict[Origin, list[Diagnostic]] = {}
        for item in items:
            by_origin.setdefault(Origin(item.path, item.line), []).append(item)
        for origin, told in by_origin.items():
            try:
                lines = self.lines_of(origin, [item.field for item in told])
            except Exception as error:  # where it is written is not worth what it says
                caught.note("read", error)
                lines = [origin.line] * len(told)
            for item, line in zip(told, lines, strict=True):
                yield placed_at(item, Origin(origin.path, line))

    def _faults(self) -> Iterator[Diagnostic]:
        """Objects that the store could not take."""
        for key, reason in self._store.faults.items():
            found = Diagnostic(severity="error", object=str(key), code="fault", message=reason)
            yield placed_at(found, self._objects[key].origin) if key in self._objects else found

    def _update_guarded(self, file: File) -> FileState:
        """What a file comes to; whatever comes of it must not cost the others, so it stays as it was."""
        try:
            return self._update(file)
        except Exception as error:
            found = Diagnostic(path=file.path, severity="error", code="fault", message=caught.note("read", error))
            before = self._files.get(file.path)
            kept = list(before.objects) if before is not None else []
            closed = before.closed if before is not None else closed_whole(file, found.message)
            return FileState(file, objects=kept, diagnostics=(*file.diagnostics, found), closed=closed)

    def _update(self, file: File) -> FileState:
        before = self._files.get(file.path)
        if before is not None and before.file is file:
            return before
        looked = self._look_again(before, file.documents)
        state = FileState(file, looked, [item.object for item in looked if item.object is not None])
        odd = [item for item in looked if item.object is None or item.diagnostics]
        bad = [item for item in odd if item.object is None]
        state.diagnostics = (*file.diagnostics, *(found for item in odd for found in item.diagnostics))
        state.ignored = Counter(item.ignored for item in bad if item.ignored)
        broken = {item.meant_key(): item.document.origin for item in bad if not item.ignored}
        state.broken = {key: origin for key, origin in broken.items() if key is not None}
        kept: list[Object] = []
        if before is not None and (file.diagnostics or broken):
            everything = bool(file.diagnostics) or None in broken
            present = {item.key for item in state.objects}
            kept = [
                at_place(item, state.broken.get(item.key, Origin(file.path)))
                for item in before.objects
                if item.key not in present and (everything or item.key in broken)
            ]
            state.objects += kept
            if everything:
                there = present.union(item.key for item in kept)
                state.closed = {key: item for key, item in before.closed.items() if key not in there}
        if bad or file.unread:
            state.closed |= closed_of(file, bad, kept)
        return state

    def _look_again(self, before: FileState | None, documents: tuple[Document, ...]) -> list[Judged]:
        """Look at documents; at those that are still what they were only where they were moved."""
        if before is None or len(before.looked) != len(before.file.documents):  # it could not be looked at
            return [self._judge.judge(item, None) for item in documents]
        old = before.looked
        head, tail = _same_ends(before.file.documents, documents)
        known = {id(item.document.content): item for item in old[head : len(old) - tail]}
        middle = [
            self._judge.judge(item, known.get(id(item.content))) for item in documents[head : len(documents) - tail]
        ]
        return [*old[:head], *middle, *old[len(old) - tail :]]

    def _vanished(self, reading: Reading, states: dict[str, FileState]) -> dict[str, FileState]:
        """Keep files below paths that were given and are not there now."""
        kept: dict[str, FileState] = {}
        for missing in reading.missing:
            below = missing.rstrip(os.sep) + os.sep
            kept |= {
                path: state
                for path, state in self._files.items()
                if path not in states and (path == missing or path.startswith(below))
            }
        return kept

    def _tell(self, objects: dict[ObjectKey, Object], *, anew: bool) -> frozenset[ObjectKey]:
        before, self._objects = self._objects, objects
        changed = [item for key, item in objects.items() if before.get(key) is not item]
        gone = [key for key in before if key not in objects]
        if self._initialised and not anew:
            return self._send(changed, gone)
        self._store.load(objects.values())
        told = frozenset([*(item.key for item in changed), *gone]) if self._initialised else frozenset(objects)
        self._initialised = True
        return told

    def _send(self, changed: list[Object], gone: list[ObjectKey]) -> frozenset[ObjectKey]:
        for item in changed:
            self._store.handle(Apply(item))
        for key in gone:
            self._store.handle(Delete(key))
        return frozenset([*(item.key for item in changed), *gone])


def _close(objects: dict[ObjectKey, Object], states: Mapping[str, FileState]) -> frozenset[ObjectKey]:
    """Add the policies that cannot be used and have no last good version in any file."""
    found = together(item for state in states.values() for item in state.closed.values() if item.key not in objects)
    objects.update(found)
    return frozenset(found)


def _same_ends(old: Sequence[object], new: Sequence[object]) -> tuple[int, int]:
    """How many items at the beginning and, of the rest, at the end are the very same in both."""
    shared = min(len(old), len(new))
    head = next(itertools.compress(itertools.count(), map(operator.is_not, old, new)), shared)
    backwards = itertools.islice(map(operator.is_not, reversed(old), reversed(new)), shared - head)
    return head, next(itertools.compress(itertools.count(), backwards), shared - head)


def _differing(old: list[_T], new: list[_T]) -> tuple[list[_T], list[_T]]:
    """Two lists without what is the same at their beginnings and ends."""
    head, tail = _same_ends(old, new)
    return old[head : len(old) - tail], new[head : len(new) - tail]
