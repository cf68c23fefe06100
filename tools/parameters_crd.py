"""Make `deploy/crds/gatewayparameters.yaml` anew: `python tools/parameters_crd.py`.

The source is `tools/gatewayparameters.yaml`; what Kubernetes types say comes from the models of the official client.
`make schemas` does it, and takes it into `sluicegate check`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "tools" / "gatewayparameters.yaml"
TARGET = ROOT / "deploy" / "crds" / "gatewayparameters.yaml"
#: Fields that take a number or a text: shares, and quantities.
INT_OR_STRING = {"averageValue", "value", "limits", "requests"}
#: Those of them that hold texts only, by the type that they are in.
TEXTS = {"V1Toleration"}
MAX_DESCRIPTION = 200


def main() -> int:
    TARGET.write_text(text())
    print(f"{TARGET.name}: {TARGET.stat().st_size:,} bytes")
    return 0


def text() -> str:
    """The CRD as YAML."""
    found = filled(yaml.safe_load(SOURCE.read_text()))
    return f"# Made by tools/parameters_crd.py of tools/{SOURCE.name}.\n" + yaml.dump(
        found, Dumper=Dumper, sort_keys=False, width=118, allow_unicode=True
    )


def filled(value: Any) -> Any:  # noqa: ANN401 (any YAML value)
    """The value with the schemas of Kubernetes types in it."""
    if isinstance(value, list):
        return [filled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$kubernetes" in value:
        own = {key: item for key, item in value.items() if key != "$kubernetes"}
        return {**kubernetes_type(value["$kubernetes"]), **own}
    return {key: filled(item) for key, item in value.items()}


def kubernetes_type(name: str) -> dict[str, Any]:
    """The structural schema of a Kubernetes type."""
    from kubernetes.client import models

    document = getattr(models, name).model_json_schema(by_alias=True)
    found = structural(document, document.get("$defs", {}), "", name)
    found.pop("description", None)
    return found


def structural(schema: dict[str, Any], definitions: dict[str, Any], field: str, owner: str) -> dict[str, Any]:
    """JSON schema as pydantic writes it, to the structural form of CRDs."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return structural(definitions[name], definitions, "", name)
    described = {"description": brief(schema["description"])} if field and schema.get("description") else {}
    options = [item for item in schema.get("anyOf", ()) if item.get("type") != "null"]
    if options:
        return {**structural(options[0], definitions, field, owner), **described}
    kind = schema.get("type")
    if kind == "array":
        return {"type": "array", **described, "items": structural(schema["items"], definitions, "", owner)}
    if kind == "object" and "properties" in schema:
        properties = {key: structural(item, definitions, key, owner) for key, item in schema["properties"].items()}
        required = schema.get("required")
        return {"type": "object", **described, **({"required": required} if required else {}), "properties": properties}
    many = field in INT_OR_STRING and owner not in TEXTS
    if kind == "object":
        values = schema.get("additionalProperties")
        inner = {"x-kubernetes-int-or-string": True} if many else structural(values or {}, definitions, "", owner)
        return {"type": "object", **described, "additionalProperties": inner}
    if kind == "string" and many:
        return {**described, "x-kubernetes-int-or-string": True}
    return {"type": kind, **described}


def brief(description: str) -> str:
    """The first sentence."""
    line = " ".join(description.split())
    return re.split(r"(?<=[.;:]) ", line, maxsplit=1)[0][:MAX_DESCRIPTION]


class Dumper(yaml.SafeDumper):
    """Lists are indented as in the rest of the manifests; nothing is shared."""

    def ignore_aliases(self, data: object) -> bool:
        """Nothing is shared."""
        return True


if __name__ == "__main__":
    sys.exit(main())
