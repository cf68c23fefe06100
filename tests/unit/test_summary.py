"""The summary of `serve` names listeners, routes and backends of every kind in the words of that kind."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sluicegate.controller import api as model
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translator
from sluicegate.processes.serve.summary import listeners_of, text_lines, try_line

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
    assert try_line(listeners) is None
