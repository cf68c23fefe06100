"""A canary's part of a location: rules by header, then by cookie, then weights."""

from __future__ import annotations

import re
from typing import Any

from .. import patterns
from ..hosts import CanaryBackend, Host, Location
from .output import Output
from .rules import RuleDraft, backend_reference


def with_canary(rule: RuleDraft, location: Location, host: Host, output: Output) -> list[RuleDraft]:
    """The rules of a location: the one that it has, and before it those that a canary needs.

    Source: `route_to_alternative_balancer` of ingress-nginx' `balancer.lua`. All have one header match more than the
    last one, and so go before it; among each other the first goes first.
    """
    canary = location.canary
    if canary is None or not rule.backends:
        return [rule]
    backend, feature = canary.backend, canary.feature
    primary = rule.backends
    if not backend.port:
        return [rule]  # told where the port was looked for
    causes = [canary.cause, *feature.causes]
    taken = [backend_reference(location, backend, tuple(causes), output)]
    found: list[RuleDraft] = []

    def add(header: dict[str, Any], backends: list[dict[str, Any]]) -> None:
        made = rule.copy()
        made.match = {**made.match, "headers": [header]}
        made.backends = backends
        made.causes += causes
        found.append(made)

    if feature.header and feature.value:
        add({"name": feature.header, "value": feature.value}, taken)
    elif feature.header and feature.pattern:
        header = _pattern(canary, host, output)
        if header is not None:
            add(header, taken)
    elif feature.header:
        add({"name": feature.header, "value": "always"}, taken)
        add({"name": feature.header, "value": "never"}, primary)
    if feature.cookie:
        add(_cookie(feature.cookie, "always"), taken)
        add(_cookie(feature.cookie, "never"), primary)
    last = rule.copy()
    if feature.weight:
        last.causes += causes
        last.backends = [
            {**primary[0], "weight": feature.total - feature.weight},
            {**taken[0], "weight": feature.weight},
        ]
    return [*found, last]


def _pattern(canary: CanaryBackend, host: Host, output: Output) -> dict[str, Any] | None:
    feature = canary.feature
    pattern = patterns.searched(feature.pattern)
    wrong = patterns.reason(feature.pattern) or output.options.pattern_error(pattern)
    if wrong:
        message = f"{wrong}: the header decides nothing"
        cause = next((item for item in feature.causes if item.subject.endswith("pattern")), feature.cause)
        output.ledger.tell(cause, "no-equivalent", message, "write the pattern without it", host=host.name)
        return None
    return {"name": feature.header, "type": "RegularExpression", "value": pattern}


def _cookie(name: str, value: str) -> dict[str, Any]:
    pattern = f"(?:.*;)? *{re.escape(name)}={value} *(?:;.*)?"
    return {"name": "Cookie", "type": "RegularExpression", "value": pattern}
