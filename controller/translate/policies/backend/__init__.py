"""BackendPolicy by itself: how the endpoints of a Service are used.

A policy that cannot be honoured still holds: its backends answer 500. Limits that nobody keeps, or a client that the
backend is not told of, would be worse than an error.
"""

from __future__ import annotations

from sluicegate import ir

from ....api import BackendPolicy, Diagnostics
from ...conditions import Reason
from ...secrets import Material
from ...status import Verdict
from ...values import is_token
from ..judged import Judgement
from .choice import judge_choice
from .connection import judge_keepalive, judge_proxy_protocol, judge_tls
from .draft import BackendDraft
from .health import judge_active, judge_passive
from .session_cookie import judge_session_cookie

RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")

_BALANCING: dict[str, ir.LoadBalancing] = {
    "LeastRequest": ir.LeastRequest(),
    "RoundRobin": ir.RoundRobin(),
    "Random": ir.Random(),
    "PeakEwma": ir.PeakEwma(),
}
#: Methods that may be sent twice by a policy; others may be anyway.
_METHODS = frozenset({"POST", "PATCH"})


def judge_backend(policy: BackendPolicy, _material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft = BackendDraft(policy, diagnostics)
    spec = policy.spec
    limits, timeouts = spec.limits, spec.timeouts
    resource = ir.BackendPolicy(
        id=str(policy.key),
        load_balancing=_balancing(draft),
        slow_start_ms=draft.duration(spec.load_balancing.slow_start, "loadBalancing.slowStart"),
        limits=ir.BackendLimits(connections=limits.connections, requests=limits.requests, pending=limits.pending),
        timeouts=ir.BackendTimeouts(
            connect_ms=draft.duration(timeouts.connect, "timeouts.connect"),
            idle_ms=draft.duration(timeouts.idle, "timeouts.idle"),
            first_byte_ms=draft.duration(timeouts.first_byte, "timeouts.firstByte"),
            stall_ms=draft.duration(timeouts.stall, "timeouts.stall"),
        ),
        retry_methods=_methods(draft),
        retry_within_ms=draft.duration(spec.retries.within, "retries.within"),
        passive=judge_passive(draft),
        active=judge_active(draft),
        panic_percent=spec.health.panic_threshold if spec.health is not None else 0,
        proxy_protocol=judge_proxy_protocol(draft),
        max_requests=spec.connection.max_requests or 0,
        keepalive=judge_keepalive(draft),
        tls=judge_tls(draft),
        unverified=judge_choice(draft, spec.tls.verification, "tls.verification", "Required", "Disabled"),
        nameless=judge_choice(draft, spec.tls.server_name, "tls.serverName", "Sent", "Omitted"),
        session_cookie=judge_session_cookie(draft),
    )
    if not draft.accepted.ok:
        resource = ir.BackendPolicy(id=str(policy.key), invalid=True)
    return Judgement(draft.accepted, RESOLVED, {"": resource})


def _methods(draft: BackendDraft) -> tuple[str, ...]:
    methods = tuple(dict.fromkeys(draft.policy.spec.retries.methods))
    for index, method in enumerate(methods):
        if method not in _METHODS:
            message = f"{method} is sent again anyway, or never" if method.isalpha() else f"{method!r} is not a method"
            draft.refuse(f"retries.methods[{index}]", message, "name POST, PATCH or both")
    return methods


def _balancing(draft: BackendDraft) -> ir.LoadBalancing:
    said, field = draft.policy.spec.load_balancing, "loadBalancing"
    if said.type == "Hash":
        parts = said.hash.key if said.hash is not None else ()
        found = [_part(draft, part, f"{field}.hash.key[{index}]") for index, part in enumerate(parts)]
        if not parts:
            draft.refuse(f"{field}.hash", "Hash needs a key", "give hash.key, such as [client]")
        subset = said.hash.subset if said.hash is not None else None
        if said.slow_start is not None:
            message = "Hash knows no slow start: an endpoint that is new has all of its keys at once"
            draft.diagnostics.warning(f"spec.{field}.slowStart", "policy-part-unused", message, "take it out")
        return ir.Hash(key=tuple(part for part in found if part is not None), subset=subset or 0)
    if said.type not in _BALANCING:
        known = ", ".join(sorted({*_BALANCING, "Hash"}))
        draft.refuse(f"{field}.type", f"load balancing {said.type} is not known", f"use one of {known}")
    elif said.hash is not None:
        draft.refuse(f"{field}.hash", f"{said.type} has no key", "use type Hash, or remove hash")
    return _BALANCING.get(said.type, ir.LeastRequest())


def _part(draft: BackendDraft, part: str, field: str) -> ir.KeyPart | None:
    kind, colon, name = part.partition(":")
    if not colon and kind == "client":
        return ir.ClientKey()
    if not colon and kind == "host":
        return ir.HostKey()
    if kind == "header" and is_token(name):
        return ir.HeaderKey(name=name.lower())
    if kind == "cookie" and is_token(name):
        return ir.CookieKey(name=name)
    if kind == "query" and name:
        return ir.QueryKey(name=name)
    draft.refuse(field, f"{part!r} is no part of a key", "use client, host, header:NAME, cookie:NAME or query:NAME")
    return None
