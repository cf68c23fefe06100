"""The summary of `serve` names listeners, routes and backends of every kind in the words of that kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sluicegate.controller import api as model
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translator
from sluicegate.processes.serve.summary import SHOWN_TRIES, ListenerLine, RouteLine, listeners_of, text_lines, try_lines

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = {
    "grpcroute/method-order": [
        "  Gateway/default/gateway/http  http://127.0.0.1/",
        "    * GrpcMethod /*/* -> default/backend-v1:8080  [GRPCRoute/default/order]",
        "    * GrpcMethod /shop.Orders/Get -> default/backend-v2:8080  [GRPCRoute/default/order]",
        "    * GrpcMethod /shop.Order./Get (RegularExpression) -> default/backend-v3:8080  [GRPCRoute/default/order]",
    ],
    "grpcroute/unsupported": [
        "    * GrpcMethod /s.Extension/* -> UNAVAILABLE (the rule is invalid)  [GRPCRoute/default/bad]"
    ],
    "tlsroute/mixed": [
        "  Gateway/default/gateway/passthrough  tls://abc.example.com:8883",
        "    abc.example.com TLS, passed through -> default/tcp-backend:8443  [TLSRoute/default/passthrough]",
        "    tls.example.com TLS, terminated -> default/tcp-backend:3000  [TLSRoute/default/terminate]",
    ],
    "tlsroute/no-matching-hostname": ["    no route is attached: every connection is closed"],
    "tcproute/references": [
        "  Gateway/default/gateway/granted  tcp://127.0.0.1:9302",
        "    * connections -> open/tcp-backend:3000  [TCPRoute/default/granted]",
        "    * connections -> closed (the backend cannot be used)  [TCPRoute/default/missing]",
        "    * connections -> closed (no backend)  [TCPRoute/default/empty]",
    ],
    "udproute/one-number": [
        "  Gateway/default/gateway/tcp  tcp://127.0.0.1:53",
        "  Gateway/default/gateway/udp  udp://127.0.0.1:53",
        "    * datagrams -> default/dns:53/udp  [UDPRoute/default/udp]",
    ],
    "udproute/weights": [
        "    * datagrams -> default/udp-echo:8080/udp (weight 70), default/udp-echo-2:8080/udp (weight 30), "
        "dropped (the backend cannot be used) (weight 1)  [UDPRoute/default/route]"
    ],
    "udproute/not-allowed": ["    no route is attached: every connection is closed"],
}


@pytest.mark.parametrize("case", CASES)
def test_summary(case: str) -> None:
    store = Store()
    store.load(model.decode(item) for item in yaml.safe_load_all((GOLDEN / case / "in.yaml").read_text()))
    translation = Translator().translate(store.snapshot())
    bound: dict[str, tuple[tuple[str, ...], str | None]] = {
        name: ((f"127.0.0.1:{listener.bind_port}",), None) for name, listener in translation.ir.listeners.items()
    }
    listeners = listeners_of(translation, bound)
    lines = list(text_lines(listeners, []))
    for wanted in CASES[case]:
        assert wanted in lines
    # curl speaks neither gRPC nor TLS without HTTP.
    assert list(try_lines(listeners)) == []


def line(url: str, hostname: str = "", *routes: tuple[str, tuple[str, ...], str]) -> ListenerLine:
    """A listener on 127.0.0.1 with routes: match, hostnames, backend."""
    port = url.rpartition(":")[2].rstrip("/")
    return ListenerLine(
        id="a",
        url=url,
        hostname=hostname,
        bound=(f"0.0.0.0:{port}",),
        attached=len(routes),
        routes=tuple(
            RouteLine(route="r", hostnames=names, match=match, backends=(backend,)) for match, names, backend in routes
        ),
    )


@pytest.mark.parametrize(
    ("listener", "command"),
    [
        (line("http://127.0.0.1:80/", "", ("PathPrefix /", (), "a")), "curl http://127.0.0.1/"),
        (line("https://127.0.0.1:8443/", "", ("Exact /a", (), "a")), "curl --insecure https://127.0.0.1:8443/a"),
        (
            line("https://b.test:8443/", "b.test", ("PathPrefix /", ("a.test", "b.test"), "a")),
            "curl --insecure --resolve b.test:8443:127.0.0.1 https://b.test:8443/",
        ),
        (
            line("http://x:81/", "*.b.test", ("PathPrefix /", ("a.test", "*.a.b.test"), "a")),
            "curl --header 'Host: www.a.b.test' http://127.0.0.1:81/",
        ),
        (
            line("http://x:81/", "*.b.test", ("PathPrefix /", (), "a")),
            "curl --header 'Host: www.b.test' http://127.0.0.1:81/",
        ),
        (
            line("http://x:81/", "", ("PathPrefix /", ("a.test",), "301 redirect"), ("Exact /it's", ("a.test",), "a")),
            """curl --header 'Host: a.test' 'http://127.0.0.1:81/it'"'"'s'""",
        ),
        (
            line("http://x:81/", "", ("PathPrefix /", ("a.test",), "301 redirect")),
            "curl --header 'Host: a.test' http://127.0.0.1:81/",
        ),
        (line("http://x:81/", "", ("PathPrefix /a, header x: y", (), "a")), None),
        (line("http://x:81/", ""), None),
    ],
)
def test_a_request_to_try(listener: ListenerLine, command: str | None) -> None:
    assert next(try_lines([listener]), None) == command


def test_each_listener_has_a_request_to_try() -> None:
    several = [line(f"http://x:{port}/", "", ("PathPrefix /", (), "a")) for port in range(81, 101)]
    tried = list(try_lines([line("http://x:80/"), *several]))
    assert tried == [f"curl http://127.0.0.1:{port}/" for port in range(81, 81 + SHOWN_TRIES)]
