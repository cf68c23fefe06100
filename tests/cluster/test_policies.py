"""Each part of each policy once on the real cluster: stored by its API server, programmed, and seen in traffic."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest
from api import LIMIT, Api, Object, condition, is_ready
from cryptography.hazmat.primitives.asymmetric import ec
from faults import Serving, serving
from system_certificates import Authority

__all__ = ["serving"]

GROUP = "gateway.networking.k8s.io"
KEY = "ann-0123456789abcdef"
#: OpenBSD's vector of bcrypt: the password of `ann` is `U*U`.
USERS = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"
ISSUER = "https://login.example.com"
SERVICE = {"name": "example-svc", "port": 8080}
SIGNER = ec.generate_private_key(ec.SECP256R1())
AUTHORITY = Authority()
TLS_PORT = 443


@dataclass(frozen=True)
class Probe:
    """A request and the status that it gets."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    path: str = "/"
    body: bytes | None = None
    #: A field that the response has to have.
    answered: str = ""
    #: Over TLS: without a client's certificate (False) or with it (True); None: without TLS.
    certificate: bool | None = None


@dataclass(frozen=True)
class Case:
    """A part of a policy: what it says, on what, and what follows."""

    kind: str
    spec: Mapping[str, Any]
    probes: tuple[Probe, ...]
    objects: tuple[Object, ...] = ()
    #: On the case's own Service in place of its route.
    backend: bool = False
    #: On the Gateway of all cases.
    gateway: bool = False
    #: Filters of the rule.
    filters: tuple[Object, ...] = ()
    version: str = "sluicegate.dev/v1alpha1"


def secret(name: str, **values: str | bytes) -> Object:
    data = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def keys() -> Object:
    found = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(SIGNER.public_key()))
    data = {"jwks.json": json.dumps({"keys": [{**found, "kid": "one", "use": "sig"}]})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "login-keys"}, "data": data}


def token(**claims: Any) -> dict[str, str]:
    usual = {"iss": ISSUER, "aud": "shop", "sub": "ada", "exp": int(time.time()) + 3600}
    return {"Authorization": "Bearer " + jwt.encode({**usual, **claims}, SIGNER, "ES256", headers={"kid": "one"})}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"ann:{password}".encode()).decode()}


def http_filter(name: str) -> Object:
    return {"type": "ExtensionRef", "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": name}}


def external(name: str, **rest: Any) -> dict[str, Any]:
    return {"external": {"protocol": "HTTP", "backendRef": {"name": name, "port": 8080}, "http": {}, **rest}}


#: Nobody is behind it.
AWAY: Object = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "away"},
    "spec": {"ports": [{"port": 8080}]},
}
API_KEY = {"apiKey": {"secretRefs": [{"name": "clients"}]}}
CLIENTS = secret("clients", ann=KEY)
LIMITS = {"limits": [{"name": "each", "key": ["header:x-key"], "requests": 2, "per": "1h"}]}
PROVIDER = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "login-keys"}}}
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


def objects(name: str, case: Case) -> Iterator[Object]:
    """What a case consists of, but for what others use too."""
    backend = {**SERVICE, "name": name} if case.backend else SERVICE
    if case.backend:
        yield service(name)
    rule: Object = {"backendRefs": [backend]}
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
    yield named(name, case.kind, case.version, case.spec if case.kind == "HTTPFilter" else {**targets, **case.spec})


def gateway() -> Object:
    """A Gateway with HTTP and HTTPS, which validates the certificates that clients have."""
    reference = {"group": "", "kind": "ConfigMap", "name": "authority"}
    frontend = {"default": {"validation": {"caCertificateRefs": [reference], "mode": "AllowInsecureFallback"}}}
    https = {
        "name": "https",
        "protocol": "HTTPS",
        "port": TLS_PORT,
        "tls": {"certificateRefs": [{"name": "certificate"}]},
    }
    spec = {
        "gatewayClassName": "sluicegate",
        "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}, https],
        "tls": {"frontend": frontend},
    }
    return named("policies", "Gateway", f"{GROUP}/v1", spec)


@dataclass(frozen=True)
class World:
    """All cases on one Gateway."""

    api: Api
    serving: Serving
    address: str
    tls: Mapping[bool, ssl.SSLContext]

    def ask(self, name: str, probe: Probe) -> tuple[int, http.client.HTTPMessage]:
        """Send a request of a case; returns the status and the fields of the response."""
        host = f"{name}.example.com"
        if probe.certificate is None:
            connection = http.client.HTTPConnection(self.address, 80, timeout=LIMIT)
        else:
            context = self.tls[probe.certificate]
            connection = http.client.HTTPSConnection(self.address, TLS_PORT, timeout=LIMIT, context=context)
        try:
            connection.request(probe.method, probe.path, probe.body, {"Host": host, **probe.headers})
            response = connection.getresponse()
            response.read()
            return response.status, response.headers
        finally:
            connection.close()


