"""Examples of policies do on the wire what they say: the manifests as they are, with ports and endpoints of a test."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from system_backends import Backend
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest
from system_tokens import encoded

EXAMPLES = Path(__file__).parents[2] / "examples" / "policies"
PORTS = {80: 8080, 443: 8443}
#: Of RFC 8037, appendix A.1: the private part of the key in the examples.
KEY = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A="))

Start = Callable[..., Gateway]
Field = tuple[str, str]
protocols = pytest.mark.parametrize("how", [Http1, Http2])


def manifests(name: str, backend: Backend) -> list[Manifest]:
    """An example, with the ports of a test and an endpoint for each of its Services."""
    found: list[Manifest] = list(yaml.safe_load_all((EXAMPLES / f"{name}.yaml").read_text()))
    for item in found:
        for listener in item["spec"]["listeners"] if item["kind"] == "Gateway" else ():
            listener["port"] = PORTS[listener["port"]]
    address, port = backend.address
    return found + [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": item["metadata"]["name"],
                "labels": {"kubernetes.io/service-name": item["metadata"]["name"]},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address]}],
            "ports": [{"port": port}],
        }
        for item in found
        if item["kind"] == "Service"
    ]


@pytest.fixture(scope="module")
def echo(backend: Callable[..., Backend]) -> Backend:
    return backend("app")


def ask(world: Gateway, how: Any, host: str, method: str, target: str, *fields: Field) -> Response:
    with closing(how(world.address, 8080)) as connection:
        found: Response = connection.request(method, host, target, fields)
        return found


# --- accesspolicy.yaml ------------------------------------------------------------------------------------------------

ANN: Field = ("x-api-key", "replace-me-0123456789abcdef")
STAFF: Field = ("authorization", f"Basic {base64.b64encode(b'ann:change-me').decode()}")


@pytest.fixture(scope="module")
def shop(start: Start, echo: Backend) -> Gateway:
    return start(*manifests("accesspolicy", echo))


@protocols
@pytest.mark.parametrize(
    ("method", "target", "fields", "status"),
    [
        ("GET", "/", (), 401),
        ("GET", "/", (("x-api-key", "another-0123456789abcdef"),), 401),
        ("GET", "/", (ANN,), 200),
        ("GET", f"/?key={ANN[1]}", (), 200),
        ("GET", "/admin", (ANN,), 401),
        ("GET", "/admin", (STAFF,), 200),
        ("POST", "/admin", (STAFF,), 200),
        ("POST", "/admin/keys", (STAFF,), 403),
        ("GET", "/admin/keys", (STAFF,), 200),
        ("POST", "/admin", (STAFF, ("sec-fetch-site", "cross-site")), 403),
    ],
)
def test_keys_and_passwords(
    shop: Gateway, how: Any, method: str, target: str, fields: tuple[Field, ...], status: int
) -> None:
    told = "x-user" if target.startswith("/admin") else "x-client"
    forged = ((told, "root"), (told.replace("-", "_"), "root"))
    found = ask(shop, how, "shop.example.com", method, target, *fields, *forged)
    assert found.status == status
    if status == 200:
        text = json.dumps(found.echo)
        assert found.sent(told) == "ann"
        assert found.sent(told.replace("-", "_")) is None
        assert ANN[1] not in text
        assert STAFF[1] not in text


# --- browsers.yaml ----------------------------------------------------------------------------------------------------


def token(**claims: Any) -> str:
    """Of the provider of the example."""
    usual = {"iss": "https://login.example.com", "aud": "app", "sub": "ann", "exp": int(time.time()) + 300}
    signed = ".".join(encoded(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": "1"}, usual | claims))
    return f"{signed}.{encoded(KEY.sign(signed.encode()))}"


@pytest.fixture(scope="module")
def app(start: Start, echo: Backend) -> Gateway:
    return start(*manifests("browsers", echo))


@protocols
def test_a_token_in_a_cookie_and_in_a_link(app: Gateway, how: Any) -> None:
    good = token(tenant="blue")
    for target, fields in (
        ("/x?b=1", (("cookie", f"theme=dark; token={good}"),)),
        (f"/x?token={good}&b=1", (("cookie", "theme=dark"),)),
    ):
        found = ask(app, how, "app.example.com", "GET", target, *fields, ("x-tenant", "red"))
        assert (found.status, found.sent("x-user"), found.sent("x-tenant")) == (200, "ann", "blue")
        assert found.sent("cookie") == "theme=dark"
        assert found.echo["target"] == "/x?b=1"
    for target, fields in (
        ("/x", ()),
        ("/x", (("authorization", f"Bearer {good}"),)),
        ("/x", (("cookie", f"token={token(aud='other')}"),)),
        (f"/x?token={good}", (("cookie", f"token={token(sub='bob')}"),)),
    ):
        assert ask(app, how, "app.example.com", "GET", target, *fields).status == 401


@protocols
@pytest.mark.parametrize(
    ("method", "target", "fields", "groups", "status"),
    [
        ("POST", "/", (), None, 200),
        ("POST", "/", (("origin", "https://admin.example.com"), ("sec-fetch-site", "cross-site")), None, 200),
        ("POST", "/", (("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")), None, 403),
        ("POST", "/", (("origin", "http://admin.example.com"),), None, 403),
        ("GET", "/", (("origin", "https://evil.test"),), None, 200),
        ("GET", "/", (("x-client-version", "1.4"),), None, 403),
        ("GET", "/", (("x-client-version", "2.0"),), None, 200),
        ("GET", "/", (("x-robot", "no"),), None, 200),
        ("GET", "/", (("X_Robot", "no, true"),), None, 403),
        ("GET", "/admin", (), None, 403),
        ("POST", "/admin", (), ["staff", "admins"], 200),
        ("POST", "/admin", (), "admins", 200),
        ("GET", "/admin", (), ["auditors"], 200),
        ("POST", "/admin", (), ["auditors"], 403),
    ],
)
def test_other_sites_fields_and_claims(
    app: Gateway, how: Any, method: str, target: str, fields: tuple[Field, ...], groups: Any, status: int
) -> None:
    claims = {} if groups is None else {"groups": groups}
    cookie = ("cookie", f"token={token(**claims)}")
    assert ask(app, how, "app.example.com", method, target, cookie, *fields).status == status


# --- certificates.yaml ------------------------------------------------------------------------------------------------

SERVICES = {
    "shop": {"uri": "spiffe://example.com/shop"},
    "checkout": {"uri": "spiffe://example.com/checkout"},
    "stranger": {"uri": "spiffe://example.com/stranger"},
    "reports.example.com": {},
}


@protocols
def test_names_of_certificates(start: Start, echo: Backend, authority: Authority, tmp_path: Path, how: Any) -> None:
    found = manifests("certificates", echo)
    for item in found:
        if item["metadata"]["name"] == "clients-ca":
            item["data"]["ca.crt"] = authority.pem.decode()
    [server] = [item["stringData"]["tls.crt"] for item in found if item["metadata"]["name"] == "orders-tls"]
    world = start(*found)
    shown = {name: authority.sign(name, client=True, **rest).write(tmp_path, name) for name, rest in SERVICES.items()}

    def status(who: str, target: str) -> tuple[int, str | None]:
        context = tls_context(server.encode(), "h2" if how is Http2 else "http/1.1", certificate=shown[who])
        with closing(how(world.address, 8443, context, "orders.example.com")) as connection:
            answer = connection.request("GET", "orders.example.com", target, (("x-client", "root"),))
        return answer.status, answer.sent("x-client") if answer.status == 200 else None

    assert status("shop", "/") == (200, "spiffe://example.com/shop")
    assert status("reports.example.com", "/") == (200, "reports.example.com")
    assert status("stranger", "/") == (401, None)
    assert status("shop", "/payments") == (403, None)
    assert status("checkout", "/payments") == (200, "spiffe://example.com/checkout")
