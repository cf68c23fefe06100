"""Write `docs/reference/crds.md`: our kinds, what the API server refuses of each, and fields that no other page has.

`make pages` writes it. The fields of policies and of HTTPFilter are tables of their own pages (`tools/policy_crds.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from parameters_crd import SOURCE
from policy_crds import CRDS, PAGES, rows_of, table_of

PAGE = PAGES.parent / "reference" / "crds.md"
#: Label that says how policies of a kind are attached.
_POLICY = "gateway.networking.k8s.io/policy"
#: In the source of GatewayParameters: a type of Kubernetes.
_KUBERNETES = "$kubernetes"
#: Of kinds whose fields are not on a page of policies: where they are explained.
_EXPLAINED = {
    "GatewayParameters": "[Provisioning](../provisioning.md#parameters)",
    "RequestHeaderFilter": "[Extensions](../extensions.md#header-edits-for-a-whole-listener)",
}

_HEAD = """\
# Custom resources

The kinds of the group `sluicegate.dev`. `kubectl apply --server-side -k deploy/crds` installs them; the controller's
kustomization and the Helm chart have them too. All are namespaced. What is refused stands here as the API server says
it, and `sluicegate check` says it without one.

This page is written by `python tools/crds_page.py` from `deploy/crds`.

| kind | plural | version | attached | what it is |
|---|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    documents = [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))]
    crds = [item["spec"] for item in documents if item["kind"] == "CustomResourceDefinition"]
    labels = [item["metadata"].get("labels", {}).get(_POLICY, "-") for item in documents if "spec" in item]
    rows = [_summary(crd, label) for crd, label in zip(crds, labels, strict=True)]
    return "".join([_HEAD, *rows, *(part for crd in crds for part in _section(crd))])


def _schema(crd: dict[str, Any]) -> dict[str, Any]:
    [version] = crd["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def _summary(crd: dict[str, Any], label: str) -> str:
    names, version = crd["names"], crd["versions"][0]["name"]
    kind = names["kind"]
    link = f"[{kind}](#{kind.lower()})"
    return f"| {link} | `{names['plural']}` | `{version}` | {label.lower()} | {_schema(crd)['description']} |\n"


def _section(crd: dict[str, Any]) -> Iterator[str]:
    kind, spec = crd["names"]["kind"], _schema(crd)["properties"]["spec"]
    yield f"\n## {kind}\n\n"
    if kind in _EXPLAINED:
        yield f"{_EXPLAINED[kind]} explains it.\n\n"
        # Of its source: in the CRD what comes from Kubernetes is spelled out, 180 fields of it.
        written = yaml.safe_load(SOURCE.read_text())["spec"] if kind == "GatewayParameters" else crd
        fields = _own(_schema(written)["properties"]["spec"])["properties"]
        yield table_of(row for name, item in fields.items() for row in rows_of(name, item))
    else:
        yield f"Its fields are on [its page](../policies/{kind}.md).\n"
    refused = list(_rules("", spec))
    if refused:
        yield "\nRules that the API server asks for besides:\n\n| where | rule |\n|---|---|\n"
        yield from refused


def _own(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema whose parts from Kubernetes are named, and not spelled out."""
    if _KUBERNETES in schema:
        kind = schema[_KUBERNETES].removeprefix("V1").removeprefix("V2")
        return {"description": schema.get("description", ""), "type": f"{kind} of Kubernetes"}
    if schema.get("x-kubernetes-int-or-string"):
        return {**schema, "type": "number or text"}
    found = {**schema, "properties": {name: _own(item) for name, item in schema.get("properties", {}).items()}}
    if isinstance(schema.get("items"), dict):
        found["items"] = _own(schema["items"])
    return found


def _rules(path: str, schema: dict[str, Any]) -> Iterator[str]:
    """What rules of the CRD say, by the field that they are at."""
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"| `spec{path}` | {rule['message']} |\n"
    for name, item in schema.get("properties", {}).items():
        yield from _rules(f"{path}.{name}", item)
    if isinstance(schema.get("items"), dict):
        yield from _rules(f"{path}[]", schema["items"])


if __name__ == "__main__":
    PAGE.write_text(page())
