"""Ingresses for tests in few words, and what comes of asking for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sluicegate.checks import native_checks
from sluicegate.controller.api import Object, Secret, decode
from sluicegate.controller.api.ingress import INGRESS_KINDS, Ingress, IngressClass, TextMap
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import NGINX, Conversion, Inventory, Name, Options, convert
from sluicegate.controller.ingress.model import Model, Objects
from sluicegate.engine.native import search_expression
from sluicegate.testing.migration import Verification, verify

PREFIX = NGINX.prefix
SETTINGS = Name("in", "settings")
#: Path, type, Service; the type may be left out.
Path = tuple[str, ...]


def ingress(
    name: str = "web",
    host: str = "shop.example.com",
    paths: Iterable[Path] = (("/", "Prefix", "web"),),
    annotations: Mapping[str, str] | None = None,
    *,
    tls: bool = False,
    created: str = "2026-01-01T00:00:00Z",
    **spec: Any,
) -> dict[str, Any]:
    """An Ingress of one host; further fields of its `spec` by name."""
    found = []
    for path in paths:
        kind = path[1] if len(path) > 2 else "ImplementationSpecific"
        backend = {"service": {"name": path[-1], "port": {"number": 80}}}
        found.append({"path": path[0], "pathType": kind, "backend": backend})
    rules = [{"http": {"paths": found}} | ({"host": host} if host else {})] if found else []
    made: dict[str, Any] = {"ingressClassName": "nginx", "rules": rules, **spec}
    if tls:
        made["tls"] = [{"hosts": [host], "secretName": f"{name}-tls"}]
    own = {f"{PREFIX}{key}": value for key, value in (annotations or {}).items()}
    metadata = {"name": name, "namespace": "shop", "annotations": own, "creationTimestamp": created}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": made}


def config_map(name: str, data: Mapping[str, str], namespace: str = "in") -> dict[str, Any]:
    """A ConfigMap; `settings` is the controller's."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": dict(data),
    }


def inventory_of(documents: Iterable[dict[str, Any]]) -> Inventory:
    """An inventory of documents."""
    return Inventory.of(decode(item, CLUSTER, INGRESS_KINDS) for item in documents)


def model_of(*documents: dict[str, Any]) -> Model:
    """The model of documents; the ConfigMap `in/settings` is the controller's, where there is one."""
    objects: list[Object] = [decode(item, CLUSTER, INGRESS_KINDS) for item in documents]
    inventory = Inventory.of(objects)
    assert all(isinstance(item, (Ingress, IngressClass, Secret, TextMap)) for item in objects)
    return Model(
        Objects(
            ingresses=inventory.ingresses,
            classes=inventory.classes,
            config_maps=inventory.config_maps,
            settings=inventory.config_maps.get(SETTINGS),
        ),
        search_expression,
    )


def verified(documents: Iterable[dict[str, Any]], seed: int = 0, **options: Any) -> tuple[Verification, Conversion]:
    """Convert documents, and compare."""
    inventory = inventory_of(documents)
    settings = SETTINGS if SETTINGS in inventory.config_maps else None
    checks = native_checks()
    found = Options(config_map=settings, pattern_error=lambda text: checks.pattern(text).error, **options)
    conversion = convert(inventory, NGINX, found)
    return verify(inventory, conversion, found, seed), conversion


def silent(found: Verification) -> list[str]:
    """Differences that nobody names, a line each."""
    return [
        f"{item.curl} [{item.edge}] from {item.client}: {', '.join(item.differs)}: "
        f"there: {item.theirs}; here: {item.ours}"
        for item in found.differences
        if not item.named
    ]
