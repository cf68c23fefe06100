"""Starts and stops the node, as a whole or one component."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import certificates, components, network
from .binaries import prepare
from .network import inside
from .paths import HERE, IMAGES, RUN, SOCKET, kubectl
from .processes import Processes

LIMIT = 90.0


class NodeError(RuntimeError):
    """The node does not come up on this machine: no programs or network for it, or a component that does not start."""


class Node:
    """The cluster."""

    def __init__(self) -> None:
        """Find what an earlier command started."""
        self._processes = Processes(RUN)

    def up(self) -> None:
        """Start everything; returns when the node is ready. What is left of a cluster that broke is removed first.

        Raises:
            NodeError: this machine cannot have it.
        """
        started = time.monotonic()

        def tell(what: str) -> None:
            print(f"{time.monotonic() - started:6.1f} s {what}", flush=True)

        if all(map(self._processes.alive, components.NAMES)) and _answers():
            tell("the cluster is up already")
            return
        if RUN.exists() or network.exists():
            self.down()
            self._processes = Processes(RUN)
            tell("removed what was left of a cluster")
        try:
            prepare()
        except (subprocess.CalledProcessError, OSError) as error:
            raise NodeError(f"the cluster's programs cannot be had on this machine: {error}") from None
        tell("binaries and images")
        RUN.mkdir(parents=True)
        try:
            network.make()
        except subprocess.CalledProcessError as error:
            raise NodeError(f"the cluster has no network on this machine: {error}") from None
        certificates.make()
        components.configure()
        with ThreadPoolExecutor() as pool:
            self._begin("containerd", "etcd", "kube-apiserver")
            imports = pool.submit(self._import)
            self._wait(_answers)
            tell("API server")
            self._begin("kube-controller-manager", "kube-scheduler", "kube-proxy", "balancer")
            imports.result()
        tell("images are loaded")
        self._begin("kubelet")
        apply = kubectl("apply", "--server-side", "-f", HERE / "dns.yaml")
        subprocess.run(apply, check=True, stdout=subprocess.DEVNULL)
        self._wait(_is_ready)
        tell("node")

    def down(self) -> None:
        """Stop everything and leave nothing behind."""
        # etcd goes last, so that nothing waits for it while it ends.
        self._processes.stop(
            [name for name in components.NAMES if name not in {"containerd", "etcd", "kube-apiserver"}]
        )
        runtime = ["ctr", "-a", str(SOCKET), "-n", "k8s.io", "tasks"]
        listed = subprocess.run([*runtime, "ls", "-q"], capture_output=True, text=True, check=False).stdout
        for task in listed.split():
            subprocess.run([*runtime, "rm", "-f", task], capture_output=True, check=False)
        self._processes.stop(self._shims(), signal.SIGKILL)
        for name in ("containerd", "kube-apiserver", "etcd"):
            self._processes.stop([name])
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([each for each in mounts if each.startswith(str(RUN))]):
            subprocess.run(["umount", "-l", mount], check=False)
        network.remove()
        for result in Path("/var/lib/cni/results").glob("*"):
            if str(RUN) in result.read_text():
                result.unlink()
        for group in Path("/sys/fs/cgroup").glob("*/kubepods"):
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        shutil.rmtree(RUN, ignore_errors=True)
        left = [name for name in self._processes.names if self._processes.alive(name)]
        if left or RUN.exists():
            raise SystemExit(f"not clean: {left} {RUN}")

    def start(self, name: str) -> None:
        """Start a component that was stopped; returns when it serves."""
        self._begin(name)
        if name in {"etcd", "kube-apiserver"} and self._processes.alive("kube-apiserver"):
            self._wait(_answers)

    def stop(self, name: str, number: int = signal.SIGKILL) -> None:
        """Stop a component, as a crash does, or by another signal; its state stays."""
        _known(name)
        self._processes.stop([name], number)

    def pause(self, name: str) -> None:
        """Let a component stand still: its connections stay open, and nothing answers."""
        _known(name)
        self._processes.send(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Let it go on."""
        self._processes.send(name, signal.SIGCONT)

    def pid(self, name: str) -> int:
        """Process id of a component; 0 where it does not run."""
        return self._processes.pid(name)

    def _begin(self, *names: str) -> None:
        for name in names:
            _known(name)
            self._processes.start(name, inside(*components.command(name)))

    def _import(self) -> None:
        self._wait(SOCKET.exists)
        for image in sorted(IMAGES.glob("*.tar")):
            load(image)

    def _wait(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LIMIT
        while not holds():
            ended = [name for name in self._processes.names if not self._processes.alive(name)]
            if ended and time.monotonic() > deadline - LIMIT + 1:
                tails = [f"{name}: {self._processes.log(name).read_text()[-1500:]}" for name in ended]
                raise NodeError("these ended by themselves:\n" + "\n".join(tails))
            if time.monotonic() > deadline:
                raise NodeError(f"the cluster does not come up; the logs are in {RUN}")
            time.sleep(0.1)

    def _shims(self) -> list[str]:
        """The shims that our own containerd started, known by its socket's path."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                if b"shim" in command.split(b"\0")[0] and str(SOCKET).encode() in command:
                    found.append(f"shim{folder.name}")
                    self._processes.add(found[-1], int(folder.name))
        return found


def load(image: Path) -> None:
    """Import an image."""
    command = ["ctr", "-a", str(SOCKET), "-n", "k8s.io", "images", "import", str(image)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _known(name: str) -> None:
    if name not in components.NAMES:
        raise SystemExit(f"{name} is not a component; these are: {', '.join(components.NAMES)}")


def _answers() -> bool:
    return subprocess.run(kubectl("get", "--raw", "/readyz"), capture_output=True, check=False).returncode == 0


def _is_ready() -> bool:
    ready = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}")
    return subprocess.run(ready, capture_output=True, text=True, check=False).stdout.strip() == "True"
