"""Where things are: the state of the cluster and what it is made of."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

NAMESPACE = "sluice"
NODE_ADDRESS = "10.89.0.1"
#: LoadBalancer addresses; .1 to .9 are given only on request.
POOL = ipaddress.ip_network("10.90.0.0/24")
RESERVED = 9

HERE = Path(__file__).resolve().parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
STATE = Path(os.environ.get("SLUICEGATE_CLUSTER") or _CACHE / "sluicegate-cluster")
RUN = STATE / "run"
BINARIES = STATE / "bin"
IMAGES = STATE / "images"
PKI = RUN / "pki"
KUBECONFIG = RUN / "admin.kubeconfig"
SOCKET = RUN / "containerd.sock"


def inside(*arguments: object) -> list[str]:
    """A command that runs in the cluster's namespace."""
    return ["nsenter", f"--net=/run/netns/{NAMESPACE}", *map(str, arguments)]


def kubectl(*arguments: object) -> list[str]:
    """A kubectl command for the cluster."""
    return inside("kubectl", "--kubeconfig", KUBECONFIG, *arguments)
