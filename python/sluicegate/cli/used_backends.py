"""How the endpoints of a backend are used, and what keeps a client with one of them: of what a table has, in words.

Fields are called as they are in the policies. What no policy says is not told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from sluicegate import ir
from sluicegate.testing.decision import Decision
from sluicegate.words import duration_in_words, listed

from .settings_in_words import set_in_words, times_in_words, tls_in_words

_SECURE = {ir.CookieSecure.OVER_TLS: "OverTLS", ir.CookieSecure.ALWAYS: "Always", ir.CookieSecure.NEVER: "Never"}


class BackendPart(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy of the backend says.

    Attributes:
        policy: such as `BackendPolicy/default/cart`.
        part: field of its `spec`; empty: all of it.
        says: its values, in words.
    """

    policy: str
    part: str
    says: str


class RuleSession(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps the requests of a client with one endpoint.

    Attributes:
        carrier: where clients send it.
        name: of the cookie or the header field.
        path: of the cookie; None: it is a header field.
        is_permanent: clients keep the cookie for as long as the session may last.
        absolute_timeout_ms: after which a session begins anew, in milliseconds; None: never.
        policy: that says so; None: the rule itself does.
    """

    carrier: Literal["cookie", "header"]
    name: str
    path: str | None
    is_permanent: bool
    absolute_timeout_ms: int | None
    policy: str | None


def backend_parts(resources: ir.Resources, decision: Decision) -> Iterator[BackendPart]:
    """What policies say of the backend that was chosen, in the order in which they act."""
    for policy in _policies(resources, decision):
        for part, says in parts_in_words(policy):
            yield BackendPart(policy=policy.id, part=part, says=says)


def session_of(resources: ir.Resources, rule: ir.HttpRule | ir.L4Rule | None, decision: Decision) -> RuleSession | None:
    """What keeps a client of a rule with its endpoint; None: nothing."""
    if not isinstance(rule, ir.HttpRule) or decision.backend is None:
        return None
    if rule.session is not None:
        return _session(rule.session, None)
    policies = [item for item in _policies(resources, decision) if isinstance(item, ir.BackendTraffic)]
    said = next((item for item in policies if item.session is not None), None)
    return _session(said.session, said.id) if said is not None and said.session is not None else None


def part_in_words(item: BackendPart) -> str:
    """A part of a policy for people."""
    return f"{item.part} of {item.policy}: {item.says}" if item.part else f"{item.policy}: {item.says}"


def session_in_words(session: RuleSession) -> str:
    """A session for people."""
    words = [f"{session.carrier} {session.name}"]
    words += [f"path {session.path}"] if session.path is not None else []
    words += ["Permanent"] if session.is_permanent else []
    if session.absolute_timeout_ms is not None:
        words.append(f"absoluteTimeout {duration_in_words(session.absolute_timeout_ms)}")
    return ", ".join(words)


def parts_in_words(policy: ir.Policy) -> Iterator[tuple[str, str]]:
    """What a policy of a backend says: fields of its `spec`, and their values in words."""
    match policy:
        case ir.BackendPolicy() | ir.BackendTraffic() | ir.BackendTls() if policy.invalid:
            yield "", "it cannot be honoured"
        case ir.BackendTls():
            yield "validation", ", ".join(_validation(policy))
        case ir.BackendTraffic(retry_budget=budget) if budget is not None:
            share = f"percent {budget.percent} in {duration_in_words(budget.interval_ms)}"
            least = f"minRetryRate {budget.min_count} in {duration_in_words(budget.min_interval_ms)}"
            yield "retryConstraint", f"{share}, {least}"
        case ir.BackendPolicy():
            for part, words in _PARTS.items():
                if says := ", ".join(words(policy)):
                    yield part, says
            if policy.session_cookie is not None:
                yield "sessionCookie", ", ".join(_session_cookie(policy.session_cookie))


# --- What holds -------------------------------------------------------------------------------------------------------


def _policies(resources: ir.Resources, decision: Decision) -> Iterator[ir.Policy]:
    """Of the backend; of several of one kind the first counts."""
    backend = next((item for item in resources.backends if item.id == decision.backend), None)
    policies = {item.id: item for item in resources.policies}
    found: dict[type, ir.Policy] = {}
    for name in backend.policies if backend is not None else ():
        if name in policies:
            found.setdefault(type(policies[name]), policies[name])
    yield from found.values()


def _session(session: ir.Session, policy: str | None) -> RuleSession:
    carrier = session.carrier
    is_cookie = isinstance(carrier, ir.SessionCookie)
    return RuleSession(
        carrier="cookie" if is_cookie else "header",
        name=carrier.name,
        path=carrier.path if isinstance(carrier, ir.SessionCookie) else None,
        is_permanent=isinstance(carrier, ir.SessionCookie) and carrier.permanent,
        absolute_timeout_ms=session.absolute_timeout_ms or None,
        policy=policy,
    )


# --- Parts ------------------------------------------------------------------------------------------------------------


def _load_balancing(policy: ir.BackendPolicy) -> Iterator[str]:
    balancing = policy.load_balancing
    if isinstance(balancing, ir.Hash):
        yield f"Hash of {listed(map(_key, balancing.key))}"
        yield from set_in_words("subset", balancing.subset)
    elif not isinstance(balancing, ir.LeastRequest):
        yield type(balancing).__name__
    yield from times_in_words(("slowStart", policy.slow_start_ms))


def _key(part: ir.KeyPart) -> str:
    match part:
        case ir.ClientKey():
            return "client"
        case ir.HostKey():
            return "host"
        case ir.HeaderKey(name=name):
            return f"header:{name}"
        case ir.CookieKey(name=name):
            return f"cookie:{name}"
        case ir.QueryKey(name=name):
            return f"query:{name}"


def _limits(policy: ir.BackendPolicy) -> Iterator[str]:
    limits = policy.limits
    given = (("connections", limits.connections), ("requests", limits.requests), ("pending", limits.pending))
    yield from (f"{name} {limit}" for name, limit in given if limit is not None)


def _timeouts(policy: ir.BackendPolicy) -> Iterator[str]:
    limits = policy.timeouts
    yield from times_in_words(("connect", limits.connect_ms), ("idle", limits.idle_ms))
    yield from times_in_words(("firstByte", limits.first_byte_ms), ("stall", limits.stall_ms))


def _retries(policy: ir.BackendPolicy) -> Iterator[str]:
    if policy.retry_methods:
        yield f"methods {' '.join(policy.retry_methods)}"
    yield from times_in_words(("within", policy.retry_within_ms))


def _health(policy: ir.BackendPolicy) -> Iterator[str]:
    """One text: its parts have commas of their own. How many may do badly means something where that is looked at."""
    said = []
    if policy.active is not None:
        said.append(f"active: {', '.join(_active(policy.active))}")
    if (passive := policy.passive) is not None:
        ejected = f"ejectFor {duration_in_words(passive.eject_for_ms)}, maxEjected {passive.max_ejected_percent}"
        said.append(f"passive: consecutiveErrors {passive.consecutive_errors}, {ejected}")
    if said:
        yield "; ".join([*said, f"panicThreshold {policy.panic_percent}"])


def _active(health: ir.ActiveHealth) -> Iterator[str]:
    match health.question:
        case ir.TcpQuestion():
            yield "TCP"
        case ir.GrpcQuestion(service=service):
            yield f"GRPC {service}".rstrip()
        case ir.HttpQuestion(path=path, host=host, statuses=statuses):
            yield f"HTTP {path}"
            yield from set_in_words("host", host)
            yield from set_in_words("expectedStatuses", " ".join(map(str, statuses)))
    yield from set_in_words("port", health.port)
    yield from times_in_words(("interval", health.interval_ms), ("timeout", health.timeout_ms))
    yield f"unhealthyThreshold {health.unhealthy_after}"
    yield f"healthyThreshold {health.healthy_after}"


def _connection(policy: ir.BackendPolicy) -> Iterator[str]:
    yield from set_in_words("maxRequests", policy.max_requests)
    yield from set_in_words("proxyProtocol", policy.proxy_protocol.value if policy.proxy_protocol is not None else "")
    if (asks := policy.keepalive) is not None:
        yield f"keepalive idle {asks.idle_seconds}s interval {asks.interval_seconds}s probes {asks.probes}"


def _tls(policy: ir.BackendPolicy) -> Iterator[str]:
    yield from tls_in_words(policy.tls)
    yield from set_in_words("verification", "Disabled" if policy.unverified else "")
    yield from set_in_words("serverName", "Omitted" if policy.nameless else "")


def _session_cookie(cookie: ir.SessionCookieAttributes) -> Iterator[str]:
    yield from set_in_words("domain", cookie.domain)
    yield f"sameSite {cookie.same_site.value}"
    yield f"secure {_SECURE[cookie.secure]}"
    yield f"httpOnly {'true' if cookie.http_only else 'false'}"
    yield from times_in_words(("maxAge", cookie.max_age_seconds * 1_000))
    yield f"onFailure {'Keep' if cookie.keeps_endpoint else 'Move'}"
    yield f"backends {'Sticky' if cookie.spans_backends else 'ByWeight'}"


def _validation(policy: ir.BackendTls) -> Iterator[str]:
    yield f"hostname {policy.hostname}"
    if policy.subject_alt_names:
        yield f"subjectAltNames {listed(item.value for item in policy.subject_alt_names)}"
    yield f"CA certificates of {listed(policy.trust) if policy.trust else 'the system'}"


_PARTS = {
    "loadBalancing": _load_balancing,
    "limits": _limits,
    "timeouts": _timeouts,
    "retries": _retries,
    "health": _health,
    "connection": _connection,
    "tls": _tls,
}
