"""AccessPolicy over HTTP/1.1 and HTTP/2: who gets through, and what a backend gets to see of it."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from system_backends import Backend
from system_certificates import Authority
from system_clients import Http1, Http2, Response, connect, tls_context
from system_gateway import Gateway
from system_manifests import (
    Manifest,
    config_map,
    gateway,
    https,
    listener,
    metadata,
    opaque,
    route,
    rule,
    secret,
    service,
)

PORT = 8080
HOST = "access.test"
KEY_ANN, KEY_BOB = "ann-0123456789abcdef", "bob-0123456789abcdef"
#: Of bcrypt (OpenBSD's test vector), argon2id and SHA-1 (`password`), apr1 (`myPassword`), sha-crypt (`Hello world!`).
ANN = "U*U"
USERS = """
ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW
bob:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4
eve:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=
old:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/
sha256:$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5
sha512:$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1
"""

Fields = tuple[tuple[str, str], ...]


def policy(name: str, kind: str = "HTTPRoute", section: str = "", target: str = "", **spec: Any) -> Manifest:
    reference = {"group": "gateway.networking.k8s.io", "kind": kind, "name": target or "route"}
    if section:
        reference["sectionName"] = section
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "AccessPolicy",
        "metadata": metadata(name),
        "spec": {"targetRefs": [reference], **spec},
    }


def named(name: str, **rest: Any) -> Manifest:
    return rule(f"/{name}", "app", name=name, **rest)


def basic(user: str, password: str, scheme: str = "Basic") -> Fields:
    return (("authorization", f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"),)


RULES = ("key", "basic", "both", "optional", "exempt", "csrf", "rules", "cel", "broken", "open")


@pytest.fixture(scope="module")
def world(start: Any, backend: Any) -> tuple[Gateway, Backend]:
    app: Backend = backend("app")
    keys = {
        "secretRefs": [{"name": "keys"}],
        "from": [{"header": "X-API-Key"}, {"query": "key"}, {"cookie": "key"}],
        "forward": {"header": "X-User"},
    }
    users = {"secretRef": {"name": "users", "key": "auth"}, "realm": "staff", "forward": {"header": "X-User"}}
    digest = hashlib.sha256(KEY_BOB.encode()).hexdigest()
    found: Gateway = start(
        gateway(),
        route(*(named(name) for name in RULES)),
        *service("app", app.address),
        opaque("keys", ann=f"{KEY_ANN}\n", bob=f"sha256:{digest}"),
        opaque("users", auth=USERS),
        policy("key", section="key", apiKey=keys),
        policy("basic", section="basic", basic=users),
        policy("both", section="both", basic=users, apiKey=keys),
        policy("optional", section="optional", apiKey={**keys, "mode": "Optional"}),
        policy("exempt", section="exempt", basic=users, exempt={"clients": ["127.0.0.0/8"], "methods": ["GET"]}),
        policy("csrf", section="csrf", csrf={"trustedOrigins": ["https://admin.test"]}),
        policy(
            "rules",
            section="rules",
            apiKey=keys,
            authorization={
                "rules": [
                    {"action": "Deny", "headers": [{"name": "x-role", "values": ["admin"]}]},
                    {"users": ["ann"], "methods": ["GET"], "clients": ["127.0.0.0/8"]},
                    {"users": ["bob"], "clients": ["192.0.2.0/24"]},
                ]
            },
        ),
        policy(
            "cel",
            section="cel",
            authorization={"rules": [{"when": "'on' in request.headers['x-switch'] && client.address != ''"}]},
        ),
        policy("broken", section="broken", basic={"secretRef": {"name": "missing"}}),
        policy("open", section="open", authorization={"mode": "Disabled"}),
    )
    return found, app


def ask(
    world: tuple[Gateway, Backend], client: Any, path: str, *fields: tuple[str, str], method: str = "GET"
) -> Response:
    connection = client(world[0].address, PORT)
    try:
        return connection.request(method, HOST, path, fields)
    finally:
        connection.close()


def test_api_keys(world: tuple[Gateway, Backend], client: Any) -> None:
    for path, fields, user in (
        ("/key", (("x-api-key", KEY_ANN),), "ann"),
        ("/key", (("X-API-KEY", KEY_BOB),), "bob"),
        (f"/key?a=1&key={KEY_ANN}&b=2", (), "ann"),
        ("/key", (("cookie", f"a=1; key={KEY_ANN}"),), "ann"),
        (f"/key?key={KEY_ANN}", (("x-api-key", KEY_ANN),), "ann"),
    ):
        found = ask(world, client, path, *fields, ("x-user", "root"), ("x_user", "root"), ("x.user", "root"))
        assert found.status == 200
        assert found.sent("x-user") == user
        # The backend gets no key, and nothing that it could take for the user.
        assert KEY_ANN not in found.body.decode()
        assert "root" not in found.body.decode()
    assert ask(world, client, f"/key?a=1&key={KEY_ANN}&b=2").echo["target"] == "/key?a=1&b=2"
    for path, fields in (
        ("/key", ()),
        ("/key", (("x-api-key", "wrong"),)),
        ("/key", (("x-api-key", KEY_ANN), ("x-api-key", KEY_BOB))),
        (f"/key?key={KEY_BOB}", (("x-api-key", KEY_ANN),)),
        ("/key", (("x_api_key", KEY_ANN),)),
        ("/key", (("x-user", "ann"),)),
    ):
        found = ask(world, client, path, *fields)
        assert found.status == 401
        assert found.header("www-authenticate") == 'ApiKey realm="key"'
        assert found.body.startswith(b"unauthenticated: ")


def test_passwords(world: tuple[Gateway, Backend], client: Any) -> None:
    for user, password in (
        *(("ann", ANN), ("bob", "password"), ("eve", "password")),
        *(("old", "myPassword"), ("sha256", "Hello world!"), ("sha512", "Hello world!")),
    ):
        # The second time it is remembered.
        for scheme in ("Basic", "bAsIc"):
            found = ask(world, client, "/basic", *basic(user, password, scheme), ("X-User", "root"))
            assert found.status == 200
            assert (found.sent("x-user"), found.sent("authorization")) == (user, None)
        for wrong in ("", "Password", f"{password} "):
            assert ask(world, client, "/basic", *basic(user, wrong)).status == 401
    for fields in (
        (),
        basic("nobody", "password"),
        basic("ann", ANN, "Bearer"),
        (*basic("ann", ANN), *basic("ann", ANN)),
        (("authorization", "Basic !"),),
        (("authorization", "Basic YW5u"),),
    ):
        found = ask(world, client, "/basic", *fields)
        assert found.status == 401
        assert found.header("www-authenticate") == 'Basic realm="staff", charset="UTF-8"'


def test_the_first_credential_decides(world: tuple[Gateway, Backend], client: Any) -> None:
    found = ask(world, client, "/both")
    assert [value for name, value in found.headers if name.lower() == "www-authenticate"] == [
        'ApiKey realm="both"',
        'Basic realm="staff", charset="UTF-8"',
    ]
    found = ask(world, client, "/both", ("x-api-key", KEY_ANN), *basic("ann", "wrong"))
    assert (found.status, found.sent("authorization")) == (200, None)
    assert ask(world, client, "/both", ("x-api-key", "wrong"), *basic("ann", ANN)).status == 401
    assert ask(world, client, "/both", *basic("ann", ANN)).sent("x-user") == "ann"
    assert ask(world, client, "/optional", ("x-user", "root")).sent("x-user") is None
    assert ask(world, client, "/optional", ("x-api-key", "wrong")).status == 401


def test_address_or_password(world: tuple[Gateway, Backend], client: Any) -> None:
    """ingress-nginx's `satisfy: any`."""
    assert ask(world, client, "/exempt", ("x-user", "root")).sent("x-user") is None
    assert ask(world, client, "/exempt", *basic("ann", "wrong")).sent("x-user") is None
    assert ask(world, client, "/exempt", *basic("ann", ANN)).sent("x-user") == "ann"
    assert ask(world, client, "/exempt", method="POST").status == 401
    assert ask(world, client, "/exempt", *basic("ann", ANN), method="POST").status == 200


