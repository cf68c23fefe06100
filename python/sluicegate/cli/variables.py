"""Environment variables that look like settings and are none: most likely misspelt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sluicegate.processes.controller.settings import ControllerSettings
from sluicegate.processes.settings import ENVIRONMENT_PREFIX, GatewaySettings, Settings
from sluicegate.words import suggestion

#: What Kubernetes gives every pod of a namespace for a Service such as `sluicegate-controller` (service links).
_SERVICE_LINK = re.compile(
    r"(SLUICEGATE_\w+?)_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)\w*)?)"
)


def known_variables() -> frozenset[str]:
    """Variables of any command; one file of them may serve several."""
    kinds = (Settings, GatewaySettings, ControllerSettings)
    fields = {name for kind in kinds for name in kind.__struct_fields__} - {"engine", "pod"}
    return frozenset(f"{ENVIRONMENT_PREFIX}{name.upper()}" for name in {*fields, "config"})


def unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Say of each variable of ours that is not known what may have been meant."""
    known = known_variables()
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known and not _is_service_link(name, environment):
            yield f"{name} is not known and does nothing{suggestion(name, known)}"


def _is_service_link(name: str, environment: Mapping[str, str]) -> bool:
    found = _SERVICE_LINK.fullmatch(name)
    return found is not None and f"{found[1]}_SERVICE_HOST" in environment
