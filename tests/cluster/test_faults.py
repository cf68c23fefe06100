"""API server, its history, network and leader fail: traffic goes on, and what changes afterwards arrives."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from urllib.parse import urlencode

import pytest
from api import LIMIT, Api, ApiError, Object, is_ready, path_of
from faults import (
    CONTROLLER_PODS,
    HOST,
    LABEL,
    LEASE,
    Serving,
    change_arrives,
    compact,
    kill,
    leader,
    load,
    meanwhile,
    route,
    scale_controller,
    serve,
    serving,
    started,
    task_of,
)
from harness import install, network
from harness.node import Node
from traffic import Load, get, until

__all__ = ["load", "serving"]

#: Seconds that the API server is away; `make soak` has ten minutes.
ABSENCE = float(os.environ.get("TEST_ABSENCE", "20"))
#: Seconds that a half-open connection may cost: the kernel's probes, and the connection after it.
HALF_OPEN = 45.0
ADMIN_PORT = 19000


@pytest.fixture
def broken(node: Node) -> Iterator[Node]:
    """The cluster, which is mended afterwards whatever happened."""
    yield node
    network.heal()
    for name in ("etcd", "kube-apiserver"):
        if not node.pid(name):
            node.start(name)


def test_a_data_plane_starts_without_controller_and_api_server(
    api: Api, serving: Serving, broken: Node, load: Load
) -> None:
    """It serves from its snapshot."""
    other = serve(api, serving.namespace, "alone")
    [pod] = api.list("Pod", serving.namespace, labelSelector=f"{LABEL}=alone")
    container = pod["status"]["containerStatuses"][0]["containerID"]
    scale_controller(api, 0)
    broken.stop("kube-apiserver")
    try:
        before = task_of(container)
        killed = time.monotonic()
        kill(before)
        until(other.address, HOST)
        served = time.monotonic()
    finally:
        broken.start("kube-apiserver")
        scale_controller(api, 2)
    again = api.until(
        "Pod",
        serving.namespace,
        pod["metadata"]["name"],
        lambda item: (
            item["status"]["containerStatuses"][0]["containerID"] != container
            and "running" in item["status"]["containerStatuses"][0]["state"]
        ),
    )
    process = task_of(again["status"]["containerStatuses"][0]["containerID"])
    began = started(process)
    print(f"killed, serves from its snapshot {served - killed:.2f} s later, {served - began:.2f} s after its start")
    assert served - began <= 2.0
    change_arrives(api, other)
    for kind in ("HTTPRoute", "Gateway"):
        api.delete(kind, serving.namespace, "alone")


def test_the_api_server_restarts(api: Api, serving: Serving, broken: Node, load: Load) -> None:
    broken.stop("kube-apiserver")
    broken.start("kube-apiserver")
    change_arrives(api, serving)


def test_the_api_server_is_away(api: Api, serving: Serving, broken: Node, load: Load) -> None:
    broken.stop("kube-apiserver")
    before = load.succeeded
    threading.Event().wait(ABSENCE)
    assert load.succeeded > before
    broken.start("kube-apiserver")
    change_arrives(api, serving)


def test_the_history_is_compacted(api: Api, serving: Serving, broken: Node, load: Load) -> None:
    """The version that a watch would go on from is gone: 410 in the stream. What was deleted meanwhile is gone too."""
    api.create(route(serving, "old", "old.example.com"))
    until(serving.address, "old.example.com")
    routes = path_of("HTTPRoute")
    version = api.call("GET", routes)["metadata"]["resourceVersion"]
    network.partition()
    api.delete("HTTPRoute", serving.namespace, "old")
    api.create(route(serving, "new", "new.example.com"))
    broken.stop("kube-apiserver")
    compact()
    broken.start("kube-apiserver")
    assert is_expired(api, routes, version)
    assert get(serving.address, "old.example.com").status == 200
    network.heal()
    until(serving.address, "new.example.com", limit=LIMIT)
    until(serving.address, "old.example.com", status=404)
    api.delete("HTTPRoute", serving.namespace, "new")
    until(serving.address, "new.example.com", status=404)


def is_expired(api: Api, path: str, version: str) -> bool:
    """Whether a watch from a version ends with 410, in its stream or at once."""
    query = urlencode({"watch": "1", "resourceVersion": version, "timeoutSeconds": "5", "allowWatchBookmarks": "true"})
    try:
        event = api.call("GET", f"{path}?{query}")
    except ApiError as error:
        return error.status == 410
    except (HTTPException, json.JSONDecodeError):
        return False
    return event["type"] == "ERROR" and event["object"]["code"] == 410


def test_connections_are_half_open(api: Api, serving: Serving, broken: Node, load: Load) -> None:
    """Packets of the controllers' open connections vanish for good; nobody is told. New connections work."""
    assert network.sever(controllers(api).values()) > 0
    began = time.monotonic()
    change_arrives(api, serving, limit=HALF_OPEN)
    print(f"half-open connections: a change arrived {time.monotonic() - began:.1f} s later")


