"""ConfigMaps with all of their keys, as far as Ingresses may need them: settings of a controller, fields of headers.

The gateway itself keeps three keys of a ConfigMap; which others are wanted is only known once Ingresses are converted.
"""

from __future__ import annotations

from typing import Any

from ..api import CLUSTER, DecodeError, decode
from ..api.ingress import INGRESS_KINDS, TextMap
from ..store.snapshot import Table

#: Characters of a ConfigMap, and how many are kept: a bundle of certificates is no setting, and a cluster may be full
#: of files that are ConfigMaps.
MAX_CHARACTERS, MAX_MAPS = 64 * 1024, 4_096


class Texts:
    """Collects ConfigMaps as a watch tells them.

    Attributes:
        changed: something did, since `table` was asked for.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[tuple[str, str], TextMap] = {}
        self._table: Table = {}
        self.changed = False

    def seen(self, document: dict[str, Any]) -> None:
        """Take a ConfigMap; what is too large for a setting is left out, and so is what cannot be read."""
        try:
            found = decode({**document, "kind": "ConfigMap", "apiVersion": "v1"}, CLUSTER, INGRESS_KINDS)
        except DecodeError:
            return
        key = (found.namespace, found.name)
        fits = isinstance(found, TextMap) and sum(len(str(value)) for value in found.data.values()) <= MAX_CHARACTERS
        before = self._known.get(key)
        if not isinstance(found, TextMap) or not fits or (before is None and len(self._known) >= MAX_MAPS):
            self.forget(*key)
        elif before is None or not before.same_content(found):
            self._known[key] = found
            self.changed = True

    def forget(self, namespace: str, name: str) -> None:
        """A ConfigMap is gone."""
        if self._known.pop((namespace, name), None) is not None:
            self.changed = True

    def table(self) -> Table:
        """All of them at this moment; the very same where nothing changed."""
        if self.changed:
            self._table, self.changed = dict(self._known), False
        return self._table
