"""`migrate --kubernetes` and `--apply`: the cluster's side of a migration, and the question before it is changed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from sluicegate.controller.ingress import Conversion, Manifest, Options, Provider
from sluicegate.controller.ingress.convert import Progress
from sluicegate.words import count, one_line

from .cluster_client import ask_cluster
from .ingress_cluster import read_cluster
from .ingress_files import IngressFiles
from .migration_apply import Step, plan, write
from .migration_report import AppliedObject

#: What is done with an object, as people are told.
_WORDS = {"create": "created", "change": "changed", "none": "as it was"}


def read_from_cluster(
    kubeconfig: str | None, provider: Provider, options: Options, progress: Progress | None
) -> tuple[IngressFiles, Conversion]:
    """Read the Ingresses of a cluster and convert them.

    Args:
        kubeconfig: path; None: the pod's own account, else the usual one.
        provider: whose annotations they have.
        options: what is wanted.
        progress: called for each Ingress that is converted.

    Raises:
        ClusterError: it cannot be reached, or does not answer.
    """
    found = ask_cluster(kubeconfig, lambda client: read_cluster(client, provider, options, progress))
    return found.files, found.conversion


def apply_to_cluster(
    kubeconfig: str | None, objects: Sequence[Manifest], told: TextIO, *, sure: bool
) -> tuple[AppliedObject, ...]:
    """Show what manifests change in a cluster, and write them where somebody wants that.

    Args:
        kubeconfig: as above.
        objects: the manifests.
        told: takes what people are shown.
        sure: do not ask.

    Raises:
        ClusterError: it cannot be reached, or does not answer.
    """
    steps = ask_cluster(kubeconfig, lambda client: plan(client, objects))
    wanted = [step for step in steps if step.outcome.action != "none" and not step.outcome.error]
    broken = [step for step in steps if step.outcome.error]
    for step in steps:
        told.write(step.outcome.diff)
    if broken:
        _tell_failures(broken, told)
        told.write(f"Nothing is written: {_objects(len(broken))} of {len(steps):,} cannot be\n")
    elif not wanted:
        told.write("Nothing is to be written: everything is as it would be\n")
    elif sure or _is_sure(wanted):
        steps = ask_cluster(kubeconfig, lambda client: write(client, steps))
        for step in steps:
            if step.outcome.written:
                told.write(f"{step.key} {_WORDS[step.outcome.action]}\n")
        failed = [step for step in steps if step.outcome.error]
        _tell_failures(failed, told)
        written = sum(step.outcome.written for step in steps)
        told.write(f"{_objects(written)} written, {len(failed):,} not; nothing was deleted\n")
    else:
        told.write("Nothing is written\n")
    return tuple(step.outcome for step in steps)


def _is_sure(wanted: Sequence[Step]) -> bool:
    made = sum(step.outcome.action == "create" for step in wanted)
    sys.stderr.write(f"Create {_objects(made)} and change {_objects(len(wanted) - made)}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _tell_failures(steps: Sequence[Step], told: TextIO) -> None:
    for step in steps:
        told.write(f"error: {step.key}: {one_line(step.outcome.error)}\n")


def _objects(number: int) -> str:
    return count(number, "object")
