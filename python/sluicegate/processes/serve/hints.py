"""What helps when less is served than somebody hoped for."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate.controller.api import Gateway, GatewayClass
from sluicegate.controller.translate.endpoints import SAY_WHERE
from sluicegate.processes.live import Step

#: Options that are shown at once; a cluster's manifests may have hundreds of Services.
MAX_BACKENDS = 20


def hints_of(step: Step, controller_name: str) -> list[str]:
    """Sentences for the summary."""
    return [*_hints(step, controller_name), *_missing_backends(step)]


def _missing_backends(step: Step) -> Iterator[str]:
    """One line that says where all programs listen, ready to copy and to correct."""
    remedies = (item.remedy for item in step.diagnostics if item.code == "no-endpoints")
    options = list(dict.fromkeys(text.removeprefix(SAY_WHERE) for text in remedies if text.startswith(SAY_WHERE)))
    if options:
        more = f" and {len(options) - MAX_BACKENDS:,} more" if len(options) > MAX_BACKENDS else ""
        shown = " ".join(options[:MAX_BACKENDS])
        yield f"Services without endpoints: add, with the ports of your programs: {shown}{more}"


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
