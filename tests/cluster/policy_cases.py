"""The parts of policies, each with what follows from it in traffic, and would not follow without it."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import jwt
from api import Object
from backend_cases import BACKEND_CASES, UPSTREAM
from cryptography.hazmat.primitives.asymmetric import ec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from policy_parts import Case, Probe, Seen, config_map, http_filter, secret
from system_backends import response
from system_otlp import CLIENT, SERVER, HttpCollector, spans

KEY = "ann-0123456789abcdef"
#: OpenBSD's vector of bcrypt: the password of `ann` is `U*U`.
USERS = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"
ISSUER = "https://login.example.com"
SIGNER = ec.generate_private_key(ec.SECP256R1())


def keys() -> Object:
    found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(SIGNER.public_key()))
    return config_map("login-keys", **{"jwks.json": json.dumps({"keys": [{**found, "kid": "one", "use": "sig"}]})})


def token(**claims: Any) -> dict[str, str]:
    usual = {"iss": ISSUER, "aud": "shop", "sub": "ada", "exp": int(time.time()) + 3600}
    return {"Authorization": "Bearer " + jwt.encode({**usual, **claims}, SIGNER, "ES256", headers={"kid": "one"})}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()}


def external_auth(name: str) -> Object:
    http = {"path": "/", "allowedResponseHeaders": ["x-user"]}
    found = {"protocol": "HTTP", "backendRef": {"name": name, "port": 8080}, "http": http}
    return {"type": "ExternalAuth", "externalAuth": found}


def external(name: str, **rest: Any) -> dict[str, Any]:
    http = {"allowedResponseHeaders": ["x-user"]}
    return {"external": {"protocol": "HTTP", "backendRef": {"name": name, "port": 8080}, "http": http, **rest}}


def authorise(_: Any) -> bytes:
    return response(b"", headers=(("x-user", "of-the-authoriser"),))


def is_counted(seen: Seen) -> bool:
    """A limit that only counts has counted."""
    return any('mode="Shadow"' in line and not line.endswith(" 0") for line in seen.metrics())


def has_errors_alone(seen: Seen) -> bool:
    """Of the two requests the log has the one that nobody understood."""
    return {line["path"] for line in seen.logged("BREW")} == {"/coffee"}


def is_not_sampled(seen: Seen) -> bool:
    """Its Gateway has all traces sampled, and its rule none."""
    return re.search("traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00", seen.answers[0].body) is not None


def has_spans(seen: Seen) -> bool:
    """The collector has the span of a request to this case, and that of its try below it; and the pod says so."""
    asked = (request for each in seen.backends for request in each.requests)
    found = [span for request in asked for span in spans(ExportTraceServiceRequest.FromString(bytes(request.body)))]
    of_case = "traces.example.com"
    servers = {span.id for span in found if span.kind == SERVER and span.attributes["server.address"] == of_case}
    tries = {span.parent for span in found if span.kind == CLIENT}
    exported = [line for line in seen.metrics() if 'outcome="exported"' in line]
    return bool(servers & tries) and any(not line.endswith(" 0") for line in exported)


#: Nobody is behind it.
AWAY: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "away"},
    "spec": {"ports": [{"port": 8080}]},
}
EXTERNAL_NAME = {"type": "ExternalName", "externalName": "www.example.com"}
API_KEY = {"apiKey": {"secretRefs": [{"name": "clients"}]}}
CLIENTS = secret("clients", ann=KEY)
LIMITS = {"limits": [{"name": "each", "key": ["header:x-key"], "requests": 2, "per": "1h"}]}
PROVIDER = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "login-keys"}}}
AWAY_KEYS = {"backendRef": {"name": "away", "port": 8080}, "path": "/keys"}
BLOCKED = {"default": "Allow", "rules": [{"name": "blocked", "action": "Deny", "clients": ["198.51.100.0/24"]}]}
TRACED = {
    "mode": "Enabled",
    "provider": {"backendRef": {"name": "traces", "port": 8080}},
    "samplingRate": {"numerator": 100},
    "serviceName": "shop",
}
READERS = {"rules": [{"name": "readers", "methods": ["GET"], "when": "request.path.startsWith('/open')"}]}

CASES = {
    "api-key": Case("AccessPolicy", API_KEY, (Probe(401), Probe(200, {"X-API-Key": KEY})), (CLIENTS,)),
    "basic": Case(
        "AccessPolicy",
        {"basic": {"secretRef": {"name": "staff"}}},
        (Probe(401, answered="WWW-Authenticate"), Probe(401, basic("wrong")), Probe(200, basic("U*U"))),
        (secret("staff", auth=USERS),),
    ),
    "jwt": Case(
        "AccessPolicy",
        {"jwt": {"providers": [PROVIDER]}},
        (Probe(401), Probe(200, token()), Probe(401, token(aud="other"))),
        (keys(),),
    ),
    "authorization": Case(
        "AccessPolicy",
        {"authorization": READERS},
        (Probe(403, path="/"), Probe(200, path="/open"), Probe(403, path="/open", method="POST")),
    ),
    "csrf": Case(
        "AccessPolicy",
        {"csrf": {}},
        (Probe(200), Probe(403, {"Origin": "http://evil.example.com", "Sec-Fetch-Site": "cross-site"}, "POST")),
    ),
    "exempt": Case(
        "AccessPolicy",
        {**API_KEY, "exempt": {"methods": ["HEAD"]}},
        (Probe(401), Probe(200, method="HEAD")),
        (CLIENTS,),
    ),
    "external": Case(
        "AccessPolicy", external("external"), (Probe(200, shows="x-user: of-the-authoriser"),), own=(authorise,)
    ),
    "external-away": Case("AccessPolicy", external("away"), (Probe(503),), (AWAY,)),
    "certificate": Case(
        "AccessPolicy", {"certificate": {}}, (Probe(401, certificate=False), Probe(200, certificate=True))
    ),
    "rate-limit": Case(
        "RateLimitPolicy",
        {"local": LIMITS},
        (
            Probe(200, {"X-Key": "a"}, answered="RateLimit"),
            Probe(200, {"X-Key": "a"}),
            Probe(429, {"X-Key": "a"}, answered="Retry-After"),
            Probe(200, {"X-Key": "b"}),
        ),
    ),
    "body": Case(
        "ClientPolicy",
        {"body": {"maxSize": "1Ki"}},
        (Probe(200, method="POST", body=b"x" * 1024), Probe(413, method="POST", body=b"x" * 1025)),
    ),
    "client-address": Case(
        "ClientPolicy",
        # Of the same Gateway, which is traced: who is told of a trace is told by B3 too.
        {"clientAddress": {"trustedProxies": ["0.0.0.0/0"]}, "tracing": {"propagation": ["B3"]}},
        (Probe(200, shows="b3: "), Probe(403, {"X-Forwarded-For": "198.51.100.7"})),
        ({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "AccessPolicy", "spec": {"authorization": BLOCKED}},),
        gateway=True,
    ),
    "traces": Case(
        "XTelemetryPolicy",
        {"tracing": TRACED},
        (Probe(200, shows="traceparent: 00-"),),
        gateway=True,
        version=UPSTREAM,
        own=(HttpCollector().answer,),
        protocol="http",
        seen=has_spans,
        settles=True,
    ),
    "telemetry": Case(
        "HTTPFilter",
        {"telemetry": {"sampling": {"numerator": 0}}},
        (Probe(200, shows="traceparent: 00-"),),
        filters=(http_filter("telemetry"),),
        seen=is_not_sampled,
        settles=True,
    ),
    "authorization-headers": Case(
        "AccessPolicy",
        {"authorization": {"rules": [{"name": "staff", "headers": [{"name": "X-Team", "values": ["staff"]}]}]}},
        (Probe(403), Probe(200, {"X-Team": "staff"})),
    ),
    "jwt-by-service": Case(
        "AccessPolicy",
        {"jwt": {"providers": [{**PROVIDER, "keys": AWAY_KEYS}]}},
        # Nobody has its keys: that is no fault of the client's.
        (Probe(401), Probe(503, token())),
    ),
    "external-auth": Case(
        "",
        {},
        (Probe(200, shows="x-user: of-the-authoriser"),),
        filters=(external_auth("external-auth"),),
        own=(authorise,),
    ),
    "external-auth-away": Case("", {}, (Probe(503),), filters=(external_auth("away"),)),
    "limit-in-shadow": Case(
        "RateLimitPolicy",
        {"local": {"limits": [{"name": "each", "key": ["host"], "requests": 1, "per": "1h", "mode": "Shadow"}]}},
        (Probe(200), Probe(200)),
        seen=is_counted,
    ),
    "access-log": Case(
        "ClientPolicy",
        {"accessLog": {"mode": "Errors"}},
        (Probe(200, path="/tea"), Probe(501, method="BREW", path="/coffee")),
        seen=has_errors_alone,
    ),
    "external-name": Case(
        "",
        {},
        # Off, as it is where nobody allows it.
        (Probe(500),),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "external-name"}, "spec": EXTERNAL_NAME},),
        backend_ref={"port": 8080},
    ),
    "rewrite": Case(
        "HTTPFilter",
        {"rewrite": {"pathRegex": {"pattern": "^/old/(.*)$", "replacement": "/new/\\1"}}},
        (Probe(200, path="/old/a", shows="GET /new/a"),),
        filters=(http_filter("rewrite"),),
    ),
    "headers": Case(
        "HTTPFilter",
        {
            "headers": {
                "request": {"set": [{"name": "x-path", "expression": "request.path"}]},
                "response": {"set": [{"name": "x-shop", "value": "yes"}]},
            }
        },
        (Probe(200, path="/a", answered="X-Shop", shows="x-path: /a"),),
        filters=(http_filter("headers"),),
    ),
    "error-pages": Case(
        "HTTPFilter",
        {"errorPages": [{"statuses": ["503"], "configMapRef": {"name": "page"}}]},
        (Probe(503, shows="back at noon"),),
        (config_map("page", **{"response.body": "back at noon"}),),
        filters=(http_filter("error-pages"),),
        backend_ref={"name": "away", "port": 8080},
    ),
    "credential": Case(
        "HTTPFilter",
        {"credential": {"header": "X-API-Key", "secretRef": {"name": "partner"}}},
        (Probe(200, shows="X-API-Key: of-the-partner"),),
        (secret("partner", credential="of-the-partner"),),
        filters=(http_filter("credential"),),
    ),
    "fault": Case(
        "HTTPFilter",
        {"fault": {"when": "'x-test' in request.headers", "abort": {"status": 418, "percent": 100}}},
        (Probe(200), Probe(418, {"X-Test": "yes"})),
        filters=(http_filter("fault"),),
    ),
    "buffer": Case(
        "HTTPFilter",
        {"buffer": {"maxSize": "1Ki"}},
        (Probe(200, method="POST", body=b"x" * 1024), Probe(413, method="POST", body=b"x" * 1025)),
        filters=(http_filter("buffer"),),
    ),
    "respond": Case(
        "HTTPFilter",
        {"respond": {"status": 418}},
        (Probe(418),),
        filters=(http_filter("respond"),),
    ),
    **BACKEND_CASES,
}  # fmt: skip
