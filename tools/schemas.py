"""Make the schemas of `sluicegate check` anew: `python tools/schemas.py`.

- Gateway API kinds: the CRDs (experimental channel, a superset of the standard one) of the Go module, without
  descriptions. Equal parts are written once and referred to.
- Core kinds that the gateway reads: from the models of the official Kubernetes client.
- Our own kinds: the CRDs of `deploy/crds`.

Needs the Go tool for the module and the package `kubernetes`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from go_modules import GATEWAY_API, module
from sluicegate.controller.api.kind import Kind
from sluicegate.controller.api.kinds import TABLE

ROOT = Path(__file__).parents[1]
DATA = ROOT / "python" / "sluicegate" / "schema" / "data"
#: Fields of core kinds that take a number or a text, and integers of 64 bits: the models do not say so.
INT_OR_STRING, LONG = {"targetPort"}, {"observedGeneration"}
#: Keywords whose values are schemas by name.
BY_NAME = ("properties", "definitions")
#: Smaller parts are written in place.
MIN_SHARED_BYTES = 200


def main() -> int:
    DATA.mkdir(parents=True, exist_ok=True)
    folder = module(*GATEWAY_API) / "config" / "crd" / "experimental"
    gateway_api, own = kinds_of(folder), kinds_of(ROOT / "deploy" / "crds")
    custom = {key.partition(" ")[2] for key in (*gateway_api, *own)}
    write("gateway-api.json", {"source": f"{' '.join(GATEWAY_API)}, experimental channel", **share(gateway_api)})
    write("sluicegate.json", {"source": "deploy/crds", **share(own)})
    write("core.json", {"source": "models of the Kubernetes client", **share(core(custom))})
    return 0


def write(name: str, document: dict[str, Any]) -> None:
    path = DATA / name
    path.write_text(json.dumps(document, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(document['kinds'])} kinds")


def kinds_of(folder: Path) -> dict[str, Any]:
    kinds: dict[str, Any] = {}
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if not document or document.get("kind") != "CustomResourceDefinition":
                continue
            spec = document["spec"]
            for version in spec["versions"]:
                key = f"{spec['group']}/{version['name']} {spec['names']['kind']}"
                schema = trimmed(version["schema"]["openAPIV3Schema"])
                schema["properties"].pop("status", None)
                kinds[key] = {
                    "scope": spec["scope"],
                    "served": version["served"],
                    "deprecated": version.get("deprecated", False),
                    "schema": schema,
                }
    return kinds


def trimmed(schema: dict[str, Any]) -> dict[str, Any]:
    """Without descriptions; recursion by keyword, so that a property may be named `description`."""
    result: dict[str, Any] = {}
    for key, value in schema.items():
        if key in {"description", "title", "example", "externalDocs"}:
            continue
        if key in BY_NAME:
            result[key] = {name: trimmed(item) for name, item in value.items()}
        elif key in {"items", "not", "additionalProperties"} and isinstance(value, dict):
            result[key] = trimmed(value)
        elif key in {"allOf", "anyOf", "oneOf"}:
            result[key] = [trimmed(item) for item in value]
        else:
            result[key] = value
    return result


def share(kinds: dict[str, Any]) -> dict[str, Any]:
    """Write equal schemas once."""
    definitions: dict[str, Any] = {}
    names: dict[str, str] = {}

    def shared(schema: dict[str, Any]) -> dict[str, Any]:
        inner: dict[str, Any] = {}
        for key, value in schema.items():
            if key in BY_NAME:
                inner[key] = {name: shared(item) for name, item in value.items()}
            elif key in {"items", "not", "additionalProperties"} and isinstance(value, dict):
                inner[key] = shared(value)
            else:
                inner[key] = value
        text = json.dumps(inner, sort_keys=True)
        if len(text) < MIN_SHARED_BYTES:
            return inner
        if text not in names:
            names[text] = str(len(names))
            definitions[names[text]] = inner
        return {"$ref": names[text]}

    return {
        "kinds": {key: {**item, "schema": shared(item["schema"])} for key, item in kinds.items()},
        "definitions": definitions,
    }


def core_kinds(custom: Collection[str]) -> list[Kind]:
    """Kinds of Kubernetes itself that are read from files, but for those that only tell of a cluster."""
    return [kind for kind in TABLE if kind.struct and kind.files and not kind.minor and kind.name not in custom]


def described_by_client(kind: Kind, version: str) -> dict[str, Any]:
    """The client's schema of a kind; of a version that it has no more, that of another one: they have one shape."""
    from kubernetes.client import models

    names = [f"{item.capitalize()}{kind.name}" for item in (version, *kind.versions)]
    model = next(getattr(models, name) for name in names if hasattr(models, name))
    document: dict[str, Any] = model.model_json_schema(by_alias=True)
    return document


def core(custom: Collection[str]) -> dict[str, Any]:
    result = {}
    for kind in core_kinds(custom):
        for version, written in zip(kind.versions, kind.api_versions, strict=True):
            document = described_by_client(kind, version)
            described = _resolved(document, document["$defs"])
            described["properties"]["metadata"] = {"type": "object"}
            scope = "Namespaced" if kind.namespaced else "Cluster"
            result[f"{written} {kind.name}"] = {
                "scope": scope,
                "served": True,
                "deprecated": False,
                "schema": described,
            }
    return result


def _resolved(schema: dict[str, Any], definitions: dict[str, Any], name: str = "") -> dict[str, Any]:
    """JSON schema as pydantic writes it, to the structural form of CRDs."""
    if "$ref" in schema:
        return _resolved(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if name in INT_OR_STRING:
        return {"x-kubernetes-int-or-string": True, "format": "int32"}
    options = [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]
    if options:
        return _resolved(options[0], definitions, name)
    kind = schema.get("type")
    if kind == "array":
        return {"type": "array", "items": _resolved(schema["items"], definitions)}
    if "properties" in schema:
        properties = {key: _resolved(item, definitions, key) for key, item in schema["properties"].items()}
        required = [key for key in schema.get("required", ()) if key not in {"apiVersion", "kind", "metadata"}]
        return {"type": "object", "properties": properties} | ({"required": required} if required else {})
    if kind == "object":
        values = schema.get("additionalProperties")
        inner = _resolved(values, definitions) if isinstance(values, dict) else {}
        return {"type": "object", "additionalProperties": inner or {"x-kubernetes-preserve-unknown-fields": True}}
    if kind == "integer":
        return {"type": kind, "format": "int64" if name in LONG else "int32"}
    if kind in {"string", "boolean", "number"}:
        formats = {"format": "date-time"} if schema.get("format") == "date-time" else {}
        return {"type": kind, **formats}
    return {"x-kubernetes-preserve-unknown-fields": True}


if __name__ == "__main__":
    sys.exit(main())
