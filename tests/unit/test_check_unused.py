"""`check` tells of objects that do something only where another one refers to them, and that none does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import Manifest, by, dump, gateway, http_filter, listener, metadata, route, rule, service

Command = Callable[..., tuple[int, str]]

SERVICE = service("app", ("10.0.0.1", 80))


def own(kind: str, name: str, namespace: str = "", **spec: Any) -> Manifest:
    """An object of our group."""
    where = {"namespace": namespace} if namespace else {}
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": {**metadata(name), **where},
        "spec": spec,
    }


def gateway_class(**spec: Any) -> Manifest:
    """A class of this controller."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "sluicegate"},
        "spec": {"controllerName": "sluicegate.dev/gateway-controller", **spec},
    }


def reference(kind: str, name: str, **more: str) -> Manifest:
    """A reference to an object of our group."""
    return {"group": "sluicegate.dev", "kind": kind, "name": name, **more}


EDIT = {"set": [{"name": "x-a", "value": "1"}]}
FILTER = http_filter("own", headers={"request": EDIT})
HEADERS = own("RequestHeaderFilter", "own", **EDIT)
PARAMETERS = own("GatewayParameters", "own", deployment={"replicas": 2})
GATEWAY, ROUTE = gateway(), route(rule("/", "app"))
OF_LISTENER = {"type": "ExtensionRef", "extensionRef": reference("RequestHeaderFilter", "own")}


def unused(command: Command, path: Path, *manifests: Manifest) -> dict[str, str]:
    """What is told to be unused, with its severity."""
    (path / "own.yaml").write_text(dump(*manifests, *SERVICE))
    document = json.loads(command("check", "--output", "json", path)[1])
    return {item["object"]: item["severity"] for item in document["problems"] if item["code"] == "unused-object"}


@pytest.mark.parametrize("manifest", [FILTER, HEADERS, PARAMETERS], ids=lambda item: str(item["kind"]))
def test_what_nothing_refers_to(command: Command, tmp_path: Path, manifest: Manifest) -> None:
    name = f"{manifest['kind']}/default/own"
    assert unused(command, tmp_path, GATEWAY, ROUTE, manifest) == {name: "info"}
    status, text = command("check", "--for", "standalone", "--fail-on", "warning", tmp_path)
    assert status == 0, text
    line = next(item for item in text.splitlines() if "nothing refers to it" in item)
    assert f"own.yaml:30: info: {name}: " in line


@pytest.mark.parametrize(
    "manifests",
    [
        [GATEWAY, route({**rule("/", "app"), "filters": by("own")}), FILTER],
        # Also where the object that refers to it is not taken, which is told of that one.
        [GATEWAY, route({**rule("nowhere", "app"), "filters": by("own")}), FILTER],
        [gateway({**listener(), "filters": [OF_LISTENER]}), ROUTE, HEADERS],
        [gateway(infrastructure={"parametersRef": reference("GatewayParameters", "own")}), ROUTE, PARAMETERS],
        [
            gateway_class(parametersRef=reference("GatewayParameters", "own", namespace="other")),
            GATEWAY,
            ROUTE,
            own("GatewayParameters", "own", "other", deployment={"replicas": 2}),
        ],
    ],
    ids=["rule", "refused", "listener", "gateway", "class"],
)
def test_what_something_refers_to(command: Command, tmp_path: Path, manifests: list[Manifest]) -> None:
    assert unused(command, tmp_path, *manifests) == {}


def test_what_is_no_reference(command: Command, tmp_path: Path) -> None:
    """Values of other types are told by the schema, and refer to nothing."""
    odd = {"group": "sluicegate.dev", "kind": ["HTTPFilter"], "name": {"own": 1}, "namespace": [1]}
    filters = [{"type": "ExtensionRef", "extensionRef": item} for item in (odd, {**odd, "kind": "HTTPFilter"})]
    used = route({**rule("/", "app"), "filters": filters})
    assert unused(command, tmp_path, GATEWAY, used, FILTER) == {"HTTPFilter/default/own": "info"}


def test_a_reference_from_another_namespace_is_to_another_object(command: Command, tmp_path: Path) -> None:
    used = route({**rule("/", "app"), "filters": by("own")})
    there = own("HTTPFilter", "own", "other", headers={"request": EDIT})
    assert unused(command, tmp_path, GATEWAY, used, FILTER, there) == {"HTTPFilter/other/own": "info"}
