"""The role `gateway` as a process: snapshot, stream, traffic, signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from stream_processes import LIMIT, Controller, GatewayProcess, serving_state
from system_backends import Backend, echo, response
from system_clients import Http1
from system_gateway import until

from sluicegate import ir
from sluicegate.dataplane.snapshot_file import NAME

Start = Callable[..., GatewayProcess]
ID = "Gateway/default/gateway/http"


@pytest.fixture
def controller() -> Iterator[Controller]:
    found = Controller()
    yield found
    found.close()


@pytest.fixture
def start(tmp_path: Path, controller: Controller) -> Iterator[Start]:
    """Start data planes; each has to end well."""
    running: list[GatewayProcess] = []

    def start_one(**rest: Any) -> GatewayProcess:
        found = GatewayProcess(tmp_path, controller, **rest)
        running.append(found)
        return found

    yield start_one
    for found in running:
        if found.process.returncode is None:
            assert found.stop() == 0, found.errors


@pytest.fixture
def backend() -> Iterator[Backend]:
    found = Backend(echo("app"))
    yield found
    found.close()


def get(address: str, target: str, port: int = 8080) -> int:
    client = Http1(address, port)
    try:
        return client.request("GET", "www.example.com", target).status
    finally:
        client.close()


def test_it_serves_what_the_controller_says(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start()
    assert gateway.named("started")["snapshot"] is False
    assert gateway.admin("/readyz")[0] == 503
    assert gateway.admin("/healthz")[0] == 200
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    assert gateway.admin("/readyz")[0] == 200
    assert get(gateway.address, "/a") == 200
    assert get(gateway.address, "/b") == 404
    # A new route and its backend come together: no answer but 404 before the first 200.
    controller.want(serving_state(gateway.address, backend.address, ["a", "b"]))
    while (status := get(gateway.address, "/b")) != 200:
        assert status == 404
    controller.until(lambda: any(pod.report.listeners for pod in controller.pods()))
    (pod,) = controller.pods()
    assert pod.pod == "pod-1"
    assert pod.report.listeners[0].bound == (f"{gateway.address}:8080",)


def test_it_tells_what_it_counted_while_somebody_looks(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start()
    controller.want(serving_state(gateway.address, backend.address, ["a", "b"]))
    gateway.named("connected")
    controller.until(controller.pods)
    assert [get(gateway.address, target) for target in ("/a", "/a", "/none")] == [200, 200, 404]

    def requests() -> int:
        found = controller.side.server.figures(frozenset({"HTTPRoute/default/a", "HTTPRoute/default/b"}))
        counted = found.routes.get("HTTPRoute/default/a") if found is not None else None
        return counted.requests.get("2xx", 0) if counted is not None else 0

    # A request is counted when its answer is at its end: the client may be quicker.
    until(lambda: requests() == 2, "both are told")
    assert get(gateway.address, "/a") == 200
    until(lambda: requests() == 3, "the third one too")


@pytest.mark.parametrize("token", ["", "g\nood", "göd"])
def test_a_token_that_no_request_can_have_is_told(start: Start, token: str) -> None:
    assert "token holds no token" in start(token=token).named("stream_broken")["message"]


def test_what_it_cannot_tell_ends_nothing(controller: Controller, start: Start, backend: Backend) -> None:
    """A disk that is full, or a pipe whose reader is gone."""
    with open("/dev/full", "w") as full:
        gateway = start(stdout=full)
    controller.want(serving_state(gateway.address, backend.address, ["a"]))

    def serves() -> bool:
        try:
            return get(gateway.address, "/a") == 200
        except OSError:
            return False

    until(serves, "it serves")
    controller.stop()
    gateway.process.send_signal(signal.SIGUSR1)  # it tells that as well
    until(lambda: serves() and gateway.errors, "requests are logged")
    controller.start()
    assert gateway.stop() == 0, gateway.errors
    # Standard error has the access log, which is on now, and nothing else.
    assert {json.loads(line)["path"] for line in gateway.errors} == {"/a"}


#: `gateway`, in which a routine raises the first two times.
CODE = """
import importlib
module, owner, method = {routine!r}.rsplit(".", 2)
holder = getattr(importlib.import_module(module), owner)
real, left = getattr(holder, method), [1, 2]
def stumbling(*arguments, **keywords):
    if left:
        left.pop()
        raise KeyError("odd")
    return real(*arguments, **keywords)
