"""Starts and stops the node: namespace, control plane, container runtime, kubelet."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from . import certificates
from .binaries import prepare
from .paths import BINARIES, HERE, IMAGES, KUBECONFIG, NAMESPACE, NODE_ADDRESS, PKI, POOL, RUN, SOCKET, inside, kubectl

LIMIT = 90.0
_NETWORK = (
    "ip link set lo up",
    "ip link add node0 type veth peer name node0p",
    "ip link set node0p up",
    f"ip addr add {NODE_ADDRESS}/24 dev node0",
    "ip link set node0 up",
    "ip route add default via 10.89.0.254 dev node0",
    # Connections to an address without a rule are refused at once.
    f"ip route add local {POOL} dev lo src {NODE_ADDRESS}",
    "sysctl -qw net.ipv4.ip_forward=1",
    "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
)


class Node:
    """The processes of the cluster; pids are written down at once, so that `down` cleans up after a failed `up`."""

    def __init__(self) -> None:
        self._file = RUN / "pids.json"
        self._pids: dict[str, int] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def up(self) -> None:
        """Start everything; returns when the node is ready."""
        started = time.monotonic()

        def tell(what: str) -> None:
            print(f"{time.monotonic() - started:6.1f} s {what}", flush=True)

        prepare()
        tell("binaries and images")
        RUN.mkdir(parents=True)
        subprocess.run(["ip", "netns", "add", NAMESPACE], check=True)
        for command in _NETWORK:
            subprocess.run(inside(*command.split()), check=True)
        certificates.make()
        self._control_plane()
        tell("API server")
        self._runtime()
        for image in sorted(IMAGES.glob("*.tar")):
            load(image)
        tell("container runtime")
        self._kubelet()
        ready = kubectl("get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}")
        _wait(lambda: subprocess.run(ready, capture_output=True, text=True, check=False).stdout.strip() == "True")
        subprocess.run(
            kubectl("apply", "--server-side", "-f", HERE / "dns.yaml"), check=True, stdout=subprocess.DEVNULL
        )
        tell("node")

    def down(self) -> None:
        """Stop everything and leave nothing behind."""
        self._end(["kubelet", "balancer", "kube-proxy", "kube-controller-manager", "kube-scheduler"])
        runtime = ["ctr", "-a", str(SOCKET), "-n", "k8s.io", "tasks"]
        listed = subprocess.run([*runtime, "ls", "-q"], capture_output=True, text=True, check=False).stdout
        for task in listed.split():
            subprocess.run([*runtime, "rm", "-f", task], capture_output=True, check=False)
        self._find_shims()
        self._end([name for name in self._pids if name.startswith("shim")], signal.SIGKILL)
        for name in ("containerd", "kube-apiserver", "etcd"):
            self._end([name])
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([each for each in mounts if each.startswith(str(RUN))]):
            subprocess.run(["umount", "-l", mount], check=False)
        if Path(f"/run/netns/{NAMESPACE}").exists():
            subprocess.run(["ip", "netns", "del", NAMESPACE], check=True)
        for result in Path("/var/lib/cni/results").glob("*"):
            if str(RUN) in result.read_text():
                result.unlink()
        for group in Path("/sys/fs/cgroup").glob("*/kubepods"):
            for folder, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
        shutil.rmtree(RUN, ignore_errors=True)
        left = [name for name, pid in self._pids.items() if _is_alive(pid)]
        if left or RUN.exists():
            raise SystemExit(f"not clean: {left} {RUN}")

    def _start(self, name: str, *command: object) -> None:
        with (RUN / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                inside(*command), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self._pids[name] = process.pid
        self._file.write_text(json.dumps(self._pids))

    def _control_plane(self) -> None:
        self._start(
            *("etcd", BINARIES / "etcd", "--data-dir", RUN / "etcd", "--unsafe-no-fsync"),
            *("--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379"),
            *("--listen-peer-urls", "http://127.0.0.1:2380"),
        )
        self._start(
            "kube-apiserver",
            BINARIES / "kube-apiserver",
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={NODE_ADDRESS}",
            "--secure-port=6443",
            f"--tls-cert-file={PKI}/apiserver.crt",
            f"--tls-private-key-file={PKI}/apiserver.key",
            f"--client-ca-file={PKI}/ca.crt",
            f"--service-account-key-file={PKI}/sa.pub",
            f"--service-account-signing-key-file={PKI}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--authorization-mode=Node,RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--kubelet-client-certificate={PKI}/kubeletclient.crt",
            f"--kubelet-client-key={PKI}/kubeletclient.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction",
        )
        ready = kubectl("get", "--raw", "/readyz")
        _wait(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0)
        self._start(
            "kube-controller-manager",
            BINARIES / "kube-controller-manager",
            f"--kubeconfig={KUBECONFIG}",
            f"--service-account-private-key-file={PKI}/sa.key",
            f"--root-ca-file={PKI}/ca.crt",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            "--allocate-node-cidrs=true",
            "--cluster-cidr=10.244.0.0/16",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
        )
        arguments = (f"--kubeconfig={KUBECONFIG}", "--leader-elect=false")
        self._start("kube-scheduler", BINARIES / "kube-scheduler", *arguments)

    def _runtime(self) -> None:
        networks = RUN / "cni"
        networks.mkdir()
        addresses = {
            "type": "host-local",
            "dataDir": str(RUN / "ipam"),
            "ranges": [[{"subnet": "10.244.0.0/16"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
        plugins = [{**bridge, "ipam": addresses}, {"type": "portmap", "capabilities": {"portMappings": True}}]
        document = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
        (networks / "10-bridge.conflist").write_text(json.dumps(document))
        (RUN / "containerd.toml").write_text(
            f"""version = 2
