"""The control side without a cluster: translation and writers at 500 Gateways, `serve` from files."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benches.scenario.reload import GATEWAY
from benches.scenario.reload import route as manifest
from sluicegate.controller.api import Object, decode
from sluicegate.controller.provision.events import EventWriter
from sluicegate.controller.status.writer import StatusWriter
from sluicegate.controller.store.store import Apply, Store
from sluicegate.controller.stream.protocol import ListenerOutcome, PlaneReport
from sluicegate.controller.stream.reports import PodReport, Reports
from sluicegate.controller.stream.server import StreamServer
from sluicegate.controller.stream.wanted import WantedOf
from sluicegate.controller.translate import Options, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions

GATEWAY_API = "gateway.networking.k8s.io/v1"
GATEWAYS, ROUTES = 500, 3_000
CHANGES = 20
#: Files of the routes that `serve` reads.
FILES = 100

#: Name, figure, bar, unit.
Figure = tuple[str, dict[str, float], dict[str, float], str]


def rows(routes: int) -> Iterator[Figure]:
    """All of it; `serve` starts with 10,000 routes where `routes` says so."""
    yield from asyncio.run(_rounds())
    with tempfile.TemporaryDirectory() as bytecode:
        _serve(FILES, bytecode)  # as installed: what it loads is compiled
        yield "serve, 1,000 routes", {"resident": _serve(1_000, bytecode)[0]}, {"resident": 50}, "MiB"
        count = max(routes, 10_000)
        memory, ready, cpu = _serve(count, bytecode)
    yield f"serve, {count:,} routes", {"resident": memory, "ready": ready, "cpu": cpu}, {"ready": 1.0}, "MiB, s"


def _named(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "namespace": "default", "uid": name, "generation": number}


def _gateway(number: int, generation: int = 1) -> Object:
    spec = {"gatewayClassName": "own", "listeners": [{"name": "http", "protocol": "HTTP", "port": 80}]}
    metadata = _named(f"g{number}", generation)
    return decode({"apiVersion": GATEWAY_API, "kind": "Gateway", "metadata": metadata, "spec": spec})


def _route(number: int, gateway: int) -> Object:
    rule = {"matches": [{"path": {"value": f"/p{number}"}}], "backendRefs": [{"name": "app", "port": 80}]}
    spec = {"parentRefs": [{"name": f"g{gateway}"}], "rules": [rule]}
    return decode({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", "metadata": _named(f"r{number}", 1), "spec": spec})


async def _rounds() -> list[Figure]:
    """What one round of the loop costs, and what it blocks the event loop for, CPU time."""
    store, name = Store(()), "sluicegate.dev/controller"
    spec = {"controllerName": name}
    class_ = {"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "own"}, "spec": spec}
    store.load(
        [
            decode(class_),
            decode(
                {"apiVersion": "v1", "kind": "Service", "metadata": _named("app", 1), "spec": {"ports": [{"port": 80}]}}
            ),
            *(_gateway(number) for number in range(GATEWAYS)),
            *(_route(number, number % GATEWAYS) for number in range(ROUTES)),
        ]
    )
    options = Options(implicit_class=False, merge_gateways=False, provision=ProvisionOptions(authority=""))
    translator, selected = Translator(name, options), WantedOf()
    server = StreamServer("127.0.0.1:0", None, None, _ignore)  # type: ignore[arg-type] (it never listens)
    status, events = StatusWriter(None, name, _ignore), EventWriter(None, name, "bench", _ignore)  # type: ignore[arg-type]
    reports = Reports(server.said)
    status.lead(True)

    def step() -> tuple[float, float, int]:
        """Milliseconds of the whole round and on the event loop, and statuses that are looked at by the writer."""
        status.lead(False)  # what waits is forgotten
        status._leading = True
        began = time.process_time()
        translation = translator.translate(store.snapshot())
        looped = -time.process_time()
        server.want(selected(translation))
        looped += time.process_time()
        reported = reports.reported(translation)
        looped -= time.process_time()
        status.want(reported)
        events.want(reported)
        ended = time.process_time()
        return (ended - began) * 1000, (looped + ended) * 1000, status.depth

    step()
    for plane in server._projector.planes.items():
        outcomes = [ListenerOutcome(key, item.version, ("a:80",)) for key, item in plane[1].tables["listeners"].items()]
        server._heard.take(plane[0], "pod", PodReport("pod", PlaneReport(tuple(outcomes))))
    server._publish()
    step()

    def series(change: Callable[[int], Object]) -> list[tuple[float, float, int]]:
        found = []
        for number in range(CHANGES):
            store.handle(Apply(change(number)))
            found.append(step())
        return found

    routes = series(lambda number: _route(ROUTES + number, 7))
    gateways = series(lambda number: _gateway(7, 2 + number))
    place = f"among {GATEWAYS} Gateways, {ROUTES:,} routes"
    return [
        (f"new route {place}", _figure(routes, "pushed"), {"pushed": 2, "blocked": 10}, "ms"),
        (f"changed Gateway {place}", _figure(gateways), {"round": 10, "blocked": 10}, "ms"),
    ]


def _figure(found: list[tuple[float, float, int]], *extra: str) -> dict[str, float]:
    figure = {
        "round": round(statistics.median(item[0] for item in found), 2),
        "blocked": round(max(item[1] for item in found), 2),
    }
    return figure | {name: statistics.median(item[2] for item in found) for name in extra}


def _ignore(*_: object) -> None:
    """Nobody is told."""


def _serve(count: int, bytecode: str) -> tuple[float, float, float]:
    """Memory in MiB of `serve` with so many routes, seconds until it is ready, and its CPU seconds until then."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "gateway.yaml").write_text(GATEWAY)
        each = count // FILES
        for number in range(FILES):
            routes = range(number * each, (number + 1) * each)
            (folder / f"{number}.yaml").write_text("".join(manifest(item, "first") for item in routes))
        command = [sys.executable, "-m", "sluicegate", "serve", name, "--listen", "127.0.0.1", "--admin", "off"]
        began = time.perf_counter()
        process = subprocess.Popen([*command, "-o", "json"], stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout is not None
        try:
            while json.loads(process.stdout.readline())["event"] != "ready":
                pass
            ready = time.perf_counter() - began
            times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
            process.communicate()
    memory = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return round(memory / 1024, 1), round(ready, 2), sum(map(int, times)) / 100
