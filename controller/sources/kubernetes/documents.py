"""Documents of the API server to events for the store.

An object that cannot be read, whatever is odd about it, costs itself only: its last good version stays (`Keep`), and a
policy that has none is closed. So it is with a policy of a newer release, which says what is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ... import caught
from ...api import (
    CLUSTER,
    DEFAULT_NAMESPACE,
    POLICY_KINDS,
    DecodeError,
    ObjectKey,
    decode,
    refused_policy,
    unknown_field,
)
from ...api.kind import Kind
from ...api.kinds import BY_NAME
from ...complain import Complain
from ...store.store import Apply, Event, Keep
from .resources import Resource

Tell = Callable[[Event], None]
Seen = Callable[[str, dict[str, Any]], None]


class Documents:
    """Reads the documents of one kind."""

    def __init__(
        self, tell: Tell, complain: Complain, seen: Seen | None = None, kinds: Mapping[str, Kind] = BY_NAME
    ) -> None:
        """Make a reader.

        Args:
            tell: takes the events.
            complain: takes a code and a message about what cannot be read.
            seen: takes each object as the API has it, status and all, before `tell`.
            kinds: those that become structs, by name.
        """
        self._tell = tell
        self._complain = complain
        self._seen = seen
        self._kinds = kinds

    def apply(self, document: dict[str, Any], resource: Resource) -> None:
        """Read an object that is there."""
        # Items of a list have neither.
        document["kind"] = resource.kind
        document.setdefault("apiVersion", resource.version)
        key = self.key(document, resource)
        if key is None:
            self._complain("object_unreadable", f"an object of kind {resource.kind} is left out: it has no name")
            return
        if self._seen is not None:
            self._seen(resource.kind, document)
        row = self._kinds.get(resource.kind)
        if row is None or row.struct is None:
            return  # one that is written, not read
        try:
            item = decode(document, CLUSTER, self._kinds)
        except DecodeError as error:
            reason = f"{error.field}: {error.reason}"
        except Exception as error:
            reason = caught.note("watch", error)
        else:
            unknown = unknown_field(document, type(item)) if key.kind in POLICY_KINDS else ""
            if not unknown:
                self._tell(Apply(item))
                return
            reason = f"{unknown}: not known to this version; update the controller before what it is to know"
        closed = refused_policy(key.kind, document, CLUSTER, reason) if key.kind in POLICY_KINDS else None
        if closed is not None and closed.key != key:
            closed = None  # no API server has an object of such a name
        self._tell(Keep(key, closed))
        otherwise = ", else what it holds for is closed" if closed is not None else ""
        text = f"{key}: {reason}; its last good version goes on, if there was one{otherwise}"
        self._complain("object_unreadable", text, object=str(key))

    def key(self, document: dict[str, Any], resource: Resource) -> ObjectKey | None:
        """Key of an object as the store has it; None where it has no name."""
        metadata = metadata_of(document)
        name, namespace = metadata.get("name"), metadata.get("namespace")
        if not isinstance(name, str) or not name or not isinstance(namespace, (str, type(None))):
            return None
        namespace = namespace or DEFAULT_NAMESPACE
        return ObjectKey(resource.kind, namespace if resource.namespaced else "", name)


def metadata_of(document: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a document; empty where it is none."""
    found = document.get("metadata")
    return found if isinstance(found, dict) else {}
