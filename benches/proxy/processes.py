"""Processes that are pinned to cores, and what they used."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from benches.proxy.peers.site import ADDRESS

START_LIMIT = 30.0
#: Memory that has not changed for so long has settled, or never will.
QUIET, SETTLE_LIMIT = 1.0, 10.0
_CORES = sorted(os.sched_getaffinity(0))
#: One for the proxy, all others for backends and load.
PROXY_CORES = str(_CORES[0])
OTHER_CORES = ",".join(map(str, _CORES[1:] or _CORES))
CORES = len(_CORES)
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(command: list[str], cores: str, ports: Iterable[int], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server pinned to cores until the block ends.

    Args:
        command: of the server.
        cores: as `taskset -c` takes them.
        ports: of TCP, on loopback; it has started once all are listened on.
        log: file for what it prints.

    Raises:
        SystemExit: it does not start, or cannot be run.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(["taskset", "-c", cores, *command], stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_LIMIT
        for port in ports:
            while not is_open(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} does not start:\n{log.read_text()}")
                time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(START_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def is_open(port: int) -> bool:
    """Whether a port of TCP is listened on."""
    try:
        socket.create_connection((ADDRESS, port), 1).close()
    except OSError:
        return False
    return True


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and all below it: to the nanosecond where the kernel tells, else to the tick."""
    return sum(map(_cpu_seconds, (pid, *descendants(pid))))


def _cpu_seconds(pid: int) -> float:
    with contextlib.suppress(OSError):
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    return 0.0


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and all below it, once it no longer changes."""
    deadline = time.monotonic() + SETTLE_LIMIT
    before, now = -1, _resident_bytes(pid)
    while before != now and time.monotonic() < deadline:
        time.sleep(QUIET)
        before, now = now, _resident_bytes(pid)
    return now


def _resident_bytes(pid: int) -> int:
    total = 0
    for each in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{each}/status").read_text()
            total += int(status.partition("VmRSS:")[2].split()[0]) * 1024
    return total


def descendants(pid: int) -> Iterator[int]:
    """Processes below one."""
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from descendants(int(child))


def machine_seconds() -> float:
    """CPU time of everything that ran on this machine since it started."""
    fields = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    idle, iowait, steal = int(fields[3]), int(fields[4]), int(fields[7])
    return (sum(map(int, fields[:8])) - idle - iowait - steal) / _TICKS


def own_seconds() -> float:
    """CPU time of this process and all that it started, also of those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return cpu_seconds(os.getpid()) + ended.ru_utime + ended.ru_stime


def raise_descriptors() -> int:
    """Let this process and those that it starts have as many descriptors as the system gives; returns how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