setattr(holder, method, stumbling)
from sluicegate.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "routine",
    [
        "sluicegate.dataplane.client.StreamClient._connect",
        "sluicegate.dataplane.serving.Serving.save_now",
        "sluicegate.processes.gateway.role.DataPlane._tell_connected",
    ],
)
def test_a_fault_of_ours_is_told_and_ends_nothing(
    routine: str, controller: Controller, start: Start, backend: Backend
) -> None:
    gateway = start(code=CODE.format(routine=routine))
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    told = gateway.event(lambda event: "KeyError: 'odd'" in event["message"])  # the same is told once a minute
    assert told["code"] in {"fault", "stream_broken"}
    if "_tell_connected" not in routine:
        gateway.named("connected")

    def serves() -> bool:
        try:
            return get(gateway.address, "/a") == 200
        except OSError:
            return False

    until(serves, "it serves")
    until((gateway.folder / "state" / NAME).exists, "what is served is kept")


def test_it_starts_from_its_snapshot_while_the_controller_is_away(
    controller: Controller, start: Start, backend: Backend
) -> None:
    gateway = start()
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    assert gateway.stop() == 0
    controller.stop()
    again = start(address=gateway.address)
    assert again.named("started")["snapshot"] is True
    assert get(gateway.address, "/a") == 200
    assert again.admin("/readyz")[0] == 200
    # It goes on asking, and gets the difference when somebody is there again.
    again.named("stream_broken")
    controller.start()
    controller.want(serving_state(gateway.address, backend.address, ["b"]))
    again.named("connected")
    while get(gateway.address, "/b") != 200:
        pass
    assert get(gateway.address, "/a") == 404


def test_one_that_is_killed_has_a_snapshot_too(
    controller: Controller, start: Start, backend: Backend, tmp_path: Path
) -> None:
    gateway = start()
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    path = tmp_path / "state" / NAME
    while not path.exists():
        gateway.admin("/healthz")
    gateway.process.kill()
    gateway.wait()
    controller.stop()
    again = start(address=gateway.address)
    assert again.named("started")["snapshot"] is True
    assert get(gateway.address, "/a") == 200
    controller.start()


def test_a_broken_snapshot_is_told_and_ignored(
    controller: Controller, start: Start, backend: Backend, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / NAME).write_text("nonsense")
    gateway = start()
    assert NAME in gateway.named("snapshot_ignored")["message"]
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    assert get(gateway.address, "/a") == 200


def test_the_controller_restarts_under_traffic(controller: Controller, start: Start, backend: Backend) -> None:
    """No request fails, and what changed meanwhile arrives."""
    gateway = start()
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    stop = threading.Event()
    answers: list[int] = []

    def load() -> None:
        client = Http1(gateway.address, 8080)
        while not stop.is_set():
            answers.append(client.request("GET", "www.example.com", "/a").status)
        client.close()

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(3):
        controller.stop()
        controller.start()
        controller.want(serving_state(gateway.address, backend.address, ["a", f"n{number}"]))
        gateway.named("connected")
        while get(gateway.address, f"/n{number}") != 200:
            pass
    stop.set()
    for thread in threads:
        thread.join(LIMIT)
    assert set(answers) == {200}
    assert len(answers) > 100


def test_what_the_engine_refuses_keeps_no_other_change_away(
    controller: Controller, start: Start, backend: Backend
) -> None:
    gateway = start()
    good = serving_state(gateway.address, backend.address, ["a"])
    controller.want(good)
    gateway.named("connected")
    bad = ir.HttpRule(
        id="HTTPRoute/default/bad/0",
        route="HTTPRoute/default/bad",
        index=0,
        listeners=(ID,),
        matches=(ir.Match(path=ir.RegularExpressionPath(value="(")),),
    )
    more = serving_state(gateway.address, backend.address, ["a", "b"])
    controller.want(replace(more, http_rules={**more.http_rules, bad.id: bad}))
    controller.until(lambda: any(pod.held for pod in controller.pods()))
    (pod,) = controller.pods()
    assert [(item.kind, item.id) for item in pod.held] == [("http_rule", bad.id)]
    until(lambda: get(gateway.address, "/b") == 200, "the rest is served")  # it comes with the next transaction
    assert get(gateway.address, "/a") == 200
    controller.want(good)
    controller.until(lambda: not any(pod.held for pod in controller.pods()))


