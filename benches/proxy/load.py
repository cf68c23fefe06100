"""One round of one shape against one proxy."""

from __future__ import annotations

import contextlib
import json
import math
import re
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benches.proxy import processes
from benches.proxy.backends import DOWNLOAD, SMALL, UNARY, UPLOAD
from benches.proxy.peers.site import ADDRESS, GRPC_HOST, HOST, Peer
from benches.proxy.shapes import IDLE_CONNECTIONS, PACE, Content, Driver, Figure, Shape
from benches.proxy.verdict import Sample

#: h2load sends at a pace by a timer of at least 10 ms for each connection, so one has fewer requests a second than 100:
#: else they would come in bursts.
PACED_BY_CONNECTION = 80
#: Requests of a shape with a connection for each, for a second of its round.
CLOSED_EACH_SECOND = 4_000
#: Seconds of the run that finds nginx's most.
SATURATION_SECONDS = 2
#: Both sides the same cipher and group, so that proxies differ by their work and not by their preferences.
TLS = ("--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519")
#: Seconds for a run that hangs, besides its own.
LIMIT = 60
_PATHS = {Content.SMALL: SMALL, Content.DOWNLOAD: (DOWNLOAD,), Content.UPLOAD: (UPLOAD,), Content.GRPC: (UNARY,)}
_BODIES = {Content.UPLOAD: "upload.bin", Content.GRPC: "message.bin"}


@dataclass(frozen=True)
class Counted:
    """What a load saw."""

    done: int
    failed: int
    p99_ms: float

    def __add__(self, other: Counted) -> Counted:
        """Of both; the longer p99."""
        return Counted(self.done + other.done, self.failed + other.failed, max(self.p99_ms, other.p99_ms))


def measure(shape: Shape, peer: Peer, pid: int, folder: Path, seconds: int, rate: float | None) -> Sample:
    """One round.

    Args:
        shape: of any driver.
        peer: that has the shape's entry.
        pid: of the proxy.
        folder: that has the backends' files.
        seconds: of load.
        rate: requests a second, if the shape is paced.
    """
    if shape.driver is Driver.IDLE:
        return Sample(idle(peer.ports[shape.entry], pid))
    before, started = processes.cpu_seconds(pid), time.monotonic()
    counted = (
        h2load(shape, peer, folder, seconds, rate)
        if shape.driver is Driver.H2LOAD
        else datagrams("flood" if shape.driver is Driver.FLOOD else "send", peer, seconds)
    )
    spent, elapsed = processes.cpu_seconds(pid) - before, time.monotonic() - started
    units = counted.done * shape.units
    value = counted.p99_ms if shape.figure is Figure.P99 else spent / max(units, 1) * 1e6
    return Sample(value, units / elapsed, spent / elapsed, counted.p99_ms, counted.failed)


def pace_of(shape: Shape, peer: Peer, folder: Path) -> float:
    """Requests a second of a paced shape: a part of what a proxy can answer at most."""
    return h2load(shape, peer, folder, SATURATION_SECONDS, None).done / SATURATION_SECONDS * PACE


def h2load(shape: Shape, peer: Peer, folder: Path, seconds: int, rate: float | None) -> Counted:
    """Run h2load; in bursts where the shape wants them, until the time is over.

    Raises:
        SystemExit: it does not run, nothing is answered, or nothing but errors.
    """
    ends, total = time.monotonic() + seconds, Counted(0, 0, 0.0)
    while True:
        total += h2load_once(shape, peer, folder, seconds, rate)
        if shape.burst and time.monotonic() < ends:
            continue
        if total.done or time.monotonic() > ends + LIMIT:
            break  # else the machine was busy with something else, and not one request was answered in time
    if not total.done:
        raise SystemExit(f"h2load, {shape.name}: {peer.name} answers nothing")
    return total


