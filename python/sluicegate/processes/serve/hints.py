"""What helps when less is served than somebody hoped for."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.api import Gateway, GatewayClass
from sluicegate.processes.live import Step


def hints_of(step: Step, controller_name: str) -> list[str]:
    """Sentences for the summary."""
    return list(_hints(step, controller_name))


def _hints(step: Step, controller_name: str) -> Iterator[str]:
    snapshot = step.translation.snapshot
    gateways = [item for item in snapshot.table("Gateway").values() if isinstance(item, Gateway)]
    if not gateways:
        yield "No Gateway is given: nothing is served. Add one, or check the paths."
        return
    classes = {item.name: item for item in snapshot.table("GatewayClass").values() if isinstance(item, GatewayClass)}
    ours = step.translation.topology.gateways
    for item in gateways:
        if item.key in ours:
            continue
        found = classes.get(item.spec.gateway_class_name)
        if found is None:
            yield (
                f"{item.origin}: {item.key} is not served: no GatewayClass {item.spec.gateway_class_name} is given; "
                f"add one with controllerName {controller_name}, or use the class `sluicegate`, which needs none"
            )
        else:
            yield (
                f"{item.origin}: {item.key} is not served: its class {found.name} belongs to the controller "
                f"{found.spec.controller_name}; `--controller-name {found.spec.controller_name}` serves it"
            )
