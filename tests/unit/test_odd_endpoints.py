"""What is odd of an EndpointSlice is told of it, with its field, and costs its own endpoints only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import Manifest, dump, gateway, route, rule, service

from sluicegate.controller.api import Diagnostic, decode
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translator

SLICE = "EndpointSlice/default/app-0"


def world(change: Callable[[Manifest], Any], *more: tuple[str, int]) -> list[Manifest]:
    """A route to a Service, the first of whose slices is changed."""
    objects = copy.deepcopy([gateway(), route(rule("/", "app")), *service("app", ("10.0.0.1", 80), *more)])
    change(objects[3])
    return objects


def told(objects: list[Manifest]) -> tuple[list[Diagnostic], list[str]]:
    """What a cluster would be told, and the endpoints that there are."""
    store = Store()
    store.load(decode(item) for item in objects)
    found = Translator().translate(store.snapshot())
    return list(found.diagnostics), [item.address for item in found.ir.endpoints.values()]


ODD = [
    pytest.param(lambda item: item["ports"][0].update(port=181810), "ports[0].port", id="a port that is none"),
    pytest.param(lambda item: item["ports"][0].update(port=0), "ports[0].port", id="port 0"),
    pytest.param(lambda item: item["ports"][0].update(port=-5), "ports[0].port", id="a port below 0"),
    pytest.param(
        lambda item: item["ports"].insert(0, {"name": "other", "port": 1}) or item["ports"][1].update(port=70_000),
        "ports[1].port",
        id="the second port",
    ),
    pytest.param(lambda item: item["ports"][0].update(protocol="UDP"), "ports[0].protocol", id="another protocol"),
    pytest.param(lambda item: item["ports"][0].update(protocol="tcp"), "ports[0].protocol", id="a misspelt protocol"),
    pytest.param(lambda item: item.update(addressType="FQDN"), "addressType", id="a type of addresses"),
    pytest.param(
        lambda item: item["endpoints"][0].update(addresses=["app.test"]), "endpoints[0].addresses[0]", id="an address"
    ),
    pytest.param(
        lambda item: item["endpoints"].append({"addresses": []}) or item["endpoints"][0].update(addresses=["10.1"]),
        "endpoints[0].addresses[0]",
        id="two addresses",
    ),
    pytest.param(lambda item: item["endpoints"][0].update(addresses=[]), "endpoints[0].addresses", id="no address"),
]


@pytest.mark.parametrize(("change", "field"), ODD)
def test_the_slice_is_told(change: Callable[[Manifest], Any], field: str) -> None:
    found, endpoints = told(world(change))
    assert endpoints == []
    [of_slice] = [item for item in found if item.object == SLICE]
    assert (of_slice.field, of_slice.severity) == (field, "warning")
    assert of_slice.code in {"invalid-endpoint", "unsupported-addresses"}
    [of_service] = [item for item in found if item.code == "no-endpoints"]
    assert (of_service.object, of_service.remedy) == ("Service/default/app", f"correct {SLICE}")


@pytest.mark.parametrize(("change", "field"), ODD)
def test_other_slices_go_on(change: Callable[[Manifest], Any], field: str) -> None:
    found, endpoints = told(world(change, ("10.0.0.2", 80)))
    assert endpoints == ["10.0.0.2"]
    assert [item for item in found if item.code == "no-endpoints"] == []
    # A port of another protocol may be one of another port of the Service.
    assert [item.object for item in found if item.object.startswith("EndpointSlice/")] == (
        [] if field == "ports[0].protocol" else [SLICE]
    )


def test_check_says_which_slice_is_refused(tmp_path: Path, command: Callable[..., tuple[int, str]]) -> None:
    objects = world(lambda item: item["ports"][0].update(protocol="tcp"))
    (tmp_path / "all.yaml").write_text(dump(*objects))
    status, text = command("check", tmp_path)
    assert status == 1
    assert f"error: {SLICE}: ports[0].protocol: " in text
    assert f"has no EndpointSlice: requests get 503; correct {SLICE} first: it is refused" in text
