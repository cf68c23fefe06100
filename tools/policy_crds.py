#!/usr/bin/env python3
"""Make the CRDs of our policies, what installs them, and the tables of their pages: `python tools/policy_crds.py`.

The sources are `tools/policies/*.yaml`: kind, plural, description, and for each stanza its schema. What all policies
have is added here once: `targetRefs` (which kinds, says the table of policy kinds), `strategy` and `mode: Disabled` of
those that are inherited, status, columns, labels and rules. What is `reserved` can be named and not be set. `make
schemas` does it, and takes it into `check`.
"""

from __future__ import annotations

import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from parameters_crd import Dumper
from sluicegate.controller.api import GATEWAY_GROUP, OWN_GROUP, ROUTE_KINDS
from sluicegate.controller.api.kinds import TABLE
from sluicegate.controller.translate.policies.attach import GROUPS, section_word
from sluicegate.controller.translate.policies.effective import OVERRIDING
from sluicegate.controller.translate.policies.registry import POLICIES, PolicyKind

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "tools" / "policies"
CRDS = ROOT / "deploy" / "crds"
CHART = ROOT / "deploy" / "chart" / "crds"
PAGES = ROOT / "docs" / "policies"
#: Where the table of fields stands in a page, and that of our policies in the page of all of them.
FIELDS = ("<!-- fields -->\n", "<!-- /fields -->")
KINDS = ("<!-- kinds -->\n", "<!-- /kinds -->")
#: The list of CRDs for kustomize.
KUSTOMIZATION = "kustomization.yaml"

NAME = {"type": "string", "minLength": 1, "maxLength": 253}
CONDITION = {
    "type": "object",
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "properties": {
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "message": {"type": "string", "maxLength": 32768},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "reason": {"type": "string", "minLength": 1, "maxLength": 1024},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "type": {"type": "string", "minLength": 1, "maxLength": 316},
    },
}
STATUS = {
    "type": "object",
    "description": "What becomes of the policy, for each Gateway that it holds for (PolicyStatus of the Gateway API).",
    "required": ["ancestors"],
    "properties": {
        "ancestors": {
            "type": "array",
            "maxItems": 16,
            "items": {
                "type": "object",
                "required": ["ancestorRef", "conditions", "controllerName"],
                "properties": {
                    "ancestorRef": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "group": {"type": "string", "maxLength": 253},
                            "kind": {"type": "string", "maxLength": 63},
                            "namespace": {"type": "string", "maxLength": 63},
                            "name": NAME,
                            "sectionName": NAME,
                            "port": {"type": "integer", "format": "int32"},
                        },
                    },
                    "controllerName": NAME,
                    "conditions": {
                        "type": "array",
                        "maxItems": 8,
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["type"],
                        "items": CONDITION,
                    },
                },
            },
        }
    },
}
MODE = "Whether the part holds at all: Disabled switches one off that would be inherited, and needs nothing else."


