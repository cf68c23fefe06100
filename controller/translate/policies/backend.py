"""BackendPolicy by itself: how the endpoints of a Service are used.

A policy that cannot be honoured still holds: its backends answer 500. Limits that nobody keeps, or a client that the
backend is not told of, would be worse than an error.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluicegate import ir

from ...api import BackendPolicy, Diagnostics
from ..conditions import Reason
from ..secrets import Material
from ..status import Verdict
from ..values import is_token, parse_duration
from .judged import Judgement

ACCEPTED = Verdict(True, Reason.ACCEPTED, "The policy is accepted")
RESOLVED = Verdict(True, Reason.RESOLVED_REFS, "All references are resolved")

_BALANCING: dict[str, ir.LoadBalancing] = {
    "LeastRequest": ir.LeastRequest(),
    "RoundRobin": ir.RoundRobin(),
    "Random": ir.Random(),
    "PeakEwma": ir.PeakEwma(),
}
#: Methods that may be sent twice by a policy; others may be anyway.
_METHODS = frozenset({"POST", "PATCH"})


@dataclass(slots=True)
class _Draft:
    """The policy while it is judged."""

    policy: BackendPolicy
    diagnostics: Diagnostics
    accepted: Verdict = ACCEPTED

    def refuse(self, field: str, message: str, remedy: str) -> None:
        """Tell what cannot be honoured; the first cause stays."""
        self.diagnostics.error(field, "invalid-policy", message, remedy)
        if self.accepted.ok:
            self.accepted = Verdict(False, Reason.INVALID, message)

    def duration(self, value: str | None, field: str) -> int:
        """Milliseconds; 0 where nothing is said."""
        if value is None:
            return 0
        found = parse_duration(value)
        if not found:
            self.refuse(field, f"{value!r} is not a duration above 0", "use a value such as 500ms or 1m30s")
        return found or 0


def judge_backend(policy: BackendPolicy, _material: Material, diagnostics: Diagnostics) -> Judgement:
    """Judge one policy."""
    draft = _Draft(policy, diagnostics)
    spec = policy.spec
    balancing = _balancing(draft)
    methods = tuple(dict.fromkeys(spec.retries.methods))
    for index, method in enumerate(methods):
        if method not in _METHODS:
            message = f"{method} is sent again anyway, or never" if method.isalpha() else f"{method!r} is not a method"
            draft.refuse(f"spec.retries.methods[{index}]", message, "name POST, PATCH or both")
    proxy = spec.connection.proxy_protocol
    if proxy not in {"", "v1", "v2"}:
        draft.refuse("spec.connection.proxyProtocol", f"version {proxy} is not known", "use v1 or v2")
        proxy = ""
    limits, timeouts = spec.limits, spec.timeouts
    resource = ir.BackendPolicy(
        id=str(policy.key),
        load_balancing=balancing,
        slow_start_ms=draft.duration(spec.load_balancing.slow_start, "spec.loadBalancing.slowStart"),
        limits=ir.BackendLimits(connections=limits.connections, requests=limits.requests, pending=limits.pending),
        timeouts=ir.BackendTimeouts(
            connect_ms=draft.duration(timeouts.connect, "spec.timeouts.connect"),
            idle_ms=draft.duration(timeouts.idle, "spec.timeouts.idle"),
            first_byte_ms=draft.duration(timeouts.first_byte, "spec.timeouts.firstByte"),
        ),
        retry_methods=methods,
        passive=_passive(draft),
        panic_percent=spec.health.panic_threshold if spec.health is not None else 0,
        proxy_protocol=ir.ProxyProtocol(proxy) if proxy else None,
    )
    if not draft.accepted.ok:
        resource = ir.BackendPolicy(id=str(policy.key), invalid=True)
    return Judgement(draft.accepted, RESOLVED, {"": resource})


def _balancing(draft: _Draft) -> ir.LoadBalancing:
    said, field = draft.policy.spec.load_balancing, "spec.loadBalancing"
    if said.type == "Hash":
        parts = said.hash.key if said.hash is not None else ()
        found = [_part(draft, part, f"{field}.hash.key[{index}]") for index, part in enumerate(parts)]
        if not parts:
            draft.refuse(f"{field}.hash", "Hash needs a key", "give hash.key, such as [client]")
        return ir.Hash(key=tuple(part for part in found if part is not None))
    if said.type not in _BALANCING:
        known = ", ".join(sorted({*_BALANCING, "Hash"}))
        draft.refuse(f"{field}.type", f"load balancing {said.type} is not known", f"use one of {known}")
    elif said.hash is not None:
        draft.refuse(f"{field}.hash", f"{said.type} has no key", "use type Hash, or remove hash")
    return _BALANCING.get(said.type, ir.LeastRequest())


def _part(draft: _Draft, part: str, field: str) -> ir.KeyPart | None:
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


def _passive(draft: _Draft) -> ir.PassiveHealth | None:
    health = draft.policy.spec.health
    if health is None or health.passive is None:
        return None
    return ir.PassiveHealth(
        consecutive_errors=health.passive.consecutive_errors,
        eject_for_ms=draft.duration(health.passive.eject_for, "spec.health.passive.ejectFor"),
        max_ejected_percent=health.passive.max_ejected,
    )
