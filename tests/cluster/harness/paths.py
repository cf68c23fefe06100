"""Where things are: the state of the cluster and what it is made of."""

from __future__ import annotations

import os
from pathlib import Path

from .network import inside

HERE = Path(__file__).resolve().parent
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
STATE = Path(os.environ.get("TEST_CLUSTER") or _CACHE / "sluicegate-cluster")
RUN = STATE / "run"
BINARIES = STATE / "bin"
IMAGES = STATE / "images"
PKI = RUN / "pki"
KUBECONFIG = RUN / "admin.kubeconfig"
SOCKET = RUN / "containerd.sock"


def kubectl(*arguments: object) -> list[str]:
    """A kubectl command for the cluster."""
    own = BINARIES / "kubectl"
    return inside(own if own.exists() else "kubectl", "--kubeconfig", KUBECONFIG, *arguments)
