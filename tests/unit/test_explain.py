"""`sluicegate explain`, `sluicegate translate`, `sluicegate.load` and the pytest fixture."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sluicegate
from sluicegate import Connection, Request, RequestError, parse_request

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"

pytest_plugins = ["pytester"]

Explain = Callable[..., tuple[int, str]]

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: only, protocol: HTTP, port: 81, hostname: only.test}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gateway, sectionName: http}]
  hostnames: [shop.test, "*.shop.test"]
  rules:
  - matches: [{path: {value: /cart}}]
    filters:
    - type: URLRewrite
      urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /basket}}
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-shop, value: "1"}]}
    backendRefs: [{name: app, port: 80}]
  - matches: [{path: {value: /cart}, method: POST, headers: [{name: x-user, value: anna}]}]
    backendRefs: [{name: app, port: 80}]
  - matches: [{path: {value: /}}]
    backendRefs: [{name: app, port: 80}]
  - matches: [{path: {value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}]
ports: [{port: 8080}]
"""


def test_the_winner_and_the_losers(folder: Path, explain: Explain) -> None:
    status, text = explain(folder, "--request", "GET http://shop.test/cart/1?a=b")
    assert status == 0
    assert "listener  Gateway/default/gateway/http" in text
    assert "HTTPRoute/default/shop, hostname shop.test" in text
    assert "rules[0].matches[0]: PathPrefix /cart" in text
    assert "filter    rewrite" in text
    assert "backend   default/app:80" in text
    assert "10.0.0.1:8080, 10.0.0.2:8080" in text
    assert "sent as   GET shop.test/basket/1?a=b" in text
    assert "x-shop: 1" in text
    assert "holds too: HTTPRoute/default/shop rules[2].matches[0]: PathPrefix /: its path is shorter" in text
    assert "the method is not POST; the header x-user does not fit" in text


def test_headers_choose(folder: Path, explain: Explain) -> None:
    status, text = explain(folder, "-r", "POST http://a.shop.test/cart", "-H", "X-User: anna", "-o", "json")
    found = json.loads(text)
    assert status == 0
    assert (found["decision"]["rule"], found["hostname"]) == (1, "*.shop.test")
    assert found["losers"][0]["holds"] is True
    assert found["losers"][0]["reasons"] == ["it asks for no method"]


@pytest.mark.parametrize(
    ("request_line", "status", "words"),
    [
        ("GET http://shop.test/old", 0, "answer    301 (redirect)"),
        ("GET http://other.test/", 1, "the hostnames shop.test, *.shop.test do not hold for other.test"),
        ("GET http://any.test:81/", 1, "not by    Gateway/default/gateway/only"),
        ("GET http://only.test:81/", 1, "404 (no_route)"),
        ("GET http://shop.test/%zz", 1, "400 (bad_request)"),
        ("nonsense with three words", 2, "is no request"),
        ("GET ftp://shop.test/", 2, "write https://www.example.com/login"),
    ],
)
def test_what_does_not_go_through(folder: Path, explain: Explain, request_line: str, status: int, words: str) -> None:
    found, text = explain(folder, "--request", request_line)
    assert (found, words in text) == (status, True), text


