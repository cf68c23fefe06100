"""Files of Ingresses and of what they use, as an inventory for a conversion."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sluicegate.controller.api import DecodeError, Diagnostic, Object, ObjectKey, decode
from sluicegate.controller.api.ingress import INGRESS_KINDS, as_read, written_field
from sluicegate.controller.ingress import Inventory
from sluicegate.controller.ingress.inventory import annotation_field
from sluicegate.controller.sources.files import Document, Reader
from sluicegate.controller.sources.files.judge import placed
from sluicegate.controller.sources.files.reader import Progress
from sluicegate.words import kind_of


@dataclass(frozen=True, slots=True)
class IngressFiles:
    """What files hold.

    Attributes:
        inventory: the objects that a conversion reads.
        problems: files and objects that cannot be read, in the order of files and lines.
        documents: number of documents that were read.
    """

    inventory: Inventory
    problems: tuple[Diagnostic, ...]
    documents: int


def read_ingresses(
    paths: Sequence[str], progress: Progress | None = None, *, namespace: str | None = None
) -> IngressFiles:
    """Read files, directories and standard input.

    Args:
        paths: of them.
        progress: called for each file that is read.
        namespace: of objects that name none; None: `default`, as of any manifest.
    """
    reading = Reader(paths).read(progress)
    problems = list(reading.diagnostics)
    objects: dict[ObjectKey, Object] = {}
    documents: dict[ObjectKey, Document] = {}
    for document in reading.documents:
        found = _decoded(document, problems, namespace)
        if found is None:
            continue
        if found.key in objects:
            first = objects[found.key].origin
            told = Diagnostic(
                severity="error", code="duplicate", message=f"it is in {first} already", remedy="keep one of the two"
            )
            problems += placed(document, [told])
            continue
        objects[found.key], documents[found.key] = found, document

    def lines(key: ObjectKey, fields: Sequence[str]) -> Sequence[int]:
        document = documents[key]
        data = document.data
        return document.lines_of(written_field(data, field) for field in fields)

    inventory = Inventory.of(objects.values(), lines)
    return IngressFiles(inventory, tuple(sorted(problems, key=Diagnostic.order)), len(reading.documents))


def _decoded(document: Document, problems: list[Diagnostic], namespace: str | None) -> Object | None:
    """The object of a document; None: no conversion reads its kind, or it cannot be read."""
    data = document.data
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in INGRESS_KINDS:
        return None
    data = as_read(data)
    if str(data.get("apiVersion")).partition("/")[0] != INGRESS_KINDS[kind].api_versions[0].partition("/")[0]:
        return None  # such as an Ingress of somebody else's group
    if namespace is not None and INGRESS_KINDS[kind].namespaced:
        data = _within(data, namespace)
    try:
        return decode(data, document.origin, INGRESS_KINDS)
    except DecodeError as error:
        told = Diagnostic(severity="error", field=error.field, code="invalid", message=f"{error.reason}: left out")
        problems += placed(document, [*_unquoted(data)] or [told])
        return None


def _within(data: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """An object in a namespace, unless it names one."""
    metadata = data.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("namespace"):
        return dict(data)
    return {**data, "metadata": {**metadata, "namespace": namespace}}


def _unquoted(data: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """Annotations that are no text, each with its name: numbers and booleans whose quotes were forgotten."""
    metadata = data.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    for name, value in annotations.items() if isinstance(annotations, dict) else ():
        if value is None or isinstance(value, str):
            continue
        scalar = isinstance(value, bool | int | float)
        shown = json.dumps(value) if scalar else f"a {kind_of(value)}"
        yield Diagnostic(
            severity="error",
            field=annotation_field(str(name)),
            code="invalid",
            message=f"text is expected, not {shown}: the whole object is left out, and no API server takes it",
            remedy=f'put it in quotes: "{shown}"' if scalar else "write a text",
        )
