"""What a client sends and whom it reaches: server names, bound ports, WebSockets, weights, routes that are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from system_certificates import Authority
from system_manifests import dump, gateway, https, route, rule, secret

import sluicegate
from sluicegate import Connection, Request, RequestError, WeightedBackend, parse_request
from sluicegate.cli.written_request import read_curl

Explain = Callable[..., tuple[int, str]]

MANIFESTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gateway}
spec:
  gatewayClassName: sluicegate
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: other, protocol: HTTP, port: 8080}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: gateway}]
  hostnames: [shop.test]
  rules:
  - matches: [{path: {value: /cart}}]
    backendRefs: [{name: app, port: 80, weight: 90}, {name: app, port: 81, weight: 9}, {name: gone, port: 80}]
  - matches: [{path: {value: /chat}, headers: [{name: upgrade, value: websocket}]}]
    backendRefs: [{name: app, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: misspelt}
spec:
  parentRefs: [{name: gateway, sectionName: http}]
  hostnames: [misspelt.test]
  rules:
  - backendRefs: [{name: app, prot: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: dropped}
spec:
  parentRefs: [{name: gateway, sectionName: http}]
  hostnames: [dropped.test]
  rules:
  - matches: [{path: {type: RegularExpression, value: "/a("}}]
    backendRefs: [{name: app, port: 80}]
  - matches: [{path: {value: /b}}]
    backendRefs: [{name: app, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {ports: [{name: a, port: 80}, {name: b, port: 81}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app, labels: {kubernetes.io/service-name: app}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}]
ports: [{name: a, port: 8080}, {name: b, port: 8081}]
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two HTTPS listeners on one port, and a route at each."""
    pair = Authority().sign("a.test", "b.test")
    path = tmp_path_factory.mktemp("secured")
    listeners = [https(name=name, port=443, hostname=f"{name}.test", secret="pair") for name in ("a", "b")]
    (path / "all.yaml").write_text(dump(gateway(*listeners), secret("pair", pair.certificate, pair.key)))
    return path


@pytest.mark.parametrize(
    ("text", "host", "sni", "expected"),
    [
        ("https://A.test./", None, None, "a.test"),
        ("https://a.test:8443/", "b.test", None, "a.test"),
        ("https://a.test/", None, "B.test", "b.test"),
        ("https://a.test/", None, "", None),
        ("https://10.0.0.1/", "a.test", None, None),
        ("https://[::1]:443/", "a.test", None, None),
        ("https://10.0.0.1/", "a.test", "a.test", "a.test"),
        ("grpcs://a.test/p.S/M", None, None, "a.test"),
        ("wss://a.test/", None, None, "a.test"),
        ("http://a.test/", None, None, None),
        ("tls://a.test:443", None, None, "a.test"),
        ("tls://10.0.0.1:443", None, None, None),
        ("tls://10.0.0.1:443", None, "a.test", "a.test"),
    ],
)
def test_the_server_name_is_that_of_the_url(text: str, host: str | None, sni: str | None, expected: str | None) -> None:
    found = parse_request(text, {"Host": host} if host else {}, server_name=sni)
    assert found.server_name == expected
    if host and isinstance(found, Request):
        assert found.authority == host


@pytest.mark.parametrize("text", ["http://a.test/", "ws://a.test/", "grpc://a.test/p.S/M", "tcp://:1", "udp://:1"])
def test_without_tls_there_is_no_server_name(text: str) -> None:
    with pytest.raises(RequestError, match="no server name"):
        parse_request(text, server_name="a.test")