def test_the_settings_of_the_gateway_count(
    folder: Path, tmp_path: Path, explain: Explain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `path_normalization = "off"` a rule does not see what its backend may."""
    asked = ("--request", "GET http://shop.test/x/..//cart/%61")
    settings = tmp_path / "sluicegate.toml"
    settings.write_text('[engine]\npath_normalization = "off"\n')
    status, text = explain(folder, *asked)
    assert (status, "shop.test/basket/a" in text) == (0, True), text
    status, text = explain(folder, *asked, "--config", str(settings))
    assert (status, "shop.test/x/..//cart/%61" in text) == (0, True), text
    assert "rules[2]" in text
    assert "the path does not fit" in text
    monkeypatch.setenv("SLUICEGATE_CONFIG", str(settings))
    assert explain(folder, *asked) == (status, text)
    settings.write_text('[engine]\npath_normalization = "none"\n')
    status, text = explain(folder, *asked)
    assert (status, "path_normalization: 'none' is not a value that is known" in text) == (2, True), text


def test_load_and_decide(folder: Path) -> None:
    routes = sluicegate.load(folder)
    assert routes.problems == []
    decision = routes.decide("GET http://shop.test/cart")
    assert (decision.outcome, decision.route, decision.rule) == ("forward", "HTTPRoute/default/shop", 0)
    assert decision.backend == "default/app:80"
    assert decision.endpoints == ("10.0.0.1:8080", "10.0.0.2:8080")
    assert decision.request is not None
    assert decision.request.target == "/basket"
    assert routes.decide("POST http://shop.test/cart", {"x-user": "anna"}).rule == 1
    redirected = routes.decide("GET http://shop.test/old/x")
    assert redirected.response is not None
    assert ("location", "https://shop.test/old/x") in redirected.response.headers
    assert routes.decide("GET http://nobody.test/").reason == "no_route"
    as_it_comes = sluicegate.load(folder, path_normalization="off")
    assert as_it_comes.decide("GET http://shop.test/x/../cart").rule == 2
    assert routes.decide("GET http://shop.test/x/../cart").rule == 0
    with pytest.raises(FileNotFoundError):
        sluicegate.load(folder / "missing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a.test/x?y#z", ("GET", "https", "a.test", 443, "/x?y")),
        ("PUT http://a.test:8080", ("PUT", "http", "a.test:8080", 8080, "/")),
        ("a.test/x", ("GET", "http", "a.test", 80, "/x")),
        ("/x", ("GET", "http", "localhost", 80, "/x")),
        ("GET http://[::1]:81/?a=b", ("GET", "http", "[::1]:81", 81, "/?a=b")),
    ],
)
def test_requests(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_request(text)
    assert isinstance(found, Request)
    assert (found.method, found.scheme, found.authority, found.port, found.target) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tls://A.test:8443", Connection(protocol="tls", port=8443, server_name="a.test")),
        ("tls://a.test", Connection(protocol="tls", port=443, server_name="a.test")),
        ("tls://:443", Connection(protocol="tls", port=443)),
        ("tcp://:5432", Connection(protocol="tcp", port=5432)),
        ("tcp://db.test:5432/", Connection(protocol="tcp", port=5432)),
        ("UDP://:53", Connection(protocol="udp", port=53)),
    ],
)
def test_connections(text: str, expected: Connection) -> None:
    assert parse_request(text) == expected


@pytest.mark.parametrize(
    "text",
    ["tcp://a.test", "udp://:x", "GET tls://a.test:443", "tls://a.test:443/x", "tcp://:99999", "GET grpc://a/b/c"],
)
def test_what_is_no_connection(text: str) -> None:
    with pytest.raises(RequestError):
        parse_request(text)


def test_calls_of_grpc() -> None:
    call = parse_request("grpc://a.test/p.S/M", {"TE": "other"})
    assert call == Request(
        method="POST",
        scheme="http",
        authority="a.test",
        port=80,
        target="/p.S/M",
        headers=(("content-type", "application/grpc"), ("TE", "other")),
    )
    secured = parse_request("POST grpcs://a.test:8443/p.S/M")
    assert isinstance(secured, Request)
    assert (secured.method, secured.scheme, secured.port) == ("POST", "https", 8443)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("http://[::1:80/", None),
        ("http://a]/", None),
        ("http://a.test/", -1),
        ("http://a.test/", 0),
        ("tcp://:1", 65_536),
    ],
)
def test_what_is_no_request(text: str, port: int | None) -> None:
    with pytest.raises(RequestError):
        parse_request(text, port=port)


def test_host_field_replaces_the_host() -> None:
    replaced = parse_request("http://127.0.0.1:8080/", {"Host": "a.test"})
    assert isinstance(replaced, Request)
    assert replaced.authority == "a.test"
    with pytest.raises(RequestError):
        parse_request("GET http://a.test:x/")


def test_translate_has_no_secrets(tmp_path: Path) -> None:
    from system_certificates import Authority
    from system_manifests import dump, gateway, https, route, rule, secret

    pair = Authority().sign("a.test")
    objects = [gateway(https(secret="pair")), route(rule("/", "app")), secret("pair", pair.certificate, pair.key)]
    (tmp_path / "all.yaml").write_text(dump(*objects))
    command = [sys.executable, "-m", "sluicegate", "translate", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "PRIVATE KEY" not in result.stdout
    document = json.loads(result.stdout)
    assert document["upsert"]["listeners"][0]["id"] == "Gateway/default/gateway/https"
    assert "Service default/app does not exist" in result.stderr


def test_the_pytest_fixture(pytester: pytest.Pytester, folder: Path) -> None:
    pytester.makepyfile(
        f"""
        def test_cart(sluicegate_routes):
            routes = sluicegate_routes({str(folder)!r})
            assert routes.decide("GET http://shop.test/cart").backend == "default/app:80"

        def test_broken(sluicegate_routes, tmp_path):
            (tmp_path / "broken.yaml").write_text("a: [")
            sluicegate_routes(str(tmp_path))
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the manifests have problems:*"])


def test_version() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "sluicegate", "--version"], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == sluicegate.__version__


