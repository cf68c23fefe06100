"""Requests through the gateway: single ones, and constant load that counts every failure."""

from __future__ import annotations

import http.client
import ssl
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


class _Secure(http.client.HTTPSConnection):
    """A connection to an address, by TLS with the host's name."""

    def __init__(self, address: str, port: int, host: str, tls: ssl.SSLContext) -> None:
        super().__init__(address, port, timeout=LIMIT, context=tls)
        self._of = (tls, host)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        tls, host = self._of
        self.sock = tls.wrap_socket(self.sock, server_hostname=host)


def _connection(address: str, port: int, host: str, tls: ssl.SSLContext | None) -> http.client.HTTPConnection:
    if tls is not None:
        return _Secure(address, port, host, tls)
    return http.client.HTTPConnection(address, port, timeout=LIMIT)


def certificate(address: str, host: str, tls: ssl.SSLContext, port: int = 443) -> bytes:
    """The certificate that a host shows, DER."""
    connection = _Secure(address, port, host, tls)
    try:
        connection.connect()
        shown: bytes | None = connection.sock.getpeercert(binary_form=True)
        return shown or b""
    finally:
        connection.close()


def get(address: str, host: str, path: str = "/", port: int = 80, tls: ssl.SSLContext | None = None) -> Answer:
    """One request over a connection of its own."""
    connection = _connection(address, port, host, tls)
    try:
        connection.request("GET", path, headers={"Host": host})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(errors="replace"), dict(response.getheaders()))
    finally:
        connection.close()


def until(
    address: str,
    host: str,
    path: str = "/",
    *,
    status: int = 200,
    limit: float = 30.0,
    port: int = 80,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Ask until the status comes: for what no API tells, such as that every balancer knows an address."""
    deadline, last = time.monotonic() + limit, None
    pause = threading.Event()
    while time.monotonic() < deadline:
        try:
            last = get(address, host, path, port, tls)
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
    tls: ssl.SSLContext | None = None
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

    def more(self, count: int) -> None:
        """Wait until so many requests more have succeeded, or one has failed."""
        wanted, deadline = self.succeeded + count, time.monotonic() + 60
        while self.succeeded < wanted and not self.failed:
            assert time.monotonic() < deadline, f"{self.succeeded} of {wanted} requests"
            self._stop.wait(0.05)

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
                    connection = _connection(self.address, self.port, self.host, self.tls)
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
