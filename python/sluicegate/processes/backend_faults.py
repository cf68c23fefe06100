"""What is wrong with backends that were given (`given_backends`), beside the objects that there are."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.api import Diagnostic, ObjectKey, Service
from sluicegate.controller.store.snapshot import Snapshot
from sluicegate.words import listed, suggestion

from .given_backends import GivenBackends


def faults_of(given: GivenBackends, snapshot: Snapshot) -> Iterator[Diagnostic]:
    """Say which of them are for nothing that there is.

    Args:
        given: the backends.
        snapshot: has the Services.
    """
    services = snapshot.table("Service") if given else {}
    known = [f"{namespace}/{name}" for namespace, name in services]
    for namespace, name, port in sorted(given):
        service = services.get((namespace, name))
        if not isinstance(service, Service):
            label = f"{namespace}/{name}"
            message = f"--backend {label}: there is no such Service{suggestion(label, known)}"
            remedy = "correct the name, or add the Service"
        elif port and all(item.port != port for item in service.spec.ports):
            ports = listed(str(item.port) for item in service.spec.ports) or "none"
            message = f"--backend {namespace}/{name}:{port}: the Service has no such port"
            remedy = f"use one of its ports: {ports}"
        else:
            continue
        yield Diagnostic(
            object=str(ObjectKey("Service", namespace, name)),
            severity="warning",
            code="backend-not-found",
            message=message,
            remedy=remedy,
        )
