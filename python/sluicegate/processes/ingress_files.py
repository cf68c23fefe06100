"""Ingresses of files: where their fields are written, and their ConfigMaps with all keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from sluicegate.controller.api import DecodeError, Diagnostic, Object, ObjectKey, decode
from sluicegate.controller.api.ingress import INGRESS_KINDS, SERVED_INGRESS_KINDS, written_field
from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.controller.ingress.served import Served
from sluicegate.controller.sources.files import Document, Reader
from sluicegate.controller.sources.files.judge import Validate
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.snapshot import Table
from sluicegate.controller.store.with_ingress import StoreWithIngress

from .ingress import Ingresses, served_of
from .ingress_settings import Wanted


class FileIngresses(Ingresses):
    """Keeps virtual objects in a store at what the Ingresses of files say."""

    def __init__(self, served: Served, source: Source, store: StoreWithIngress) -> None:
        """Put it together.

        Args:
            served: converts.
            source: reads the files.
            store: that it reads them into.
        """
        super().__init__(served, store, FileTexts(source, store).table, self._lines_of)
        self._source = source

    def told_of(self, items: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
        """What is told of objects, with the lines of the fields; what is virtual by the Ingress that it comes from."""
        real: list[Diagnostic] = []
        for item in items:
            found = self.told(item)
            if found is not None:
                yield found
            else:
                real.append(item)
        yield from self._source.with_lines(real)
        yield from self.diagnostics()

    def _lines_of(self, key: ObjectKey, fields: Sequence[str]) -> Sequence[int]:
        document = self._source.document(key)
        if document is None:
            return [0] * len(fields)
        data = document.data
        return document.lines_of(written_field(data, field) for field in fields)


class FileTexts:
    """ConfigMaps of files with all of their keys; each document is read once."""

    def __init__(self, source: Source, store: StoreWithIngress) -> None:
        """Look into the documents of a source for what it has read into a store."""
        self._source = source
        self._store = store
        self._known: dict[tuple[str, str], tuple[Document, Object]] = {}

    def table(self) -> Table:
        """All of them at this moment."""
        before, self._known = self._known, {}
        for key in self._store.table("ConfigMap"):
            document = self._source.document(ObjectKey("ConfigMap", *key))
            if document is None:
                continue
            known = before.get(key)
            if known is not None and known[0] is document:
                self._known[key] = known
                continue
            with contextlib.suppress(DecodeError):  # the gateway reads three of its keys, and a setting may be odd
                self._known[key] = (document, decode(document.data, document.origin, INGRESS_KINDS))
        return {key: item for key, (_, item) in self._known.items()}


def with_ingresses(
    reader: Reader, validate: Validate | None, wanted: Wanted, controller_name: str
) -> tuple[Source, StoreWithIngress, FileIngresses]:
    """What reads manifests with Ingresses, what it reads them into, and what serves the Ingresses.

    Args:
        reader: of the files.
        validate: looks at documents as the API server would.
        wanted: Ingresses that are served.
        controller_name: of the GatewayClasses to serve.

    Raises:
        ValueError: a name that is none.
    """
    store = StoreWithIngress(SERVED_INGRESS_KINDS)
    source = Source(reader, store, validate, {**BY_NAME, **SERVED_INGRESS_KINDS})
    return source, store, FileIngresses(served_of(wanted, controller_name), source, store)
