"""The processes that the cluster consists of: how each is started, and its configuration files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .network import NODE_ADDRESS, POD_NETWORK, SERVICE_NETWORK
from .paths import BINARIES, KUBECONFIG, PKI, RUN, SOCKET

#: Seconds without news of the node after which it counts as gone.
NODE_GRACE = 300

#: In the order of starting; stopped the other way round.
NAMES = (
    "containerd",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "balancer",
)


def command(name: str) -> list[object]:
    """What starts a component."""
    return {
        "containerd": ["containerd", "-c", RUN / "containerd.toml"],
        "etcd": [
            *(BINARIES / "etcd", "--data-dir", RUN / "etcd", "--unsafe-no-fsync"),
            *("--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379"),
            *("--listen-peer-urls", "http://127.0.0.1:2380"),
        ],
        "kube-apiserver": [
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
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--kubelet-client-certificate={PKI}/kubeletclient.crt",
            f"--kubelet-client-key={PKI}/kubeletclient.key",
            f"--kubelet-certificate-authority={PKI}/ca.crt",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged=true",
            "--enable-admission-plugins=NodeRestriction",
            # What the experimental features of Gateway API v1.7.0 refer to.
            "--feature-gates=ClusterTrustBundle=true",
            "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
        ],
        "kube-controller-manager": [
            BINARIES / "kube-controller-manager",
            f"--kubeconfig={KUBECONFIG}",
            f"--service-account-private-key-file={PKI}/sa.key",
            f"--root-ca-file={PKI}/ca.crt",
            "--use-service-account-credentials=true",
            "--leader-elect=false",
            # Tests stop the API server again and again, and after that the controllers' own watches wait for up to a
            # minute (client-go's reflector). The only node, and all pods on it, would count as gone meanwhile.
            f"--node-monitor-grace-period={NODE_GRACE}s",
            "--allocate-node-cidrs=true",
            f"--cluster-cidr={POD_NETWORK}",
            f"--cluster-signing-cert-file={PKI}/ca.crt",
            f"--cluster-signing-key-file={PKI}/ca.key",
        ],
        "kube-scheduler": [BINARIES / "kube-scheduler", f"--kubeconfig={KUBECONFIG}", "--leader-elect=false"],
        "kubelet": [
            BINARIES / "kubelet",
            f"--config={RUN}/kubelet.json",
            f"--kubeconfig={RUN}/kubelet.kubeconfig",
            "--hostname-override=node",
            f"--node-ip={NODE_ADDRESS}",
            f"--root-dir={RUN}/kubelet",
            f"--cert-dir={RUN}/kubelet-pki",
        ],
        "kube-proxy": [BINARIES / "kube-proxy", f"--config={RUN}/proxy.json"],
        "balancer": [sys.executable, "-m", "harness", "balancer"],
    }[name]


def configure() -> None:
    """Write the configuration files of all components."""
    networks = RUN / "cni"
    networks.mkdir()
    _write(networks / "10-bridge.conflist", _pod_network())
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
    _write(RUN / "kubelet.json", _kubelet())
    _write(RUN / "proxy.json", _proxy())


def _write(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))


def _pod_network() -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(RUN / "ipam"),
        "ranges": [[{"subnet": str(POD_NETWORK)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True, "hairpinMode": True}
    plugins = [{**bridge, "ipam": addresses}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}


def _kubelet() -> dict[str, object]:
    return {
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
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "syncFrequency": "10s",
        "resolvConf": "",
        "maxPods": 250,
        "registerNode": True,
        "podLogsDir": str(RUN / "podlogs"),
    }


def _proxy() -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": str(POD_NETWORK),
        "hostnameOverride": "node",
        "clientConnection": {"kubeconfig": str(KUBECONFIG)},
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "100ms"},
    }
