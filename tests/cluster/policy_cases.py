"""The parts of policies, each with what follows from it in traffic; and the objects that each consists of."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from api import Object
from cryptography.hazmat.primitives.asymmetric import ec

GROUP = "gateway.networking.k8s.io"
OWN = "sluicegate.dev/v1alpha1"
KEY = "ann-0123456789abcdef"
#: OpenBSD's vector of bcrypt: the password of `ann` is `U*U`.
USERS = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"
ISSUER = "https://login.example.com"
SERVICE = {"name": "example-svc", "port": 8080}
SIGNER = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Probe:
    """A request and the status that it gets."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    path: str = "/"
    body: bytes | None = None
    #: A field that the response has to have, and behind `: ` a part of its value.
    answered: str = ""
    #: A part of its body; the backend says there what it got.
    shows: str = ""
    #: Over TLS: without a client's certificate (False) or with it (True); None: without TLS.
    certificate: bool | None = None


@dataclass(frozen=True)
class Case:
    """A part of a policy: what it says, on what, and what follows."""

    #: Empty where the route alone says it.
    kind: str
    spec: Mapping[str, Any]
    probes: tuple[Probe, ...]
    objects: tuple[Object, ...] = ()
    #: On the case's own Service in place of its route.
    backend: bool = False
    #: On the Gateway of all cases.
    gateway: bool = False
    #: Filters of the rule, and what it says besides.
    filters: tuple[Object, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    #: In place of the backend of all cases.
    backend_ref: Mapping[str, Any] | None = None
    version: str = OWN


def secret(name: str, **values: str | bytes) -> Object:
    data = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def keys() -> Object:
    found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(SIGNER.public_key()))
    return config_map("login-keys", **{"jwks.json": json.dumps({"keys": [{**found, "kid": "one", "use": "sig"}]})})


def token(**claims: Any) -> dict[str, str]:
    usual = {"iss": ISSUER, "aud": "shop", "sub": "ada", "exp": int(time.time()) + 3600}
    return {"Authorization": "Bearer " + jwt.encode({**usual, **claims}, SIGNER, "ES256", headers={"kid": "one"})}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()}


def http_filter(name: str) -> Object:
    return {"type": "ExtensionRef", "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": name}}


def external_auth(name: str) -> Object:
    found = {"protocol": "HTTP", "backendRef": {"name": name, "port": 8080}, "http": {"path": "/"}}
    return {"type": "ExternalAuth", "externalAuth": found}


