"""`sluicegate controller`: arguments and settings, then the control plane.

The arguments are read by `argparse`: what the other commands need would be memory in the pod.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from sluicegate import __version__
from sluicegate.processes import signals
from sluicegate.processes.controller.settings import load_controller_settings

#: Exit status for a command line or a setting that cannot be used, and where no API server is configured.
EXIT_USAGE = 2


def run(arguments: Sequence[str]) -> int:
    """Run a controller until a signal; returns the exit status."""
    flags = vars(_parser().parse_args(arguments))
    try:
        from sluicegate.processes.controller.role import ApiError, run_controller
    except ModuleNotFoundError as error:
        sys.stderr.write(f"error: {error}; install the extra: pip install 'sluicegate[kubernetes]'\n")
        return EXIT_USAGE
    try:
        settings = load_controller_settings(flags, os.environ, __version__)
        return asyncio.run(run_controller(settings, __version__))
    except (ValueError, OSError, ApiError) as error:  # a setting that cannot be used is a ValueError too
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    finally:
        # All is closed: a signal that comes now has nothing to end but a clean exit.
        signals.ignore((*signals.ENDING, *signals.HARMLESS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sluicegate controller",
        description="Control the Gateways of a cluster: provision their data planes, give them their configuration, "
        "write status. Several replicas may run; one of them leads.",
        epilog="Every option may also be an environment variable, such as SLUICEGATE_IMAGE; the namespace is that of "
        "the pod (POD_NAMESPACE) where none is given.",
    )
    parser.add_argument("--kubeconfig", metavar="PATH", help="[the pod's own account, else $KUBECONFIG]")
    parser.add_argument(
        "--controller-name", metavar="NAME", help="Of the GatewayClasses to serve. [sluicegate.dev/controller]"
    )
    parser.add_argument("--namespace", help="Of the Lease and of the CA. [sluicegate-system]")
    parser.add_argument("--image", metavar="REFERENCE", help=f"Of data planes. [sluicegate:{__version__}]")
    parser.add_argument("--image-pull-policy", metavar="POLICY", help="Always, IfNotPresent or Never.")
    parser.add_argument("--stream-address", metavar="ADDRESS", help="Of the config stream. [0.0.0.0:18000]")
    parser.add_argument(
        "--stream-name",
        metavar="HOST:PORT",
        help="The config stream as data planes dial it. [sluicegate-controller.NAMESPACE.svc:18000]",
    )
    parser.add_argument("--admin", metavar="ADDRESS", help="healthz, readyz, metrics; or off. [127.0.0.1:19000]")
    parser.add_argument("--output", choices=["text", "json"], help="json: one JSON object a line, for programs. [text]")
    return parser
