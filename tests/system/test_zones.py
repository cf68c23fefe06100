"""Services whose traffic stays near, by `trafficDistribution` and by hints, and what serves where nothing near does."""

from __future__ import annotations

from typing import Any

import pytest
from system_backends import echo
from system_gateway import Gateway
from system_manifests import Manifest, gateway, metadata, route, rule

PORT = 8080
HOST = "near.test"


def app(distribution: str, *endpoints: tuple[tuple[str, int], Manifest]) -> list[Manifest]:
    """A Service with an EndpointSlice for each endpoint, which says where it is."""
    spec: Manifest = {"ports": [{"port": 80}], **({"trafficDistribution": distribution} if distribution else {})}
    slices = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata(f"app-{index}", labels={"kubernetes.io/service-name": "app"}),
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address[0]], **rest}],
            "ports": [{"port": address[1]}],
        }
        for index, (address, rest) in enumerate(endpoints)
    ]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata("app"), "spec": spec}, *slices]


def place(zone: str, node: str) -> Manifest:
    return {"zone": zone, "nodeName": node}


def hinted(*zones: str) -> Manifest:
    return {"zone": "elsewhere", "hints": {"forZones": [{"name": zone} for zone in zones]}}


def served_by(client: Any, count: int = 24) -> set[object]:
    found = [client.request("GET", HOST, "/") for _ in range(count)]
    assert {each.status for each in found} == {200}
    return {each.echo["backend"] for each in found}


PLACES = {"a": place("west", "n1"), "b": place("west", "n2"), "c": place("east", "n3")}


@pytest.mark.parametrize(
    ("distribution", "places", "expected"),
    [
        ("", PLACES, {"a", "b", "c"}),
        ("PreferSameZone", PLACES, {"a", "b"}),
        ("PreferClose", PLACES, {"a", "b"}),
        ("PreferSameNode", PLACES, {"a"}),
        # What made the hints knows better than the zones of the endpoints.
        ("", {"a": hinted("east"), "b": hinted("west"), "c": hinted("east", "west")}, {"b", "c"}),
        ("PreferSameZone", {"a": hinted("east"), "b": hinted("west"), "c": hinted("east")}, {"b"}),
        # One without a hint: they are being made, and not followed yet.
        ("", {"a": hinted("east"), "b": hinted("west"), "c": place("west", "n1")}, {"a", "b", "c"}),
        # Nothing is near.
        ("PreferSameZone", dict.fromkeys("abc", place("north", "n9")), {"a", "b", "c"}),
    ],
)
def test_traffic_stays_near(
    start: Any, backend: Any, client: Any, distribution: str, places: dict[str, Manifest], expected: set[str]
) -> None:
    endpoints = [(backend(name).address, where) for name, where in places.items()]
    arguments = ("--zone", "west", "--node", "n1")
    running: Gateway = start(gateway(), route(rule("/", "app")), *app(distribution, *endpoints), arguments=arguments)
    each = client(running.address, PORT)
    assert served_by(each) == expected
    each.close()


def test_what_is_farther_away_serves_where_nothing_near_does(start: Any, backend: Any, client: Any) -> None:
    gone: set[str] = set()

    def answering(name: str) -> Any:
        answer = echo(name)
        return lambda request: None if name in gone else answer(request)

    backends = {name: backend(answering(name)) for name in PLACES}
    endpoints = [(backends[name].address, where) for name, where in PLACES.items()]
    arguments = ("--zone", "west", "--node", "n1", "--workers", "1")
    objects = (gateway(), route(rule("/", "app")), *app("PreferSameNode", *endpoints))
    running: Gateway = start(*objects, arguments=arguments)
    each = client(running.address, PORT)
    assert served_by(each) == {"a"}
    for name, following in (("a", "b"), ("b", "c")):
        # Its kept connections end at the next request, and no new one is taken. No request fails.
        gone.add(name)
        backends[name].close()
        assert served_by(each) == {following}
    each.close()


def test_without_a_zone_of_its_own_nothing_is_nearer(start: Any, backend: Any, client: Any) -> None:
    endpoints = [(backend(name).address, where) for name, where in PLACES.items()]
    running: Gateway = start(gateway(), route(rule("/", "app")), *app("PreferSameZone", *endpoints))
    each = client(running.address, PORT)
    assert served_by(each) == {"a", "b", "c"}
    each.close()
