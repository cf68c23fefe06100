"""The schemas by kind, read once."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

FILES = ("gateway-api.json", "core.json", "sluicegate.json")


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind in one version.

    Attributes:
        version: `apiVersion`.
        kind: the kind.
        namespaced: objects live in namespaces.
        served: the API server serves this version.
        schema: OpenAPI v3, structural; `$ref` names one of `definitions`.
        definitions: shared parts.
        source: where it comes from.
    """

    version: str
    kind: str
    namespaced: bool
    served: bool
    schema: dict[str, Any]
    definitions: dict[str, Any]
    source: str


@functools.lru_cache(maxsize=1)
def catalog() -> dict[tuple[str, str], Entry]:
    """All kinds by (apiVersion, kind)."""
    found: dict[tuple[str, str], Entry] = {}
    for name in FILES:
        text = (resources.files("sluicegate.schema") / "data" / name).read_text(encoding="utf-8")
        document = json.loads(text)
        for key, item in document["kinds"].items():
            version, _, kind = key.partition(" ")
            found[version, kind] = Entry(
                version=version,
                kind=kind,
                namespaced=item["scope"] == "Namespaced",
                served=item["served"],
                schema=item["schema"],
                definitions=document["definitions"],
                source=document["source"],
            )
    return found
