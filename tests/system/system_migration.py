"""Ingresses that are converted, as tests write them."""

from __future__ import annotations

import json
from typing import Any

from system_manifests import Manifest, metadata

from sluicegate.checks import native_checks
from sluicegate.controller.api import decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import NGINX, Conversion, Inventory, Options, convert

PREFIX = NGINX.prefix


def ingress(
    host: str,
    *paths: tuple[str, str],
    kind: str = "Prefix",
    name: str = "",
    secret: str = "",
    created: str = "2026-01-01T00:00:00Z",
    **annotations: str,
) -> Manifest:
    """An Ingress of one host: paths with their Services; `_` in names of annotations stands for `-`."""
    written = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()}
    entries = [
        {"path": path, "pathType": kind, "backend": {"service": {"name": service, "port": {"number": 80}}}}
        for path, service in paths
    ]
    spec: Manifest = {"ingressClassName": "nginx", "rules": [{"host": host, "http": {"paths": entries}}]}
    if secret:
        spec["tls"] = [{"hosts": [host], "secretName": secret}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(name or host.replace(".", "-"), annotations=written, creationTimestamp=created),
        "spec": spec,
    }


def converted(*objects: Manifest, **options: Any) -> Conversion:
    """What comes of Ingresses and what they use."""
    # As from an API server: nothing is shared, and times are texts.
    plain = json.loads(json.dumps(objects))
    decoded = [decode(item, CLUSTER, INGRESS_KINDS) for item in plain if item["kind"] in INGRESS_KINDS]
    checks = native_checks()
    wanted = Options(pattern_error=lambda pattern: checks.pattern(pattern).error, **options)
    return convert(Inventory.of(decoded), NGINX, wanted)


def manifests(conversion: Conversion) -> list[Manifest]:
    """The manifests, as they are written."""
    return [item.document for item in conversion.objects]