def test_a_host_field_does_not_move_the_handshake(secured: Path, explain: Explain) -> None:
    """What `curl --header 'Host: b.test' https://a.test/` gets: it shakes hands for a.test."""
    status, text = explain(secured, "-r", "https://a.test/", "-H", "Host: b.test")
    assert (status, "421 (misdirected)" in text) == (1, True), text
    status, text = explain(secured, "-r", "https://a.test/", "-H", "Host: b.test", "--sni", "b.test")
    assert "listener  Gateway/default/gateway/b" in text
    for name in ("", "other.test"):
        status, text = explain(secured, "-r", "https://a.test/", "--sni", name)
        assert status == 1
        assert "closed    (unrecognized_name): the TLS handshake ends with an alert" in text
        assert "not by    Gateway/default/gateway/a " in text
    routes = sluicegate.load(secured)
    assert routes.decide("https://a.test/", {"host": "b.test"}).reason == "misdirected"
    assert routes.decide("https://a.test/", {"host": "b.test"}, server_name="b.test").reason == "no_route"


@pytest.mark.parametrize(
    ("arguments", "listener"),
    [
        ([], "other"),
        (["--port-offset", "8000"], "http"),
        (["--port", "80", "--port-offset", "8000"], "http"),
        (["--port", "16080", "--port-offset", "8000"], "other"),
    ],
)
def test_the_url_that_serve_printed(folder: Path, explain: Explain, arguments: list[str], listener: str) -> None:
    status, text = explain(folder, "-r", "http://shop.test:8080/cart", *arguments)
    assert (status, f"listener  Gateway/default/gateway/{listener}" in text) == (0, True), text