def files() -> dict[Path, str]:
    """Everything that is made, by path."""
    sources = {path.name: yaml.safe_load(path.read_text()) for path in sorted(SOURCES.glob("*.yaml"))}
    found = {CRDS / name: text(name, source) for name, source in sources.items()}
    for source in sources.values():
        found |= within(PAGES / f"{source['kind']}.md", FIELDS, table(source))
    filters = yaml.safe_load((CRDS / "httpfilter.yaml").read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = filters["properties"]["spec"]["properties"]
    rows = table_of(row for name, part in parts.items() for row in rows_of(name, part))
    found |= within(PAGES / "HTTPFilter.md", FIELDS, rows)
    found |= within(PAGES / "README.md", KINDS, kinds({source["kind"] for source in sources.values()}))
    names = {path.name for path in found if path.parent == CRDS} | {path.name for path in CRDS.glob("*.yaml")}
    found[CRDS / KUSTOMIZATION] = kustomization(names - {KUSTOMIZATION})
    return found


def main() -> int:
    for path, content in files().items():
        path.write_text(content)
        print(f"{path.relative_to(ROOT)}: {len(content):,} characters")
    # Helm has no list of CRDs but the folder; links, so that there is one copy.
    for path in CRDS.glob("*.yaml"):
        link = CHART / path.name
        if path.name != KUSTOMIZATION and not link.is_symlink():
            link.symlink_to(Path("../../crds") / path.name)
    return 0


def within(page: Path, marks: tuple[str, str], rows: str) -> dict[Path, str]:
    """A page with rows between its marks, by its path."""
    begin, end = marks
    before, rest = page.read_text().split(begin)
    return {page: f"{before}{begin}{rows}{end}{rest.partition(end)[2]}"}


def kustomization(names: Iterable[str]) -> str:
    """The list of CRDs for kustomize."""
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": sorted(names)}
    return f"# Made by tools/policy_crds.py of the files beside it.\n{yaml.safe_dump(head, sort_keys=False)}"


def kinds(names: Container[str]) -> str:
    """Our policies, for the page of all of them: what each says, and where it may be attached."""
    by_name = {item.kind: item for item in POLICIES}
    rows = (
        f"| [{item.name}]({item.name}.md) | {item.reads} | {attached_to(by_name[item.name])} |"
        for item in TABLE
        if item.name in names
    )
    return "\n".join(["| kind | says | attached to |", "|---|---|---|", *rows, ""])


def attached_to(kind: PolicyKind) -> str:
    """Targets of a kind and their sections, for people."""
    routes = kind.targets & set(ROUTE_KINDS)
    objects = [f"{name}s" for name in sorted(kind.targets - routes)] + (["routes"] if routes else [])
    sections = dict.fromkeys(f"{section_word(name)}s" for name in sorted(kind.sections))
    return ", ".join([*objects, *sections])


def text(name: str, source: dict[str, Any]) -> str:
    """The CRD as YAML; `name`: of the file of its source."""
    found = yaml.dump(crd(source), Dumper=Dumper, sort_keys=False, width=118, allow_unicode=True)
    return f"# Made by tools/policy_crds.py of tools/policies/{name}.\n{found}"


def crd(source: dict[str, Any]) -> dict[str, Any]:
    """The CRD of a kind."""
    name, plural = source["kind"], source["plural"]
    kind = next(item for item in POLICIES if item.kind == name)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{OWN_GROUP}",
            "labels": {"gateway.networking.k8s.io/policy": "Inherited" if kind.inherited else "Direct"},
        },
        "spec": {
            "group": OWN_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": name,
                "listKind": f"{name}List",
                "plural": plural,
                "singular": name.lower(),
                "categories": ["gateway-api"],
            },
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        {"name": "Target", "type": "string", "jsonPath": ".spec.targetRefs[0].name"},
                        {
                            "name": "Accepted",
                            "type": "string",
                            "jsonPath": '.status.ancestors[0].conditions[?(@.type=="Accepted")].status',
                        },
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": source["description"],
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": spec(source, kind),
                                "status": STATUS,
                            },
                        }
                    },
                }
            ],
        },
    }


def spec(source: dict[str, Any], kind: PolicyKind) -> dict[str, Any]:
    """The head of every policy, then its stanzas, in the order in which they act."""
    stanzas = source["stanzas"]
    properties: dict[str, Any] = {"targetRefs": target_refs(kind)}
    rules: list[dict[str, str]] = []
    if kind.inherited:
        # What is inherited stands in the place of something: one that says nothing is a mistake.
        needed = " || ".join(f"has(self.{name})" for name in stanzas)
        rules.append({"rule": needed, "message": f"one of {', '.join(stanzas)} is needed"})
        properties["strategy"] = {
            "type": "string",
            "description": "Defaults: what is set lower holds in place of this. Overrides: this holds in place of it.",
            "enum": ["Defaults", "Overrides"],
            "default": "Defaults",
        }
        high = " || ".join(f"t.kind == '{name}'" for name in sorted(OVERRIDING & kind.targets))
        rules.append(
            {
                "rule": f"self.strategy != 'Overrides' || self.targetRefs.all(t, {high})",
                "message": f"only a policy of a {' or '.join(sorted(OVERRIDING & kind.targets))} overrides",
            }
        )
    for name, schema in stanzas.items():
        properties[name] = stanza(schema) if kind.inherited else {"type": "object", **schema}
    for name, reserved in source.get("reserved", {}).items():
        properties[name] = {"type": "object", "description": reserved["description"]}
        rules.append({"rule": f"!has(self.{name})", "message": reserved["message"]})
    all_rules = [*rules, *source.get("rules", ())]
    return {
        "type": "object",
        "required": ["targetRefs"],
        **({"x-kubernetes-validations": all_rules} if all_rules else {}),
        "properties": properties,
    }


