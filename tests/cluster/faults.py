"""What tests of faults share: a Gateway that serves, a change that must arrive, and breaking parts of the cluster."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from api import LIMIT, Api, ApiError, Object, condition, is_ready, kubectl, path_of, read
from harness import install
from harness.paths import KUBECONFIG, SOCKET
from traffic import Load, until

from conftest import ROOT

HOST = "www.example.com"
LABEL = "gateway.networking.k8s.io/gateway-name"
CONTROLLER_PODS = "app.kubernetes.io/component=controller"
LEASE = "sluicegate-controller"
#: Requests in a row of one client of the constant load are this many seconds apart: the cluster has two cores.
PAUSE = 0.01

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: NAME}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: http, protocol: HTTP, port: 80}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: NAME}
spec:
  parentRefs: [{name: NAME}]
  hostnames: [www.example.com]
  rules:
  - backendRefs: [{name: example-svc, port: 8080}]
"""


@dataclass(frozen=True)
class Serving:
    """A Gateway that serves."""

    namespace: str
    gateway: str
    address: str


@pytest.fixture(scope="module")
def serving(api: Api, controller: None) -> Iterator[Serving]:
    """A Gateway `web` with a backend, for all tests of a module; `www.example.com` answers there."""
    namespace = f"faults-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    try:
        deployment, service = read(ROOT / "examples" / "cluster" / "example-svc.yaml")
        deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 1
        api.apply([deployment, service], namespace)
        api.until("Deployment", namespace, "example-svc", is_ready)
        yield serve(api, namespace, "web")
    finally:
        # A node serves all Gateways, so it has to find none of these; and nobody may take the CRDs away in between.
        remove_namespace(api, namespace)


def remove_namespace(api: Api, namespace: str) -> None:
    """Delete a namespace with all that is in it; returns when it is gone.

    Its pods are killed first: they drain for a minute, and while there are any Kubernetes looks again only after
    half of that.
    """
    pause = threading.Event()
    deadline = time.monotonic() + 4 * LIMIT
    for kind in ("Gateway", "Deployment"):
        api.call("DELETE", path_of(kind, namespace))
    while any(api.list(kind, namespace) for kind in ("Gateway", "Deployment", "Pod")):
        assert time.monotonic() < deadline, f"{namespace}: its pods are still there"
        api.call("DELETE", path_of("Pod", namespace), {"gracePeriodSeconds": 0})
        pause.wait(0.2)
    api.delete("Namespace", "", namespace)
    api.gone("Namespace", "", namespace, limit=4 * LIMIT)


def serve(api: Api, namespace: str, name: str) -> Serving:
    """Make a Gateway with a route to the backend; returns when it answers."""
    api.apply(GATEWAY.replace("NAME", name), namespace)
    gateway = api.until("Gateway", namespace, name, lambda item: condition(item, "Programmed") == "True")
    address = gateway["status"]["addresses"][0]["value"]
    until(address, HOST)
    return Serving(namespace, name, address)


@pytest.fixture
def load(serving: Serving) -> Iterator[Load]:
    """Constant load; none of it may fail."""
    with Load(serving.address, HOST, pause=PAUSE) as found:
        yield found
    found.check(at_least=20)


def route(serving: Serving, name: str, hostname: str) -> Object:
    """A route of the Gateway to the backend."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": serving.namespace},
        "spec": {
            "parentRefs": [{"name": serving.gateway}],
            "hostnames": [hostname],
            "rules": [{"backendRefs": [{"name": "example-svc", "port": 8080}]}],
        },
    }


def change_arrives(api: Api, serving: Serving, limit: float = LIMIT) -> None:
    """Make a route and see it serve and its status; delete it and see it gone."""
    name = f"change-{secrets.token_hex(4)}"
    api.create(route(serving, name, f"{name}.example.com"))
    until(serving.address, f"{name}.example.com", limit=limit)
    api.until("HTTPRoute", serving.namespace, name, is_accepted, limit)
    api.delete("HTTPRoute", serving.namespace, name)
    until(serving.address, f"{name}.example.com", status=404, limit=limit)


def is_accepted(item: Object) -> bool:
    """Whether our controller accepts a route for all its parents, of its present generation."""
    return bool(ours(item)) and all(
        found["status"] == "True" and found["observedGeneration"] == item["metadata"]["generation"]
        for parent in ours(item)
        for found in parent["conditions"]
        if found["type"] == "Accepted"
    )


def ours(item: Object) -> list[Object]:
    """The entries of `status.parents` that are our controller's."""
    parents = item.get("status", {}).get("parents", [])
    return [parent for parent in parents if parent["controllerName"] == "sluicegate.dev/controller"]


