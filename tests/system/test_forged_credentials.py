"""Credentials that are forged, borrowed or shown to others, as elsewhere: a real backend says what reached it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from system_backends import Backend
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_gateway import Gateway
from system_manifests import config_map, gateway, https, metadata, opaque, route, rule, secret, service
from system_tokens import ISSUER, Issuer, bearer, encoded
from test_known_attacks import KEY, Client, access, ask


def behind_tokens(app: Backend, keys: dict[str, str]) -> list[Any]:
    """A backend behind tokens of an issuer; `keys`: the ConfigMap with its JWK Set."""
    provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "login"}}}
    return [
        gateway(),
        route(rule("/", "app"), name="own"),
        access("own", jwt={"providers": [provider]}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("login"), "data": keys},
        *service("app", app.address),
    ]


def test_a_public_key_is_no_shared_secret(start: Any, backend: Any, client: Client) -> None:
    """CVE-2024-37568, CVE-2026-34950: whoever knows the key that everybody knows signs nothing by it."""
    app, key = backend("app"), rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    octets = [encoded(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e)]
    issuer, jwk = Issuer("one"), {"kty": "RSA", "kid": "rsa", "use": "sig", "n": octets[0], "e": octets[1]}
    keys = {"jwks.json": json.dumps({"keys": [issuer.jwk(), jwk]})}
    running: Gateway = start(*behind_tokens(app, keys))
    public = key.public_key()
    encodings = [
        public.public_bytes(encoding, form)
        for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
        for form in (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1)
    ]
    secrets = [*encodings, *(each.strip() for each in encodings), json.dumps(jwk).encode(), octets[0].encode(), b""]
    claims = {"iss": ISSUER, "aud": "shop", "sub": "root", "exp": int(time.time()) + 300}
    for shared in secrets:
        for head in ({"alg": "HS256", "kid": "rsa"}, {"alg": "HS256"}, {"alg": "HS512", "kid": "one"}):
            signed = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
            digest = hashlib.sha256 if head["alg"] == "HS256" else hashlib.sha512
            token = f"{signed}.{encoded(hmac.new(shared, signed.encode(), digest).digest())}"
            assert ask(running.address, client, "/", bearer(token)).status == 401
    assert app.requests == []
    assert ask(running.address, client, "/", bearer(issuer.token())).status == 200


def test_a_signature_that_is_remembered_is_its_token_s_alone(start: Any, backend: Any, client: Client) -> None:
    """What was verified is found again by the end of its signature: the rest of it counts as much."""
    app, issuer = backend("app"), Issuer("one")
    keys = {"jwks.json": json.dumps({"keys": [issuer.jwk()]})}
    running: Gateway = start(*behind_tokens(app, keys))
    head, claims, signature = (token := issuer.token()).split(".")
    other_head, other_claims, other_signature = issuer.token(sub="root").split(".")
    forged = [
        f"{head}.{other_claims}.{signature}",
        f"{encoded(json.dumps({'alg': 'none'}).encode())}.{claims}.{signature}",
        f"{head}.{claims}.{other_signature[:-20]}{signature[-20:]}",
        f"{head}.{claims}.{signature[-20:]}",
        f"{claims}.{signature}",
        signature,
        signature[-16:],
    ]
    for _ in range(2):
        assert ask(running.address, client, "/", bearer(token)).status == 200
        for text in forged:
            assert ask(running.address, client, "/", bearer(text)).status == 401, text
    assert ask(running.address, client, "/", bearer(f"{other_head}.{other_claims}.{other_signature}")).status == 200
    assert len(app.requests) == 3


def test_whose_certificate_it_is(
    start: Any, backend: Any, authority: Authority, client: Client, tmp_path: Path
) -> None:
    """Names with control characters are nobody's (CVE-2025-66220); a listener's own validation counts, and the
    handshake's name (GHSA-5r4w-85f3-pw66)."""
    app: Backend = backend("app")
    pair = authority.sign("closed.test", "open.test")
    clients = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "clients"}]}
    validation = {"validation": {**clients, "mode": "AllowInsecureFallback"}}
    named = {
        "subjectAltNames": [{"type": "Hostname", "hostname": "ann.test"}, {"type": "URI", "uri": "spiffe://test/ann"}]
    }
    running: Gateway = start(
        gateway(
            https("closed", 8443, hostname="closed.test"),
            https("open", 8443, hostname="open.test"),
            https("elsewhere", 9443, hostname="closed.test"),
            tls={"frontend": {"default": {}, "perPort": [{"port": 8443, "tls": validation}]}},
        ),
        route(rule("/", "app"), name="closed", hostnames=["closed.test"]),
        route(rule("/", "app"), name="open", hostnames=["open.test"]),
        access("closed", certificate=named),
        secret("certificate", pair.certificate, pair.key),
        config_map("clients", authority.pem),
        *service("app", app.address),
    )

    def asked(shown: Any, port: int = 8443, sni: str = "closed.test", host: str = "closed.test") -> int:
        certificate = None if shown is None else shown.write(tmp_path, "client")
        context = tls_context(authority.pem, "h2" if client is Http2 else "http/1.1", certificate=certificate)
        with closing(client(running.address, port, context, sni)) as connection:
            return int(connection.request("GET", host, "/").status)

    ann = authority.sign("ann.test", client=True)
    assert asked(ann) == 200
    assert asked(authority.sign("eve.test", client=True, uri="spiffe://test/ann")) == 200
    before = len(app.requests)
    for names, uri in (
        (("eve.test", "ann.test\x00.eve.test"), None),
        (("eve.test", "ann.test\x00"), None),
        (("eve.test",), "spiffe://test/ann\x00"),
        (("eve.test",), "spiffe://test/ann\r\nx: y"),
        (("eve.test", "ann.test."), "spiffe://test/ann/"),
    ):
        assert asked(authority.sign(*names, client=True, uri=uri)) == 401, names
    # The other port asks nobody for a certificate, so nobody has one there.
    assert asked(ann, port=9443) == 401
    # Whoever came for another name is sent back.
    assert asked(None, sni="open.test", host="open.test") == 200
    assert asked(None, sni="open.test", host="closed.test") == 421
    assert asked(ann, sni="open.test", host="closed.test") == 421
    assert len(app.requests) == before + 1