def stanza(schema: dict[str, Any]) -> dict[str, Any]:
    """A stanza that can be switched off: what it needs, it needs only where it is not."""
    required = schema.get("required", ())
    own = {key: value for key, value in schema.items() if key != "required"}
    properties = dict(own.pop("properties"))
    modes = properties.pop("mode", {"type": "string", "description": MODE, "enum": []})
    properties = {"mode": {**modes, "enum": [*modes["enum"], "Disabled"]}, **properties}
    rules = [
        {
            "rule": f"has(self.{name}) || (has(self.mode) && self.mode == 'Disabled')",
            "message": f"{name} is needed, or mode: Disabled",
        }
        for name in required
    ]
    found = {"type": "object", **own, "properties": properties}
    return {**found, "x-kubernetes-validations": [*rules, *own.get("x-kubernetes-validations", ())]} if rules else found


def target_refs(kind: PolicyKind) -> dict[str, Any]:
    """What a policy is attached to."""
    by_group: dict[str, list[str]] = {}
    for name in sorted(kind.targets):
        for group in GROUPS.get(name, {GATEWAY_GROUP}) - {"core"}:
            by_group.setdefault(group, []).append(name)
    fitting = " || ".join(
        f"(t.group == '{group}' && t.kind in [{', '.join(repr(name) for name in names)}])"
        for group, names in sorted(by_group.items())
    )
    names = sorted(kind.targets)
    return {
        "type": "array",
        "description": "What the policy is attached to, in its own namespace.",
        "minItems": 1,
        "maxItems": 16,
        "x-kubernetes-list-type": "atomic",
        "x-kubernetes-validations": [
            {"rule": f"self.all(t, {fitting})", "message": f"targets are {', '.join(names)}"},
            {
                "rule": "self.all(one, self.exists_one(two, one.group == two.group && one.kind == two.kind && "
                "one.name == two.name && (has(one.sectionName) ? one.sectionName : '') == "
                "(has(two.sectionName) ? two.sectionName : '')))",
                "message": "a target is named once",
            },
        ],
        "items": {
            "type": "object",
            "required": ["group", "kind", "name"],
            "properties": {
                "group": {"type": "string", "description": "API group of the target.", "maxLength": 253},
                "kind": {"type": "string", "description": "Kind of the target.", "minLength": 1, "maxLength": 63},
                "name": {"description": "Name of the target.", **NAME},
                "sectionName": {
                    "description": "One listener, rule or port of the target, by its name; unset: all of it.",
                    **NAME,
                },
            },
        },
    }


def table(source: dict[str, Any]) -> str:
    """The fields of a kind, for its page."""
    kind = next(item for item in POLICIES if item.kind == source["kind"])
    found = spec(source, kind)["properties"]
    return table_of(row for name in source["stanzas"] for row in rows_of(name, found[name]))


def table_of(rows: Iterable[str]) -> str:
    """Rows with what stands above them."""
    return "\n".join(["| field | values | what it says |", "|---|---|---|", *rows, ""])


def rows_of(path: str, schema: dict[str, Any]) -> Iterator[str]:
    """A row for a field, then one for each below it."""
    values = " ".join(map(str, schema.get("enum", ()))) or ("quantity" if "anyOf" in schema else schema.get("type", ""))
    values += f", up to {schema['maxItems']}" if "maxItems" in schema else ""
    if "default" in schema:
        values += f" [{schema['default']}]"
    yield f"| `{path}` | {values} | {schema.get('description', '').strip()} |"
    inner, mark = (schema["items"], "[]") if schema.get("type") == "array" else (schema, "")
    for name, item in inner.get("properties", {}).items():
        yield from rows_of(f"{path}{mark}.{name}", item)


if __name__ == "__main__":
    sys.exit(main())
