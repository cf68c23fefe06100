"""An update drops no request: of the controller, of the data planes, and of both by a new version of the chart."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from api import LIMIT, Api, condition, is_ready, kubectl, read
from harness import install
from harness.gateway_image import TAG
from harness.paths import SOCKET
from traffic import Load, until

from conftest import ROOT

NEWER = "sluicegate:0.1.0-newer"
HOST = "www.example.com"


@dataclass(frozen=True)
class Served:
    """A Gateway with two data-plane pods that serves."""

    namespace: str
    address: str
    deployment: str


PARAMETERS = """
apiVersion: sluicegate.dev/v1alpha1
kind: GatewayParameters
metadata: {name: two}
spec:
  deployment: {replicas: 2}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: sluicegate
  infrastructure:
    parametersRef: {group: sluicegate.dev, kind: GatewayParameters, name: two}
  listeners:
  - {name: http, protocol: HTTP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: web}]
  hostnames: [www.example.com]
  rules:
  - backendRefs: [{name: example-svc, port: 8080}]
"""

NOWHERE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: nowhere}
spec:
  parentRefs: [{name: web, sectionName: nowhere}]
"""


@pytest.fixture
def served(api: Api, controller: None, namespace: str) -> Served:
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), namespace)
    api.apply(PARAMETERS, namespace)
    api.until("Deployment", namespace, "example-svc", is_ready)
    gateway = api.until("Gateway", namespace, "web", lambda item: condition(item, "Programmed") == "True")
    address = gateway["status"]["addresses"][0]["value"]
    label = "gateway.networking.k8s.io/gateway-name=web"
    [deployment] = api.list("Deployment", namespace, labelSelector=label)
    name = deployment["metadata"]["name"]
    api.until("Deployment", namespace, name, is_ready)
    until(address, HOST)
    return Served(namespace, address, name)


def pods(api: Api, namespace: str, selector: str) -> set[str]:
    return {item["metadata"]["uid"] for item in api.list("Pod", namespace, labelSelector=selector)}


def gone(api: Api, namespace: str, selector: str, old: set[str]) -> None:
    """Wait until the pods of before an update have ended: their last requests count too."""
    for pod in api.list("Pod", namespace, labelSelector=selector):
        if pod["metadata"]["uid"] in old:
            api.gone("Pod", namespace, pod["metadata"]["name"], limit=2 * LIMIT)


def test_of_the_controller(api: Api, served: Served) -> None:
    selector = "app.kubernetes.io/component=controller"
    old = pods(api, install.SYSTEM, selector)
    version = api.get("Gateway", served.namespace, "web")["metadata"]["resourceVersion"]
    with Load(served.address, HOST) as load:
        install.restart()
        gone(api, install.SYSTEM, selector, old)
    # The new leader has written something, and nothing of the Gateway: it is what it was.
    api.apply(NOWHERE, served.namespace)
    api.until("HTTPRoute", served.namespace, "nowhere", lambda item: bool(item.get("status", {}).get("parents")))
    assert api.get("Gateway", served.namespace, "web")["metadata"]["resourceVersion"] == version
    assert not old & pods(api, install.SYSTEM, selector)
    load.check(at_least=100)


def test_of_the_data_plane(api: Api, served: Served) -> None:
    selector = "gateway.networking.k8s.io/gateway-name=web"
    old = pods(api, served.namespace, selector)
    with Load(served.address, HOST) as load:
        kubectl("rollout", "restart", "--namespace", served.namespace, f"deployment/{served.deployment}")
        api.until("Deployment", served.namespace, served.deployment, is_ready, limit=2 * LIMIT)
        gone(api, served.namespace, selector, old)
    assert not old & pods(api, served.namespace, selector)
    load.check(at_least=100)


@pytest.fixture
def newer() -> Iterator[str]:
    """The image under another name, as that of a new version; afterwards the controller is as it was."""
    tag = ["ctr", "-a", SOCKET, "-n", "k8s.io", "images", "tag", "--force"]
    names = [f"docker.io/library/{name}" for name in (TAG, NEWER)]
    subprocess.run([str(part) for part in (*tag, *names)], check=True, capture_output=True)
    yield NEWER
    # `kubectl set` became the manager of what it set.
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(ROOT / "deploy" / "controller"))
    install.controller()


def test_of_everything_by_a_new_version(api: Api, served: Served, newer: str) -> None:
    selector = "gateway.networking.k8s.io/gateway-name=web"
    old = pods(api, served.namespace, selector)
    with Load(served.address, HOST) as load:
        kubectl("set", "image", "--namespace", install.SYSTEM, install.CONTROLLER, f"controller={newer}")
        kubectl("set", "env", "--namespace", install.SYSTEM, install.CONTROLLER, f"SLUICEGATE_IMAGE={newer}")
        kubectl("rollout", "status", "--namespace", install.SYSTEM, install.CONTROLLER, f"--timeout={install.LIMIT}s")

        def updated(deployment: dict) -> bool:
            [container] = deployment["spec"]["template"]["spec"]["containers"]
            return container["image"] == newer and is_ready(deployment)

        api.until("Deployment", served.namespace, served.deployment, updated, limit=2 * LIMIT)
        gone(api, served.namespace, selector, old)
    assert not old & pods(api, served.namespace, selector)
    load.check(at_least=100)