def test_the_port_offset_of_the_settings(folder: Path, explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_PORT_OFFSET", "8000")
    assert "gateway/http\n" in explain(folder, "-r", "http://shop.test:8080/cart")[1]
    found = sluicegate.load(folder, port_offset=8000).decide("http://shop.test:8080/cart")
    assert found.listener == "Gateway/default/gateway/http"


def test_a_port_without_listener_says_what_may_be_meant(folder: Path, explain: Explain) -> None:
    status, text = explain(folder, "-r", "http://shop.test:9000/cart")
    assert status == 1
    assert "no listener has port 9000: nobody answers there" in text
    assert "for a URL that serve printed give its --port-offset" in text
    assert "\n  elsewhere Gateway/default/gateway/http has this hostname at port 80 (HTTP): ask that port\n" in text
    assert "elsewhere" not in explain(folder, "-r", "http://shop.test/cart")[1]


def test_a_curl_line_is_the_request_that_it_sends(folder: Path, explain: Explain) -> None:
    """As people paste it; what the options say beside it counts too, and their port before its own."""
    line = "curl -sSk -H 'Host: shop.test' -X POST \\\n  --connect-to ::127.0.0.1:8080 'http://other.test/cart?a=b'"
    status, text = explain(folder, "-r", line, "-H", "x-more: 1")
    assert status == 0
    assert "Gateway/default/gateway/other" in text
    assert "sent as   POST shop.test/cart?a=b" in text
    assert "x-more: 1" in text
    assert "Gateway/default/gateway/http" in explain(folder, "-r", line, "--port", "80")[1]
    for wrong, said in (("curl", "no URL"), ("curl 'http://a", "cannot be read"), ("curl http://a -H", "ends after")):
        assert explain(folder, "-r", wrong)[0] == 2
        with pytest.raises(RequestError, match=said):
            read_curl(wrong)


def test_what_is_not_shown_of_others_is_counted(tmp_path: Path, explain: Explain) -> None:
    routes = [route(rule(f"/{name}", "app"), name=name) for name in "abcdefghijkl"]
    (tmp_path / "many.yaml").write_text(dump(gateway(), *routes))
    text = explain(tmp_path, "-r", "http://a.test:8080/a")[1]
    assert (text.count("\n  not: HTTPRoute/"), "\n  and 3 more that do not take it\n" in text) == (8, True)
    text = explain(tmp_path, "-r", "http://a.test:8080/none")[1]
    assert "\n  and 4 more that do not take it\n" in text


def test_websockets(folder: Path, explain: Explain) -> None:
    assert explain(folder, "-r", "ws://shop.test/chat")[0] == 0
    assert explain(folder, "-r", "http://shop.test/chat")[0] == 1
    found = parse_request("WSS://shop.test/chat", {"Upgrade": "h2c"})
    assert isinstance(found, Request)
    assert (found.method, found.scheme, found.port, found.server_name) == ("GET", "https", 443, "shop.test")
    assert [name.lower() for name, _ in found.headers].count("upgrade") == 1
    with pytest.raises(RequestError, match="the method of a WebSocket is GET"):
        parse_request("POST ws://shop.test/chat")


def test_all_backends_with_their_weights(folder: Path, explain: Explain) -> None:
    status, text = explain(folder, "-r", "http://shop.test/cart")
    assert status == 0
    assert "backend   default/app:80 (weight 90 of 100)\n  backend   default/app:81 (weight 9 of 100)" in text
    assert "backend   none (it cannot be used) (weight 1 of 100)" in text
    decision = sluicegate.load(folder).decide("http://shop.test/cart")
    assert decision.backends == (
        WeightedBackend(backend="default/app:80", weight=90),
        WeightedBackend(backend="default/app:81", weight=9),
        WeightedBackend(backend=None, weight=1),
    )
    assert sluicegate.load(folder).decide("http://shop.test/cart", entropy=95).backend == "default/app:81"
    one = explain(folder, "-r", "ws://shop.test/chat")[1]
    assert "backend   default/app:80\n" in one


@pytest.mark.parametrize(
    ("request_line", "told"),
    [
        ("http://misspelt.test/", ["HTTPRoute/default/misspelt"]),
        ("http://dropped.test/a", ["HTTPRoute/default/dropped"]),
        ("http://dropped.test/b", ["HTTPRoute/default/dropped"]),
        ("http://misspelt.test:8080/", []),
        ("http://shop.test/", []),
        ("http://other.test/", []),
    ],
)
def test_routes_that_are_refused_are_told(folder: Path, explain: Explain, request_line: str, told: list[str]) -> None:
    _, text = explain(folder, "-r", request_line, "-o", "json")
    found = json.loads(text)["refused"]
    assert sorted({item["object"] for item in found}) == told
    assert all(item["severity"] == "error" and item["line"] > 0 for item in found)
    _, text = explain(folder, "-r", request_line)
    assert ("not served: " in text) == bool(told)


def test_a_gateway_that_is_refused_is_told(tmp_path: Path, explain: Explain) -> None:
    (tmp_path / "all.yaml").write_text(MANIFESTS.replace("port: 80}", "port: 80000}", 1))
    _, text = explain(tmp_path, "-r", "http://shop.test/")
    assert "not served: " in text
    assert "Gateway/default/gateway: spec.listeners[0].port" in text


def test_connections_name_what_the_client_sends() -> None:
    assert parse_request("tls://A.test:8443", server_name="") == Connection(protocol="tls", port=8443)


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        ("x-user: anna", "sent as"),
        ("connection: close", "sent as"),
        ("x-user : anna", "400 (bad_request)"),
        ("x user: anna", "400 (bad_request)"),
        ("x-user: \nanna", "400 (bad_request)"),
        ("content-length: many", "400 (bad_request)"),
        ("transfer-encoding: gzip", "501 (unsupported_transfer_coding)"),
        ("expect: more", "417 (expectation_failed)"),
        ("connection: " + ",".join(f"x-{number}" for number in range(33)), "431 (headers_too_large)"),
    ],
)
def test_heads_that_the_wire_refuses(folder: Path, explain: Explain, header: str, answer: str) -> None:
    _, text = explain(folder, "-r", "http://shop.test/cart", "-H", header)
    assert answer in text
    assert "connection: close" not in text
    status, text = explain(folder, "-r", "http://shop.test/cart", "-H", "host: a.test", "-H", "Host: b.test")
    assert (status, "400 (bad_request)" in text) == (1, True), text
