"""What names a difference names that one alone: another fault beside it is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ingress_objects import ingress, inventory_of, silent, verified

from sluicegate.controller.ingress import NGINX, Conversion, Options, convert
from sluicegate.controller.ingress.probes import Probe
from sluicegate.testing.migration import verify
from sluicegate.testing.migration.compare import read_cors

SNIPPET = {"configuration-snippet": "more_set_headers 'X-A: b';"}
Documents = list[dict[str, Any]]


def with_another_backend(conversion: Conversion) -> Conversion:
    """A conversion that is wrong: requests go to another Service."""

    def rule(found: dict[str, Any]) -> dict[str, Any]:
        backends = [{**item, "name": "wrong"} for item in found.get("backendRefs", ())]
        return {**found, "backendRefs": backends} if backends else found

    objects = [
        replace(item, content={**item.content, "rules": [rule(each) for each in item.content["rules"]]})
        if item.kind == "HTTPRoute"
        else item
        for item in conversion.objects
    ]
    return replace(conversion, objects=tuple(objects))


@pytest.mark.parametrize(
    "documents", [[ingress(), ingress("other", paths=[("/x", "Prefix", "x")], annotations=SNIPPET)]]
)
def test_an_ingress_that_is_left_out_hides_no_other_fault(documents: Documents) -> None:
    inventory, options = inventory_of(documents), Options()
    conversion = convert(inventory, NGINX, options)
    assert verify(inventory, conversion, options).unnamed == 0
    found = verify(inventory, with_another_backend(conversion), options)
    assert {"the path /", "the path /x"} <= {item.edge for item in found.differences if not item.named}


def test_an_odd_path_hides_no_other_fault() -> None:
    inventory, options = inventory_of([ingress(paths=[("/api", "Prefix", "api")])]), Options()
    conversion = convert(inventory, NGINX, options)
    assert verify(inventory, conversion, options).unnamed == 0
    found = verify(inventory, with_another_backend(conversion), options)
    edges = {item.edge for item in found.differences if not item.named}
    assert {"two slashes /api", "dots /api", "a letter that is encoded /api"} <= edges


def test_a_path_whose_service_is_a_canarys_is_told_there() -> None:
    """The canary is the older one: nginx has no path for the Service, and another path takes its requests."""
    canary = ingress(
        "canary", paths=[("/", "Prefix", "api")], annotations={"canary": "true", "canary-weight": "10"},
        created="2025-01-01T00:00:00Z",
    )  # fmt: skip
    web = ingress(paths=[("/", "Prefix", "web"), ("/api", "Prefix", "api")])
    found, conversion = verified([canary, web])
    assert silent(found) == []
    told = [item for item in conversion.losses if "has the same Service" in item.message]
    assert [(item.object, item.subject) for item in told] == [("Ingress/shop/web", "spec.rules[0].http.paths[1]")]


def test_two_canaries_of_a_service_have_the_part_of_the_first() -> None:
    documents = [ingress(paths=[("/a", "Prefix", "a"), ("/b", "Prefix", "b")])]
    for name, path, weight in (("one", "/a", "10"), ("two", "/b", "90")):
        annotations = {"canary": "true", "canary-weight": weight}
        documents.append(ingress(name, paths=[(path, "Prefix", "next")], annotations=annotations))
    found, conversion = verified(documents)
    assert silent(found) == []
    weights = {
        each.get("weight")
        for item in conversion.objects
        if item.kind == "HTTPRoute"
        for rule in item.content["rules"]
        for each in rule.get("backendRefs", ())
    }
    assert {10, 90} <= weights
    assert any("the canary Ingress/shop/two has the same Service first" in item.message for item in conversion.losses)


def test_a_host_without_paths_sends_nobody_to_its_www() -> None:
    bare = ingress(annotations={"from-to-www-redirect": "true"})
    bare["spec"]["rules"] = [{"host": "shop.example.com"}]
    found, _ = verified([bare, ingress("web", paths=[("/x", "Prefix", "web")])])
    assert silent(found) == []


@pytest.mark.parametrize(
    ("fields", "method", "seen"),
    [
        ({"access-control-allow-origin": "https://evil.example.net"}, "GET", {}),
        ({"access-control-allow-credentials": "true", "access-control-expose-headers": "X"}, "GET", {}),
        (
            {"access-control-allow-origin": "*", "access-control-allow-credentials": "true"},
            "GET",
            {"allowed": True, "credentials": False, "exposed": None},
        ),
        (
            {
                "access-control-allow-origin": "https://app.example.com",
                "access-control-allow-credentials": "true",
                "access-control-allow-methods": "GET",
            },
            "GET",
            {"allowed": True, "credentials": True, "exposed": None},
        ),
    ],
)
def test_fields_of_cors_are_read_as_browsers_do(fields: dict[str, str], method: str, seen: dict[str, object]) -> None:
    probe = Probe(host="a.example.com", method=method, headers=(("origin", "https://app.example.com"),))
    assert read_cors(probe, fields) == seen
    assert read_cors(Probe(host="a.example.com"), fields) == {}
