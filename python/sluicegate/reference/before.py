"""What acts before a rule is looked for: whom a listener asks then, and what stops clients before that (GEP-5224)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sluicegate import ir

from .contract import Headers
from .names import spelling
from .policies import owned_fields

#: Parts of the keys of limits that are known then.
_KNOWN = (ir.ClientLimitKey, ir.HostLimitKey)


def split(
    policies: Iterable[ir.StanzaBase], above: Sequence[str]
) -> tuple[tuple[ir.StanzaBase, ...], tuple[ir.StanzaBase, ...]]:
    """Those of what holds for a rule that act before it is looked for, and the others.

    Args:
        policies: all that hold, in their order.
        above: ids of those that the listener names.
    """
    policies = tuple(policies)
    before = tuple(policy for policy in policies if policy.id in above and _precedes(policy))
    if not any(isinstance(policy, ir.ExternalAuth) for policy in before):
        return (), policies
    return before, tuple(policy for policy in policies if policy not in before)


def owning_behind(policies: Iterable[ir.StanzaBase], above: Sequence[str]) -> tuple[ir.StanzaBase, ...]:
    """Those that say which fields are taken out once the rule is known: what was said before stays."""
    policies = tuple(policies)
    before, _ = split(policies, above)
    return tuple(policy for policy in policies if policy not in before or not isinstance(policy, ir.ExternalAuth))


def without_said(before: Iterable[ir.StanzaBase], headers: Headers) -> Headers:
    """Fields without those that nobody but who is asked says; here nobody says anything."""
    owned = owned_fields(before)
    return tuple(field for field in headers if spelling(field[0]) not in owned)


def _precedes(policy: ir.StanzaBase) -> bool:
    match policy:
        case ir.ClientHeaders():
            return True
        case ir.ClientBody() | ir.ExternalAuth():
            return policy.overrides
        case ir.RateLimits():
            return policy.overrides and all(_needs_no_rule(limit) for limit in policy.limits)
    return False


def _needs_no_rule(limit: ir.RateLimit) -> bool:
    cost = limit.cost or "1"
    return (
        limit.when is None
        and cost.isascii()
        and cost.isdigit()
        and limit.scope is ir.RateLimitScope.TARGET
        and all(isinstance(part, _KNOWN) for part in limit.key)
    )
