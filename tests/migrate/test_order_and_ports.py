"""Which Ingress is first, and which port of a Service is meant: as ingress-nginx has it, by its sources.

Source: `sortIngressSlice` of `store.go`, `serviceEndpoints` and `externalNamePorts` of `controller.go`.
"""

from __future__ import annotations

from typing import Any

import pytest
from ingress_objects import ingress, silent, verified

Document = dict[str, Any]
WEB: Document = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {
        "ports": [
            {"name": "http", "port": 80, "targetPort": 8080},
            {"name": "admin", "port": 8080, "targetPort": "console"},
            {"name": "metrics", "port": 9090},
        ]
    },
}


def backends(documents: list[Document]) -> list[dict[str, Any]]:
    """Of all rules that serve; what differs has to be named."""
    found, conversion = verified(documents)
    assert silent(found) == []
    rules = [rule for item in conversion.objects if item.kind == "HTTPRoute" for rule in item.document["spec"]["rules"]]
    return [backend for rule in rules for backend in rule.get("backendRefs", ())]


@pytest.mark.parametrize(
    ("written", "port"),
    [
        ({"number": 80}, 80),
        ({"name": "http"}, 80),
        # The first port that it fits, be it by the number in the container.
        ({"number": 8080}, 80),
        ({"name": "console"}, 8080),
        ({"name": "admin"}, 8080),
        ({"number": 9090}, 9090),
    ],
    ids=str,
)
def test_a_port_is_meant_by_its_number_its_name_or_that_of_the_container(written: Document, port: int) -> None:
    made = ingress()
    made["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["port"] = written
    assert backends([made, WEB]) == [{"name": "web", "port": port}]


def test_a_name_of_a_host_outside_goes_to_the_port_that_its_service_says() -> None:
    outside = {
        **WEB,
        "spec": {"type": "ExternalName", "externalName": "a.example.net", "ports": [{"port": 80, "targetPort": 8443}]},
    }
    found, conversion = verified([ingress(), outside])
    assert silent(found) == []
    assert [item.document["spec"]["port"] for item in conversion.objects if item.kind == "XBackend"] == [
        {"number": 8443}
    ]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_of_the_same_second_the_last_one_by_name_is_the_first(names: tuple[str, str]) -> None:
    """As of all Ingresses that a chart makes at once."""
    assert backends([ingress(name, paths=[("/", "Prefix", name)]) for name in names]) == [{"name": "b", "port": 80}]


def test_the_older_one_is_the_first_whatever_its_name() -> None:
    older = ingress("a", paths=[("/", "Prefix", "a")], created="2025-12-31T23:59:59Z")
    assert backends([ingress("b", paths=[("/", "Prefix", "b")]), older]) == [{"name": "a", "port": 80}]
