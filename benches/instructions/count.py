"""Counts of each unit of work: the difference of two runs that differ only in how often it is done.

What a process does besides (start, the first table, the end) falls out.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benches.instructions import callgrind, steps
from benches.tables import head_of, workload
from sluicegate import ir

ROUTES = 1_000
ADDRESS = "127.77.0.2"
#: A process under callgrind is 50 times slower; this is for one that hangs.
LIMIT = 120.0
#: The work: how often it is done in the shorter and in the longer run.
TIMES = {"resolve": (100, 10_100), "compile": (1, 4), "change": (100, 1_100)}
REQUESTS = (100, 600)
#: What the gate says of each.
TITLES = {
    "resolve": f"resolve one request at {ROUTES:,} routes",
    "compile": f"apply {ROUTES:,} routes to nothing",
    "change": f"apply one changed route of {ROUTES:,}",
    "proxy": "one HTTP/1.1 request through the engine",
    **{name: step.title for name, step in steps.STEPS.items()},
}
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 32\r\n\r\n" + b"0123456789abcdef" * 2


def count(work: str, library: Path) -> float:
    """Instructions of the library for one unit of a work of `TITLES`."""
    return _count(work, steps.STEPS.get(work), library)


def count_step(step: steps.Step, library: Path) -> float:
    """Instructions of the library for one request with a step that is none of the gate's."""
    return _count("proxy", step, library)


def _count(work: str, step: steps.Step | None, library: Path) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        less, more = TIMES.get(work, REQUESTS)
        few, many = (run(folder, library, work, step, times) for times in (less, more))
    return (many - few) / (more - less)


def write_inputs(folder: Path) -> None:
    found = workload(ROUTES, requests=1)
    (folder / "full.json").write_bytes(found.transaction)
    (folder / "request.json").write_bytes(msgspec.json.encode(found.requests[0]))
    # Two changes in turn: the same one again would change nothing.
    for number in (0, 1):
        change = msgspec.json.decode(found.change)
        change["upsert"]["http_rules"][0]["timeouts"] = {"request_ms": 5_000 + number}
        (folder / f"change-{number}.json").write_bytes(msgspec.json.encode(change))


def run(folder: Path, library: Path, work: str, step: steps.Step | None, times: int) -> int:
    """Instructions of a run that does a work so many times."""
    output = folder / "callgrind.out"
    child = work if work in TIMES else "proxy"
    command = callgrind.command(output, str(library), str(folder), child, str(times))
    if child == "proxy":
        with tempfile.TemporaryDirectory(dir=folder) as own:
            command[command.index(str(folder))] = own
            run_proxy(Path(own), command, step, times)
    else:
        subprocess.run(command, check=True, timeout=LIMIT)
    return callgrind.instructions_of(output.read_text().splitlines(), library.name)


def run_proxy(folder: Path, command: list[str], step: steps.Step | None, times: int) -> None:
    """Run an engine with a step or none, and send it requests one after the other, from outside of callgrind."""
    with socket.create_server((ADDRESS, 0)) as server, socket.create_server((ADDRESS, 0)) as placeholder:
        port = placeholder.getsockname()[1]
        placeholder.close()
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        ports = port, server.getsockname()[1]
        request = write_engine(folder, *ports) if step is None else steps.write(step, folder, ADDRESS, *ports)
        with engine(command), socket.create_connection((ADDRESS, port), LIMIT) as client:
            for _ in range(times):
                client.sendall(request)
                received = b""
                while not received.endswith(_ANSWER[-32:]):
                    data = client.recv(65536)
                    if not data or (received and not received.startswith(b"HTTP/1.1 200 ")):
                        raise SystemExit(f"the engine does not answer: {received + data!r}")
                    received += data


@contextlib.contextmanager
def engine(command: list[str]) -> Iterator[None]:
    """Run a process until the block ends; its first line is the report of its listeners."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        report = json.loads(process.stdout.readline())
        if any(listener.get("error") for listener in report["listeners"]):
            raise SystemExit(f"the engine cannot listen: {report}")
        yield
        process.stdin.close()
        if process.wait(LIMIT) != 0:
            raise SystemExit(f"the engine ended with status {process.returncode}")
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def write_engine(folder: Path, port: int, backend: int) -> bytes:
    """The engine's configuration: the same table on a port, with a backend. Returns the request, as on the wire."""
    found = workload(ROUTES, requests=1)
    full = ir.decode(found.transaction)
    replace = msgspec.structs.replace
    upsert = replace(
        full.upsert,
        listeners=tuple(replace(item, addresses=(ADDRESS,), bind_port=port) for item in full.upsert.listeners),
        endpoints=tuple(replace(item, address=ADDRESS, port=backend) for item in full.upsert.endpoints),
    )
    (folder / "engine.json").write_bytes(ir.encode(replace(full, upsert=upsert)))
    (folder / "settings.json").write_text(json.dumps({"workers": 1}))
    return head_of(found.requests[0])


def answer(server: socket.socket) -> None:
    """A backend; the engine has a connection for each endpoint."""
    with contextlib.suppress(OSError):
        while True:
            connection, _ = server.accept()
            threading.Thread(target=_answer_one, args=(connection,), daemon=True).start()


def _answer_one(connection: socket.socket) -> None:
    with contextlib.suppress(OSError), connection:
        received = b""
        while data := connection.recv(65536):
            received += data
            while b"\r\n\r\n" in received:
                received = received.partition(b"\r\n\r\n")[2]
                connection.sendall(_ANSWER)