def test_other_sites(world: tuple[Gateway, Backend], client: Any) -> None:
    for fields, status in (
        ((), 200),
        ((("sec-fetch-site", "same-origin"),), 200),
        ((("sec-fetch-site", "cross-site"),), 403),
        ((("sec-fetch-site", "cross-site"), ("origin", "https://admin.test")), 200),
        ((("origin", f"http://{HOST}"),), 200),
        ((("origin", "https://evil.test"),), 403),
        ((("origin", "null"),), 403),
    ):
        found = ask(world, client, "/csrf", *fields, method="POST")
        assert found.status == status, fields
        assert ask(world, client, "/csrf", *fields).status == 200
        if status == 403:
            assert found.body.startswith(b"csrf: ")


def test_rules(world: tuple[Gateway, Backend], client: Any) -> None:
    ann, bob = ("x-api-key", KEY_ANN), ("x-api-key", KEY_BOB)
    assert ask(world, client, "/rules", ann).status == 200
    for fields, method in (
        ((ann,), "DELETE"),
        ((bob,), "GET"),
        # What a client says of its address is its own.
        ((bob, ("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.1")), "GET"),
        # CVE-2026-26308: joined to `user, admin` it would pass.
        ((ann, ("x-role", "user"), ("x-role", "admin")), "GET"),
        ((ann, ("x-role", "admin")), "GET"),
    ):
        found = ask(world, client, "/rules", *fields, method=method)
        assert (found.status, found.body[:11]) == (403, b"forbidden: ")
    assert ask(world, client, "/rules").status == 401
    # CVE-2026-73551 and others: policies see the path that is forwarded, and routes have matched that too.
    for path in ("/rules/..;/open", "/open/..%2frules", "/%2e%2e/rules", "//rules", "/./rules"):
        assert ask(world, client, path).status in {400, 401}, path
    assert ask(world, client, "/cel", ("x-switch", "off"), ("x-switch", "on")).status == 200
    assert ask(world, client, "/cel", ("x-switch", "off, on")).status == 403
    # An expression that fails allows nothing.
    assert ask(world, client, "/cel").status == 403


