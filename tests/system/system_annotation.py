"""What one annotation of ingress-nginx is seen to do: an entry of a table, and what serves it.

An entry is served twice by its conversion: on one gateway with the annotation, on the other one without it. It is
asked the same both times; what is seen has to be what the entry says, and to differ. Each entry has a host and Services
of its own, and each side has all entries on one gateway, so that they must not disturb each other either.

In what an entry writes `@NAME` stands for the Service of that name, and `%host` for the host.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from system_backends import Answer, Backend, Received, echo, read_head
from system_certificates import Authority
from system_clients import LIMIT, Http1, Response, tls_context
from system_gateway import Gateway
from system_grpc import GrpcBackend
from system_manifests import Manifest, secret, service
from system_migration import PREFIX, ingress

HTTP, HTTPS = 8080, 8443
OFFSET = 8000
#: Seconds for which what must not happen is waited for.
MOMENT = 0.3


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A Service of an entry.

    Attributes:
        answer: makes its answers; None: it echoes, under its name.
        endpoints: how many it has.
        tls: the name that its certificate has; empty: it does not speak TLS. `%host` is the host of the entry.
        version: of TLS, if not any.
        suites: of TLS 1.2, if not any.
        grpc: it speaks gRPC.
        deaf: no connection to it comes about.
        reads: what is sent behind the head of a request; else it begins an answer and reads nothing more.
    """

    answer: Callable[[], Answer] | None = None
    endpoints: int = 1
    tls: str = ""
    version: ssl.TLSVersion | None = None
    suites: str = ""
    grpc: bool = False
    deaf: bool = False
    reads: bool = True


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An annotation, and what is seen with it and without it.

    Attributes:
        annotation: without the prefix.
        label: tells entries of one annotation apart.
        ingresses: all that the entry has.
        services: by their short names.
        tls: its hosts have a certificate.
        settings: the ConfigMap, and the class, by which it is converted.
        ask: asks, and says what it saw.
        seen: what that is with the annotation.
        otherwise: what it is without.
    """

    annotation: str
    label: str
    host: str
    ingresses: tuple[Manifest, ...]
    services: Mapping[str, Behind]
    tls: bool
    settings: str
    ask: Callable[[Here], object]
    seen: object
    otherwise: object

    def __str__(self) -> str:
        return f"{self.annotation} {self.label}".strip()

    def written(self, *, with_it: bool) -> list[Manifest]:
        """Its Ingresses, with or without the annotation."""
        found: list[Manifest] = json.loads(json.dumps(self.ingresses))
        if not with_it:
            for item in found:
                item["metadata"]["annotations"].pop(f"{PREFIX}{self.annotation}", None)
        return found


def entry(
    annotation: str,
    value: str,
    ask: Callable[[Here], object],
    seen: object,
    otherwise: object,
    *,
    label: str = "",
    paths: tuple[tuple[str, str], ...] = (("/", "web"),),
    main: dict[str, str] | None = None,
    kind: str = "Prefix",
    services: Mapping[str, Behind] | None = None,
    tls: bool = False,
    settings: str = "controller",
    **others: str,
) -> Entry:
    """An entry.

    Args:
        annotation: under test, and the only one that the other side lacks.
        value: of it.
        ask: asks, and says what it saw.
        seen: with the annotation.
        otherwise: without.
        label: tells entries of one annotation apart.
        paths: of the Ingress, each with the short name of a Service.
        main: annotations of an older Ingress of the same host with `/` and `web`, of which this one is the canary.
        kind: of the paths.
        services: by short names; those of paths that are not named here echo.
        tls: the host has a certificate.
        settings: the ConfigMap, and the class, by which it is converted.
        **others: annotations that both sides have; `_` stands for `-`.
    """
    slug = f"{annotation}-{label}".strip("-")
    host = f"{slug}.test"
    names = {short for _, short in paths} | ({"web"} if main is not None else set()) | set(services or {})
    behind = {short: (services or {}).get(short, Behind()) for short in sorted(names)}

    def filled(text: str) -> str:
        for short in sorted(names, key=len, reverse=True):
            text = text.replace(f"@{short}", named(slug, short))
        return text.replace("%host", host)

    def made(given: dict[str, str], *paths: tuple[str, str], **rest: str) -> Manifest:
        placed = [(path, named(slug, short)) for path, short in paths]
        certificate = host if tls else ""
        item = ingress(
            host, *placed, secret=certificate, kind=kind, **rest, **{key: filled(given[key]) for key in given}
        )
        item["spec"]["ingressClassName"] = settings
        return item

    own = {**others, annotation: value}
    found = [made(own, *paths, name=slug, created="2026-02-02T00:00:00Z")]
    if main is not None:
        found.insert(0, made(main, ("/", "web"), name=f"{slug}-main"))
    return Entry(
        annotation=annotation,
        label=label,
        host=host,
        ingresses=tuple(found),
        services=behind,
        tls=tls,
        settings=settings,
        ask=ask,
        seen=seen,
        otherwise=otherwise,
    )


def named(slug: str, short: str) -> str:
    """Name of a Service of an entry."""
    return f"{slug}-{short}"


class Watched(Backend):
    """A backend that knows of connections that have ended, and for what names it was asked."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.ended = 0
        self.names: list[str | None] = []
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
        super().__init__(answer, tls=tls)

    def serve(self, connection: Any) -> None:
        try:
            super().serve(connection)
        finally:
            with self.changed:
                self.ended += 1
                self.changed.notify_all()

    def came(self, count: int, limit: float) -> list[Received]:
        """What has come as soon as it is so much, or when the time is over."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.requests) >= count, limit)
            return list(self.requests)

    def has_ended(self, limit: float) -> bool:
        """Whether a connection ends within some time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.ended > 0, limit)


