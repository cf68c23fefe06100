"""`sluicegate.load(paths).decide(request)`: the gateway's decisions as a library, by the native table itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from sluicegate import ir
from sluicegate.controller.api import Diagnostic
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME
from sluicegate.engine.limits import PathNormalization
from sluicegate.engine.native import RouteTable
from sluicegate.testing.offline import Offline, load_offline

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Short forms of gRPC calls, and what they go over.
_GRPC = {"grpc": "http", "grpcs": "https"}
_CONNECTIONS = frozenset({"tls", "tcp", "udp"})
_MAX_PORT = 0xFFFF


class RequestError(ValueError):
    """A request that cannot be understood; the message says how one is written."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to decide on.

    Attributes:
        method: such as `GET`.
        scheme: `http` or `https`.
        authority: host, and the port where it was written.
        port: of the listener, as written in the Gateway.
        target: path and query.
        headers: name and value, in order; without `Host`.
    """

    method: str
    scheme: str
    authority: str
    port: int
    target: str
    headers: tuple[tuple[str, str], ...] = ()


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection of TLS or TCP, or a flow of UDP, to decide on.

    Attributes:
        protocol: `tls`, `tcp` or `udp`.
        port: of the listener, as written in the Gateway.
        server_name: of the ClientHello (SNI), for `tls`.
    """

    protocol: str
    port: int
    server_name: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway answers by itself."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """The request as the backend gets it; hop-by-hop and forwarding fields are not part of it."""

    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway does with a request or a connection.

    Attributes:
        outcome: `forward` or `respond`; of a connection `forward` or `close`.
        status: of the answer that the gateway gives; 0 where it forwards or closes.
        reason: `forwarded`, `redirect`, `no_route` and so on, as in ARCHITECTURE.md.
        listener: that takes it, such as `Gateway/default/example-gateway/http`.
        route: that takes it, such as `HTTPRoute/default/example-httproute`.
        rule: index in the route's rules.
        match: index in the rule's matches.
        backend: `namespace/service:port` that it is forwarded to.
        endpoints: of the backend, `address:port`.
        request: as it is forwarded; None for a connection.
        mirrors: backends that get a copy.
        response: what the gateway answers.
    """

    outcome: str
    status: int
    reason: str
    listener: str | None = None
    route: str | None = None
    rule: int | None = None
    match: int | None = None
    backend: str | None = None
    endpoints: tuple[str, ...] = ()
    request: Forwarded | None = None
    mirrors: tuple[str, ...] = ()
    response: Answer | None = None


class _Native(msgspec.Struct, frozen=True):
    outcome: str
    status: int
    reason: str
    listener: str | None
    rule: str | None
    match: int | None
    backend: int | None
    endpoints: tuple[str, ...]
    request: Forwarded | None
    mirrors: tuple[str, ...]
    response: Answer | None


def parse_request(
    text: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = (), port: int | None = None
) -> Request | Connection:
    """Read a request such as `GET https://www.example.com/login`; the method may be left out.

    `grpc://host/service/method` (`grpcs` under TLS) is a call of gRPC; `tls://name:443`, `tcp://:5432` and `udp://:53`
    are connections.

    Args:
        text: method and URL, or a connection.
        headers: fields; `Host` replaces the URL's host.
        port: of the listener; None: the URL's.

    Raises:
        RequestError: it is none.
    """
    if port is not None and not 0 < port <= _MAX_PORT:
        raise RequestError(f"{port} is no port: 1 to {_MAX_PORT}")
    words = text.split()
    if len(words) not in {1, 2}:
        raise RequestError(f"{text!r} is no request: write one as 'GET https://www.example.com/login'")
    method, url = words if len(words) == 2 else ("GET", words[0])
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _CONNECTIONS:
        return _parse_connection(scheme, url, port, has_method=len(words) == 2)
    fields = tuple(headers.items() if isinstance(headers, Mapping) else headers)
    if scheme in _GRPC:
        if len(words) == 2 and method != "POST":
            raise RequestError(f"{text!r}: calls of gRPC are POST, leave the method out")
        method, url = "POST", f"{_GRPC[scheme]}{url[len(scheme) :]}"
        fields = (*(item for item in _GRPC_FIELDS if not _has(fields, item[0])), *fields)
    return _parse_http(method, url, fields, port)


#: What every call of gRPC carries (gRPC over HTTP/2, Requests).
_GRPC_FIELDS = (("content-type", "application/grpc"), ("te", "trailers"))


def _has(fields: Sequence[tuple[str, str]], name: str) -> bool:
    return any(item[0].lower() == name for item in fields)


def _parse_connection(scheme: str, url: str, port: int | None, *, has_method: bool) -> Connection:
    """`tls://name:port`, `tcp://:port`, `udp://:port`; what stands before the port matters to TLS only."""
    try:
        parts = urlsplit(url)
        written = parts.port
    except ValueError as error:
        raise RequestError(f"{url!r}: {error}") from None
    found = port or written or (443 if scheme == "tls" else None)
    if has_method or found is None or parts.path not in {"", "/"} or parts.query:
        example = {"tls": "tls://www.example.com:443", "tcp": "tcp://:5432", "udp": "udp://:53"}[scheme]
        raise RequestError(f"{url!r} is no connection with a port: write one as {example}")
    name = parts.hostname if scheme == "tls" else None
    return Connection(protocol=scheme, port=found, server_name=name or None)


