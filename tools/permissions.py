"""Make the permissions of all installers, and the tables that explain them, of the table of kinds.

`make schemas` writes them; the table is `controller/api/kinds.py`. It needs `sluicegate` importable.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from sluicegate.controller.api.ingress import SERVED_INGRESS_KINDS
from sluicegate.controller.api.kind import Kind, Permission
from sluicegate.controller.api.kinds import TABLE

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
NAMESPACE = "sluicegate-system"
#: Around what is made in a text that people write.
BEGIN, END = "<!-- made by tools/permissions.py -->", "<!-- end -->"

ROLES = {
    "topology": "Gateways and their listeners follow from it",
    "route": "route",
    "policy": "policy",
    "reference": "others refer to it",
    "provisioned": "made for Gateways",
    "own": "the controller's own",
}


class Rule(NamedTuple):
    """One rule of a role; `resources` with the reason of each."""

    group: str
    verbs: tuple[str, ...]
    names: tuple[str, ...]
    resources: dict[str, str]


def granted_for_ingress() -> Iterator[tuple[Kind, Permission]]:
    """What whoever serves Ingresses may do besides."""
    for kind in SERVED_INGRESS_KINDS.values():
        for permission in kind.granted:
            yield kind, permission


def granted(*, node: bool) -> Iterator[tuple[Kind, Permission]]:
    """What an installation may do: everything, or what the all-in-one `node` needs."""
    for kind in TABLE:
        for permission in kind.granted:
            if permission.node or not node:
                yield kind, permission


def resource(kind: Kind, permission: Permission) -> str:
    """As RBAC names it."""
    return f"{kind.plural}/{permission.part}" if permission.part else kind.plural


def rules(*, node: bool, own: bool) -> list[Rule]:
    """Rules of the role of all namespaces, or of that of the controller's own."""
    return _rules((kind, permission) for kind, permission in granted(node=node) if permission.own is own)


def _rules(items: Iterable[tuple[Kind, Permission]]) -> list[Rule]:
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Rule] = {}
    for kind, permission in items:
        key = (kind.group, permission.verbs, permission.names)
        found.setdefault(key, Rule(*key, {})).resources[resource(kind, permission)] = permission.why
    return list(found.values())


def rendered(items: Iterable[Rule]) -> str:
    """Rules as YAML, the reason beside each resource."""
    lines = []
    for item in items:
        group = item.group or '""'
        lines += [f"- apiGroups: [{group}]", "  resources:"]
        lines += [f"  - {name}  # {why}" for name, why in item.resources.items()]
        lines += [f"  resourceNames: [{', '.join(item.names)}]"] if item.names else []
        lines.append(f"  verbs: [{', '.join(item.verbs)}]")
    return "\n".join(lines)


def access(name: str, own_role: str, *, node: bool) -> str:
    """Manifest of the account and its roles."""
    return _manifest(
        {"account": name, "role": name, "own": own_role, "namespace": NAMESPACE, "labels": "", "annotations": ""},
        node=node,
    )


def chart() -> str:
    """The same as a template of Helm."""
    name = '{{ include "sluicegate.name" . }}'
    labels = '\n  labels:\n    {{- include "sluicegate.labels" . | nindent 4 }}'
    annotations = (
        "\n  {{- with .Values.serviceAccount.annotations }}"
        "\n  annotations:\n    {{- toYaml . | nindent 4 }}\n  {{- end }}"
    )
    words = {"account": name, "role": name, "own": name, "namespace": "{{ .Release.Namespace }}"}
    return _manifest({**words, "labels": labels, "annotations": annotations}, node=False)


_TITLE = "# Made by tools/permissions.py of controller/api/kinds.py.\n"
#: The account, its role and binding of all namespaces, and of its own.
_MANIFEST = (
    "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n"
    "  name: {account}\n  namespace: {namespace}{labels}{annotations}\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: {role}{labels}\nrules:\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata:\n  name: {role}{labels}\n"
    "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: ClusterRole\n  name: {role}\n"
    "subjects:\n- kind: ServiceAccount\n  name: {account}\n  namespace: {namespace}\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n"
    "  name: {own}\n  namespace: {namespace}{labels}\nrules:\n",
    "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n"
    "  name: {own}\n  namespace: {namespace}{labels}\n"
    "roleRef:\n  apiGroup: rbac.authorization.k8s.io\n  kind: Role\n  name: {own}\n"
    "subjects:\n- kind: ServiceAccount\n  name: {account}\n  namespace: {namespace}\n",
)


