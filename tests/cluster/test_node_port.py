"""A Gateway whose Service is of type NodePort answers at the address in its status, on the port of the node."""

from __future__ import annotations

import pytest
from api import Api, Object, condition, is_ready, read
from harness.network import NODE_ADDRESS
from traffic import until

from conftest import ROOT

OBJECTS = """
apiVersion: sluicegate.dev/v1alpha1
kind: GatewayParameters
metadata: {{name: nodes}}
spec:
  service: {{type: NodePort, externalTrafficPolicy: {policy}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: web}}
spec:
  gatewayClassName: sluicegate
  infrastructure:
    parametersRef: {{group: sluicegate.dev, kind: GatewayParameters, name: nodes}}
  listeners:
  - {{name: http, protocol: HTTP, port: 80}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{name: web}}]
  rules:
  - backendRefs: [{{name: example-svc, port: 8080}}]
"""


@pytest.mark.usefixtures("controller")
@pytest.mark.parametrize("policy", ["Cluster", "Local"])
def test_the_node_answers(api: Api, namespace: str, policy: str) -> None:
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), namespace)
    api.apply(OBJECTS.format(policy=policy), namespace)
    gateway = api.until("Gateway", namespace, "web", lambda item: condition(item, "Programmed") == "True")
    assert gateway["status"]["addresses"] == [{"type": "IPAddress", "value": NODE_ADDRESS}]
    api.until("Deployment", namespace, "example-svc", is_ready)
    [service] = api.list("Service", namespace, labelSelector="gateway.networking.k8s.io/gateway-name=web")
    [port] = service["spec"]["ports"]
    assert until(NODE_ADDRESS, "www.example.com", port=port["nodePort"]).body.startswith("Hello from example-svc")

    if policy == "Local":
        no_pod: Object = {"spec": {"deployment": {"replicas": 0}}}
        api.patch("GatewayParameters", namespace, "nodes", no_pod)
        api.until("Gateway", namespace, "web", lambda item: not item["status"].get("addresses"))