def leader(api: Api) -> str:
    """Name of the pod that leads; empty where none does."""
    return str(api.get("Lease", install.SYSTEM, LEASE)["spec"].get("holderIdentity") or "")


def scale_controller(api: Api, replicas: int) -> None:
    """Have this many controllers; returns when they are ready, and the others have ended."""
    name = install.CONTROLLER.partition("/")[2]
    api.patch("Deployment", install.SYSTEM, name, {"spec": {"replicas": replicas}})
    api.until("Deployment", install.SYSTEM, name, is_ready if replicas else _has_none, limit=2 * LIMIT)
    for pod in api.list("Pod", install.SYSTEM, labelSelector=CONTROLLER_PODS) if replicas == 0 else ():
        api.gone("Pod", install.SYSTEM, pod["metadata"]["name"], limit=LIMIT)


def _has_none(deployment: Object) -> bool:
    status = deployment["status"]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and not status.get("replicas")


def logged(pod: str, text: str, limit: float = LIMIT) -> str:
    """Follow a controller's log until a line has a text; returns the line."""
    command = ["kubectl", "--kubeconfig", str(KUBECONFIG), "logs", "--namespace", install.SYSTEM, "-f", pod]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        timer = threading.Timer(limit, process.kill)
        timer.start()
        try:
            lines = []
            for line in process.stdout or ():
                lines.append(line)
                if text in line:
                    return line
        finally:
            timer.cancel()
            process.kill()
    raise AssertionError(f"{pod} does not log {text!r} within {limit:g} s, but:\n{''.join(lines)}")


def etcd(path: str, body: Object) -> Object:
    """Ask etcd by its JSON gateway."""
    command = ["curl", "-sS", "--fail", "-X", "POST", f"http://127.0.0.1:2379/v3/{path}", "-d", json.dumps(body)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compact() -> None:
    """Have etcd forget everything but the present."""
    revision = etcd("maintenance/status", {})["header"]["revision"]
    etcd("kv/compaction", {"revision": revision, "physical": True})


def task_of(container: str) -> int:
    """Process id of a container (`containerd://ID`); 0 where it has none."""
    command = ["ctr", "-a", str(SOCKET), "-n", "k8s.io", "tasks", "ls"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()[1:]]
    return next((int(row[1]) for row in rows if row[0] == container.rpartition("/")[2] and row[2] == "RUNNING"), 0)


def started(process: int) -> float:
    """When a process began, by the monotonic clock."""
    ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)


def kill(process: int) -> None:
    """End a container's first process as a crash does."""
    os.kill(process, signal.SIGKILL)


@contextlib.contextmanager
def meanwhile(*jobs: Callable[[], None]) -> Iterator[None]:
    """Do jobs again and again, each on a thread, until the block ends; what one raises is raised here."""
    stop, errors = threading.Event(), []

    def run(job: Callable[[], None]) -> None:
        try:
            while not stop.is_set():
                job()
                stop.wait(PAUSE)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[job], daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT)
    if errors:
        raise errors[0]


def edit_status(api: Api, kind: str, namespace: str, name: str, edit: Callable[[Object], None]) -> bool:
    """Read a status, edit it and write it back as another controller does; returns whether that was in time."""
    item = api.get(kind, namespace, name)
    edit(item.setdefault("status", {}))
    try:
        api.call("PUT", path_of(kind, namespace, name) + "/status", item)
    except ApiError as error:
        if error.status != 409:
            raise
        return False
    return True


def restart_controller() -> str:
    """Replace the controllers; returns the name of a new one."""
    install.restart()
    found = kubectl("get", "pods", "-n", install.SYSTEM, "-l", CONTROLLER_PODS, "-o", "json")
    pods = [item["metadata"] for item in json.loads(found)["items"]]
    return str(max(pods, key=lambda item: item["creationTimestamp"])["name"])
