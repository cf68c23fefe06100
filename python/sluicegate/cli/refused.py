"""Routes and Gateways that may have taken a request, were they served, or served whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from sluicegate import ir
from sluicegate.controller.api import DEFAULT_NAMESPACE, ROUTE_KINDS, Diagnostic
from sluicegate.controller.translate import Translation
from sluicegate.processes.viewed import Written
from sluicegate.testing.decision import Decision
from sluicegate.testing.request import Connection, Request
from sluicegate.testing.table import Table

from .losers import best_hostname, host_of

if TYPE_CHECKING:
    from sluicegate.processes.ingress import Ingresses

#: Diagnostics shown; a folder may have thousands of routes that are wrong in the same way.
SHOWN = 8


class Translated(Protocol):
    """Objects and what they come to: of files or a cluster (`Offline`), or of what runs (`sluicegate.cli.page`)."""

    @property
    def translation(self) -> Translation:
        """Configuration and statuses."""

    @property
    def ingresses(self) -> Ingresses | None:
        """That are served as well; None: none are."""

    def documents(self) -> Iterable[Written]:
        """The objects as they are written."""

    def diagnostics(self) -> list[Diagnostic]:
        """Everything that is wrong."""


def refused(
    documents: Iterable[Written],
    diagnostics: Iterable[Diagnostic],
    table: Table,
    request: Request | Connection,
    decision: Decision,
) -> list[Diagnostic]:
    """What is wrong with them, in the order of files and lines, at most `SHOWN`.

    Args:
        documents: the objects as they are written.
        diagnostics: everything that is wrong.
        table: that decided.
        request: that it decided about.
        decision: on it.
    """
    host = host_of(request.authority) if isinstance(request, Request) else request.server_name or ""
    at_port = table.listeners_at(request)
    errors = [item for item in diagnostics if item.severity == "error"]
    if not at_port:
        return [item for item in errors if item.object.startswith(("Gateway/", "ListenerSet/"))][:SHOWN]
    listeners = [item for item in at_port if decision.listener in {None, item.id}]
    names = set(_not_whole(documents, table, listeners, host))
    return [item for item in errors if item.object in names][:SHOWN]


def _not_whole(documents: Iterable[Written], table: Table, listeners: list[ir.Listener], host: str) -> Iterator[str]:
    """Routes that name one of the listeners and have fewer rules there than they are written with."""
    ids = {item.id for item in listeners}
    attachments = {item.id: item for item in table.resources.attachments}
    served: dict[str, int] = {}
    rules: list[ir.HttpRule | ir.L4Rule] = [*table.resources.http_rules, *table.resources.l4_rules]
    for rule in rules:
        if not ids.isdisjoint(ir.listeners_of(rule, attachments)):
            served[rule.route] = served.get(rule.route, 0) + 1
    for document in documents:
        kind = document.data.get("kind")
        if kind not in ROUTE_KINDS:
            continue
        metadata, spec = _mapping(document.data.get("metadata")), _mapping(document.data.get("spec"))
        namespace = str(metadata.get("namespace") or DEFAULT_NAMESPACE)
        hostnames = [str(item).lower() for item in _list(spec.get("hostnames"))]
        name = f"{kind}/{namespace}/{metadata.get('name')}"
        written = max(len(_list(spec.get("rules"))), 1)
        if (
            served.get(name, 0) < written
            and best_hostname(hostnames, host) is not None
            and any(_names(item, namespace, listeners) for item in _list(spec.get("parentRefs")))
        ):
            yield name


def _names(reference: object, namespace: str, listeners: list[ir.Listener]) -> bool:
    """Whether an item of `parentRefs`, as it is written, names one of the listeners."""
    found = _mapping(reference)
    parent = f"{found.get('kind') or 'Gateway'}/{found.get('namespace') or namespace}/{found.get('name')}"
    section, port = found.get("sectionName"), found.get("port")
    return any(
        item.id == f"{parent}/{section or item.id.rpartition('/')[2]}" and port in {None, item.port}
        for item in listeners
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
