"""A gateway of which everything that is watched has figures, and a controller's metrics beside it."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import cast

from system_backends import Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, tls_context
from system_gateway import Gateway
from system_manifests import (
    backend_policy,
    gateway,
    grpc_route,
    grpc_rule,
    https,
    listener,
    metadata,
    policy,
    route,
    rule,
    secret,
    service,
    target,
)

from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.observe.log import Log
from sluicegate.processes.controller import certificates, role
from sluicegate.processes.controller.metrics import ControllerMetrics
from sluicegate.processes.controller.settings import load_controller_settings

HOST = "shop.test"
HTTP, HTTPS, LINES = 8080, 8443, 5432
_LIMIT = {"limits": [{"name": "few", "requests": 1, "per": "1h"}]}
#: All requests are traced, so that there are exemplars; nobody takes their spans.
_TRACES = {
    "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
    "kind": "XTelemetryPolicy",
    "metadata": metadata("traces"),
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gateway"}],
        "tracing": {
            "mode": "Enabled",
            "provider": {"backendRef": {"name": "gone", "port": 80}},
            "samplingRate": {"numerator": 100},
        },
    },
}


class Monitored:
    """What is scraped.

    Attributes:
        gateway: with a backend that answers, one that fails, and one that is gone.
        controller: its metrics.
    """

    def __init__(self, folder: Path) -> None:
        self._backends = [Backend(lambda _: response(b"ok")), Backend(_fails)]
        good, bad = (item.address for item in self._backends)
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = closed.getsockname()[:2]
        authority = Authority()
        pair = authority.sign(HOST)
        self._tls = tls_context(authority.pem)
        self.gateway = Gateway(
            folder,
            gateway(listener(), https(), listener("lines", LINES, "TCP")),
            secret("certificate", pair.certificate, pair.key),
            route(
                rule("/", "good"),
                rule("/bad", "bad"),
                rule("/gone", "gone"),
                rule("/few", "good", name="few"),
                hostnames=[HOST],
            ),
            grpc_route(grpc_rule("good"), name="calls", hostnames=["calls.test"]),
            {**route({"backendRefs": [{"name": "gone", "port": 80}]}, name="lines"), "kind": "TCPRoute"}
            | {"apiVersion": "gateway.networking.k8s.io/v1alpha2"},
            *service("good", good),
            *service("bad", bad),
            *service("gone", gone),
            _TRACES,
            policy("RateLimitPolicy", "few", target("HTTPRoute", "route", "few"), local=_LIMIT),
            backend_policy("asked", "gone", health={"active": {"type": "TCP", "interval": "1s"}}),
        )
        settings = load_controller_settings({}, {}, "1")
        controller = role.Controller(cast("Client", None), settings, Log("text"), "1")
        ends = [certificates.Expiry(2_000_000_000, "Gateway/shop/edge/https", "shop/tls")]
        planes = {("shop", "edge"): 2}
        waiting, written = {"status": 1}, {"status": 7}
        self.controller = ControllerMetrics(
            lambda: controller.figures()._replace(expiries=ends, planes=planes, waiting=waiting, writes=written)
        )

    def traffic(self) -> None:
        """A request of each kind."""
        client = Http1(self.gateway.address, HTTP)
        for path in ("/", "/bad", "/gone", "/few", "/few"):
            client.request("GET", HOST, path)
        client.request("GET", "nobody.test", "/")
        client.request("POST", "calls.test", "/a.Service/Method", (("content-type", "application/grpc"),), b"")
        client.close()
        tls = Http1(self.gateway.address, HTTPS, self._tls, HOST)
        tls.request("GET", HOST, "/")
        tls.close()
        with contextlib.suppress(ConnectionError), socket.create_connection((self.gateway.address, LINES), 10) as line:
            line.recv(1)
        self.controller.observe(0.01)

    def texts(self) -> list[str]:
        """What both say now."""
        return [self.gateway.admin("/metrics"), self.controller.text().decode()]

    def close(self) -> None:
        """Stop everything."""
        self.gateway.stop()
        for each in self._backends:
            each.close()


def _fails(_: Received) -> bytes:
    return response(b"no", "503 Service Unavailable")
