"""The engine inside an interpreter: a GIL that is held, busy starts and stops."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from system_backends import response
from system_gateway import own_address
from system_manifests import dump, gateway, route, rule, service

from sluicegate.engine.native import Engine

LIMIT = 300

#: Serves manifests from standard input, then holds the GIL as calls by `ctypes.PyDLL` do: no Python can run.
HOLD = """
import ctypes, sys, time
from sluicegate import ir
from sluicegate.engine.native import Engine
from sluicegate.testing.offline import load_offline

offline = load_offline(["-"])
transaction = ir.encode(offline.transaction())
engine = Engine({"workers": 1})
engine.apply(transaction)
print("ready", flush=True)
sys.stdin = open("/dev/null")
time.sleep(3)
print("held", flush=True)
ctypes.PyDLL(None).sleep(10)
print("free", flush=True)
time.sleep(1)
engine.shutdown()
"""

#: Loads one connection and tells, every tenth of a second, the requests and the slowest of them.
LOAD = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], 8080)
while True:
    until, times = time.perf_counter() + 0.1, []
    while (started := time.perf_counter()) < until:
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"ok"
        times.append(time.perf_counter() - started)
    times.sort()
    print(len(times), times[int(len(times) * 0.99)] * 1000, flush=True)
"""

#: Starts and stops engines while threads send them requests.
ROUNDS = """
import socket, sys, threading
from sluicegate import ir
from sluicegate.engine.native import Engine
from sluicegate.testing.offline import load_offline

offline = load_offline(["-"])
transaction = ir.encode(offline.transaction())
stop = threading.Event()
answered = 0

def load():
    global answered
    while not stop.is_set():
        try:
            connection = socket.create_connection((sys.argv[1], 8080), 1)
            for _ in range(20):
                connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
                if b"200 OK" in connection.recv(4096):
                    answered += 1
            connection.close()
        except OSError:
            pass

threads = [threading.Thread(target=load) for _ in range(4)]
for thread in threads:
    thread.start()
for number in range(200):
    engine = Engine({"workers": 2})
    engine.apply(transaction)
    before = answered
    while answered < before + 5:
        pass
    if number % 2:
        engine.drain(0.2)
    engine.shutdown()
stop.set()
for thread in threads:
    thread.join()
print(answered)
"""


def manifests(backend: Any, address: str) -> str:
    answering = backend(lambda _request: response(b"ok"))
    addresses = [{"type": "IPAddress", "value": address}]
    return dump(gateway(addresses=addresses), route(rule("/", "app")), *service("app", answering.address))


def test_a_held_interpreter_does_not_stop_traffic(backend: Any) -> None:
    """As many requests, and none of them late, while the GIL is held for ten seconds."""
    address = own_address()
    text = manifests(backend, address)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write(text)
    holder.stdin.close()
    assert holder.stdout.readline() == "ready\n"
    load = subprocess.Popen([sys.executable, "-c", LOAD, address], stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    samples: dict[str, list[tuple[int, float]]] = {"before": [], "held": []}
    phase = "before"

    def follow() -> None:
        nonlocal phase
        assert holder.stdout is not None
        for line in holder.stdout:
            phase = line.strip()
        phase = "free"

    threading.Thread(target=follow, daemon=True).start()
    for line in load.stdout:
        if phase == "free":
            break
        count, slowest = line.split()
        samples[phase].append((int(count), float(slowest)))
    load.terminate()
    load.wait(LIMIT)
    load.stdout.close()
    assert holder.wait(LIMIT) == 0
    holder.stdout.close()
    # Were anything to wait for the GIL, there would be one sample of ten seconds. The rest leaves room for a machine
    # that has other things to do meanwhile.
    assert len(samples["held"]) >= 40
    assert min(count for count, _ in samples["held"]) > 0
    rate = {name: sorted(count for count, _ in each)[len(each) // 2] for name, each in samples.items()}
    late = {name: sorted(slowest for _, slowest in each)[len(each) // 2] for name, each in samples.items()}
    assert rate["held"] > rate["before"] / 4, (rate, late)
    assert late["held"] < max(late["before"] * 4, 20), (rate, late)


def test_busy_starts_and_stops_end_cleanly(backend: Any) -> None:
    address = own_address()
    command = [sys.executable, "-c", ROUNDS, address]
    result = subprocess.run(
        command, input=manifests(backend, address), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert result.returncode == 0, result.stderr
    assert int(result.stdout) > 1_000


@pytest.mark.parametrize("name", ["limit", "settle"])
@pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), float("nan"), -1.0, 86_400.1, 1e19, 1e300])
def test_times_that_no_clock_reaches(name: str, seconds: float) -> None:
    """They are refused with what is allowed, and the engine is none the worse for it."""
    engine = Engine({"workers": 1})
    with pytest.raises(ValueError, match=rf"^{name} is .* s; it must be between 0 and 86400 s$"):
        engine.drain(**{"limit": 1.0, name: seconds})
    assert engine.drain(86_400.0, settle_alone=False)
    engine.shutdown()


@pytest.mark.parametrize("workers", [257, 2**40])
def test_threads_that_no_machine_has(workers: int) -> None:
    with pytest.raises(ValueError, match=rf"^settings: workers is {workers}; it must be between 0 and 256$"):
        Engine({"workers": workers})