class Deaf:
    """A port whose queue of connections is full, so that no other one comes about."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0), backlog=0)]
        self.address: tuple[str, int] = self._sockets[0].getsockname()
        for _ in range(3):
            filling = socket.socket()
            filling.setblocking(False)
            filling.connect_ex(self.address)
            self._sockets.append(filling)

    def close(self) -> None:
        for each in self._sockets:
            each.close()


class Unreading:
    """A server that begins to answer each connection, and reads nothing behind the head of a request."""

    def __init__(self) -> None:
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.address: tuple[str, int] = self._sockets[0].getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._sockets[0].accept()
                self._sockets.append(connection)
                read_head(connection)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbegun")

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@dataclass
class Side:
    """A gateway that serves all entries, with their annotations or without.

    Attributes:
        authority: signs whatever there is.
        with_them: the annotations are there.
        folder: for what is written.
        backends: endpoints, by entry and short name.
        gateway: it; once the backends are there.
    """

    authority: Authority
    with_them: bool
    folder: Path
    backends: dict[tuple[str, str], list[Watched]] = field(default_factory=dict)
    grpc: dict[tuple[str, str], GrpcBackend] = field(default_factory=dict)
    deaf: list[Deaf | Unreading] = field(default_factory=list)
    gateway: Gateway = field(init=False)

    @property
    def log(self) -> Path:
        """The access log."""
        return self.folder / "access.log"

    def begin(self, entries: list[Entry]) -> list[Manifest]:
        """Start the backends of entries; returns their Services and certificates."""
        found: list[Manifest] = []
        for each in entries:
            for short, behind in each.services.items():
                found += service(named(each.host.removesuffix(".test"), short), *self._start(each, short, behind))
            if each.tls:
                pair = self.authority.sign(each.host)
                found.append(secret(each.host, pair.certificate, pair.key))
        return found

    def authoriser(self, answer: Callable[[], Answer]) -> tuple[str, int]:
        """Start the service that settings name; returns its address."""
        self.backends["", "authoriser"] = [Watched(answer())]
        return self.backends["", "authoriser"][0].address

    def _start(self, each: Entry, short: str, behind: Behind) -> list[tuple[str, int]]:
        key = (each.host, short)
        if behind.deaf:
            self.deaf.append(Deaf())
            return [self.deaf[-1].address]
        if not behind.reads:
            self.deaf.append(Unreading())
            return [self.deaf[-1].address]
        if behind.grpc:
            self.grpc[key] = GrpcBackend(short)
            return [self.grpc[key].address]
        names = [short] if behind.endpoints == 1 else [f"{short}-{number}" for number in range(behind.endpoints)]
        answers = [behind.answer() if behind.answer is not None else echo(name) for name in names]
        self.backends[key] = [Watched(answer, self._tls(behind, each.host)) for answer in answers]
        return [item.address for item in self.backends[key]]

    def _tls(self, behind: Behind, host: str) -> ssl.SSLContext | None:
        if not behind.tls:
            return None
        name = behind.tls.replace("%host", host)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority.sign(name).write(self.folder, name))
        if behind.version is not None:
            context.minimum_version = context.maximum_version = behind.version
        if behind.suites:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(behind.suites)
        return context

    def end(self) -> None:
        """End the backends."""
        for items in self.backends.values():
            for item in items:
                item.close()
        for server in self.grpc.values():
            server.close()
        for each in self.deaf:
            each.close()


class Here:
    """The host of an entry on one side: what `ask` is given."""

    def __init__(self, side: Side, each: Entry) -> None:
        self.side = side
        self.host = each.host
        self.address = side.gateway.address

    def limit(self, moment: float = MOMENT) -> float:
        """Seconds for which something is waited for: where it must not happen a moment."""
        return LIMIT if self.side.with_them else moment

    def backend(self, short: str = "web") -> Watched:
        """The endpoint of a Service, the first of several."""
        return self.side.backends[self.host, short][0]

    def endpoints(self, short: str = "web") -> list[Watched]:
        """All endpoints of a Service."""
        return self.side.backends[self.host, short]

    def connection(self, *, tls: ssl.SSLContext | None = None) -> Http1:
        """A connection to the gateway."""
        return Http1(self.address, HTTP if tls is None else HTTPS, tls, self.host if tls is not None else None)

    def context(self, name: str = "") -> ssl.SSLContext:
        """TLS towards the gateway; `name`: with a certificate of that name."""
        pair = self.side.authority.sign(name, client=True).write(self.side.folder, name) if name else None
        return tls_context(self.side.authority.pem, certificate=pair)

    def get(
        self,
        target: str = "/",
        *fields: tuple[str, str],
        method: str = "GET",
        body: bytes | None = None,
        host: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> Response:
        """Ask once, by a connection of its own."""
        connection = self.connection(tls=tls)
        try:
            return connection.request(method, host or self.host, target, fields, body)
        finally:
            connection.close()

    def several(self, count: int, target: str = "/", *fields: tuple[str, str]) -> list[Response]:
        """Ask several times, one after the other by one connection."""
        connection = self.connection()
        try:
            return [connection.request("GET", self.host, target, fields) for _ in range(count)]
        finally:
            connection.close()


def after(seconds: float) -> None:
    """Time that a backend takes."""
    threading.Event().wait(seconds)