def external(name: str, **rest: Any) -> dict[str, Any]:
    return {"external": {"protocol": "HTTP", "backendRef": {"name": name, "port": 8080}, "http": {}, **rest}}


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
    "external": Case("AccessPolicy", external("example-svc"), (Probe(200),)),
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
        {"clientAddress": {"trustedProxies": ["0.0.0.0/0"]}},
        (Probe(200), Probe(403, {"X-Forwarded-For": "198.51.100.7"})),
        ({"apiVersion": "sluicegate.dev/v1alpha1", "kind": "AccessPolicy", "spec": {"authorization": BLOCKED}},),
        gateway=True,
    ),
    "balancing": Case(
        "BackendPolicy",
        {"loadBalancing": {"type": "LeastRequest"}, "limits": {"requests": 100}, "timeouts": {"connect": "2s"}},
        (Probe(200),),
        backend=True,
    ),
    "health": Case(
        "BackendPolicy",
        {"health": {"passive": {"consecutiveErrors": 3, "ejectFor": "5s"}}},
        (Probe(200),),
        backend=True,
    ),
    "sessions": Case(
        "XBackendTrafficPolicy",
        {"sessionPersistence": {"type": "Cookie", "cookie": {"name": "shop"}}},
        (Probe(200, answered="Set-Cookie"),),
        backend=True,
        version="gateway.networking.x-k8s.io/v1alpha1",
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
    "external-auth": Case("", {}, (Probe(200),), filters=(external_auth("example-svc"),)),
    "external-auth-away": Case("", {}, (Probe(503),), filters=(external_auth("away"),)),
    "limit-by-user": Case(
        "RateLimitPolicy",
        {"local": {"limits": [{"name": "each", "key": ["host"], "requests": 1, "per": "1h", "mode": "Shadow"}]}},
        (Probe(200), Probe(200)),
    ),
    "concurrent": Case(
        "RateLimitPolicy",
        {"local": {"limits": [{"name": "at-once", "key": ["client"], "concurrent": 5}]}},
        (Probe(200),),
    ),
    "access-log": Case("ClientPolicy", {"accessLog": {"mode": "Errors"}}, (Probe(200),)),
    "hash": Case(
        "BackendPolicy",
        {"loadBalancing": {"type": "Hash", "hash": {"key": ["header:x-key", "client"]}, "slowStart": "1s"}},
        (Probe(200, {"X-Key": "a"}),),
        backend=True,
    ),
    "active-health": Case(
        "BackendPolicy",
        {
            "health": {
                "active": {"type": "HTTP", "http": {"path": "/healthz"}, "interval": "1s", "timeout": "500ms"},
                "panicThreshold": 30,
            }
        },
        (Probe(200),),
        backend=True,
    ),
    "backend-connection": Case(
        "BackendPolicy",
        {
            "connection": {"maxRequests": 100, "keepalive": {"idle": "30s", "interval": "5s", "probes": 3}},
            "retries": {"methods": ["POST"]},
            "tls": {"minVersion": "1.3"},
        },
        (Probe(200, method="POST", body=b"x"),),
        backend=True,
    ),
    "retry-budget": Case(
        "XBackendTrafficPolicy",
        {
            "retryConstraint": {
                "budget": {"percent": 20, "interval": "10s"},
                "minRetryRate": {"count": 10, "interval": "1s"},
            }
        },
        (Probe(200),),
        backend=True,
        version="gateway.networking.x-k8s.io/v1alpha1",
    ),
    "rule-session": Case(
        "",
        {},
        (Probe(200, answered="Set-Cookie"),),
        rule={"sessionPersistence": {"type": "Cookie", "cookie": {"name": "shop"}}},
    ),
    "session-cookie": Case(
        "BackendPolicy",
        {"sessionCookie": {"domain": "example.com", "sameSite": "Lax"}},
        (
            Probe(200, answered="Set-Cookie: Domain=example.com"),
            Probe(200, answered="Set-Cookie: SameSite=Lax"),
        ),
        backend=True,
        rule={"sessionPersistence": {"type": "Cookie", "cookie": {"name": "shop"}}},
    ),
    "external-host": Case(
        "XBackend",
        # No name server of the cluster knows it; what is unknown has no endpoint.
        {"type": "ExternalHostname", "externalHostname": {"hostname": "away.example.com"}, "port": {"number": 80}},
        (Probe(503),),
        backend_ref={"group": "gateway.networking.x-k8s.io", "kind": "XBackend"},
        version="gateway.networking.x-k8s.io/v1alpha1",
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
    "mirror": Case(
        "HTTPFilter",
        {"mirror": {"backendRef": SERVICE, "hostname": "copies.example.com", "body": "None"}},
        (Probe(200, method="POST", body=b"x", shows="POST /"),),
        filters=(http_filter("mirror"),),
    ),
    "respond": Case(
        "HTTPFilter",
        {"respond": {"status": 418}},
        (Probe(418),),
        filters=(http_filter("respond"),),
    ),
}  # fmt: skip


def named(name: str, kind: str, version: str, spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def service(name: str) -> Object:
    return named(name, "Service", "v1", {"selector": {"app": "example-svc"}, "ports": [{"port": 8080}]})


#: Kinds that routes name, in place of naming a target.
UNTARGETED = frozenset({"HTTPFilter", "XBackend"})


def objects(name: str, case: Case) -> Iterator[Object]:
    """What a case consists of, but for what others use too."""
    backend = {**SERVICE, "name": name} if case.backend else SERVICE
    if case.backend:
        yield service(name)
    if case.backend_ref is not None:
        backend = {"name": name, **case.backend_ref}
    rule: Object = {"backendRefs": [backend], **case.rule}
    if case.filters:
        rule["filters"] = list(case.filters)
    parents = [{"name": "policies"}]
    hostnames = [f"{name}.example.com"]
    yield named(name, "HTTPRoute", f"{GROUP}/v1", {"parentRefs": parents, "hostnames": hostnames, "rules": [rule]})
    of_route = {"group": GROUP, "kind": "HTTPRoute", "name": name}
    if case.backend:
        target = {"group": "", "kind": "Service", "name": name}
    else:
        target = {"group": GROUP, "kind": "Gateway", "name": "policies"} if case.gateway else of_route
    targets = {"targetRefs": [target]}
    for item in case.objects:
        yield item if "spec" not in item or "metadata" in item else {
            **item, "metadata": {"name": name}, "spec": {"targetRefs": [of_route], **item["spec"]}
        }  # fmt: skip
    if case.kind:
        spec = case.spec if case.kind in UNTARGETED else {**targets, **case.spec}
        yield named(name, case.kind, case.version, spec)


def is_programmed(item: Object) -> bool:
    """Whether a policy is accepted and programmed for each of its Gateways."""
    ancestors = item.get("status", {}).get("ancestors", [])
    return bool(ancestors) and all(
        found["status"] == "True" for ancestor in ancestors for found in ancestor["conditions"]
    )
