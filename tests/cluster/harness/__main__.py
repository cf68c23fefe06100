"""The command line of the harness."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .balancer import Balancer
from .gateway_image import build
from .node import Node, load
from .paths import BINARIES, KUBECONFIG, NAMESPACE, kubectl


def main(arguments: list[str]) -> int:
    match arguments:
        case ["up"]:
            Node().up()
        case ["down"]:
            Node().down()
        case ["balancer"]:
            Balancer().run()
        case ["load", *images]:
            for image in images:
                load(Path(image))
        case ["image", tag]:
            load(build(tag))
        case ["env"]:
            print(f"export KUBECONFIG={KUBECONFIG}")
            print(f"export SLUICEGATE_CLUSTER_BIN={BINARIES} SLUICEGATE_CLUSTER_NETNS=/run/netns/{NAMESPACE}")
        case ["kubectl", *rest]:
            return subprocess.run(kubectl(*rest), check=False).returncode
        case _:
            print(
                "usage: python -m harness up | down | env | load IMAGE... | image TAG | kubectl ARGUMENT...",
                file=sys.stderr,
            )
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
