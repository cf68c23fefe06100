"""Requests through the gateway: single ones, and constant load that counts every failure."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType

#: Seconds for one request.
LIMIT = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: str
    headers: dict[str, str]


def get(address: str, host: str, path: str = "/", port: int = 80) -> Answer:
    """One request over a connection of its own."""
    connection = http.client.HTTPConnection(address, port, timeout=LIMIT)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"), dict(response.getheaders()))
    finally:
        connection.close()


def until(
    address: str, host: str, path: str = "/", *, status: int = 200, limit: float = 30.0, port: int = 80
) -> Answer:
    """Ask until the status comes: for what no API tells, such as that every balancer knows an address."""
    deadline, last = time.monotonic() + limit, None
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            last = get(address, host, path, port)
        except (OSError, http.client.HTTPException) as error:
            last = error
        if isinstance(last, Answer) and last.status == status:
            return last
        pause.wait(0.05)
    raise AssertionError(f"{address}:{port} {host}{path}: no {status} within {limit:g} s, the last was {last}")


@dataclass
class Load:
    """Clients that ask without a pause, as `with Load(...) as load:`, half of them over connections that they keep.

    The others open one for each request: who keeps his does not notice a Service that loses its address. A connection
    that the gateway said it would close (`Connection: close`) is opened anew; whatever else ends or is refused is a
    failure. Nothing is tried again.
    """

    address: str
    host: str
    path: str = "/"
    port: int = 80
    clients: int = 4
    #: How many of them open a connection for each request.
    renewing: int = 2
    #: Seconds between the requests of one client; 0: none.
    pause: float = 0.002
    #: The same where each has a connection: its port is not used again for a minute, and there are 28,000.
    renewing_pause: float = 0.01
    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0

    def __enter__(self) -> Load:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._first = threading.Barrier(self.clients + 1)
        self._threads = [
            threading.Thread(target=self._run, args=(number < self.renewing,), daemon=True)
            for number in range(self.clients)
        ]
        for thread in self._threads:
            thread.start()
        self._first.wait(LIMIT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT * 2)

    def check(self, at_least: int) -> None:
        """Nothing failed, and there was enough to say so."""
        assert not self.failed, (
            f"{sum(self.failed.values())} of {self.succeeded + sum(self.failed.values())}: {self.failed}"
        )
        assert self.succeeded >= at_least

    def _run(self, renew: bool) -> None:
        connection: http.client.HTTPConnection | None = None
        waiting = True
        pause = max(self.pause, self.renewing_pause) if renew else self.pause
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.address, self.port, timeout=LIMIT)
                connection.request("GET", self.path, headers={"Host": self.host})
                response = connection.getresponse()
                response.read()
                failure = "" if response.status == 200 else f"status {response.status}"
                if renew or response.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                failure = f"{type(error).__name__}: {error}"
                if connection is not None:
                    connection.close()
                connection = None
            with self._lock:
                self.slowest = max(self.slowest, time.monotonic() - started)
                if failure:
                    self.failed[failure] += 1
                else:
                    self.succeeded += 1
            if waiting:
                waiting = False
                self._first.wait(LIMIT)
            self._stop.wait(pause)
        if connection is not None:
            connection.close()