def test_a_port_that_is_taken_is_bound_when_it_is_free(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start()
    gateway.named("started")
    taken = socket.create_server((gateway.address, 8080))
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    controller.until(lambda: any(item.error for pod in controller.pods() for item in pod.report.listeners))
    taken.close()
    controller.until(lambda: any(item.bound for pod in controller.pods() for item in pod.report.listeners))
    assert get(gateway.address, "/a") == 200


def test_it_ends_in_order(controller: Controller, start: Start) -> None:
    """Readiness first, new connections for a while, open requests to their end, then exit 0."""
    release = threading.Event()

    def answer(_request: object) -> bytes:
        release.wait(LIMIT)
        return response(b"late")

    backend = Backend(answer)
    gateway = start(settings="drain = 50\nsettle = 3\nworkers = 1\n")
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    idle = Http1(gateway.address, 8080)
    assert idle.request("GET", "a", "/nothing").header("connection") is None
    slow = Http1(gateway.address, 8080)
    slow.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    while not backend.requests:
        pass
    gateway.process.terminate()
    gateway.named("draining")
    while gateway.admin("/readyz")[0] != 503:
        pass
    # A balancer that has not noticed: it is answered, and asked to go.
    late = Http1(gateway.address, 8080)
    for client in (late, idle):
        answered = client.request("GET", "a", "/nothing")
        assert answered.status == 404
        assert answered.header("connection") == "close"
        client.close()
    release.set()
    assert slow.read().body == b"late"
    slow.close()
    assert gateway.wait() == 0
    backend.close()


def test_backends_may_change_while_it_ends(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start(settings="drain = 5\nsettle = 5\nworkers = 1\n")
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    gateway.process.terminate()
    gateway.named("draining")
    controller.want(serving_state(gateway.address, backend.address, ["b"]))
    while get(gateway.address, "/b") != 200:
        pass
    assert gateway.admin("/readyz")[0] == 503
    assert gateway.wait() == 0


def test_a_second_signal_ends_it_at_once(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start(settings="drain = 50\nsettle = 50\nworkers = 1\n")
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    gateway.process.terminate()
    gateway.named("draining")
    gateway.process.terminate()
    assert gateway.wait() == 130


def test_the_access_log_is_switched_while_it_runs(controller: Controller, start: Start, backend: Backend) -> None:
    gateway = start(settings='drain = 5\nsettle = 0\naccess_log = "-"\nworkers = 1\n')
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    assert get(gateway.address, "/a") == 200
    until(lambda: any(json.loads(line)["path"] == "/a" for line in gateway.errors), "the line is on standard error")
    gateway.process.send_signal(signal.SIGUSR1)
    assert gateway.named("access_log")["message"] == "access log off"


def test_hang_up_opens_the_log_again(controller: Controller, start: Start, backend: Backend, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    gateway = start(settings=f'drain = 5\nsettle = 0\naccess_log = "{log}"\nworkers = 1\n')
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    gateway.named("connected")
    log.rename(tmp_path / "access.log.1")
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.named("access_log_reopened")["message"] == f"{log} is opened again"
    log.rename(tmp_path / "access.log.2")
    for word in ("off", "on"):
        gateway.process.send_signal(signal.SIGUSR1)
        assert gateway.named("access_log")["message"] == f"access log {word}"
    assert get(gateway.address, "/a") == 200
    while "/a" not in log.read_text():
        pass
    assert "/a" not in (tmp_path / "access.log.2").read_text()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ("drain = -1\n", "drain"),
        ("settle = 10000\n", "settle"),
        ("port_offset = 8000\n", "port_offset"),  # of `serve`
        ("[engine]\nnonsense = 1\n", "nonsense"),
        ("= 1\n", "not valid TOML"),
    ],
)
def test_settings_that_cannot_be_used(start: Start, settings: str, text: str) -> None:
    gateway = start(settings=settings)
    assert gateway.wait() == 2
    assert text in "".join(gateway.errors)


def test_a_pod_without_access_serves_nothing_and_says_so(
    controller: Controller, start: Start, backend: Backend
) -> None:
    gateway = start(token="stranger")
    controller.want(serving_state(gateway.address, backend.address, ["a"]))
    assert (
        "PERMISSION_DENIED" in gateway.event(lambda event: "PERMISSION_DENIED" in event.get("message", ""))["message"]
    )
    assert gateway.admin("/readyz")[0] == 503


def test_it_loads_only_what_it_needs() -> None:
    text = (
        "import sys, sluicegate.__main__, sluicegate.cli.gateway, sluicegate.processes.gateway.role\n"
        "import sluicegate.dataplane.client\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
        "print(*sorted(name for name in sys.modules if name.startswith('sluicegate.controller.')))"
    )
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    packages, modules = (set(line.split()) for line in result.stdout.splitlines())
    assert packages.isdisjoint(
        {"typer", "click", "rich", "kubernetes", "aiohttp", "yaml", "cryptography", "celpy", "cel", "grpc", "google"}
    )
    stream = ("stream", "stream.figures", "stream.messages", "stream.protocol")
    assert modules == {f"sluicegate.controller.{name}" for name in (*stream, "caught", "complain", "plain_file")}
