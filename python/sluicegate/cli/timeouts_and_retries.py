"""How long a rule waits for its backends, and how often it asks them again: of what a table has, in words."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sluicegate import ir
from sluicegate.testing.decision import Decision
from sluicegate.testing.request import Connection, Request
from sluicegate.words import duration_in_words, listed

#: Methods that are sent again without a BackendPolicy that says so (`native/core/src/dispatch/outbound.rs`).
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})


class RuleTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """`timeouts` of a rule.

    Attributes:
        request_ms: for the whole request, in milliseconds; None: no limit.
        backend_request_ms: for each try, in milliseconds; None: no limit.
    """

    request_ms: int | None
    backend_request_ms: int | None


class RuleRetry(msgspec.Struct, frozen=True, kw_only=True):
    """`retry` of a rule, for this request.

    Attributes:
        attempts: how often it is sent again at most.
        codes: statuses of the backend's after which it is.
        backoff_ms: before the first of them, in milliseconds.
        within_ms: since the first try began, in milliseconds: none begins later (`retries` of a BackendPolicy); None:
            any time.
        is_repeatable: whether its method may be sent again once a backend may have seen it: it is idempotent, or a
            BackendPolicy names it.
    """

    attempts: int
    codes: tuple[int, ...]
    backoff_ms: int
    within_ms: int | None
    is_repeatable: bool


def timeouts_of(rule: ir.HttpRule | ir.L4Rule | None) -> RuleTimeouts | None:
    """What a rule says of timeouts; None: nothing."""
    if not isinstance(rule, ir.HttpRule) or rule.timeouts == ir.Timeouts():
        return None
    return RuleTimeouts(
        request_ms=rule.timeouts.request_ms or None, backend_request_ms=rule.timeouts.backend_request_ms or None
    )


def retry_of(
    resources: ir.Resources, rule: ir.HttpRule | ir.L4Rule | None, request: Request | Connection, decision: Decision
) -> RuleRetry | None:
    """What a rule says of retries, and what comes of it for a request; None: nothing."""
    if not isinstance(rule, ir.HttpRule) or rule.retry is None or isinstance(request, Connection):
        return None
    backend = next((item for item in resources.backends if item.id == decision.backend), None)
    named = backend.policies if backend is not None else ()
    policies = {item.id: item for item in resources.policies if isinstance(item, ir.BackendPolicy)}
    policy = next((policies[name] for name in named if name in policies), ir.BackendPolicy(id=""))
    return RuleRetry(
        attempts=rule.retry.attempts,
        codes=rule.retry.codes,
        backoff_ms=rule.retry.backoff_ms,
        within_ms=policy.retry_within_ms or None,
        is_repeatable=request.method in _IDEMPOTENT or request.method in policy.retry_methods,
    )


def timeouts_in_words(timeouts: RuleTimeouts) -> str:
    """Timeouts for people."""
    said = (("request", timeouts.request_ms), ("backendRequest", timeouts.backend_request_ms))
    return ", ".join(f"{name} {duration_in_words(limit)}" for name, limit in said if limit is not None)


def retry_in_words(retry: RuleRetry, method: str) -> str:
    """Retries for people."""
    return ", ".join(_words(retry, method))


def _words(retry: RuleRetry, method: str) -> Iterator[str]:
    if not retry.attempts:
        yield "attempts 0: it is sent once"
        return
    yield f"attempts {retry.attempts}"
    if retry.codes:
        yield f"codes {listed(map(str, retry.codes))}"
    yield f"backoff {duration_in_words(retry.backoff_ms)}"
    if retry.within_ms is not None:
        yield f"within {duration_in_words(retry.within_ms)}"
    if not retry.is_repeatable:
        yield f"only of connections that fail: {method} is sent once, unless a BackendPolicy names it"
