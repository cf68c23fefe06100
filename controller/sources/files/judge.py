"""One document to its object, or to why it cannot be used.

What is wrong is told with its field and line. What the API server would refuse is no object: whoever asks keeps the
last good version. Documents of kinds that the gateway does not read come to nothing but their kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from sluicegate.schema import meant_kind, without_nulls

from ... import caught
from ...api import (
    CLUSTER_SCOPED,
    DEFAULT_NAMESPACE,
    POLICY_KINDS,
    DecodeError,
    Diagnostic,
    Object,
    ObjectKey,
    Origin,
    RefusedPolicy,
    decode,
    placed_at,
    policy_kind,
    refused_policy,
)
from ...api.ingress import INGRESS_KINDS, OLD_INGRESS_VERSION, as_read
from ...api.kind import Kind
from ...api.kinds import BY_NAME
from .documents import Document
from .other_files import other_file
from .unread import unread

#: Says why the API server would refuse a document.
Validate = Callable[[dict[str, Any]], Iterable[Diagnostic]]

#: Fields that say which object it is.
_NAMING = frozenset({"metadata.name", "metadata.namespace"})
#: What is told about documents that are not read: a typing mistake, most likely.
_MISSPELT = frozenset({"unknown-kind", "unknown-version"})


class Judged(NamedTuple):
    """What one document came to.

    Attributes:
        document: the document.
        object: None where it could not be used, or is not read.
        diagnostics: why it could not be used.
        ignored: its kind, where that is not read.
        meant: the kind that was most likely meant, where its own is not known.
        closed: a policy that could not be used: what is known of where it holds.
    """

    document: Document
    object: Object | None
    diagnostics: tuple[Diagnostic, ...] = ()
    ignored: str = ""
    meant: str = ""
    closed: RefusedPolicy | None = None

    def meant_key(self) -> ObjectKey | None:
        """The object that was most likely meant; None where nobody can say, as where its name is none."""
        if any(item.field in _NAMING and item.severity == "error" for item in self.diagnostics):
            return None
        return key_of(self.document.data, self.meant)


class Judge:
    """Says what documents come to."""

    def __init__(self, validate: Validate | None = None, kinds: Mapping[str, Kind] = BY_NAME) -> None:
        """Look at documents as the API server would; `validate` None: only at what is read. `kinds`: that are read."""
        self._validate = validate
        self._kinds = kinds

    def judge(self, document: Document, before: Judged | None) -> Judged:
        """Judge one document; whatever comes of it must not cost the others.

        Args:
            document: the document.
            before: what it came to when it was elsewhere in its file; None where it is new.
        """
        try:
            found = self._closely(document, before)
        except Exception as error:  # what it may be is not known here
            fault = Diagnostic(severity="error", code="fault", message=caught.note("read", error))
            found = Judged(document, None, (placed_at(fault, document.origin, about=label_of(document.data)),))
        return found if found.object is not None or found.ignored else found._replace(closed=_closed(found))

    def _closely(self, document: Document, before: Judged | None) -> Judged:
        if before is not None and before.object is not None and not before.diagnostics:
            return Judged(document, at_place(before.object, document.origin))
        data = document.data
        kind, version = data.get("kind"), data.get("apiVersion")
        if isinstance(kind, str) and isinstance(version, str) and not self._is_read(kind, version):
            return self._other(document, data, f"{version}/{kind}")
        other = tuple(placed(document, list(other_file(document.origin.path, data))))
        if other:
            return Judged(document, None, other)
        return Judged(document, *self._decode(document, data))

    def _is_read(self, kind: str, version: str) -> bool:
        """Whether it is for the gateway: a kind that it reads, in any version of a group that it knows."""
        row = self._kinds.get(kind)
        if row is None or row.struct is None or not row.files:
            return False
        return version.rpartition("/")[0] == row.group or (kind == "Ingress" and version == OLD_INGRESS_VERSION)

    def _other(self, document: Document, data: dict[str, Any], name: str) -> Judged:
        """Look at a document of a kind that is not read: most likely it is none of ours, or misspelt."""
        said = self._validate(data) if self._validate is not None else ()
        misspelt = [item for item in said if item.code in _MISSPELT]
        if not misspelt:
            return Judged(document, None, tuple(placed(document, list(unread(data)))), name)
        version, kind = data["apiVersion"], data["kind"]
        return Judged(document, None, tuple(placed(document, misspelt)), meant=meant_kind(version, kind))

    def _decode(self, document: Document, data: dict[str, Any]) -> tuple[Object | None, tuple[Diagnostic, ...]]:
        kind = data.get("kind")
        name = kind if isinstance(kind, str) else ""
        # What the API server would say of Ingresses is not known here.
        validate = self._validate if name in BY_NAME or name not in self._kinds else None
        said = list(validate(data)) if validate is not None else []
        decoded = None
        try:
            decoded = decode(without_nulls(as_read(data)), document.origin, self._kinds)
        except DecodeError as error:
            # The schema knows better what was meant, unless it would take the object.
            if not any(item.severity == "error" for item in said):
                found = Diagnostic(severity="error", field=error.field, code="invalid", message=error.reason)
                said.insert(0, found)
        if name in POLICY_KINDS:
            # What it asks for by a field that nobody knows would not hold.
            said = [msgspec.structs.replace(item, severity="error") if _is_asked(item) else item for item in said]
        refused = any(item.severity == "error" for item in said)
        return None if refused else decoded, tuple(placed(document, said))


def _is_asked(item: Diagnostic) -> bool:
    """Whether it is about a part of the spec that is not known."""
    return item.code == "unknown-field" and item.field.startswith("spec.")


def _closed(found: Judged) -> RefusedPolicy | None:
    """What is known of a policy that cannot be used; None: it is no policy."""
    reason = next((item for item in found.diagnostics if item.severity == "error"), None)
    data = found.document.data
    kind = policy_kind(data, found.meant) if reason is not None else ""
    if reason is None or not kind:
        return None
    why = f"{reason.field}: {reason.message}" if reason.field else reason.message
    return refused_policy(kind, data, found.document.origin, why)


def at_place(item: Object, origin: Origin) -> Object:
    """The object at a place; the very same one where it is there."""
    return item if item.origin == origin else msgspec.structs.replace(item, origin=origin)


def placed(document: Document, items: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    """What is told of fields of a document, with object, file and line."""
    if not items:
        return
    about, path = label_of(document.data), document.origin.path
    lines = document.lines_of([item.field for item in items])
    for item, line in zip(items, lines, strict=True):
        yield placed_at(item, Origin(path, line), about=about)


def key_of(data: dict[str, Any], meant: str = "") -> ObjectKey | None:
    """Key of an object; `meant` is its kind where the one that is written is not known."""
    kind, metadata = meant or data.get("kind"), data.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(kind, str) or not isinstance(name, str):
        return None
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    cluster = kind in CLUSTER_SCOPED or (kind in INGRESS_KINDS and not INGRESS_KINDS[kind].namespaced)
    return ObjectKey(kind, "" if cluster else str(namespace or DEFAULT_NAMESPACE), name)


def label_of(data: dict[str, Any]) -> str:
    """What an object is called: its key, or what there is of it."""
    key = key_of(data)
    return str(key) if key is not None else str(data.get("kind") or "object")