root = "{RUN}/containerd"
state = "{RUN}/containerd-state"
[grpc]
address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/pause:1"
# Machines without CAP_SYS_RESOURCE may not lower an OOM score.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
"""
        )
        self._start("containerd", "containerd", "-c", RUN / "containerd.toml")
        _wait(SOCKET.exists)

    def _kubelet(self) -> None:
        (RUN / "kubelet.json").write_text(
            json.dumps(
                {
                    "apiVersion": "kubelet.config.k8s.io/v1beta1",
                    "kind": "KubeletConfiguration",
                    "containerRuntimeEndpoint": f"unix://{SOCKET}",
                    "cgroupDriver": "cgroupfs",
                    "failSwapOn": False,
                    "failCgroupV1": False,
                    "authentication": {
                        "anonymous": {"enabled": False},
                        "webhook": {"enabled": True},
                        "x509": {"clientCAFile": str(PKI / "ca.crt")},
                    },
                    "authorization": {"mode": "Webhook"},
                    "tlsCertFile": str(PKI / "kubelet.crt"),
                    "tlsPrivateKeyFile": str(PKI / "kubelet.key"),
                    "staticPodPath": "",
                    "clusterDNS": ["10.96.0.10"],
                    "clusterDomain": "cluster.local",
                    "evictionHard": {
                        "nodefs.available": "1%",
                        "imagefs.available": "1%",
                        "memory.available": "100Mi",
                    },
                    "imageGCHighThresholdPercent": 100,
                    "syncFrequency": "10s",
                    "resolvConf": "",
                    "maxPods": 250,
                    "registerNode": True,
                    "podLogsDir": str(RUN / "podlogs"),
                }
            )
        )
        self._start(
            "kubelet",
            BINARIES / "kubelet",
            f"--config={RUN}/kubelet.json",
            f"--kubeconfig={RUN}/kubelet.kubeconfig",
            "--hostname-override=node",
            f"--node-ip={NODE_ADDRESS}",
            f"--root-dir={RUN}/kubelet",
            f"--cert-dir={RUN}/kubelet-pki",
        )
        (RUN / "proxy.json").write_text(
            json.dumps(
                {
                    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                    "kind": "KubeProxyConfiguration",
                    "mode": "iptables",
                    "clusterCIDR": "10.244.0.0/16",
                    "hostnameOverride": "node",
                    "clientConnection": {"kubeconfig": str(KUBECONFIG)},
                    "conntrack": {"maxPerCore": 0, "min": 0},
                    "iptables": {"minSyncPeriod": "100ms"},
                }
            )
        )
        self._start("kube-proxy", BINARIES / "kube-proxy", f"--config={RUN}/proxy.json")
        self._start("balancer", sys.executable, "-m", "harness", "balancer")

    def _find_shims(self) -> None:
        """The shims that our own containerd started, known by its socket's path."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                command = (folder / "cmdline").read_bytes()
                if b"shim" in command.split(b"\0")[0] and str(SOCKET).encode() in command:
                    self._pids[f"shim{folder.name}"] = int(folder.name)

    def _end(self, names: Iterable[str], number: int = signal.SIGTERM) -> None:
        pids = [self._pids[name] for name in names if name in self._pids and _is_alive(self._pids[name])]
        for pid in pids:
            os.kill(pid, number)
        deadline = time.monotonic() + 5
        while any(map(_is_alive, pids)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for pid in filter(_is_alive, pids):
            os.kill(pid, signal.SIGKILL)


def load(image: Path) -> None:
    """Import an image."""
    command = ["ctr", "-a", str(SOCKET), "-n", "k8s.io", "images", "import", str(image)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _wait(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"the cluster does not come up; the logs are in {RUN}")
        time.sleep(0.2)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
