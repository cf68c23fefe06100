"""The schemas by kind, read once."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from .prepare import prepared

_DATA = Path(__file__).parent / "data"

#: Kubernetes' own kinds; all others are custom resources.
_CORE = "core.json"
FILES = ("gateway-api.json", _CORE, "sluicegate.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind in one version.

    Attributes:
        version: `apiVersion`.
        kind: the kind.
        namespaced: objects live in namespaces.
        served: the API server serves this version.
        schema: OpenAPI v3, structural; see `prepare`.
        source: where it comes from.
        custom: it is a custom resource, not one of Kubernetes' own kinds.
    """

    version: str
    kind: str
    namespaced: bool
    served: bool
    schema: dict[str, Any]
    source: str
    custom: bool


@functools.lru_cache(maxsize=1)
def catalog() -> dict[tuple[str, str], Entry]:
    """All kinds by (apiVersion, kind)."""
    found: dict[tuple[str, str], Entry] = {}
    for name in FILES:
        document = msgspec.json.decode((_DATA / name).read_bytes())
        definitions: dict[str, dict[str, Any]] = {}
        for number in sorted(document["definitions"], key=int):  # one refers only to those before it
            definitions[number] = prepared(document["definitions"][number], definitions)
        for key, item in document["kinds"].items():
            version, _, kind = key.partition(" ")
            found[version, kind] = Entry(
                version=version,
                kind=kind,
                namespaced=item["scope"] == "Namespaced",
                served=item["served"],
                schema=prepared(item["schema"], definitions),
                source=document["source"],
                custom=name != _CORE,
            )
    return found
