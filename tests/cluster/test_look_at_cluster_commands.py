"""`status`, `check` and `explain` with `--kubernetes` on a real API server, as administrator and as nobody."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from api import Api, Object, condition, is_ready, read
from harness.paths import KUBECONFIG

from conftest import ROOT

OBJECTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: http, protocol: HTTP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: good}
spec:
  parentRefs: [{name: web}]
  hostnames: [www.example.com]
  rules:
  - backendRefs: [{name: example-svc, port: 8080}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: lost}
spec:
  parentRefs: [{name: web}]
  hostnames: [lost.example.com]
  rules:
  - backendRefs: [{name: gone, port: 8080}]
"""


def sluicegate(name: str, *arguments: str, kubeconfig: Path | str = KUBECONFIG) -> subprocess.CompletedProcess[str]:
    """Run a command that looks at the cluster."""
    command = [sys.executable, "-m", "sluicegate", name, "--kubernetes", "--kubeconfig", str(kubeconfig), *arguments]
    path = os.pathsep.join([str(ROOT / "python"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


def told(item: Object) -> bool:
    """Whether the controller has said of a route whether its references are there."""
    parents = item.get("status", {}).get("parents") or ()
    return any(found["type"] == "ResolvedRefs" for parent in parents for found in parent["conditions"])


@pytest.mark.usefixtures("controller")
def test_what_the_cluster_has_is_told(api: Api, namespace: str, tmp_path: Path) -> None:
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), namespace)
    api.apply(OBJECTS, namespace)
    api.until("Gateway", namespace, "web", lambda item: condition(item, "Programmed") == "True")
    for name in ("good", "lost"):
        api.until("HTTPRoute", namespace, name, told)
    api.until("Deployment", namespace, "example-svc", is_ready)

    report = json.loads(sluicegate("status", "-o", "json").stdout)
    objects = {item["object"]: item for item in report["objects"]}
    assert (report["source"], report["unread"]) == ("cluster", [])
    assert objects[f"Gateway/{namespace}/web"]["good"]
    assert objects[f"Gateway/{namespace}/web"]["addresses"]
    assert objects[f"HTTPRoute/{namespace}/good"]["good"]
    lost = objects[f"HTTPRoute/{namespace}/lost"]
    assert not lost["good"]
    assert any(item["type"] == "ResolvedRefs" and not item["good"] for item in lost["conditions"])
    assert any(item["field"].startswith("spec.rules[0].backendRefs[0]") and item["remedy"] for item in lost["problems"])

    checked = sluicegate("check")
    assert (checked.returncode, f"HTTPRoute/{namespace}/lost" in checked.stdout) == (1, True), checked.stderr
    request = ("-r", "http://www.example.com/", "--gateway", f"{namespace}/web")
    explained = sluicegate("explain", *request)
    assert (explained.returncode, f"HTTPRoute/{namespace}/good" in explained.stdout) == (0, True), explained.stderr

    # A ServiceAccount that nobody gave a right.
    document = yaml.safe_load(KUBECONFIG.read_text())
    document["users"][0]["user"] = {"token": api.token(namespace, "default")}
    nobody = tmp_path / "kubeconfig"
    nobody.write_text(yaml.safe_dump(document))
    refused = sluicegate("status", kubeconfig=nobody)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "gatewayclasses.gateway.networking.k8s.io cannot be listed: " in refused.stderr
