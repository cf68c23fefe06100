"""What a part of a policy sets for requests that pass, in words; fields are called as they are in the policies."""

from __future__ import annotations

from collections.abc import Iterator

from sluicegate import ir
from sluicegate.words import duration_in_words, listed


def settings_in_words(policy: ir.Policy) -> str:
    """What a part of a ClientPolicy or a RateLimitPolicy sets; empty: nothing that is told, or another policy."""
    if isinstance(policy, ir.RateLimits):
        return listed(f"{limit.name} ({', '.join(_limit(limit))})" for limit in policy.limits)
    return ", ".join((*_of_connections(policy), *_of_requests(policy)))


def tls_in_words(versions: ir.TlsVersions) -> Iterator[str]:
    """Versions of TLS and cipher suites, as far as they are set."""
    yield from set_in_words("minVersion", versions.min.value if versions.min is not None else "")
    yield from set_in_words("maxVersion", versions.max.value if versions.max is not None else "")
    yield from set_in_words("cipherSuites", " ".join(item.value for item in versions.suites))


def set_in_words(name: str, value: str | int) -> Iterator[str]:
    """A value where there is one."""
    if value:
        yield f"{name} {value}"


def times_in_words(*given: tuple[str, int]) -> Iterator[str]:
    """Times that are set, in milliseconds."""
    yield from (f"{name} {duration_in_words(limit)}" for name, limit in given if limit)


def _of_connections(policy: ir.Policy) -> Iterator[str]:
    match policy:
        case ir.ClientAddress():
            yield f"trustedProxies {listed(policy.trusted_proxies) or 'none'}"
            if policy.proxy_protocol is not ir.AcceptProxy.OFF:
                yield f"proxyProtocol {policy.proxy_protocol.value}"
        case ir.ClientTls():
            yield from tls_in_words(policy.versions)
        case ir.ClientCertificateHeader():
            yield f"header {policy.header}"
            yield from set_in_words("fields", " ".join(item.value for item in policy.fields))
        case ir.ClientConnections():
            yield from set_in_words("max", policy.max)
            yield from times_in_words(("maxDuration", policy.max_duration_ms))
            yield from set_in_words("maxRequests", policy.max_requests)
        case ir.ClientTimeouts():
            yield from times_in_words(("head", policy.head_ms), ("idle", policy.idle_ms))
            which = "the shorter one, where the route sets one" if policy.overrides else "where the route sets none"
            yield from (f"{said} ({which})" for said in times_in_words(("request", policy.request_ms)))
        case ir.ClientHttp2():
            yield from set_in_words("maxConcurrentStreams", policy.max_streams)


def _of_requests(policy: ir.Policy) -> Iterator[str]:
    match policy:
        case ir.ClientHeaders():
            yield from set_in_words("maxSize", policy.max_bytes)
            yield from set_in_words("maxCount", policy.max_count)
            if policy.underscores is not ir.Underscores.KEEP:
                yield f"underscores {policy.underscores.value}"
        case ir.ClientBody():
            yield from set_in_words("maxSize", policy.max_bytes)
            yield from times_in_words(("timeout", policy.timeout_ms))
        case ir.ClientAccessLog():
            yield f"mode {'Disabled' if policy.lines is ir.LogLines.NONE else policy.lines.value}"
            if policy.sample.numerator < policy.sample.denominator:
                yield f"sample {policy.sample.numerator} of {policy.sample.denominator}"


def _limit(limit: ir.RateLimit) -> Iterator[str]:
    if limit.concurrent:
        yield f"concurrent {limit.requests}"
    else:
        yield f"{limit.requests} in {duration_in_words(limit.per_milliseconds)}"
        yield f"burst {limit.burst}"
    yield from set_in_words("key", " ".join(map(_key, limit.key)))
    yield from set_in_words("cost", limit.cost or "")
    yield from set_in_words("when", limit.when or "")
    if limit.scope is not ir.RateLimitScope.TARGET:
        yield f"scope {limit.scope.value}"
    if limit.each_pod:
        yield "pods Each"
    if limit.shadow:
        yield "mode Shadow"


def _key(part: ir.RateLimitKey) -> str:
    match part:
        case ir.ClientLimitKey():
            return "client"
        case ir.HostLimitKey():
            return "host"
        case ir.UserLimitKey():
            return "user"
        case ir.HeaderLimitKey(name=name):
            return f"header:{name}"
        case ir.ClaimLimitKey(name=name):
            return f"claim:{name}"
        case ir.CelLimitKey(expression=expression):
            return f"cel:{expression}"
