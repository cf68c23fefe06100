"""Schemas of what our pages and folders write for other programs: `tests/unit/foreign_schemas.json`.

Each is cut out of the CRD that the program's Go module has: along the fields that we write all that is asked of them,
and beside these the names of the others alone, so that a name that is none is found. What is cut is so small that it is
kept.

    python tools/foreign_schemas.py
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from go_modules import module  # noqa: E402

OUT = ROOT / "tests" / "unit" / "foreign_schemas.json"


class Source(NamedTuple):
    """Where a kind is described.

    Attributes:
        module: Go module, and its version; those that the proxy has.
        version: of the module.
        file: in it, with the CRD.
    """

    module: str
    version: str
    file: str


_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
_OPERATOR_CRDS = "example/prometheus-operator-crd/monitoring.coreos.com_"
#: By `kind`.
SOURCES = {
    "Application": Source("github.com/argoproj/argo-cd/v3", "v3.5.7", "manifests/crds/application-crd.yaml"),
    "MetricTemplate": Source("github.com/fluxcd/flagger", "v1.36.1", "artifacts/flagger/crd.yaml"),
    "PodMonitor": Source(*_OPERATOR, f"{_OPERATOR_CRDS}podmonitors.yaml"),
    "PrometheusRule": Source(*_OPERATOR, f"{_OPERATOR_CRDS}prometheusrules.yaml"),
    "Rollout": Source("github.com/argoproj/argo-rollouts", "v1.9.0", "manifests/crds/rollout-crd.yaml"),
}
_KEPT = ("type", "required", "enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
#: Of every object; the API server's own.
_OWN = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Manifests of other programs in a page or a file; a fragment of a Rollout is put where it belongs."""
    for block in _blocks(text):
        try:
            found = list(yaml.safe_load_all(block))
        except yaml.YAMLError:  # a block of commands
            continue
        for item in found:
            if isinstance(item, dict) and item.get("kind") in SOURCES and "apiVersion" in item:
                yield item
            elif isinstance(item, dict) and item.keys() == {"strategy"}:
                yield {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": item}


def _blocks(text: str) -> Iterator[str]:
    """The text itself where it is YAML, else what is indented in it."""
    if not text.startswith("# ") or "\nkind: " in text:
        yield text
        return
    block: list[str] = []
    for line in [*text.splitlines(), "end"]:
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line[4:])
        elif block:
            yield "\n".join(block)
            block = []


def written() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every manifest for another program, with the file that has it."""
    for folder, pattern in (("docs", "*.md"), ("deploy/monitoring", "*.yaml")):
        for path in sorted((ROOT / folder).rglob(pattern)):
            for item in documents(path.read_text()):
                yield str(path.relative_to(ROOT)), item


def cut(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    """What a schema says of these values, and the names beside."""
    found = {name: schema[name] for name in _KEPT if name in schema}
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return {**found, "additionalProperties": {}}
    objects = [value for value in values if isinstance(value, dict)]
    if "properties" in schema:
        found["properties"] = {
            name: cut(part, below) if (below := [value[name] for value in objects if name in value]) else {}
            for name, part in schema["properties"].items()
        }
    if isinstance(more := schema.get("additionalProperties"), dict):
        found["additionalProperties"] = cut(more, [item for value in objects for item in value.values()])
    if "items" in schema:
        found["items"] = cut(schema["items"], [item for value in values if isinstance(value, list) for item in value])
    return found


def made() -> dict[str, Any]:
    """All schemas, by kind."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for _, item in written():
        by_kind.setdefault(item["kind"], []).append(item)
    found = {}
    for kind, items in sorted(by_kind.items()):
        source = SOURCES[kind]
        text = (module(source.module, source.version) / source.file).read_text()
        [crd] = [item for item in yaml.safe_load_all(text) if item and item["spec"]["names"]["kind"] == kind]
        for version in {item["apiVersion"].partition("/")[2] for item in items}:
            [described] = [item for item in crd["spec"]["versions"] if item["name"] == version]
            schema = cut(described["schema"]["openAPIV3Schema"], items)
            schema["properties"] |= _OWN
            name = f"{crd['spec']['group']}/{version}/{kind}"
            found[name] = {"description": f"{source.module}@{source.version}: {source.file}", **schema}
    return found


if __name__ == "__main__":
    OUT.write_text(json.dumps(made(), indent=1) + "\n")
