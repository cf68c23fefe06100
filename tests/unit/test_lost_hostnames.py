"""A route that loses a hostname to a listener which it is not attached to is told of it by `check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import GROUP, Manifest, dump, gateway, listener, route, rule, service

import sluicegate
from sluicegate.cli.checked import checked
from sluicegate.controller.translate.lost_hostnames import MAX_LOSSES
from sluicegate.testing.offline import load_offline

ANY = listener("any")
WIDE = listener("wide", hostname="*.shop.test")
NARROW = listener("narrow", hostname="cart.shop.test")


def on(section: str, *hostnames: str, name: str = "route", to: str = "gateway") -> Manifest:
    parents = [{"name": to, "sectionName": section}]
    return route(rule("/", "app"), name=name, parents=parents, hostnames=list(hostnames))


def told(folder: Path, *objects: Manifest) -> list[tuple[str, str, str]]:
    """Severity, object and message of what is lost."""
    (folder / "all.yaml").write_text(dump(*objects, *service("app", ("10.0.0.1", 80))))
    found = [item for item in checked(load_offline([str(folder)])) if item.code == "shadowed-route"]
    assert all(item.line and item.field == "spec.hostnames" for item in found)
    return [(item.severity, item.object, item.message) for item in found]


NONE_OF_IT = (
    "what comes for cart.shop.test at port 8080 goes to Gateway/default/gateway/narrow, whose hostname cart.shop.test "
    "is more specific: this route gets none of it"
)


@pytest.mark.parametrize("section", ["any", "wide"])
def test_a_hostname_that_a_narrower_listener_has(tmp_path: Path, section: str) -> None:
    objects = gateway(ANY, WIDE, NARROW), on(section, "cart.shop.test")
    assert told(tmp_path, *objects) == [("warning", "HTTPRoute/default/route", NONE_OF_IT)]
    assert sluicegate.load(tmp_path).decide("GET http://cart.shop.test:8080/").reason == "no_route"


def test_a_part_of_a_wildcard(tmp_path: Path) -> None:
    message = "of *.shop.test at port 8080, what comes for cart.shop.test goes to Gateway/default/gateway/narrow"
    found = told(tmp_path, gateway(ANY, WIDE, NARROW), on("wide", "*.shop.test"))
    assert found == [("info", "HTTPRoute/default/route", message)]


def test_a_wildcard_that_a_narrower_listener_has(tmp_path: Path) -> None:
    [(severity, _, message), *rest] = told(tmp_path, gateway(ANY, WIDE), on("any", "*.shop.test"))
    assert (severity, rest) == ("warning", [])
    assert "goes to Gateway/default/gateway/wide" in message


@pytest.mark.parametrize(
    "objects",
    [
        pytest.param((gateway(ANY, WIDE, NARROW), on("narrow", "cart.shop.test")), id="it has the listener"),
        pytest.param(
            (gateway(ANY, WIDE, NARROW), route(rule("/", "app"), hostnames=["cart.shop.test", "*.shop.test"])),
            id="it has all listeners",
        ),
        pytest.param((gateway(ANY, WIDE, NARROW), on("any", "other.test")), id="another name"),
        pytest.param((gateway(ANY, WIDE, NARROW), on("any")), id="it asks for none"),
        pytest.param((gateway(WIDE, NARROW), on("narrow", "*.shop.test")), id="the listener is the narrower one"),
        pytest.param(
            (gateway(ANY, listener("narrow", 8081, hostname="cart.shop.test")), on("any", "cart.shop.test")),
            id="another port",
        ),
        pytest.param(
            (gateway(listener("any", hostname="*.test"), listener("narrow", hostname="test")), on("any", "*.test")),
            id="a name that a wildcard does not cover",
        ),
    ],
)
def test_where_nothing_is_lost(tmp_path: Path, objects: tuple[Manifest, ...]) -> None:
    assert told(tmp_path, *objects) == []


def test_a_listener_of_another_gateway_at_the_same_port(tmp_path: Path) -> None:
    found = told(tmp_path, gateway(ANY), gateway(NARROW, name="other"), on("any", "cart.shop.test"))
    assert [(severity, "Gateway/default/other/narrow" in message) for severity, _, message in found] == [
        ("warning", True)
    ]


def test_connections_by_server_name(tmp_path: Path) -> None:
    tls = {"mode": "Passthrough"}
    listeners = listener("any", 8443, "TLS", tls=tls), listener("narrow", 8443, "TLS", tls=tls, hostname="a.test")
    of_tls: dict[str, Any] = {**on("any", "a.test"), "apiVersion": GROUP, "kind": "TLSRoute"}
    of_tls["spec"]["rules"] = [{"backendRefs": [{"name": "app", "port": 80}]}]
    [(severity, name, message)] = told(tmp_path, gateway(*listeners), of_tls)
    assert (severity, name) == ("warning", "TLSRoute/default/route")
    assert "goes to Gateway/default/gateway/narrow" in message


def test_one_route_is_told_of_some(tmp_path: Path) -> None:
    listeners = [listener(f"l{number}", hostname=f"n{number}.shop.test") for number in range(2 * MAX_LOSSES)]
    found = told(tmp_path, gateway(WIDE, *listeners), on("wide", "*.shop.test"))
    assert len(found) == MAX_LOSSES


def test_it_fails_no_check_by_itself(tmp_path: Path, command: Callable[..., tuple[int, str]]) -> None:
    told(tmp_path, gateway(ANY, NARROW), on("any", "cart.shop.test"))
    status, text = command("check", tmp_path)
    assert status == 0
    assert NONE_OF_IT in text