@pytest.fixture(scope="module")
def world(api: Api, serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make everything at once, as one `kubectl apply` does."""
    pair, client = AUTHORITY.sign("*.example.com"), AUTHORITY.sign("ann.example.com", client=True)
    certificate = secret("certificate", **{"tls.crt": pair.certificate, "tls.key": pair.key})
    authority = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "authority"}}
    shared = [
        {**certificate, "type": "kubernetes.io/tls"},
        {**authority, "data": {"ca.crt": AUTHORITY.pem.decode()}},
        gateway(),
    ]
    api.apply(shared, serving.namespace)
    for name, case in CASES.items():
        api.apply(objects(name, case), serving.namespace)
    found = api.until("Gateway", serving.namespace, "policies", lambda item: condition(item, "Programmed") == "True")
    contexts = {}
    for with_certificate in (False, True):
        # The names of cases are no addresses: what is asked here is who the client is.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if with_certificate:
            context.load_cert_chain(*client.write(tmp_path_factory.mktemp("client"), "client"))
        contexts[with_certificate] = context
    return World(api, serving, found["status"]["addresses"][0]["value"], contexts)


def is_programmed(item: Object) -> bool:
    """Whether a policy is accepted and programmed for each of its Gateways."""
    ancestors = item.get("status", {}).get("ancestors", [])
    return bool(ancestors) and all(
        found["status"] == "True" for ancestor in ancestors for found in ancestor["conditions"]
    )


@pytest.mark.parametrize("name", CASES)
def test_it_is_programmed_and_holds(world: World, name: str) -> None:
    case = CASES[name]
    if case.kind != "HTTPFilter":
        world.api.until(case.kind, world.serving.namespace, name, is_programmed)
    first, *rest = case.probes
    answer = until_answered(world, name, first)
    for probe in (first, *rest):
        if probe is not first:
            answer = world.ask(name, probe)
        assert answer[0] == probe.status, (probe, answer[0], str(answer[1]))
        assert not probe.answered or probe.answered in answer[1], str(answer[1])


def until_answered(world: World, name: str, probe: Probe) -> tuple[int, http.client.HTTPMessage]:
    """Ask until the case's route is there, and every balancer knows the address; returns that answer."""
    deadline, pause = time.monotonic() + LIMIT, threading.Event()
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionRefusedError):
            answer = world.ask(name, probe)
            if answer[0] != http.client.NOT_FOUND:
                return answer
        pause.wait(0.05)
    raise AssertionError(f"no route of {name} within {LIMIT:g} s")


SECONDS, OFFERED, ALLOWED, CLIENTS_AT_ONCE = 60.0, 1_000, 100, 40


def test_two_pods_share_a_limit(api: Api, serving: Serving) -> None:
    """Ten times as much as a limit of 100 a second comes to two pods: 98 to 104 a second pass, of both together."""
    name, parameters = "split", {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": "split"}
    listeners = [{"name": "http", "protocol": "HTTP", "port": 80}]
    infrastructure = {"parametersRef": parameters}
    spec = {"gatewayClassName": "sluicegate", "listeners": listeners, "infrastructure": infrastructure}
    rules = [{"backendRefs": [SERVICE]}]
    targets = [{"group": GROUP, "kind": "HTTPRoute", "name": name}]
    # Five at once in each pod: less, and what is late by a moment is lost.
    limit = {"name": "all", "requests": ALLOWED, "per": "1s", "burst": 10}
    api.apply(
        [
            named(name, "GatewayParameters", "sluicegate.dev/v1alpha1", {"deployment": {"replicas": 2}}),
            named(name, "Gateway", f"{GROUP}/v1", spec),
            named(name, "HTTPRoute", f"{GROUP}/v1", {"parentRefs": [{"name": name}], "rules": rules}),
            named(
                name,
                "RateLimitPolicy",
                "sluicegate.dev/v1alpha1",
                {"targetRefs": targets, "local": {"limits": [limit]}},
            ),
        ],
        serving.namespace,
    )
    api.until("RateLimitPolicy", serving.namespace, name, is_programmed)
    api.until("Deployment", serving.namespace, f"{name}-sluicegate", is_ready, 2 * LIMIT)
    address = api.get("Gateway", serving.namespace, name)["status"]["addresses"][0]["value"]
    counted = offer(address, SECONDS)
    assert set(counted) <= {200, 429}, counted
    assert sum(counted.values()) >= 0.9 * OFFERED * SECONDS, counted
    assert 98 <= counted[200] / SECONDS <= 104, counted


def offer(address: str, seconds: float) -> Counter[int]:
    """Send requests at a steady rate over as many connections as find both pods; counts the statuses of the answers."""
    counted: Counter[int] = Counter()
    lock, pause = threading.Lock(), threading.Event()
    begin = time.monotonic() + 1.0
    each = CLIENTS_AT_ONCE / OFFERED

    def send(number: int) -> None:
        own: Counter[int] = Counter()
        connection = http.client.HTTPConnection(address, 80, timeout=LIMIT)
        due = begin + number * each / CLIENTS_AT_ONCE
        while due < begin + seconds:
            pause.wait(max(due - time.monotonic(), 0.0))
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            own[response.status] += 1
            due += each
        connection.close()
        with lock:
            counted.update(own)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(CLIENTS_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + LIMIT)
    return counted
