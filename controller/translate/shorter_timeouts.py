"""Timeouts of routes that are longer than what a ClientPolicy gives a whole request there, so that they never come.

`timeouts.request` of a policy that overrides holds besides the route's own; of another one it holds where the route
sets none, and then a longer `timeouts.backendRequest` never comes either (`Chain::request_timeout` of the engine). Who
wrote the route sees nothing of it in the route's status: only `check` tells it.
"""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate import ir
from sluicegate.words import duration_in_words, listed

from ..api import Diagnostic, readable
from .state import State

_OVERRIDDEN = "shorten it to what holds, or have the ClientPolicy give requests more time or not override"
_BY_DEFAULT = (
    "shorten it to what holds, or set timeouts.request of the rule, which comes before that of the ClientPolicy"
)


def shorter_timeouts(state: State) -> Iterator[Diagnostic]:
    """Tell of each timeout of a rule that a ClientPolicy makes shorter at some of its listeners."""
    limits = {item.id: found for item in state.listeners.values() if (found := _limit_at(state, item)) is not None}
    if not limits:
        return
    for rule in state.http_rules.values():
        told: dict[tuple[str, int], dict[ir.ClientTimeouts, list[str]]] = {}
        for listener in ir.listeners_of(rule, state.attachments):
            limit = limits.get(listener)
            longer = _longer(rule.timeouts, limit) if limit is not None else None
            if limit is not None and longer is not None:
                told.setdefault(longer, {}).setdefault(limit, []).append(listener)
        for (field, own), by_limit in told.items():
            # One warning, however many policies there are: of the one that gives least.
            least = min(by_limit, key=lambda each: (each.request_ms, each.policy))
            yield _told(rule, field, own, least, sorted(by_limit[least]), len(by_limit) - 1)


def _limit_at(state: State, listener: ir.Listener) -> ir.ClientTimeouts | None:
    """What gives requests of a listener their time; None: no policy does."""
    found = [item for name in listener.policies if isinstance(item := state.policies.get(name), ir.ClientTimeouts)]
    # As in the engine the last one counts, and one that is off or refused gives no time.
    last = found[-1] if found else None
    return last if last is not None and last.request_ms and not last.off and not last.invalid else None


def _longer(own: ir.Timeouts, limit: ir.ClientTimeouts) -> tuple[str, int] | None:
    """The timeout of a rule that never comes: its field, and its milliseconds."""
    if own.request_ms > limit.request_ms and limit.overrides:
        return "request", own.request_ms
    is_limited = limit.overrides or not own.request_ms
    if own.backend_request_ms > limit.request_ms and is_limited:
        return "backendRequest", own.backend_request_ms
    return None


def _told(
    rule: ir.HttpRule, field: str, own: int, limit: ir.ClientTimeouts, listeners: list[str], others: int
) -> Diagnostic:
    holds = duration_in_words(limit.request_ms)
    why = "overrides what routes set" if limit.overrides else "holds where a route sets no timeouts.request"
    message = (
        f"{duration_in_words(own)} is more than {readable(limit.policy)} gives a whole request:"
        f" its timeouts.request {why}, so {holds} is what holds at {listed(listeners)}"
        + (f"; {others:,} other ClientPolicies shorten it elsewhere" if others else "")
    )
    return Diagnostic(
        severity="warning",
        object=rule.route,
        field=f"spec.rules[{rule.index}].timeouts.{field}",
        code="shorter-timeout",
        message=message,
        remedy=_OVERRIDDEN if limit.overrides else _BY_DEFAULT,
    )