POLICY = """
---
apiVersion: sluicegate.dev/v1alpha1
kind: ClientPolicy
metadata: {name: small}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  body: {maxSize: 10}
"""


def test_what_policies_say(tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(MANIFESTS + POLICY)
    routes = sluicegate.load(tmp_path)
    for length, reason, verdict in (("10", "forwarded", "pass"), ("11", "body_too_large", "deny")):
        decision = routes.decide("POST http://shop.test/cart", {"content-length": length}, client="203.0.113.7")
        assert decision.reason == reason
        assert decision.policies == (
            sluicegate.PolicyVerdict(
                kind="ClientPolicy", stanza="body", policy="ClientPolicy/default/small", verdict=verdict
            ),
        )


ACCESS = """
---
apiVersion: v1
kind: Secret
metadata: {name: clients}
stringData: {ann: ann-0123456789abcdef}
---
apiVersion: sluicegate.dev/v1alpha1
kind: AccessPolicy
metadata: {name: clients}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: shop}]
  exempt: {clients: [10.0.0.0/8]}
  apiKey: {secretRefs: [{name: clients}]}
"""


@pytest.mark.parametrize(
    ("client", "key", "reason", "verdicts"),
    [
        ("203.0.113.7", "", "unauthenticated", ["absent", "deny"]),
        ("203.0.113.7", "ann-0123456789abcdef", "forwarded", ["absent", "pass"]),
        ("10.0.0.1", "", "forwarded", ["pass", "absent"]),
    ],
)
def test_whom_policies_exempt(tmp_path: Path, client: str, key: str, reason: str, verdicts: list[str]) -> None:
    """What does not hold, and credentials that are not there, are told too."""
    (tmp_path / "all.yaml").write_text(MANIFESTS + ACCESS)
    headers = {"x-api-key": key} if key else {}
    decision = sluicegate.load(tmp_path).decide("GET http://shop.test/cart", headers, client=client)
    assert decision.reason == reason
    assert [said.verdict for said in decision.policies] == verdicts


@pytest.mark.parametrize(
    ("client", "identity", "wrong"),
    [
        ("203.0.113.777", None, "'203.0.113.777' is not an IP address"),
        (None, "anna", "'anna' is nobody"),
        (None, "magic:anna", "'magic:anna' is nobody"),
        (None, "jwt:{sub}", "are no claims"),
    ],
)
def test_nobody_asks_like_this(tmp_path: Path, client: str | None, identity: str | None, wrong: str) -> None:
    (tmp_path / "all.yaml").write_text(MANIFESTS)
    with pytest.raises(RequestError, match=wrong):
        sluicegate.load(tmp_path).decide("http://shop.test/", client=client, identity=identity)
