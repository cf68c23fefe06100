"""`RateLimitPolicy.spec.local`: limits whose budgets are kept in the pods of the Gateway."""

from __future__ import annotations

from typing import NamedTuple

from sluicegate import ir

from ....api.rate_limit import LocalLimits, RateLimit
from ...values import is_token, parse_duration
from ..draft import Draft
from ..networks import check_networks

#: Milliseconds of `per`: a second, a day.
MIN_PERIOD, MAX_PERIOD = 1_000, 86_400_000
#: What a key is made of, besides those that take a name.
_PLAIN_KEYS: dict[str, ir.RateLimitKey] = {
    "client": ir.ClientLimitKey(),
    "host": ir.HostLimitKey(),
    "user": ir.UserLimitKey(),
}


def judge_local(draft: Draft, local: LocalLimits | None) -> ir.RateLimits | None:
    """The stanza; None: it is not set."""
    if local is None:
        return None
    head = draft.head("local", off=local.off)
    if local.off:
        return ir.RateLimits(**head)
    faults = draft.faults
    limits = [_limit(draft, limit, f"local.limits[{index}]") for index, limit in enumerate(local.limits)]
    check_networks(draft, "local.exempt.clients", local.exempt.clients)
    return ir.RateLimits(
        **head,
        limits=tuple(limit for limit in limits if limit is not None),
        exempt=local.exempt.clients,
        max_keys=local.max_keys,
        told=local.headers == "Standard",
        status=local.reject.status,
        invalid=draft.faults > faults,
    )


class _Amount(NamedTuple):
    """How much may come, or be under way."""

    requests: int
    per_milliseconds: int
    burst: int
    concurrent: bool = False


def _amount(draft: Draft, limit: RateLimit, field: str) -> _Amount | None:
    if limit.concurrent is not None:
        given = {"requests": limit.requests is not None, "per": bool(limit.per), "burst": limit.burst is not None}
        given["cost"] = limit.cost != "1"
        for name in (name for name, is_given in given.items() if is_given):
            message = f"{name} says how fast requests may come, concurrent how many may be under way"
            draft.refuse(f"{field}.{name}", message, "make two limits of it")
        # What is for how fast they come means nothing of it.
        return _Amount(limit.concurrent, MIN_PERIOD, limit.concurrent, concurrent=True)
    period = parse_duration(limit.per)
    if limit.requests is None:
        draft.refuse(f"{field}.requests", "nothing says how much may come", "give requests and per, or concurrent")
        return None
    if period is None or not MIN_PERIOD <= period <= MAX_PERIOD:
        draft.refuse(f"{field}.per", f"{limit.per} is no period from 1s to 24h", "write it as 1s, 1m or 1h")
        return None
    return _Amount(limit.requests, period, limit.requests if limit.burst is None else limit.burst)


def _limit(draft: Draft, limit: RateLimit, field: str) -> ir.RateLimit | None:
    amount = _amount(draft, limit, field)
    if amount is None:
        return None
    keys = [_key(draft, text, f"{field}.key[{index}]") for index, text in enumerate(limit.key)]
    _check_cost(draft, limit.cost, amount.burst, f"{field}.cost")
    if limit.when:
        _check(draft, limit.when, "condition", f"{field}.when")
    return ir.RateLimit(
        name=limit.name,
        key=tuple(key for key in keys if key is not None),
        **amount._asdict(),
        when=limit.when or None,
        cost=limit.cost if limit.cost != "1" else None,
        scope=ir.RateLimitScope(limit.scope),
        each_pod=limit.pods == "Each",
        shadow=limit.mode == "Shadow",
    )


def _key(draft: Draft, text: str, field: str) -> ir.RateLimitKey | None:
    if text in _PLAIN_KEYS:
        return _PLAIN_KEYS[text]
    kind, _, name = text.partition(":")
    if kind == "header" and is_token(name):
        return ir.HeaderLimitKey(name=name.lower())
    if kind == "claim" and name:
        return ir.ClaimLimitKey(name=name)
    if kind == "cel":
        _check(draft, name, "key", field)
        return ir.CelLimitKey(expression=name)
    remedy = "use client, host, user, header:NAME, claim:NAME or cel:EXPRESSION"
    draft.refuse(field, f"{text} is no key", remedy)
    return None


def _check_cost(draft: Draft, text: str, burst: int, field: str) -> None:
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        _check(draft, text, "number", field)
    elif not 0 < int(text) <= burst:
        outcome = "none would ever pass" if int(text) > burst else "nothing would be counted"
        message = f"a request takes {text}, and {burst} may come at once: {outcome}"
        draft.refuse(field, message, "give a cost from 1 to the burst")


def _check(draft: Draft, text: str, wanted: str, field: str) -> None:
    """Refuse an expression that does not compile."""
    error = draft.material.options.checks.expression(text, wanted)
    if error is not None:
        remedy = "correct it: docs/policies/RateLimitPolicy.md says what it may ask"
        draft.refuse(field, f"the expression cannot be used: {error}", remedy)
