"""The programs of the cluster: from an archive, or built from their Go modules; and the images made of them."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from .images import pack
from .paths import BINARIES, HERE, IMAGES, STATE

#: Kubernetes components in one binary, chosen by its name.
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
ARCHITECTURE = "amd64"
#: Minor version of the oldest kubectl that does what is asked of it.
OLDEST_KUBECTL = 27
#: Program: folder under `src`, package, and whether it is a test binary.
BUILT = {
    "kube": ("kube", "./cmd/kube", False),
    "etcd": ("kube", "./cmd/etcd", False),
    "kubectl": ("kube", "./cmd/kubectl", False),
    "coredns": ("coredns", ".", False),
    "echo-basic": ("echo", "sigs.k8s.io/gateway-api-conformance-images/echo-basic", False),
    "conformance-v1.6.3.test": ("conformance-v1.6.3", ".", True),
    "conformance-v1.7.0.test": ("conformance-v1.7.0", ".", True),
}
#: The names under which the suites of both versions ask for their backend.
ECHO_TAGS = (
    *(f"registry.k8s.io/gateway-api/echo-basic:{tag}" for tag in ("v1.5.1", "v1.6.0-dev.2", "v1.6.0-dev.3")),
    *(f"registry.k8s.io/gateway-api/conformance/echo-basic:{tag}" for tag in ("v0.1.0", "v0.2.0")),
)


def prepare() -> None:
    """Have all binaries and images; does nothing where they are there already."""
    archive = _archive()
    stamp = f"{archive} {archive.stat().st_size}" if archive else f"built from {_sources()}"
    mark, origin = STATE / "prepared", BINARIES / "origin"
    if mark.exists() and mark.read_text() == stamp:
        return
    mark.unlink(missing_ok=True)
    # What was built from the same sources is kept, also where a build broke off.
    if not (origin.exists() and origin.read_text() == stamp):
        shutil.rmtree(BINARIES, ignore_errors=True)
        BINARIES.mkdir(parents=True)
        if archive:
            subprocess.run(["tar", "-xJf", archive, "-C", BINARIES], check=True)
        origin.write_text(stamp)
    build(name for name in BUILT if not (BINARIES / name).exists() and not (name == "kubectl" and _has_kubectl()))
    IMAGES.mkdir(exist_ok=True)
    for name in COMPONENTS:
        (BINARIES / name).unlink(missing_ok=True)
        (BINARIES / name).symlink_to("kube")
    subprocess.run(["gcc", "-O2", "-static", "-o", BINARIES / "pause", HERE / "pause.c"], check=True)
    pack(IMAGES / "pause.tar", ["localhost/pause:1"], [(BINARIES / "pause", "/pause")], ["/pause"])
    echo = [(BINARIES / "echo-basic", "/echo-basic")]
    pack(IMAGES / "echo.tar", ECHO_TAGS, echo, ["/echo-basic"], user="65532:65532")
    coredns = [(BINARIES / "coredns", "/coredns")]
    pack(IMAGES / "coredns.tar", ["registry.k8s.io/coredns/coredns:v1.12.2"], coredns, ["/coredns"])
    mark.write_text(stamp)


def build(names: Iterable[str]) -> None:
    """Build programs from their Go modules, and say how long it takes."""
    beside = Path(sys.executable).with_name("go")
    go = str(beside) if beside.exists() else "go"
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    for name in names:
        folder, package, test = BUILT[name]
        started = time.monotonic()
        print(f"building {name} from its Go module ...", flush=True)
        verb = ["test", "-c"] if test else ["build", "-trimpath", "-ldflags=-s -w"]
        unfinished = BINARIES / f"{name}.part"
        command = [go, *verb, "-o", str(unfinished), package]
        subprocess.run(command, cwd=HERE / "src" / folder, env=environment, check=True)
        unfinished.rename(BINARIES / name)
        print(f"  {name}: {time.monotonic() - started:.0f} s", flush=True)


def _sources() -> str:
    """What is built, as a digest."""
    digest = hashlib.sha256()
    for path in sorted((HERE / "src").rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _archive() -> Path | None:
    """The archive of binaries: the one that is named, else the one beside the repository."""
    named = os.environ.get("TEST_CLUSTER_ARCHIVE")
    if named:
        return Path(named)
    beside = HERE.parents[3] / "shared" / "cluster" / f"bin-linux-{ARCHITECTURE}.tar.xz"
    return beside if beside.exists() else None


def _has_kubectl() -> bool:
    """Whether the machine has a kubectl that is new enough."""
    command = ["kubectl", "version", "--client", "--output=json"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        version = json.loads(said)["clientVersion"]
        return int(re.sub(r"\D.*", "", version["minor"])) >= OLDEST_KUBECTL
    except (OSError, subprocess.CalledProcessError, KeyError, ValueError):
        return False