def _manifest(words: dict[str, str], *, node: bool) -> str:
    texts = [part.format_map(words) for part in _MANIFEST]
    texts[0] = f"{_TITLE}{texts[0]}"
    texts[1] += rendered(rules(node=node, own=False)) + "\n"
    texts[3] += rendered(rules(node=node, own=True)) + "\n"
    return "---\n".join(texts)


def ingress_access() -> str:
    """Manifest of the role of whoever serves Ingresses."""
    name = "sluicegate-controller"
    return _ingress_manifest({"account": name, "role": f"{name}-ingress", "namespace": NAMESPACE, "labels": ""})


def ingress_chart() -> str:
    """The same as a template of Helm."""
    name = '{{ include "sluicegate.name" . }}'
    labels = '\n  labels:\n    {{- include "sluicegate.labels" . | nindent 4 }}'
    words = {"account": name, "role": f"{name}-ingress", "namespace": "{{ .Release.Namespace }}", "labels": labels}
    return f"{{{{- if .Values.ingress.classes }}}}\n{_ingress_manifest(words)}{{{{- end }}}}\n"


def _ingress_manifest(words: dict[str, str]) -> str:
    role, binding = _MANIFEST[1:3]
    made = f"{role.format_map(words)}{rendered(_rules(granted_for_ingress()))}\n"
    return f"{_TITLE}{made}---\n{binding.format_map(words)}"


def permissions_table() -> str:
    """Every permission, for deploy/README.md and the page of them; equal ones in one row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    installed = [(item, "controller, node" if item[1].node else "controller") for item in granted(node=False)]
    installed += [(item, "ingress") for item in granted_for_ingress()]
    for (kind, permission), by in installed:
        names = f": {', '.join(permission.names)}" if permission.names else ""
        where = "own" if permission.own else "all"
        key = (kind.group or "core", names, ", ".join(permission.verbs), where, by, permission.why)
        rows.setdefault(key, []).append(resource(kind, permission))
    lines = ["| group | resources | verbs | where | installed by | why |", "|---|---|---|---|---|---|"]
    for (group, names, *rest), resources in rows.items():
        lines.append("| " + " | ".join((group, ", ".join(resources) + names, *rest)) + " |")
    return "\n".join(lines)


def kinds_table() -> str:
    """Every kind, for docs/kinds.md."""
    titles = ("kind", "group", "versions", "scope", "what it is to us", "read for", "status says", "made as")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for kind in (*TABLE, *SERVED_INGRESS_KINDS.values()):
        place = (kind.group or "core", ", ".join(kind.versions), "namespace" if kind.namespaced else "cluster")
        cells = (kind.name, *place, ROLES[kind.role], kind.reads, kind.status, kind.provisions)
        lines.append("| " + " | ".join(cell or "-" for cell in cells) + " |")
    return "\n".join(lines)


def replaced(text: str, made: str) -> str:
    """A text with what is made in it."""
    head, _, rest = text.partition(f"{BEGIN}\n")
    _, _, tail = rest.partition(f"{END}\n")
    return f"{head}{BEGIN}\n{made}\n{END}\n{tail}"


def files() -> dict[Path, str]:
    """Everything that is made, by path."""
    readme, kinds = DEPLOY / "README.md", ROOT / "docs" / "kinds.md"
    page = ROOT / "docs" / "reference" / "permissions.md"
    return {
        DEPLOY / "controller" / "access.yaml": access("sluicegate-controller", "sluicegate-controller", node=False),
        DEPLOY / "node" / "access.yaml": access("sluicegate", "sluicegate-lease", node=True),
        DEPLOY / "ingress" / "access.yaml": ingress_access(),
        DEPLOY / "chart" / "templates" / "ingress-access.yaml": ingress_chart(),
        DEPLOY / "chart" / "templates" / "access.yaml": chart(),
        readme: replaced(readme.read_text(), permissions_table()),
        kinds: replaced(kinds.read_text(), kinds_table()),
        page: replaced(page.read_text(), permissions_table()),
    }


def main() -> int:
    for path, text in files().items():
        path.write_text(text)
        print(f"{path.relative_to(ROOT)}: {len(text):,} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
