"""The parts of policies that are about endpoints, each with what follows from it; most endpoints are the test's own."""

from __future__ import annotations

import ssl
import tempfile
import threading
from pathlib import Path
from typing import Any

from policy_parts import GROUP, Case, Probe, Seen, http_filter
from system_backends import Received, echo, response
from system_certificates import Authority

UPSTREAM = "gateway.networking.x-k8s.io/v1alpha1"
#: Signs what clients and backends show; the tests store it as the ConfigMap `authority`.
AUTHORITY = Authority()
INSIDE = "inside.example.com"
SESSION = {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "shop"}}}


def failing(status: str) -> Any:
    return lambda _: response(b"", status)


def late(_: Received) -> bytes:
    """Longer than it may take."""
    threading.Event().wait(0.5)
    return response()


def unwell(request: Received) -> bytes | None:
    """Answers, and says of its health that it should not be asked."""
    return response(b"", "503 Unwell") if request.target == "/healthz" else echo("ill")(request)


def older_tls() -> ssl.SSLContext:
    """A server that speaks TLS 1.2 and nothing newer."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        context.load_cert_chain(*AUTHORITY.sign(INSIDE).write(Path(folder), "inside"))
    return context


def names(seen: Seen) -> set[str]:
    """Which backends have answered."""
    return {part.partition('"')[0] for each in seen.answers for part in each.body.split('"backend": "')[1:]}


def is_ejected(seen: Seen) -> bool:
    """Three errors in a row of each worker, of which there are two, and then the other one alone."""
    return sum(each.status == 500 for each in seen.answers) <= 10


def is_one_request_each(seen: Seen) -> bool:
    return all(each.connections >= len(each.requests) for each in seen.backends)


def is_out_of_retries(seen: Seen) -> bool:
    return any((each.status, each.body.partition(":")[0]) == (503, "retry_budget") for each in seen.answers)


def is_mirrored(seen: Seen) -> bool:
    """As its filter says: for another host, without the body."""
    copies = [each for backend in seen.backends for each in backend.requests]
    return any((each.method, each.header("host"), each.body) == ("POST", "copies.example.com", b"") for each in copies)


def is_one(seen: Seen) -> bool:
    return len(names(seen)) == 1


def are_the_well(seen: Seen) -> bool:
    return names(seen) == {"well"}


BACKEND_CASES = {
    "limits": Case(
        "BackendPolicy",
        {"loadBalancing": {"type": "LeastRequest"}, "limits": {"requests": 1, "pending": 0}},
        (Probe(200), Probe(503, shows="backend_overloaded")),
        backend=True,
        own=(echo("a"),),
        together=True,
    ),
    "timeouts": Case(
        "BackendPolicy",
        {"timeouts": {"connect": "2s", "firstByte": "100ms"}},
        (Probe(504, shows="upstream_timeout"),),
        backend=True,
        own=(late,),
    ),
    "concurrent": Case(
        "RateLimitPolicy",
        {"local": {"limits": [{"name": "at-once", "key": ["client"], "concurrent": 1}]}},
        (Probe(200), Probe(429)),
        own=(echo("a"),),
        backend_ref={"port": 8080},
        together=True,
    ),
    "health": Case(
        "BackendPolicy",
        {"health": {"passive": {"consecutiveErrors": 3, "ejectFor": "1m"}}},
        (Probe(),) * 40,
        backend=True,
        own=(failing("500 No"), echo("well")),
        seen=is_ejected,
    ),
    "active-health": Case(
        "BackendPolicy",
        {
            "health": {
                "active": {"type": "HTTP", "http": {"path": "/healthz"}, "interval": "1s", "timeout": "500ms"},
                "panicThreshold": 30,
            }
        },
        (Probe(200),) * 12,
        backend=True,
        own=(unwell, echo("well")),
        seen=are_the_well,
        settles=True,
    ),
    "hash": Case(
        "BackendPolicy",
        {"loadBalancing": {"type": "Hash", "hash": {"key": ["header:x-key", "client"]}, "slowStart": "1s"}},
        (Probe(200, {"X-Key": "a"}),) * 12,
        backend=True,
        own=(echo("a"), echo("b"), echo("c")),
        seen=is_one,
    ),
    "backend-connection": Case(
        "BackendPolicy",
        {"connection": {"maxRequests": 1, "keepalive": {"idle": "30s", "interval": "5s", "probes": 3}}},
        (Probe(200),) * 8,
        backend=True,
        own=(echo("a"),),
        seen=is_one_request_each,
    ),
    "retried-posts": Case(
        "BackendPolicy",
        {"retries": {"methods": ["POST"]}},
        (Probe(200, method="POST", body=b"x"),) * 8,
        backend=True,
        own=(failing("503 No"), echo("well")),
        rule={"retry": {"codes": [503], "attempts": 1, "backoff": "1ms"}},
    ),
    "backend-tls": Case(
        "BackendPolicy",
        {"tls": {"minVersion": "1.3"}},
        (Probe(503),),
        (
            {
                "apiVersion": f"{GROUP}/v1",
                "kind": "BackendTLSPolicy",
                "spec": {
                    "validation": {
                        "hostname": INSIDE,
                        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "authority"}],
                    }
                },
            },
        ),
        backend=True,
        own=(echo("older"),),
        tls=older_tls,
    ),
    "retry-budget": Case(
        "XBackendTrafficPolicy",
        {
            "retryConstraint": {
                "budget": {"percent": 20, "interval": "1h"},
                "minRetryRate": {"count": 1, "interval": "1h"},
            }
        },
        (Probe(),) * 12,
        backend=True,
        own=(failing("502 No"),),
        rule={"retry": {"codes": [502], "attempts": 1, "backoff": "1ms"}},
        seen=is_out_of_retries,
        version=UPSTREAM,
    ),
    "sessions": Case(
        "XBackendTrafficPolicy",
        SESSION,
        (Probe(200, answered="Set-Cookie: shop="),),
        backend=True,
        version=UPSTREAM,
    ),
    "rule-session": Case("", {}, (Probe(200, answered="Set-Cookie: shop="),), rule=SESSION),
    "session-cookie": Case(
        "BackendPolicy",
        {"sessionCookie": {"domain": "example.com", "sameSite": "Lax"}},
        (
            Probe(200, answered="Set-Cookie: Domain=example.com"),
            Probe(200, answered="Set-Cookie: SameSite=Lax"),
        ),
        backend=True,
        rule=SESSION,
    ),
    "external-host": Case(
        "XBackend",
        # No name server of the cluster knows it; what is unknown has no endpoint.
        {"type": "ExternalHostname", "externalHostname": {"hostname": "away.example.com"}, "port": {"number": 80}},
        (Probe(503),),
        backend_ref={"group": "gateway.networking.x-k8s.io", "kind": "XBackend"},
        version=UPSTREAM,
    ),
    "mirror": Case(
        "HTTPFilter",
        {
            "mirror": {
                "backendRef": {"name": "mirror", "port": 8080},
                "hostname": "copies.example.com",
                "body": "None",
            }
        },
        (Probe(200, method="POST", body=b"x", shows="POST /"),),
        filters=(http_filter("mirror"),),
        own=(echo("copies"),),
        seen=is_mirrored,
        settles=True,
    ),
}
