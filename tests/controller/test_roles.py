"""One process, four roles: each test is for `serve`, `serve --kubernetes`, `controller` and `gateway`."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from role_processes import Cluster, Controller, DataPlane, Files, RoleProcess, running
from system_gateway import LIMIT, until

Role = type[RoleProcess]
ROLES = pytest.mark.parametrize("role", [Files, Cluster, Controller, DataPlane])
SERVING = pytest.mark.parametrize("role", [Files, Cluster, DataPlane])

#: Routines of each role that raise, one for each kind of job.
STUMBLES = [
    (Files, "sluicegate.processes.serve.files.FilesGateway._follow"),
    (Files, "sluicegate.processes.serving_engine.ServingEngine._poll_events"),
    (Cluster, "sluicegate.processes.loop.Loop._translate"),
    (Cluster, "sluicegate.controller.sources.kubernetes.watch.Watch.run"),
    (Cluster, "sluicegate.controller.status.writer.StatusWriter.run"),
    (Cluster, "sluicegate.processes.serving_engine.ServingEngine.tell_events"),
    (Controller, "sluicegate.controller.leader.lease.Election.run"),
    (Controller, "sluicegate.controller.provision.apply.InfraWriter.run"),
    (Controller, "sluicegate.controller.stream.server.StreamServer.run"),
    (Controller, "sluicegate.controller.stream.identity.Identity.run"),
    (DataPlane, "sluicegate.dataplane.client.StreamClient.run"),
    (DataPlane, "sluicegate.dataplane.serving.Serving.save"),
]


def stop(found: RoleProcess, number: signal.Signals = signal.SIGTERM) -> int:
    found.process.send_signal(number)
    return found.process.wait(LIMIT)


@ROLES
def test_it_starts_follows_changes_and_ends(role: Role, tmp_path: Path) -> None:
    with running(role, tmp_path) as found:
        until(lambda: found.page("/readyz")[0] == 200, "it is ready")
        assert found.page("/healthz")[0] == 200
        found.want(8080, 8081)
        until(lambda: found.has(8081), "a change is followed")
        assert found.exceptions() == 0
        assert stop(found) == 0
        assert found.named("stopped")["message"] == "stopped"
        assert not [event for event in found.seen if event.get("code") == "fault"]
        assert found.errors == []


@ROLES
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_signals_of_logs(role: Role, number: signal.Signals, tmp_path: Path) -> None:
    """They end nothing: SIGHUP opens the file anew, SIGUSR1 switches the log."""
    with running(role, tmp_path) as found:
        if not found.serves:
            found.process.send_signal(number)
            assert "nothing to do" in found.named("signal_ignored")["message"]
        elif number == signal.SIGHUP:
            found.access_log.rename(tmp_path / "moved")
            found.process.send_signal(number)
            assert "is opened again" in found.named("access_log_reopened")["message"]
            assert found.access_log.exists()
        else:
            found.process.send_signal(number)
            assert found.named("access_log")["message"] == "access log off"
        assert found.has(8080)
        assert stop(found, signal.SIGINT) == 0


@SERVING
def test_a_connection_that_waits_is_asked_to_go(role: Role, tmp_path: Path) -> None:
    """Readiness fails, new connections are still taken, idle ones are answered once more: nothing is cut."""
    with running(role, tmp_path) as found, socket.create_connection((found.address, 8080), LIMIT) as kept:
        request = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n"
        kept.sendall(request)
        assert kept.recv(4096).startswith(b"HTTP/1.1 404")
        found.process.send_signal(signal.SIGTERM)
        found.named("draining")
        until(lambda: found.page("/readyz")[0] == 503, "it is not ready any more")  # told before the engine knows
        kept.sendall(request)
        assert kept.recv(4096).startswith(b"HTTP/1.1 404")
        assert found.process.wait(LIMIT) == 0
        assert found.named("stopped")["message"] == "stopped"


@ROLES
def test_a_second_signal_ends_it_at_once(role: Role, tmp_path: Path) -> None:
    with running(role, tmp_path) as found, contextlib.ExitStack() as stack:
        if isinstance(found, Controller):
            until(lambda: any(event["event"] == "leader" for event in [*found.seen, found.named("leader")]), "it leads")
            # It is giving the Lease back, to an API server that does not answer.
            silent = threading.Event()
            stack.callback(silent.set)
            found.loop.call_soon_threadsafe(silent.wait, LIMIT)
        else:
            client = stack.enter_context(socket.create_connection((found.address, 8080), LIMIT))
            client.sendall(b"GET / HTTP/1.1\r\n")  # a request that is not complete keeps the drain waiting
        found.process.send_signal(signal.SIGTERM)
        found.named("draining" if found.serves else "stopping")
        begun = time.monotonic()
        found.process.send_signal(signal.SIGTERM)
        assert found.process.wait(LIMIT) == 130
        assert time.monotonic() - begun < 30, "it waits for the drain"


@pytest.mark.parametrize(("role", "routine"), STUMBLES)
def test_a_job_that_raises_is_told_counted_and_begins_again(role: Role, routine: str, tmp_path: Path) -> None:
    with running(role, tmp_path, routine) as found:
        found.event(lambda event: "KeyError: 'odd'" in event.get("message", ""))
        until(lambda: found.exceptions() >= 1, "it is counted")
        found.want(8080, 8081)
        until(lambda: found.has(8081), "it goes on")
        assert stop(found) == 0


@SERVING
def test_a_taken_port_is_served_when_it_is_free(role: Role, tmp_path: Path) -> None:
    with running(role, tmp_path) as found:
        with socket.create_server((found.address, 8081)):
            found.want(8080, 8081, 8082)
            until(lambda: found.has(8082), "the others are served")
        until(lambda: found.has(8081), "it is tried again")
        assert stop(found) == 0


@pytest.mark.parametrize("role", [Files, Cluster, Controller])
def test_a_taken_admin_port_ends_the_start(role: Role, tmp_path: Path) -> None:
    """Probes would ask another process. A data plane that is there serves on all the same."""
    taken: list[socket.socket] = []

    class Refused(role):  # type: ignore[misc, valid-type]
        def follow(self) -> None:
            super().follow()
            taken.append(socket.create_server((self.address, 19000)))

    found = Refused(tmp_path)
    try:
        assert found.process.wait(LIMIT) == 1
        message = found.named("start_failed")["message"]
        assert f"admin listener {found.address}:19000: Address already in use" in message
        assert "--admin" in message
    finally:
        taken.pop().close()
        found.close()


@SERVING
def test_what_the_engine_has_to_tell_is_told(role: Role, tmp_path: Path) -> None:
    """Such as an admin port that is taken, where that ends no start."""
    taken: list[socket.socket] = []

    class Going(role):  # type: ignore[misc, valid-type]
        ready = "admin_unavailable"

        def follow(self) -> None:
            super().follow()
            taken.append(socket.create_server((self.address, 19000)))

        def arguments(self) -> list[str]:
            return [*super().arguments(), *([] if role is DataPlane else ["--keep-going"])]

    try:
        with running(Going, tmp_path) as found:
            assert "Address already in use" in found.seen[-1]["message"]
            assert stop(found) == 0
    finally:
        taken.pop().close()


def test_the_config_stream_waits_for_its_port(tmp_path: Path) -> None:
    """The one port of a controller beside its admin listener."""
    taken: list[socket.socket] = []

    class Waiting(Controller):
        def follow(self) -> None:
            super().follow()
            taken.append(socket.create_server((self.address, 18000)))

    with running(Waiting, tmp_path) as found:
        found.named("stream_bind")
        taken.pop().close()
        assert found.named("stream")["port"] == 18000
        assert stop(found) == 0
