"""A shop under light traffic that rises and falls, with what goes wrong in a shop, for pictures of the dashboards.

The gateway and its clients are real. No cluster is here: of the controller it is this file that says the figures.
"""

from __future__ import annotations

import contextlib
import math
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import grpc
from system_backends import Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, tls_context
from system_gateway import Gateway
from system_grpc import GrpcBackend, call, channel
from system_manifests import (
    backend_policy,
    gateway,
    grpc_route,
    grpc_rule,
    https,
    listener,
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

HOST, CALLS = "shop.example.com", "orders.example.com"
HTTP, HTTPS, LINES = 8080, 8443, 5432
#: Seconds from one rush of clients to the next, and the most requests of a second.
_RUSH, _MOST = 150.0, 24
_DAY = 86_400.0
#: Path, share of the requests, what a backend takes for it (s, mean), and how often it fails.
_PAGES = (("/", 0.5, 0.004, 0.0), ("/cart", 0.3, 0.015, 0.01), ("/search", 0.2, 0.06, 0.03))
_LIMIT = {"limits": [{"name": "each-second", "requests": 3, "per": "1s"}]}


class Shop:
    """What is scraped.

    Attributes:
        gateway: with a route for each path, one for calls, one for lines of a database.
        controller: its metrics.
    """

    def __init__(self, folder: Path) -> None:
        self._random = random.Random(16)
        self._seconds = 0
        self._started = time.monotonic()
        names = ("web", "cart", "search")
        self._backends = [Backend(_answers(mean, fails)) for _, _, mean, fails in _PAGES]
        self._slow = Backend(_answers(0.12, 0.2))
        self._orders, lines = GrpcBackend("orders"), Backend(lambda _: response(b"row " * 200))
        addresses = [item.address for item in self._backends]
        authority = Authority()
        pair = authority.sign(HOST)
        self._tls = tls_context(authority.pem)
        self._backends += [self._slow, lines]
        with socket.create_server(("127.0.0.1", 0)) as closed:
            gone = closed.getsockname()[:2]
        self.gateway = Gateway(
            folder,
            gateway(listener(), https(), listener("lines", LINES, "TCP")),
            secret("certificate", pair.certificate, pair.key),
            *(
                route(rule(path, name), name=name, hostnames=[HOST])
                for (path, *_), name in zip(_PAGES, names, strict=True)
            ),
            route(rule("/reviews", "reviews"), name="reviews", hostnames=[HOST]),
            grpc_route(grpc_rule("orders"), name="orders", hostnames=[CALLS]),
            {**route({"backendRefs": [{"name": "database", "port": 80}]}, name="database"), "kind": "TCPRoute"}
            | {"apiVersion": "gateway.networking.k8s.io/v1alpha2"},
            *service("web", addresses[0]),
            *service("cart", addresses[1]),
            *service("search", addresses[2], self._slow.address),
            *service("reviews", gone),
            *service("orders", self._orders.address),
            *service("database", lines.address),
            policy("RateLimitPolicy", "searches", target("HTTPRoute", "search"), local=_LIMIT),
            backend_policy("asked", "reviews", health={"active": {"type": "TCP", "interval": "1s"}}),
        )
        self._calls = channel(self.gateway.address, HTTP, CALLS)
        settings = load_controller_settings({}, {}, "1")
        controller = role.Controller(cast("Client", None), settings, Log("text"), "1")
        self._written = {"infra": 0, "status": 0, "events": 0}
        ends = [
            certificates.Expiry(int(time.time() + days * _DAY), f"Gateway/shop/edge/{name}", f"shop/{name}")
            for days, name in ((1.2, "https-old"), (9, "https-api"), (64, "https"))
        ]
        self.controller = ControllerMetrics(
            lambda: controller.figures()._replace(
                leading=True,
                ready=True,
                expiries=ends,
                planes={("shop", "edge"): 2, ("blog", "front"): 1},
                waiting={name: int(self._random.random() < 0.05) for name in self._written},
                faults=0,
                writes=dict(self._written),
                unusable=1,
            )
        )

    def traffic(self) -> None:
        """The requests of a second, and what the controller did in it."""
        phase = (time.monotonic() - self._started) * 2 * math.pi / _RUSH
        count = max(3, round(_MOST * (0.6 - 0.4 * math.cos(phase)) * self._random.uniform(0.8, 1.2)))
        plain, encrypted = (Http1(self.gateway.address, HTTP), Http1(self.gateway.address, HTTPS, self._tls, HOST))
        paths, shares = [path for path, *_ in _PAGES], [share for _, share, *_ in _PAGES]
        for path in self._random.choices(paths, shares, k=count):
            self._random.choice((plain, encrypted)).request("GET", HOST, path)
        self._seconds += 1
        if self._seconds % 4 < 2:
            plain.request("GET", HOST, "/reviews")
            plain.request("GET", "nobody.example.com", "/")
        for _ in range(2):
            method = "Fail" if self._random.random() < 0.1 else "Get"
            with contextlib.suppress(grpc.RpcError):
                call(self._calls, f"/shop.Orders/{method}", b"5 no such order")
        for client in (plain, encrypted):
            client.close()
        with contextlib.suppress(ConnectionError), socket.create_connection((self.gateway.address, LINES), 10) as line:
            line.sendall(b"GET / HTTP/1.1\r\nhost: database\r\n\r\n")
            line.recv(1)
        for name in self._written:
            self._written[name] += self._random.choice((0, 0, 1, 3))
        self.controller.observe(self._random.lognormvariate(-4.5, 0.6))

    def texts(self) -> list[str]:
        """What both say now."""
        return [self.gateway.admin("/metrics"), self.controller.text().decode()]

    def close(self) -> None:
        """Stop everything."""
        self._calls.close()
        self.gateway.stop()
        self._orders.close()
        for each in self._backends:
            each.close()


def _answers(mean: float, fails: float) -> Callable[[Received], bytes]:
    """A program that takes its time, and fails now and then."""
    chance, waits = random.Random(mean), threading.Event()

    def answer(_: Received) -> bytes:
        waits.wait(min(chance.expovariate(1 / mean), 4 * mean))
        return response(b"no", "503 Service Unavailable") if chance.random() < fails else response(b"ok")

    return answer
