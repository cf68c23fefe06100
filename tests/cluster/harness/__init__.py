"""A real single-node Kubernetes cluster inside one network namespace, for tests.

    python -m harness up | down | image | install | stop NAME | partition | ...      (from tests/cluster, as root)

etcd, API server, controller manager, scheduler, containerd, kubelet, kube-proxy, CoreDNS and an allocator of
LoadBalancer addresses. Needs the packages of Debian that `prerequisites.py` names; `python -m harness prerequisites`
installs them.

- Binaries come from the archive that `TEST_CLUSTER_ARCHIVE` names, else from one beside the repository
  (`../shared/cluster`); without one they are built from the Go modules under `src/` (Kubernetes takes about six minutes
  on two cores).
- Everything that talks to the cluster runs in its namespace by `nsenter --net=`: `ip netns exec` would hide the cgroup
  mounts from the kubelet.
"""