def test_no_page_of_the_operator_has_a_secret(start: Any, backend: Any) -> None:
    """Of keys, passwords and key sets (dfds #2443), and what is named by others is text there (CVE-2026-73546)."""
    issuer = Issuer("one")
    private = issuer.jwk(private=True)
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    hashed = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
    provider = {
        "name": "<b>login</b>",
        "issuer": ISSUER,
        "audiences": ["shop"],
        "keys": {"secretRef": {"name": "login"}},
    }
    running: Gateway = start(
        gateway(),
        route(rule("/", "app"), name="own"),
        access(
            "own",
            jwt={"providers": [provider]},
            apiKey={"secretRefs": [{"name": "keys"}]},
            basic={"secretRef": {"name": "users"}},
        ),
        opaque("keys", ann=KEY, bob=f"sha256:{'ab' * 32}"),
        opaque("users", auth=f"ann:{hashed}\n"),
        opaque("login", **{"jwks.json": json.dumps({"keys": [private]})}),
        *service("app", backend("app").address),
    )
    for fields in ((("x-api-key", KEY),), (bearer(issuer.token()),), (("authorization", "Basic YW5uOlUqVQ=="),)):
        assert ask(running.address, Http1, "/", *fields).status == 200
    secrets = (KEY, base64.b64encode(KEY.encode()).decode(), digest, "ab" * 32, hashed, private["d"])
    for path in ("/config", "/metrics"):
        page = running.admin(path)
        assert [each for each in secrets if each in page] == [], path
    assert "AccessPolicy/default/own" in running.admin("/config")


def test_what_nobody_looked_at_goes_to_no_backend(start: Any, backend: Any, client: Client) -> None:
    """A key lets its client in, and a token beside it could say anything: backends believe what comes by here."""
    issuer, keys = Issuer("one"), {"secretRefs": [{"name": "keys"}]}
    provider = {"name": "login", "issuer": ISSUER, "audiences": ["shop"], "keys": {"configMapRef": {"name": "login"}}}
    places = [{"header": "Authorization", "prefix": "Bearer "}, {"cookie": "token"}, {"query": "token"}]
    tokens: dict[str, Any] = {"providers": [provider], "from": places}
    users = {"secretRef": {"name": "users"}, "keep": True}
    running: Gateway = start(
        gateway(),
        *(route(rule(f"/{name}", "app"), name=name) for name in ("either", "token", "exempt")),
        access("either", apiKey={**keys, "keep": True}, jwt=tokens, basic=users),
        access("token", jwt=tokens),
        access("exempt", jwt=tokens, exempt={"methods": ["GET"]}),
        opaque("keys", ann=KEY),
        opaque("users", auth="ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata("login"),
            "data": {"jwks.json": json.dumps({"keys": [issuer.jwk()]})},
        },
        *service("app", backend("app").address),
    )
    key, password = ("x-api-key", KEY), ("authorization", "Basic YW5uOlUqVQ==")
    forged, good = Issuer("one").token(sub="root"), issuer.token()
    for token in (forged, good):
        for path, field in (
            ("/either", bearer(token)),
            ("/either", ("cookie", f"theme=dark; token={token}")),
            (f"/either?a=1&token={token}", ("x-other", "1")),
        ):
            found = ask(running.address, client, path, key, field)
            assert (found.status, found.sent("x-api-key")) == (200, KEY)
            assert token not in json.dumps(found.echo), path
    for wrong in (password, ("authorization", "Basic YW5uOmZvcmdlZA==")):
        assert ask(running.address, client, "/either", key, wrong).sent("authorization") is None
    # What was looked at goes on, as `keep` has it, and that of another scheme goes as it did.
    assert ask(running.address, client, "/either", bearer(good)).sent("authorization") == f"Bearer {good}"
    assert ask(running.address, client, "/either", password).sent("authorization") == password[1]
    assert ask(running.address, client, "/either", key, ("authorization", "Own abc")).sent("authorization") == "Own abc"
    assert ask(running.address, client, "/token", bearer(good), key).sent("x-api-key") == KEY
    # Whom nothing is asked of brings what it likes.
    assert ask(running.address, client, "/exempt", bearer(forged)).sent("authorization") == f"Bearer {forged}"
