"""Requests that policies hold for: the manifests of each step, and the request that passes it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from sluicegate import ir
from sluicegate.testing.offline import load_offline

#: Endpoints of the backend, so that a pick has something to choose from.
ENDPOINTS = 100

_GROUP = "gateway.networking.k8s.io"
_KEY = "ann-0123456789abcdef"
_ISSUER = "https://login.example.com"
_SIGNER = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Step:
    """What is added to a rule without policies.

    Attributes:
        title: what the gate says of it.
        documents: the policy, and what it refers to.
        fields: of the request.
        bar: microseconds that it may take; 0: none.
    """

    title: str
    documents: Callable[[], list[dict[str, Any]]]
    fields: Callable[[], str] = lambda: ""
    bar: float = 0.0


def _policy(kind: str, spec: dict[str, Any], *, backend: bool = False) -> dict[str, Any]:
    target = {"group": "", "kind": "Service"} if backend else {"group": _GROUP, "kind": "HTTPRoute"}
    metadata = {"name": "step", "namespace": "default"}
    targets = [{**target, "name": "app"}]
    spec = {"targetRefs": targets, **spec}
    return {"apiVersion": "sluicegate.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def _limit() -> list[dict[str, Any]]:
    limit = {"name": "each", "key": ["client"], "requests": 1_000_000, "per": "1s"}
    return [_policy("RateLimitPolicy", {"local": {"limits": [limit], "headers": "None"}})]


def _key() -> list[dict[str, Any]]:
    data = {"ann": base64.b64encode(_KEY.encode()).decode()}
    metadata = {"name": "clients", "namespace": "default"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}
    return [_policy("AccessPolicy", {"apiKey": {"secretRefs": [{"name": "clients"}]}}), secret]


def key_set() -> str:
    """Write the JWK Set that tokens are verified with."""
    key = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(_SIGNER.public_key())), "kid": "one", "use": "sig"}
    return json.dumps({"keys": [key]})


def _jwt() -> list[dict[str, Any]]:
    data = {"jwks.json": key_set()}
    metadata = {"name": "keys", "namespace": "default"}
    keys = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    provider = {"name": "login", "issuer": _ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "keys"}}}
    return [_policy("AccessPolicy", {"jwt": {"providers": [provider]}}), keys]


def token() -> str:
    """Make a token that nobody has seen before: a signature has something drawn by lot in it."""
    claims = {"iss": _ISSUER, "aud": "shop", "sub": "ada", "exp": int(time.time()) + 3_600}
    return jwt.encode(claims, _SIGNER, "ES256", headers={"kid": "one"})


def _bearer() -> str:
    return f"Authorization: Bearer {token()}\r\n"


def _hash() -> list[dict[str, Any]]:
    balancing = {"type": "Hash", "hash": {"key": ["header:x-user"]}}
    return [_policy("BackendPolicy", {"loadBalancing": balancing}, backend=True)]


#: By the key of the baseline.
STEPS = {
    "plain": Step(f"one request, {ENDPOINTS} endpoints, no policy", list),
    "limit": Step("the same with a limit for each client", _limit, bar=0.3),
    "api-key": Step("the same with an API key", _key, lambda: f"X-API-Key: {_KEY}\r\n", bar=0.3),
    "jwt": Step("the same with a token (ES256), verified before", _jwt, _bearer, bar=0.5),
    "hash": Step("the same with a hash of a field", _hash, lambda: "X-User: ann\r\n", bar=0.2),
}
#: Each request has a token of its own, so that each is verified. Its bar is what a signature takes.
NEW_TOKEN = Step("the same with a token (ES256) that is new", _jwt, _bearer)


def head(step: Step) -> bytes:
    """Write a request of a step, as on the wire."""
    return f"GET / HTTP/1.1\r\nHost: www.example.com\r\n{step.fields()}\r\n".encode()


def write(step: Step, folder: Path, address: str, port: int, backend: int) -> bytes:
    """Write the engine's configuration of a step; returns the request, as on the wire.

    Args:
        step: one of `STEPS`, or `NEW_TOKEN`.
        folder: gets `engine.json` and `settings.json`.
        address: where the engine listens, and the backend.
        port: the engine's.
        backend: the backend's port.
    """
    manifests = folder / "manifests"
    manifests.mkdir()
    documents = [*_base(address), *step.documents()]
    (manifests / "all.json").write_text("\n".join(json.dumps(item) for item in documents))
    offline = load_offline([str(manifests)])
    if told := [item for item in offline.diagnostics() if item.severity == "error"]:
        raise SystemExit(f"the manifests of a step are wrong: {told[0]}")
    full = offline.transaction()
    replace = msgspec.structs.replace
    listeners = tuple(replace(item, addresses=(address,), bind_port=port) for item in full.upsert.listeners)
    endpoints = tuple(replace(item, address=address, port=backend) for item in full.upsert.endpoints)
    upsert = replace(full.upsert, listeners=listeners, endpoints=endpoints)
    (folder / "engine.json").write_bytes(ir.encode(replace(full, upsert=upsert)))
    (folder / "settings.json").write_text(json.dumps({"workers": 1}))
    return head(step)


def _base(address: str) -> list[dict[str, Any]]:
    """A Gateway, a route and a Service; where they listen is replaced."""
    listener = {"name": "http", "protocol": "HTTP", "port": 80}
    gateway = {"gatewayClassName": "sluicegate", "listeners": [listener]}
    rule = {"backendRefs": [{"name": "app", "port": 80}]}
    route = {"parentRefs": [{"name": "app"}], "hostnames": ["www.example.com"], "rules": [rule]}
    found = [("Gateway", f"{_GROUP}/v1", gateway), ("HTTPRoute", f"{_GROUP}/v1", route)]
    found.append(("Service", "v1", {"ports": [{"port": 80}]}))
    metadata = {"name": "app", "namespace": "default"}
    objects = [
        {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec} for kind, version, spec in found
    ]
    network = address.rsplit(".", 1)[0]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "app"}},
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [{"addresses": [f"{network}.{number + 1}"]} for number in range(ENDPOINTS)],
    }
    return [*objects, slice_]