def test_what_cannot_be_honoured_lets_nothing_through(world: tuple[Gateway, Backend], client: Any) -> None:
    before = len(world[1].requests)
    found = ask(world, client, "/broken", *basic("ann", ANN))
    assert (found.status, found.body[:16]) == (500, b"policy_invalid: ")
    assert ask(world, client, "/open").status == 200
    assert len(world[1].requests) == before + 1


def test_an_upgrade_needs_credentials_too(world: tuple[Gateway, Backend]) -> None:
    connection = Http1(world[0].address, PORT)
    before = len(world[1].requests)
    upgrade = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"))
    found = connection.request("GET", HOST, "/key", (*upgrade, ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")))
    connection.close()
    assert found.status == 401
    assert len(world[1].requests) == before


@pytest.fixture
def overridden(start: Any, backend: Any) -> Gateway:
    keys = {"secretRefs": [{"name": "keys"}]}
    found: Gateway = start(
        gateway(),
        route(named("weaker"), named("open")),
        *service("app", backend("app").address),
        opaque("keys", ann=KEY_ANN),
        opaque("own", mallory=KEY_BOB),
        policy("platform", kind="Gateway", target="gateway", strategy="Overrides", apiKey=keys),
        policy(
            "weaker",
            section="weaker",
            basic={"secretRef": {"name": "own", "key": "mallory"}, "mode": "Disabled"},
            exempt={"methods": ["GET"]},
            apiKey={"secretRefs": [{"name": "own"}]},
        ),
        policy("off", section="open", apiKey={"mode": "Disabled"}),
    )
    return found


def test_nothing_below_weakens_an_override(overridden: Gateway, client: Any) -> None:
    connection = client(overridden.address, PORT)
    for path in ("/weaker", "/open"):
        assert connection.request("GET", HOST, path).status == 401
        assert connection.request("GET", HOST, path, (("x-api-key", KEY_BOB),)).status == 401
        assert connection.request("GET", HOST, path, (("x-api-key", KEY_ANN),)).status == 200
    connection.close()


def test_certificates_after_the_handshake(
    start: Any, backend: Any, client: Any, authority: Authority, tmp_path: Any
) -> None:
    """Routes of one listener that lets everybody in: some ask for a certificate, one for a certain one."""
    pair, stranger = authority.sign(HOST), Authority("Other CA").sign("ann.test", client=True)
    own = authority.sign("ann.test", client=True, uri="spiffe://test/ann")
    clients = {
        "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "clients"}],
        "mode": "AllowInsecureFallback",
    }
    found: Gateway = start(
        gateway(https(), tls={"frontend": {"default": {"validation": clients}}}),
        route(named("any"), named("ann"), named("bob"), named("cel"), named("open")),
        *service("app", backend("app").address),
        secret("certificate", pair.certificate, pair.key),
        config_map("clients", authority.pem),
        policy("any", section="any", certificate={"forward": {"header": "X-Client"}}),
        policy("ann", section="ann", certificate={"subjectAltNames": [{"type": "URI", "uri": "spiffe://test/ann"}]}),
        policy("bob", section="bob", certificate={"subjectAltNames": [{"type": "Hostname", "hostname": "bob.test"}]}),
        policy(
            "cel",
            section="cel",
            certificate={"mode": "Required"},
            authorization={"rules": [{"when": "identity.user == 'spiffe://test/ann'"}]},
        ),
    )

    def ask_tls(path: str, shown: Any) -> Response:
        certificate = None if shown is None else shown.write(tmp_path, "client")
        alpn = "h2" if client is Http2 else "http/1.1"
        connection = client(found.address, 8443, tls_context(authority.pem, alpn, certificate=certificate), HOST)
        try:
            return connection.request("GET", HOST, path, (("x-client", "root"),))
        finally:
            connection.close()

    assert ask_tls("/any", own).sent("x-client") == "spiffe://test/ann"
    assert ask_tls("/ann", own).status == 200
    assert ask_tls("/bob", own).status == 401
    assert ask_tls("/cel", own).status == 200
    assert ask_tls("/cel", authority.sign("bob.test", client=True)).status == 403
    for nobody in (None, stranger):
        assert ask_tls("/open", nobody).status == 200
        assert ask_tls("/any", nobody).status == 401


def test_connections_by_address(start: Any, backend: Any) -> None:
    def tcp(name: str) -> Manifest:
        return {
            **route(
                {"backendRefs": [{"name": "app", "port": 80}]},
                name=name,
                parents=[{"name": "gateway", "sectionName": name}],
            ),
            "kind": "TCPRoute",
            "apiVersion": "gateway.networking.k8s.io/v1alpha2",
        }

    rules = {"allowed": ["127.0.0.0/8"], "refused": ["192.0.2.0/24"]}
    found: Gateway = start(
        gateway(listener("allowed", 9000, "TCP"), listener("refused", 9001, "TCP")),
        *(tcp(name) for name in rules),
        *service("app", backend("app").address),
        *(
            policy(name, kind="TCPRoute", target=name, authorization={"rules": [{"clients": clients}]})
            for name, clients in rules.items()
        ),
    )
    connection = Http1(found.address, 9000)
    assert connection.request("GET", HOST, "/").status == 200
    connection.close()
    # The reset may come before the system has told that the connection is there.
    with pytest.raises(ConnectionResetError):
        connect(found.address, 9001).recv(1)
