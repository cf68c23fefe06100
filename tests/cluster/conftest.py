"""Fixtures of the tests on the real cluster (`make cluster`, then `make test-cluster`, as root).

The tests run inside the cluster's network namespace, so that addresses of Gateways, Services and pods answer. They run
one after the other: there is one cluster.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from api import Api, Object, read
from harness import install
from harness.network import NAMESPACE
from harness.node import Node

ROOT = Path(__file__).parents[2]
_CLONE_NEWNET = 0x40000000


def _enter(path: Path | str) -> None:
    """Have this thread, and those that it starts, in a network namespace."""
    handle = os.open(path, os.O_RDONLY)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(handle, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"{path}: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(handle)


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """The cluster; it is up already, or started here and left running."""
    Node().up()
    install.crds(install.VERSIONS[-1], restore=True)
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    _enter(f"/run/netns/{NAMESPACE}")
    try:
        yield Node()
    finally:
        _enter(f"/proc/self/fd/{own}")
        os.close(own)


@pytest.fixture(scope="session")
def api(node: Node) -> Api:
    """Its API server, as administrator."""
    return Api()


def established(item: Object) -> bool:
    """Whether a CustomResourceDefinition is served."""
    conditions = {found["type"]: found["status"] for found in item.get("status", {}).get("conditions") or ()}
    return conditions.get("Established") == "True"


@pytest.fixture(scope="module")
def own_kinds(api: Api) -> None:
    """Our own CRDs are served."""
    for path in sorted((ROOT / "deploy" / "crds").glob("*.yaml")):
        for item in read(path):
            if item["kind"] == "CustomResourceDefinition":
                api.apply([item])
                api.until("CustomResourceDefinition", "", item["metadata"]["name"], established)


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"test-{secrets.token_hex(4)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("Namespace", "", name)


@pytest.fixture(scope="module")
def controller(node: Node) -> None:
    """The controller, installed as deploy/README.md says; does nothing where it is."""
    install.controller()
