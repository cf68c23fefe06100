"""Whether this machine can have the cluster, and getting what is missing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

#: Program or file, and the package of Debian that has it. `mmdebstrap` makes the image, gcc the pause program.
NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "gcc": "gcc",
    "/usr/include/stdlib.h": "libc6-dev",
    "openssl": "openssl",
    "nsenter": "util-linux",
}


def missing() -> list[str]:
    """Packages of Debian that are to be installed."""
    return sorted({package for what, package in NEEDED.items() if not _is_there(what)})


def obstacle() -> str | None:
    """Why this machine cannot have the cluster, whatever is installed; None where it can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the cluster runs on Linux on x86_64, and this is {platform.system()} on {platform.machine()}"
    if os.geteuid() != 0:
        return "not root: network namespaces, mounts and cgroups need it; run it with sudo"
    tried = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"no network or mount namespace can be made (no CAP_SYS_ADMIN?): {tried.stderr.strip()}"
    return _cgroups()


def install() -> str | None:
    """Install what is missing; returns why that is not possible, None where everything is there."""
    wanted = missing()
    if not wanted:
        return None
    apt = shutil.which("apt-get")
    if apt is None:
        return f"missing, and no apt-get to install them: {', '.join(wanted)}"
    print(f"installing {', '.join(wanted)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", *wanted]):
        done = subprocess.run([apt, "-q", *command], capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            return f"apt-get {command[0]} of {', '.join(wanted)} fails: {done.stderr.strip()[-500:]}"
    return None


def _is_there(what: str) -> bool:
    return Path(what).exists() if what.startswith("/") else shutil.which(what) is not None


def _cgroups() -> str | None:
    """Whether groups can be made: of version 1 in its controllers' folders, of version 2 at the root."""
    root = Path("/sys/fs/cgroup")
    folder = root if (root / "cgroup.controllers").exists() else root / "memory"
    probe = folder / f"sluicegate-{os.getpid()}"
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        return f"no control group can be made: {error}"
    return None
