"""Middlewares of Traefik with values that no CRD would take: they are converted, told, or close their paths."""

from __future__ import annotations

from typing import Any

import pytest

from sluicegate.controller.api import decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import TRAEFIK, Conversion, Inventory, Options, convert
from sluicegate.controller.ingress.traefik.middlewares import KINDS

KEYS = (
    "prefixes", "prefix", "path", "regex", "replacement", "scheme", "secret", "address", "authResponseHeaders",
    "sourceRange", "average", "period", "burst", "sourceCriterion", "amount", "maxRequestBodyBytes", "status",
    "service", "middlewares", "customRequestHeaders", "customResponseHeaders", "stsSeconds", "frameDeny",
    "accessControlAllowOriginList", "accessControlAllowMethods", "accessControlMaxAge",
)  # fmt: skip
VALUES: tuple[Any, ...] = (None, 5, -1, True, "", "x\n", "(", "$1", [], [None], [{}], {}, {"a": None}, {"a b": "c"})
#: Those that say who may: none of them may leave a backend where it cannot be read.
PROTECTING = ("basicAuth", "ipAllowList", "ipWhiteList", "forwardAuth", "digestAuth", "plugin")


def converted(spec: Any) -> Conversion:
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "annotations": {"traefik.ingress.kubernetes.io/router.middlewares": "shop-odd@kubernetescrd"},
        },
        "spec": {
            "rules": [
                {
                    "host": "a.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ]
        },
    }
    odd = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": "odd", "namespace": "shop"},
        "spec": spec,
    }
    found = [decode(item, CLUSTER, INGRESS_KINDS) for item in (ingress, odd)]
    return convert(Inventory.of(found), TRAEFIK, Options())


@pytest.mark.parametrize("kind", [*KINDS, "chain"])
def test_odd_values_are_told_and_break_nothing(kind: str) -> None:
    for key in KEYS:
        for value in VALUES:
            conversion = converted({kind: {key: value}})
            assert any(item.object == "Ingress/shop/web" for item in conversion.fates)
            assert any(item.kind == "HTTPRoute" for item in conversion.objects)


@pytest.mark.parametrize("kind", PROTECTING)
@pytest.mark.parametrize("content", [None, 5, "x", [], {}, {"sourceRange": ["x"]}, {"secret": ""}, {"address": "x"}])
def test_what_protects_and_cannot_be_read_closes_its_paths(kind: str, content: Any) -> None:
    conversion = converted({kind: content})
    routes = [item.document for item in conversion.objects if item.kind == "HTTPRoute"]
    rules = [rule for route in routes for rule in route["spec"]["rules"]]
    assert rules
    assert not any("backendRefs" in rule for rule in rules)
    assert conversion.losses
