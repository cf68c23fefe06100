"""`sluicegate serve`: start, files that change, what is wrong, ports, drain, admin, access log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, response
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, own_address, until
from system_manifests import Manifest, dump, gateway, https, listener, route, rule, secret, service

PORT = 8080
#: Seconds that the admin listener gives a request.
ADMIN_LIMIT = 5.0


@pytest.fixture
def simple(backend: Any) -> list[Manifest]:
    """A Gateway, a route and a backend."""
    return [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]


def get(found: Gateway, target: str = "/", host: str = "any.test", port: int = PORT) -> Any:
    connection = Http1(found.address, port)
    try:
        return connection.request("GET", host, target)
    finally:
        connection.close()


# --- Files ------------------------------------------------------------------------------------------------------


def test_ready_says_what_is_served(start: Any, simple: list[Manifest]) -> None:
    found = start(*simple)
    [line] = found.ready["listeners"]
    assert line["id"] == "Gateway/default/gateway/http"
    assert line["url"] == f"http://{found.address}:8080/"
    assert line["bound"] == [f"{found.address}:8080"]
    [served] = line["routes"]
    assert (served["route"], served["match"], served["backends"]) == (
        "HTTPRoute/default/route",
        "PathPrefix /",
        ["default/app:80"],
    )
    assert found.ready["problems"] == []
    assert get(found).echo["backend"] == "app"


def test_changes_are_followed(start: Any, simple: list[Manifest], backend: Any) -> None:
    found = start(*simple)
    new = [route(rule("/new", "other"), name="other"), *service("other", backend("other").address)]
    found.write(*new, name="other.yaml")
    assert get(found, "/new").echo["backend"] == "other"
    (found.folder / "deep").mkdir()
    (found.folder / "deep" / "deep.yaml").write_text(dump(route(rule("/deep", "other"), name="deep")))
    found.event(lambda event: event["event"] == "changed" and "HTTPRoute/default/deep" in event["objects"])
    assert get(found, "/deep").echo["backend"] == "other"
    (found.folder / "other.yaml").unlink()
    found.event(lambda event: event["event"] == "changed" and "HTTPRoute/default/other" in event["objects"])
    assert get(found, "/new").echo["backend"] == "app"


def test_a_mounted_config_map(start: Any, simple: list[Manifest], backend: Any, tmp_path: Path) -> None:
    """The kubelet swaps a symbolic link: `..data` -> `..<timestamp>`."""
    folder = tmp_path / "mounted"
    for version, name in (("..1", "app"), ("..2", "second")):
        (folder / version).mkdir(parents=True)
        objects = [gateway(), route(rule("/", name)), *service(name, backend(name).address)]
        (folder / version / "manifests.yaml").write_text(dump(*objects))
    (folder / "..data").symlink_to("..1")
    (folder / "manifests.yaml").symlink_to("..data/manifests.yaml")
    found = start(*simple, arguments=(str(folder),), text="# nothing")
    assert get(found).echo["backend"] == "app"
    (folder / "..new").symlink_to("..2")
    (folder / "..new").rename(folder / "..data")
    found.event(lambda event: event["event"] == "changed" and event["generation"] is not None)
    assert get(found).echo["backend"] == "second"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: [", 2, "flow"),
        ("apiVersion: v1\nkind: Service\nkind: Service\n", 3, "twice"),
        ("\tx: 1\n", 1, ""),
        ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata:\n  name: x\nspec:\n  rules: 7\n", 6, ""),
        ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {}\nspec: {}\n", 3, "name"),
        ("just text\n", 1, ""),
    ],
)
def test_broken_files_say_where(start: Any, simple: list[Manifest], text: str, line: int, reason: str) -> None:
    found = start(*simple)
    event = found.write(text=text, name="broken.yaml")
    problem = next(item for item in event["problems"] if item["path"].endswith("broken.yaml"))
    assert problem["line"] == line
    assert reason in problem["message"] + problem["field"]
    assert get(found).status == 200


def test_the_last_good_state_serves_on(start: Any, simple: list[Manifest]) -> None:
    found = start(*simple)
    broken = {**simple[1], "spec": {"parentRefs": 7}}
    event = found.write(simple[0], broken, *simple[2:])
    assert any("HTTPRoute" in item["object"] for item in event["problems"])
    assert get(found).echo["backend"] == "app"
    event = found.write(text=dump(*simple)[:300] + "\n  bad: [")
    assert event["problems"]
    assert get(found).echo["backend"] == "app"
    event = found.write(*simple)
    assert event["solved"]
    assert get(found).echo["backend"] == "app"


def test_a_directory_that_vanishes(start: Any, simple: list[Manifest]) -> None:
    found = start(*simple)
    away = found.folder.with_name("away")
    found.folder.rename(away)
    event = found.event(lambda event: event["event"] == "changed")
    assert any("no such file" in item["message"] for item in event["problems"])
    assert get(found).echo["backend"] == "app"
    away.rename(found.folder)
    found.event(lambda event: event["event"] == "changed" and bool(event["solved"]))
    found.write(gateway(), route(rule("/only", "app")), *simple[2:])
    assert (get(found).status, get(found, "/only").status) == (404, 200)


def test_standard_input(backend: Any) -> None:
    address = own_address()
    objects = [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]
    command = [sys.executable, "-m", "sluicegate", "serve", "-", "--listen", address, "--admin", "off", "-o", "json"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(dump(*objects))
    process.stdin.close()
    assert json.loads(process.stdout.readline())["event"] == "ready"
    connection = Http1(address, PORT)
    assert connection.request("GET", "a", "/").echo["backend"] == "app"
    connection.close()
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(LIMIT) == 0
    process.stdout.close()


BAD_ROUTES: list[tuple[Manifest, int, str]] = [
    (rule("/", "missing"), 500, "does not exist"),
    (rule("(", "app", kind="RegularExpression"), 404, "regular expression"),
    (rule("(?:a{1000}){1000}", "app", kind="RegularExpression"), 404, "regular expression"),
    (
        rule("/", filters=[{"type": "ExtensionRef", "extensionRef": {"group": "x", "kind": "Other", "name": "z"}}]),
        500,
        "x/Other",
    ),
    (rule("/", {"name": "app", "port": 80, "namespace": "elsewhere"}), 500, "ReferenceGrant"),
    (rule("/", {"name": "app", "port": 81}), 500, "port"),
]


@pytest.mark.parametrize(("bad", "status", "reason"), BAD_ROUTES, ids=range(len(BAD_ROUTES)))
def test_bad_routes_disturb_nothing_else(
    start: Any, simple: list[Manifest], bad: Manifest, status: int, reason: str
) -> None:
    found = start(*simple, *service("app2", ("127.0.0.1", 1)), route(bad, name="bad", hostnames=["bad.test"]))
    told = " ".join(f"{item['object']} {item['message']} {item['remedy']}" for item in found.ready["problems"])
    assert "HTTPRoute/default/bad" in told
    assert reason in told
    assert all(item["path"].endswith("all.yaml") and item["line"] > 1 for item in found.ready["problems"])
    # Where the bad rule matches nothing at all, the route without hostname takes the request.
    assert get(found, host="bad.test").status == (200 if status == 404 else status)
    assert get(found).echo["backend"] == "app"


def test_bad_certificates_disturb_nothing_else(start: Any, simple: list[Manifest], authority: Any) -> None:
    expired = authority.sign("expired.test", days=-1)
    found = start(
        gateway(
            listener(),
            https("gone", hostname="gone.test", secret="gone"),
            https("broken", hostname="broken.test", secret="broken"),
            https("expired", hostname="expired.test", secret="expired"),
        ),
        *simple[1:],
        secret("broken", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"x"),
        secret("expired", expired.certificate, expired.key),
    )
    told = " ".join(f"{item['field']} {item['message']}" for item in found.ready["problems"])
    assert "gone" in told
    assert "broken" in told
    assert "expired" in told
    assert get(found).echo["backend"] == "app"


@pytest.mark.parametrize(
    ("old", "new", "field", "code"),
    [
        ("    - type: URLRewrite", "    - typ: URLRewrite", "spec.rules[0].filters[0].typ", "unknown-field"),
        ("kind: HTTPRoute", "kind: HttpRoute", "kind", "unknown-kind"),
        ("value: /x", "value: x", "spec.rules[0].matches[0].path", "rule"),
        ("port: 80", "port: 800000", "spec.rules[0].backendRefs[0].port", "schema"),
    ],
)
def test_what_an_api_server_would_not_take(
    start: Any, simple: list[Manifest], old: str, new: str, field: str, code: str
) -> None:
    """It is told with its place, and is not served; the rest is."""
    text = dump(*simple[:1], *simple[2:], route(rule("/x", "app"), name="other"))
    bad = dump(route(rule("/x", "app", filters=[{"type": "URLRewrite", "urlRewrite": {"hostname": "b.test"}}])))
    found = start(text=text + "---\n" + bad.replace(old.strip(), new.strip(), 1))
    problems = [item for item in found.ready["problems"] if item["code"] == code]
    assert [item["field"] for item in problems] == [field]
    assert problems[0]["line"] > text.count("\n")
    assert get(found, "/x").status == 200
    # What was right before goes on serving when it becomes wrong.
    found.write(text=text + "---\n" + bad.replace("/x", "/y"))
    assert get(found, "/y").status == 200
    found.write(text=text + "---\n" + bad.replace("/x", "/y").replace(old.strip().replace("/x", "/y"), new.strip(), 1))
    assert get(found, "/y").status == 200


def test_unknown_kinds_and_duplicates(start: Any, simple: list[Manifest]) -> None:
    other = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}
    found = start(*simple, other, route(rule("/second", "app")))
    assert found.ready["ignored"] == {"apps/v1/Deployment": 1}
    assert any("already written" in item["message"] for item in found.ready["problems"])
    assert get(found).status == 200


def test_ten_megabytes_of_yaml(start: Any, simple: list[Manifest]) -> None:
    text = dump(*simple) + "".join(
        f"---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: large-{number}\ndata:\n  x: {'y' * 1_000_000}\n"
        for number in range(10)
    )
    found = start(text=text)
    assert get(found).status == 200


def test_controller_name(start: Any, simple: list[Manifest]) -> None:
    name = "example.com/gateway-controller"
    gateway_class = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "other"},
        "spec": {"controllerName": name},
    }
    simple[0]["spec"]["gatewayClassName"] = "other"
    found = start(gateway_class, *simple)
    assert found.ready["listeners"] == []
    assert any(f"--controller-name {name}" in hint for hint in found.ready["hints"])
    assert get(start(gateway_class, *simple, arguments=("--controller-name", name))).status == 200


# --- Ports ------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken(start: Any, simple: list[Manifest]) -> None:
    simple[0] = gateway(listener(), listener("taken", 8081))
    blocker = socket.socket()
    blocker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    address = own_address()
    blocker.bind((address, 8081))
    blocker.listen()
    found = start(*simple, arguments=("--listen", address))
    by_name = {line["id"].rpartition("/")[2]: line for line in found.ready["listeners"]}
    assert by_name["taken"]["error"]
    assert by_name["http"]["bound"]
    problem = next(item for item in found.ready["problems"] if item["code"] == "bind-failed")
    assert problem["field"] == "spec.listeners[1].port"
    assert problem["remedy"]
    assert get(found).status == 200
    blocker.close()
    found.event(lambda event: any(item["code"] == "bind-failed" for item in event.get("solved", ())))
    connection = Http1(address, 8081)
    assert connection.request("GET", "a", "/").status == 200
    connection.close()


def test_gateway_addresses(backend: Any, tmp_path: Path) -> None:
    address = own_address()
    spec = {"addresses": [{"type": "IPAddress", "value": address}]}
    objects = [gateway(**spec), route(rule("/", "app")), *service("app", backend("app").address)]
    (tmp_path / "all.yaml").write_text(dump(*objects))
    command = [
        sys.executable,
        "-m",
        "sluicegate",
        "serve",
        str(tmp_path),
        "--admin",
        "off",
        "-o",
        "json",
        "--port-offset",
        "1000",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["listeners"][0]["bound"] == [f"{address}:9080"]
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(LIMIT) == 0
    process.stdout.close()


def test_an_admin_port_that_is_taken(start: Any, simple: list[Manifest]) -> None:
    first = start(*simple)
    second = start(*simple, arguments=("--admin", f"{first.address}:19000"))
    assert any("19000" in event.get("message", "") for event in second.seen if event["event"] == "warning")
    assert get(second).status == 200


# --- Load while things change -----------------------------------------------------------------------------------


class Load:
    """Requests on keep-alive connections until it is stopped; counts what is not 200."""

    def __init__(self, address: str, client: Any, connections: int = 4) -> None:
        self.failures: list[str] = []
        self.requests = 0
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(address, client), daemon=True) for _ in range(connections)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, address: str, client: Any) -> None:
        connection = client(address, PORT)
        while not self._stop.is_set():
            try:
                found = connection.request("GET", "any.test", "/")
                if found.status != 200:
                    self.failures.append(str(found.status))
            except (OSError, ConnectionError, ValueError) as error:
                self.failures.append(repr(error))
                return
            self.requests += 1
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)


def test_changes_under_load_fail_nothing(start: Any, simple: list[Manifest], client: Any) -> None:
    found = start(*simple)
    load = Load(found.address, client)
    for number in range(40):
        found.write(*simple, route(rule(f"/{number}", "app"), name="changing"))
        if number % 10 == 5:
            found.write(
                *simple, route(rule(f"/{number}", "app"), name="changing"), text=dump(*simple) + "---\nbroken: ["
            )
    load.stop()
    assert load.requests > 100
    assert load.failures == []


def test_endpoints_come_and_go_under_load(start: Any, simple: list[Manifest], backend: Any, client: Any) -> None:
    found = start(*simple)
    load = Load(found.address, client)
    running = [backend("app")]
    for _ in range(10):
        running.append(backend("app"))
        found.write(*simple[:2], *service("app", *(each.address for each in running)))
        oldest = running.pop(0)
        found.write(*simple[:2], *service("app", *(each.address for each in running)))
        oldest.close()
    load.stop()
    assert load.requests > 50
    assert load.failures == []


def test_endpoint_conditions(start: Any, backend: Any) -> None:
    ready, draining = backend("ready"), backend("draining")
    both = [
        *service("app", ready.address, ready=True),
        {
            **service("app", draining.address, ready=False, serving=True, terminating=True)[1],
            "metadata": {
                "name": "app-draining",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "app"},
            },
        },
    ]
    found = start(gateway(), route(rule("/", "app")), *both)
    assert {get(found).echo["backend"] for _ in range(10)} == {"ready"}
    found.write(gateway(), route(rule("/", "app")), both[0], both[2])
    assert {get(found).echo["backend"] for _ in range(10)} == {"draining"}
    gone = service("app", ready.address, ready=False, serving=False, terminating=True)
    found.write(gateway(), route(rule("/", "app")), *gone)
    assert get(found).status == 503


# --- Drain ------------------------------------------------------------------------------------------------------


def test_a_drain_does_not_wait_for_idle_clients(start: Any, simple: list[Manifest], client: Any) -> None:
    found = start(*simple, arguments=("--drain", "60"))
    held = client(found.address, PORT)
    assert held.request("GET", "a", "/").status == 200
    started = time.monotonic()
    assert found.stop() == 0
    assert time.monotonic() - started < 30
    held.close()


def test_a_drain_asks_clients_to_go(start: Any, backend: Any) -> None:
    """HTTP/1.1: `Connection: close` with the response; HTTP/2: GOAWAY twice, and streams under way go on."""
    arrived, release = threading.Semaphore(0), threading.Event()

    def slow(_request: Received) -> bytes:
        arrived.release()
        release.wait(LIMIT)
        return response(b"done")

    found = start(gateway(), route(rule("/", "slow")), *service("slow", backend(slow).address))
    first, second = Http1(found.address, PORT), Http2(found.address, PORT)
    first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    stream = second.open("GET", "a", "/")
    for _ in range(2):
        assert arrived.acquire(timeout=LIMIT)
    found.send_signal(signal.SIGTERM)
    found.event(lambda event: event["event"] == "draining")
    while not second.goaways:
        second.pump()
    assert found.admin_status("/readyz") == 503
    assert found.admin_status("/healthz") == 200
    release.set()
    answer = first.read()
    assert (answer.status, answer.header("connection")) == (200, "close")
    assert first.at_end()
    assert second.read(stream).body == b"done"
    with contextlib.suppress(ConnectionError):
        while True:
            second.pump()
    assert second.goaways == 2
    assert found.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_finished(start: Any, backend: Any, client: Any, number: int) -> None:
    arrived, release = threading.Event(), threading.Event()

    def slow(_request: Received) -> bytes:
        arrived.set()
        release.wait(LIMIT)
        return response(b"done")

    found = start(gateway(), route(rule("/", "slow")), *service("slow", backend(slow).address))
    results: list[Any] = []
    connection = client(found.address, PORT)
    thread = threading.Thread(target=lambda: results.append(connection.request("GET", "a", "/")))
    thread.start()
    assert arrived.wait(LIMIT)
    found.send_signal(number)
    found.event(lambda event: event["event"] == "draining")
    release.set()
    thread.join(LIMIT)
    assert (results[0].status, results[0].body) == (200, b"done")
    assert found.stop() == 0
    connection.close()


def test_the_drain_ends_at_its_limit(start: Any, backend: Any) -> None:
    arrived, release = threading.Event(), threading.Event()

    def stuck(_request: Received) -> bytes:
        arrived.set()
        release.wait(LIMIT)
        return response()

    found = start(
        gateway(), route(rule("/", "stuck")), *service("stuck", backend(stuck).address), arguments=("--drain", "0.3")
    )
    connection = Http1(found.address, PORT)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(LIMIT)
    started = time.monotonic()
    assert found.stop() == 0
    assert time.monotonic() - started < 5
    release.set()


def test_a_second_signal_ends_at_once(start: Any, backend: Any, tmp_path: Path) -> None:
    arrived, release = threading.Event(), threading.Event()

    def stuck(_request: Received) -> bytes:
        arrived.set()
        release.wait(LIMIT)
        return response()

    found = Gateway(
        tmp_path,
        gateway(),
        route(rule("/", "stuck")),
        *service("stuck", backend(stuck).address),
        arguments=("--drain", "60"),
    )
    connection = Http1(found.address, PORT)
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert arrived.wait(LIMIT)
    found.send_signal(signal.SIGTERM)
    found.event(lambda event: event["event"] == "draining")
    started = time.monotonic()
    found.send_signal(signal.SIGTERM)
    assert found.stop() == 130
    assert time.monotonic() - started < 2
    release.set()


# --- Admin and logs ---------------------------------------------------------------------------------------------


def test_admin(start: Any, simple: list[Manifest], authority: Any) -> None:
    pair = authority.sign("a.test")
    found = start(gateway(listener(), https(secret="pair")), *simple[1:], secret("pair", pair.certificate, pair.key))
    for target in ("/", "/x"):
        assert get(found, target).status == 200
    until(lambda: counted(found) == 2, "both requests are counted")
    assert found.admin("/healthz") == "ok\n"
    assert found.admin("/readyz") == "ready\n"
    configuration = found.admin("/config")
    assert "HTTPRoute/default/route/0" in configuration
    assert "PRIVATE KEY" not in configuration
    metrics = found.admin("/metrics")
    assert 'route="HTTPRoute/default/route"' in metrics
    samples = [line for line in metrics.splitlines() if line.startswith("sluicegate_requests_total")]
    assert any('2xx"' in line and line.endswith(" 2") for line in samples), samples
    assert "sluicegate_config_generation 1" in metrics
    found.write(gateway(), *service("app", ("127.0.0.1", 1)), name="all.yaml")
    # The workers let go of the generation before within their sweep.
    until(lambda: "HTTPRoute/default/route" not in found.admin("/metrics"), "the series of the route are gone")


def test_silent_connections_keep_no_probe_waiting(start: Any, simple: list[Manifest]) -> None:
    """More of them than are kept: the oldest are ended, each probe is answered at once."""
    found = start(*simple)
    with contextlib.ExitStack() as stack:
        place = (found.address, 19000)
        silent = [stack.enter_context(socket.create_connection(place, LIMIT)) for _ in range(150)]
        began = time.monotonic()
        for _ in range(10):
            assert found.admin("/healthz") == "ok\n"
        assert time.monotonic() - began < ADMIN_LIMIT
        assert silent[0].recv(1) == b""
        # Those that are left have the time of any request.
        for connection in silent:
            assert connection.recv(1) == b""
        assert time.monotonic() - began < 2 * ADMIN_LIMIT


def test_metrics_do_not_grow_with_what_clients_send(start: Any, simple: list[Manifest]) -> None:
    """Hosts, paths, methods and versions of clients are in no label; the series of a listener goes with it."""
    simple[0] = gateway(listener(), listener("other", 8081))
    found = start(*simple)
    assert get(found).status == 200
    assert get(found, port=8081).status == 200
    connection = Http1(found.address, PORT)
    # All methods that have no name in OpenTelemetry's conventions are one.
    assert connection.request("M", "h.test", "/").status == 200
    until(lambda: counted(found) == 3, "all three requests are counted")
    before = names_of(found.admin("/metrics"))
    for number in range(50):
        assert connection.request(f"M{number}", f"h{number}.test", f"/{number}?q={number}").status == 200
    connection.close()
    until(lambda: counted(found) == 53, "all requests are counted")
    assert names_of(found.admin("/metrics")) == before
    assert any('listener="Gateway/default/gateway/other"' in name for name in before)
    found.write(gateway(), *simple[1:])
    until(lambda: "gateway/other" not in "".join(names_of(found.admin("/metrics"))), "the listener's series are gone")
    assert get(found).status == 200
    assert any('route="HTTPRoute/default/route"' in name for name in names_of(found.admin("/metrics")))


def counted(found: Gateway) -> int:
    """Requests that ended, by the metrics: one is counted just after its response."""
    lines = found.admin("/metrics").splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith("sluicegate_requests_total{"))


def names_of(metrics: str) -> set[str]:
    """Names with labels of all samples."""
    return {line.rpartition(" ")[0] for line in metrics.splitlines() if not line.startswith("#")}


def test_access_log(start: Any, simple: list[Manifest], tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    found = start(*simple, arguments=("--access-log", str(path)))
    connection = Http1(found.address, PORT)
    connection.request("GET", "any.test", "/logged?q=1", (("user-agent", 'a"b\\c'),))
    found.process.send_signal(signal.SIGUSR1)
    found.event(lambda event: event["event"] == "access_log")
    connection.request("GET", "any.test", "/silent")
    connection.close()
    assert found.stop() == 0
    [line] = [json.loads(text) for text in path.read_text().splitlines()]
    assert line["user_agent"] == 'a"b\\c'
    assert line["method"] == "GET"
    assert line["status"] == 200
    assert line["path"].startswith("/logged")
    assert line["route"] == "HTTPRoute/default/route"


# --- Settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workers", "-1"), "workers"),
        (("--listen", "nonsense"), "listen"),
        (("--admin", "here"), "admin"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("--port-offset", "-5"), "--port-offset: -5 is not between"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    command = [sys.executable, "-m", "sluicegate", "serve", str(tmp_path), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_settings_by_file_and_environment(backend: Any, tmp_path: Path) -> None:
    address = own_address()
    (tmp_path / "manifests").mkdir()
    objects = [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]
    (tmp_path / "manifests" / "all.yaml").write_text(dump(*objects))
    (tmp_path / "settings.toml").write_text(
        f'listen = ["{address}"]\nport_offset = 1\nadmin = "off"\noutput = "json"\n[engine]\nmax_head_bytes = 4096\n'
    )
    environment = {**os.environ, "SLUICEGATE_CONFIG": str(tmp_path / "settings.toml"), "SLUICEGATE_PORT_OFFSET": "2"}
    command = [sys.executable, "-m", "sluicegate", "serve", str(tmp_path / "manifests")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["listeners"][0]["bound"] == [f"{address}:8082"]
    connection = Http1(address, 8082)
    assert connection.request("GET", "a", "/", (("x-large", "y" * 5000),)).status == 431
    connection.close()
    process.terminate()
    process.stdout.read()
    assert process.wait(LIMIT) == 0
    process.stdout.close()


def test_text_summary(backend: Any, tmp_path: Path) -> None:
    """The summary for people: listener, route, problem with its place, and a curl line that works."""
    address = own_address()
    objects = [gateway(), route(rule("/login", "app"), rule("/bad", "missing"), hostnames=["www.example.com"])]
    (tmp_path / "all.yaml").write_text(dump(*objects, *service("app", backend("app").address)))
    command = [sys.executable, "-m", "sluicegate", "serve", str(tmp_path), "--listen", address, "--admin", "off"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = []
    while not (line := process.stdout.readline()).startswith("Try: "):
        assert line
        lines.append(line)
    text = "".join(lines)
    assert "1 listener, 1 route" in text
    assert "www.example.com PathPrefix /login -> default/app:80" in text
    assert f"{tmp_path}/all.yaml:" in text
    result = subprocess.run(
        ["/bin/sh", "-c", f"{line[5:].strip()} --silent"], capture_output=True, text=True, check=True
    )
    assert json.loads(result.stdout)["backend"] == "app"
    process.terminate()
    process.stdout.read()
    assert process.wait(LIMIT) == 0
    process.stdout.close()
