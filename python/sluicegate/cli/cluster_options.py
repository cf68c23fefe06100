"""Options of the commands that look at manifests, or at a cluster; what they have in common."""

from __future__ import annotations

import argparse
import sys

from sluicegate.processes.settings import Settings
from sluicegate.testing.offline import Offline
from sluicegate.words import one_line

from .cluster_error import NO_CLIENT, ClusterError
from .exit_status import ExitStatus
from .options import Option

KUBERNETES = Option(("--kubernetes",), "Look at a cluster instead of files; nothing is written.", "files")


def misused(given: argparse.Namespace) -> str:
    """What is wrong with how paths and `--kubernetes` are given; empty: nothing."""
    if given.kubernetes and given.paths:
        return "give paths of manifests, or --kubernetes, and not both"
    if not given.kubernetes and not given.paths:
        return "give paths of manifests (- for standard input), or --kubernetes"
    if given.kubeconfig is not None and not given.kubernetes:
        return "--kubeconfig is for --kubernetes"
    if given.kubernetes and getattr(given, "backend", None):
        return "--backend is for manifests: in a cluster EndpointSlices say where programs listen"
    return ""


def of_cluster(settings: Settings) -> Offline:
    """What a cluster has, translated.

    Raises:
        ClusterError: it cannot be asked.
    """
    if settings.ingress or settings.ingress_class:
        text = "--ingress is for manifests; sluicegate migrate --kubernetes says what becomes of Ingresses of a cluster"
        raise ClusterError(text, ExitStatus.USAGE)
    try:
        from .cluster_objects import look_at_cluster
    except ModuleNotFoundError as error:
        raise ClusterError(NO_CLIENT.format(error=error), ExitStatus.USAGE) from None
    return look_at_cluster(settings.kubeconfig or None, settings.controller_name, settings.port_offset)


def tell_unread(offline: Offline) -> None:
    """Say what of a cluster could not be read: without it everything may be otherwise."""
    for item in offline.refresh.diagnostics if offline.from_cluster else ():
        if item.code == "unreadable":
            sys.stderr.write(f"warning: {one_line(item.text)}\n")
