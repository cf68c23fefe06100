"""The command line of the harness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from . import install, network, prerequisites
from .balancer import Balancer
from .gateway_image import TAG, build
from .node import Node, NodeError, load
from .paths import BINARIES, KUBECONFIG, kubectl

#: Exit status of `prerequisites` and `up` where the machine cannot have the cluster.
CANNOT = 3
USAGE = """usage: python -m harness COMMAND
  prerequisites             say whether this machine can have the cluster; installs what is missing
  up                        start the cluster; does nothing where it is up; exit status 3 where the machine cannot
  down                      stop it and leave nothing behind
  image [--tree]            build Sluicegate's image and load it; --tree: without building a wheel
  install [HOW]             install CRDs and controller as deploy/README.md says: kustomize, helm, or node
  uninstall                 remove them again
  stop|pause NAME           break a component (kube-apiserver, etcd, kubelet, ...): as a crash, or standing still
  start|resume NAME         mend it
  partition [ADDRESS]       drop all packets between the API server and all pods, or one address
  heal                      let them through
  load IMAGE...             import images
  kubectl ARGUMENT...       run kubectl in the cluster
  env                       print variables for a shell"""


def main(arguments: list[str]) -> int:
    """Run a command; returns the exit status."""
    match arguments:
        case ["prerequisites"]:
            reason = prerequisites.obstacle() or prerequisites.install()
            if reason:
                print(reason, file=sys.stderr)
                return CANNOT
        case ["up"]:
            try:
                Node().up()
            except NodeError as error:
                print(error, file=sys.stderr)
                return CANNOT
        case ["down"]:
            Node().down()
        case ["start", name]:
            Node().start(name)
        case ["stop", name]:
            Node().stop(name)
        case ["pause", name]:
            Node().pause(name)
        case ["resume", name]:
            Node().resume(name)
        case ["partition", *source]:
            network.partition(*source[:1])
        case ["heal"]:
            network.heal()
        case ["balancer"]:
            Balancer().run()
        case ["load", *images]:
            for image in images:
                load(Path(image))
        case ["image", *options] if not set(options) - {"--tree"}:
            load(build(TAG, tree="--tree" in options))
            install.refresh()
        case ["install", *how] if not set(how) - {install.KUSTOMIZE, install.HELM, install.NODE}:
            install.crds(install.VERSIONS[-1])
            install.controller(*how[:1])
        case ["uninstall"]:
            install.remove()
        case ["env"]:
            print(f"export KUBECONFIG={KUBECONFIG}")
            print(f"export TEST_CLUSTER_BIN={BINARIES} TEST_CLUSTER_NETNS=/run/netns/{network.NAMESPACE}")
        case ["kubectl", *rest]:
            return subprocess.run(kubectl(*rest), check=False).returncode
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except install.InstallError as error:
        sys.exit(str(error))
