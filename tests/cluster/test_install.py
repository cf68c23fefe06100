"""Installed exactly as deploy/README.md says, the quick start answers at the address in the Gateway's status."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from api import Api, condition, is_ready, read
from harness import install
from harness.network import NODE_ADDRESS
from traffic import until

from conftest import ROOT

GATEWAY = ROOT / "examples" / "quickstart" / "gateway.yaml"
BACKEND = ROOT / "examples" / "cluster" / "example-svc.yaml"
NAMES = {"app.kubernetes.io/managed-by": "sluicegate", "gateway.networking.k8s.io/gateway-name": "example-gateway"}


@pytest.fixture
def without(api: Api) -> Iterator[None]:
    """Nothing is installed before and after."""

    def clean() -> None:
        for item in reversed([*read(GATEWAY), *read(BACKEND)]):
            api.delete(item["kind"], "default", item["metadata"]["name"])
        api.gone("Gateway", "default", "example-gateway")
        install.remove()
        api.gone("Namespace", "", install.SYSTEM)

    clean()
    yield
    clean()


def quick_start(api: Api) -> str:
    """Apply it unchanged; returns its address once it answers."""
    api.until("GatewayClass", "", "sluicegate", lambda item: condition(item, "Accepted") == "True")
    api.apply([*read(BACKEND), *read(GATEWAY)])
    gateway = api.until("Gateway", "default", "example-gateway", lambda item: condition(item, "Programmed") == "True")
    address = gateway["status"]["addresses"][0]["value"]
    api.until("Deployment", "default", "example-svc", is_ready)
    assert until(address, "www.example.com", "/login").body.startswith("Hello from example-svc")
    assert until(address, "www.example.com", "/other", status=404).status == 404
    assert until(address, "other.example.com", "/login", status=404).status == 404
    return str(address)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("how", [install.KUSTOMIZE, install.HELM])
def test_the_quick_start_answers(api: Api, how: str) -> None:
    install.controller(how)
    address = quick_start(api)
    selector = ",".join(f"{name}={value}" for name, value in NAMES.items())
    [service] = api.list("Service", "default", labelSelector=selector)
    assert service["status"]["loadBalancer"]["ingress"][0]["ip"] == address
    [deployment] = api.list("Deployment", "default", labelSelector=selector)
    [account] = api.list("ServiceAccount", "default", labelSelector=selector)
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == account["metadata"]["name"]

    # What belongs to a Gateway goes with it.
    api.delete("Gateway", "default", "example-gateway", propagationPolicy="Background")
    for kind, item in (("Service", service), ("Deployment", deployment), ("ServiceAccount", account)):
        api.gone(kind, "default", item["metadata"]["name"])


@pytest.mark.usefixtures("without")
def test_the_quick_start_answers_on_one_node(api: Api) -> None:
    install.controller(install.NODE)
    assert quick_start(api) == NODE_ADDRESS
