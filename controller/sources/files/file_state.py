"""What each file came to, and what all of them come to together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...api import Diagnostic, Object, ObjectKey, Origin, placed_at
from .documents import Document
from .judge import Judged
from .reader import File


@dataclass(slots=True)
class FileState:
    """What one file came to: a look at each document, its objects, and those that are kept from before.

    `broken` has the keys of documents that cannot be used, and where these are. What is kept of them counts as there:
    where its good version was there may be another object now.
    """

    file: File
    looked: list[Judged] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: dict[ObjectKey, Origin] = field(default_factory=dict)
    ignored: Counter[str] = field(default_factory=Counter)
    by_line: dict[int, Document] | None = None

    def document(self, line: int) -> Document | None:
        """The document that begins at a line; the index is made when it is first asked for."""
        if self.by_line is None:
            self.by_line = {document.origin.line: document for document in self.file.documents}
        return self.by_line.get(line)


def merge(
    states: Mapping[str, FileState], held: frozenset[str]
) -> tuple[dict[ObjectKey, Object], bool, list[Diagnostic]]:
    """Put the objects of all files together.

    Returns:
        The objects; whether one of them is written twice; what is told of that. A file that is held was most likely
        renamed, so nothing is told of it.
    """
    objects: dict[ObjectKey, Object] = {}
    twice, duplicates = False, []
    for path, state in states.items():
        for item in state.objects:
            first = objects.setdefault(item.key, item)
            if first is item:
                continue
            twice = True
            if path not in held:
                message = f"already written at {first.origin}; this one is left out: remove one of the two"
                found = Diagnostic(severity="error", object=str(item.key), code="duplicate", message=message)
                duplicates.append(placed_at(found, item.origin))
    return objects, twice, duplicates