def test_the_leader_is_lost(api: Api, serving: Serving, load: Load) -> None:
    old = leader(api)
    api.delete("Pod", install.SYSTEM, old, gracePeriodSeconds=0)
    held = api.until("Lease", install.SYSTEM, LEASE, lambda item: item["spec"].get("holderIdentity") not in {old, ""})
    print(f"{held['spec']['holderIdentity']} leads after {old}")
    change_arrives(api, serving)
    api.until("Deployment", install.SYSTEM, install.CONTROLLER.partition("/")[2], is_ready)


def test_the_leader_is_killed(api: Api, serving: Serving, load: Load) -> None:
    """It gives nothing back. The same pod, started again, leads, or another when the Lease is over."""
    pod = api.get("Pod", install.SYSTEM, leader(api))
    kill(task_of(pod["status"]["containerStatuses"][0]["containerID"]))
    change_arrives(api, serving)
    api.until("Deployment", install.SYSTEM, install.CONTROLLER.partition("/")[2], is_ready)


def test_the_leader_is_cut_off(api: Api, serving: Serving, broken: Node, load: Load) -> None:
    """It stops before another begins, and nobody tells anything else of the Gateway because of that."""
    old = leader(api)
    addresses = controllers(api)
    programmed = programmed_of(api, serving)
    seen: set[frozenset[str]] = set()

    def look() -> None:
        seen.add(frozenset(name for name, address in addresses.items() if leads(address)))

    with meanwhile(look):
        network.partition(addresses[old])
        held = api.until("Lease", install.SYSTEM, LEASE, lambda item: item["spec"]["holderIdentity"] != old)
        change_arrives(api, serving)
        network.heal()
        change_arrives(api, serving)
        new = held["spec"]["holderIdentity"]
        # The look at a controller that is cut off takes its time: the new one is looked at once all answer again.
        deadline, pause = time.monotonic() + LIMIT, threading.Event()
        while frozenset((new,)) not in seen and time.monotonic() < deadline:
            pause.wait(0.05)
    assert seen <= {frozenset((old,)), frozenset(), frozenset((new,))}, seen
    assert frozenset((new,)) in seen
    assert programmed_of(api, serving) == programmed


def controllers(api: Api) -> dict[str, str]:
    """Addresses of the controllers, by the names of their pods."""
    pods = api.list("Pod", install.SYSTEM, labelSelector=CONTROLLER_PODS)
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}


def leads(address: str) -> bool:
    """Whether the controller at an address says that it leads."""
    return "\nsluicegate_controller_leading 1.0\n" in get(address, "controller", "/metrics", ADMIN_PORT).body


def programmed_of(api: Api, serving: Serving) -> Object:
    """The condition `Programmed` of the Gateway, with its time."""
    conditions = api.get("Gateway", serving.namespace, serving.gateway)["status"]["conditions"]
    return next(item for item in conditions if item["type"] == "Programmed")


def test_another_takes_the_lease(api: Api, serving: Serving, load: Load) -> None:
    """Whoever loses the Lease stops; when nobody renews it, one of the controllers has it again."""
    api.patch("Lease", install.SYSTEM, LEASE, {"spec": {"holderIdentity": "nobody", "leaseDurationSeconds": 5}})
    api.until("Lease", install.SYSTEM, LEASE, lambda item: item["spec"].get("holderIdentity") != "nobody")
    change_arrives(api, serving)