def h2load_once(shape: Shape, peer: Peer, folder: Path, seconds: int, rate: float | None) -> Counted:
    """As `h2load`, one run."""
    log = folder / "load.log"
    log.unlink(missing_ok=True)
    command = command_of(shape, peer.ports[shape.entry], folder, seconds, rate)
    command = ["taskset", "-c", processes.OTHER_CORES, *command, "--log-file", str(log)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + LIMIT)
    counted = counted_of(result.stdout, log.read_text().splitlines() if log.exists() else [])
    if counted is None:
        raise SystemExit(f"h2load, {shape.name} against {peer.name}: {result.stdout}{result.stderr}")
    return counted


def command_of(shape: Shape, port: int, folder: Path, seconds: int, rate: float | None) -> list[str]:
    """The command line of h2load for a shape."""
    connections = (shape.burst or shape.connections) if rate is None else max(1, math.ceil(rate / PACED_BY_CONNECTION))
    command = ["h2load", "-t", "1", "-c", str(connections), "-m", str(shape.streams)]
    # With a duration h2load opens no connection anew, so those shapes have a number of requests.
    number = connections if shape.burst else CLOSED_EACH_SECOND * seconds if shape.close else None
    command += ["-D", str(seconds)] if number is None else ["-n", str(number)]
    command += [] if rate is None else ["--rps", f"{rate / connections:.3f}"]
    command += [] if shape.http2 else ["--h1"]
    is_grpc = shape.content is Content.GRPC
    # HTTP/1.1 to the TCP entry too, which does not look into it.
    command += ["-H", f":authority: {GRPC_HOST if is_grpc else HOST}"]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"] if is_grpc else []
    command += ["-H", "connection: close"] if shape.close else []
    command += ["-d", str(folder / _BODIES[shape.content])] if shape.content in _BODIES else []
    base = f"http://{ADDRESS}:{port}"
    if shape.entry == "tls":
        command += [*TLS, f"--connect-to={ADDRESS}:{port}"]
        base = f"https://{HOST}"
    return [*command, *(base + path for path in _PATHS[shape.content])]


def counted_of(output: str, log: list[str]) -> Counted | None:
    """What h2load said; None where all answers were errors.

    Args:
        output: what it printed.
        log: its log: lines of three columns, the third one being microseconds.
    """
    found = re.search(r"requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded", output)
    if found is None or (int(found[2]) and not int(found[3])):
        return None
    times = sorted(int(columns[2]) for line in log if len(columns := line.split("\t")) >= 3)
    p99 = times[int(len(times) * 0.99)] / 1000 if times else 0.0
    return Counted(int(found[3]), int(found[2]) - int(found[3]), p99)


def datagrams(way: str, peer: Peer, seconds: int) -> Counted:
    """Run `datagrams.py`; `way`: send or flood."""
    command = [sys.executable, "-m", "benches.proxy.datagrams", way, str(peer.ports["udp"]), str(seconds)]
    command = ["taskset", "-c", processes.OTHER_CORES, *command]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + LIMIT)
    found = json.loads(result.stdout)
    if not found["returned"]:
        raise SystemExit(f"no datagram comes back from {peer.name}")
    return Counted(found["returned"], found["lost"], found["p99_ms"])


def idle(port: int, pid: int) -> float:
    """Bytes of resident memory for each connection that had one request and stays open."""
    with contextlib.ExitStack() as stack:
        sizes = []
        for _ in range(2):
            for _ in range(IDLE_CONNECTIONS):
                ask(stack.enter_context(socket.create_connection((ADDRESS, port), LIMIT)))
            sizes.append(processes.resident_bytes(pid))
        return (sizes[1] - sizes[0]) / IDLE_CONNECTIONS


def ask(connection: socket.socket) -> None:
    """Send a small request and read its answer."""
    connection.sendall(f"GET {SMALL[0]} HTTP/1.1\r\nhost: {HOST}\r\naccept: */*\r\n\r\n".encode())
    received, deadline = b"", time.monotonic() + LIMIT
    while not received.endswith(b"0123456789abcdef" * 2):
        data = connection.recv(65536)
        if not data or time.monotonic() > deadline:
            raise SystemExit(f"port {connection.getpeername()[1]} does not answer: {received!r}")
        received += data