def _parse_http(method: str, url: str, fields: tuple[tuple[str, str], ...], port: int | None) -> Request:
    if "://" not in url:
        url = f"http://{url.lstrip('/')}" if not url.startswith("/") else f"http://localhost{url}"
    try:
        parts = urlsplit(url)
        written = parts.port
    except ValueError as error:
        raise RequestError(f"{url!r}: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise RequestError(f"{url!r} has no scheme http or https and a host: write https://www.example.com/login")
    target = url[url.index("://") + 3 :][len(parts.netloc) :].partition("#")[0]
    hosts = [value for name, value in fields if name.lower() == "host"]
    return Request(
        method=method,
        scheme=parts.scheme,
        authority=hosts[-1] if hosts else parts.netloc,
        port=port or written or _DEFAULT_PORTS[parts.scheme],
        target=target if target.startswith("/") else f"/{target}",
        headers=tuple((name, value) for name, value in fields if name.lower() != "host"),
    )


class Routes:
    """Manifests, ready to be asked."""

    def __init__(self, offline: Offline, path_normalization: PathNormalization = "strict") -> None:
        """Compile what was loaded; `path_normalization` as the gateway's settings have it."""
        self._offline = offline
        self._path_normalization = path_normalization
        self.transaction = offline.transaction()
        self._table = RouteTable(ir.encode(self.transaction))
        resources = self.transaction.upsert
        self._rules: dict[str, ir.HttpRule | ir.L4Rule] = {rule.id: rule for rule in resources.http_rules}
        self._rules.update((rule.id, rule) for rule in resources.l4_rules)

    @property
    def problems(self) -> list[Diagnostic]:
        """Everything that is wrong with the manifests, with file and line."""
        return self._offline.diagnostics()

    @property
    def offline(self) -> Offline:
        """The translation behind."""
        return self._offline

    def decide(
        self,
        request: str | Request | Connection,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        entropy: int = 0,
    ) -> Decision:
        """Say what the gateway does with a request or a connection.

        Args:
            request: such as `GET https://www.example.com/login`, `grpc://host/service/method`, `tls://name:443`,
                `tcp://:5432` or `udp://:53`; a `Request` or a `Connection`.
            headers: fields, where `request` is a text.
            entropy: stands for the random numbers that weights are drawn by; every value is a possible one.

        Raises:
            RequestError: the text is no request.
        """
        asked = parse_request(request, headers) if isinstance(request, str) else request
        found = msgspec.json.decode(self._table.decide(self.native_request(asked, entropy)), type=_Native)
        rule = self._rules.get(found.rule) if found.rule is not None else None
        backend = rule.backends[found.backend].backend if rule is not None and found.backend is not None else None
        return Decision(
            outcome=found.outcome,
            status=found.status,
            reason=found.reason,
            listener=found.listener,
            route=rule.route if rule is not None else None,
            rule=rule.index if rule is not None else None,
            match=found.match,
            backend=backend,
            endpoints=tuple(item.rpartition("@")[2] for item in found.endpoints),
            request=found.request,
            mirrors=found.mirrors,
            response=found.response,
        )

    def rule(self, decision: Decision) -> ir.HttpRule | ir.L4Rule | None:
        """The rule that a decision names."""
        return self._rules.get(f"{decision.route}/{decision.rule}") if decision.route is not None else None

    def listeners_at(self, request: Request | Connection) -> list[ir.Listener]:
        """Listeners of the port that a client connects to; UDP has ports of its own."""
        is_udp = isinstance(request, Connection) and request.protocol == "udp"
        return [
            item
            for item in self.transaction.upsert.listeners
            if item.port == request.port and (item.protocol is ir.ListenerProtocol.UDP) == is_udp
        ]

    def native_request(self, request: Request | Connection, entropy: int = 0) -> bytes:
        """The request as the table is asked: on the socket that a client of this URL reaches."""
        listener = next(iter(self.listeners_at(request)), None)
        bind_port = listener.bind_port if listener is not None else request.port
        document: dict[str, Any]
        if isinstance(request, Connection):
            transport = "udp" if request.protocol == "udp" else "tcp"
            document = {"transport": transport, "bind_port": bind_port, "sni": request.server_name, "entropy": entropy}
            return msgspec.json.encode(document)
        document = {
            "bind_port": bind_port,
            "sni": request.authority.partition(":")[0] if request.scheme == "https" else None,
            "method": request.method,
            "authority": request.authority,
            "target": request.target,
            "path_normalization": self._path_normalization,
            "headers": request.headers,
            "entropy": entropy,
        }
        return msgspec.json.encode(document)


def load(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    controller_name: str = DEFAULT_CONTROLLER_NAME,
    path_normalization: PathNormalization = "strict",
) -> Routes:
    """Load manifests.

    Args:
        paths: files and directories.
        controller_name: of the GatewayClasses whose Gateways are meant.
        path_normalization: the engine setting of that name.

    Raises:
        FileNotFoundError: a path is not there.
    """
    several = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    names = [os.fspath(path) for path in several]
    for name in names:
        if not os.path.exists(name):
            raise FileNotFoundError(f"{name}: no such file or directory")
    return Routes(load_offline(names, controller_name), path_normalization)
