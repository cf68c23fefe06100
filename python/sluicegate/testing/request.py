"""Requests and connections to decide on, and how people write them."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec

from .arguments import MAX_PORT, pairs, whole_number
from .arguments import text as sendable

Headers = Mapping[str, str] | Sequence[tuple[str, str]]

#: How somebody may have proved who they are.
Proof = Literal["certificate", "apiKey", "jwt", "basic", "external"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Short forms: what calls of gRPC and WebSockets go over.
_OVER = {"grpc": "http", "grpcs": "https", "ws": "http", "wss": "https"}
#: What every call of gRPC carries (gRPC over HTTP/2, Requests), and every handshake of a WebSocket (RFC 6455, 4.1).
_FIELDS = {
    "grpc": (("content-type", "application/grpc"), ("te", "trailers")),
    "ws": (
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ),
}
_CONNECTIONS = {"tls": "tls://www.example.com:443", "tcp": "tcp://:5432", "udp": "udp://:53"}


class RequestError(ValueError):
    """A request that cannot be understood; the message says how one is written."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as if they had proved it.

    Attributes:
        proof: how.
        user: name, subject, or id of the client.
        claims: of a token.
        scopes: of a token.
    """

    proof: Proof
    user: str = ""
    claims: dict[str, Any] = msgspec.field(default_factory=dict)
    scopes: tuple[str, ...] = ()


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="request"):
    """A request to decide on.

    Attributes:
        method: such as `GET`.
        scheme: `http` or `https`.
        authority: host, and the port where it was written.
        port: that the client connects to, as written in the Gateway, or as bound under `--port-offset`.
        target: path and query.
        headers: name and value, in order; without `Host`.
        server_name: of the ClientHello (SNI), for `https`; None: the client sends none.
        client: the address of who asks, for policies; None: nobody can say.
        identity: who asks, as if they had proved it; None: the fields have to show it.
    """

    method: str
    scheme: Literal["http", "https"]
    authority: str
    port: int
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    server_name: str | None = None
    client: str | None = None
    identity: Identity | None = None


class Connection(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="connection"):
    """A connection of TLS or TCP, or a flow of UDP, to decide on.

    Attributes:
        protocol: `tls`, `tcp` or `udp`.
        port: that the client connects to, as for a `Request`.
        server_name: of the ClientHello (SNI), for `tls`; None: the client sends none.
        client: as of a `Request`.
    """

    protocol: Literal["tls", "tcp", "udp"]
    port: int
    server_name: str | None = None
    client: str | None = None


def parse_request(
    text: str, headers: Headers = (), port: int | None = None, server_name: str | None = None
) -> Request | Connection:
    """Read a request such as `GET https://www.example.com/login`; the method may be left out.

    `grpc://host/service/method` is a call of gRPC and `ws://host/path` a WebSocket (`grpcs`, `wss` under TLS);
    `tls://name:443`, `tcp://:5432` and `udp://:53` are connections.

    Args:
        text: method and URL, or a connection.
        headers: fields; `Host` replaces the host of the URL in the request, not in the TLS handshake.
        port: that the client connects to; None: the URL's.
        server_name: that the client sends in the TLS handshake (SNI); empty: none; None: the URL's host.

    Raises:
        RequestError: it is none.
    """
    try:
        words = sendable("request", text).split()
        fields = pairs("headers", headers)
        if server_name is not None:
            sendable("server_name", server_name)
        if port is not None:
            whole_number("port", port, 1, MAX_PORT)
    except ValueError as error:
        raise RequestError(str(error)) from None
    if len(words) not in {1, 2}:
        raise RequestError(f"{text!r} is no request: write one as 'GET https://www.example.com/login'")
    method, url = words if len(words) == 2 else ("GET", words[0])
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    if scheme in _CONNECTIONS:
        return _connection(scheme, url, port, server_name, has_method=len(words) == 2)
    if scheme in _OVER:
        kind, wanted = ("gRPC call", "POST") if scheme.startswith("grpc") else ("WebSocket", "GET")
        if len(words) == 2 and method != wanted:
            raise RequestError(f"{text!r}: the method of a {kind} is {wanted}, leave it out")
        method, url = wanted, f"{_OVER[scheme]}{url[len(scheme) :]}"
        implied = _FIELDS["grpc" if wanted == "POST" else "ws"]
        fields = (*(item for item in implied if not _has(fields, item[0])), *fields)
    return _request(method, url, fields, port, server_name)


def from_client(asked: Request | Connection, client: str | None, identity: str | None) -> Request | Connection:
    """The same request, from somebody.

    Args:
        asked: a request or a connection.
        client: an IP address.
        identity: how who asks proved it, and who it is: `jwt:{"sub": "anna"}`, `apiKey:shop`, `basic:anna`.

    Raises:
        RequestError: one of them is none.
    """
    if client is not None:
        try:
            client = str(ipaddress.ip_address(client))
        except ValueError:
            raise RequestError(f"{client!r} is not an IP address: write one as 203.0.113.7") from None
        asked = msgspec.structs.replace(asked, client=client)
    if identity is None:
        return asked
    if isinstance(asked, Connection):
        raise RequestError("a connection has nobody who proved who they are")
    return msgspec.structs.replace(asked, identity=parse_identity(identity))


def parse_identity(text: str) -> Identity:
    """Read an identity such as `jwt:{"sub": "anna", "scope": "read write"}` or `basic:anna`.

    Raises:
        RequestError: it is none.
    """
    proof, colon, who = text.partition(":")
    known = get_args(Proof)
    if not colon or proof not in known:
        raise RequestError(f"{text!r} is nobody: write one of {', '.join(known)}, a colon, and a name or claims")
    if not who.lstrip().startswith("{"):
        return Identity(proof=proof, user=who)  # type: ignore[arg-type] # one of them
    try:
        claims = msgspec.json.decode(who, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise RequestError(f"{who!r} are no claims: {error}") from None
    subject = claims.get("sub")
    user = subject if isinstance(subject, str) else ""
    return Identity(proof=proof, user=user, claims=claims, scopes=_scopes(claims))  # type: ignore[arg-type]


def _scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Scopes of a token as the gateway finds them (`native/core/src/policy/access/tokens.rs`)."""
    found = claims.get("scope") if "scope" in claims else claims.get("scp")
    if isinstance(found, str):
        return tuple(found.split())
    return tuple(item for item in found if isinstance(item, str)) if isinstance(found, list) else ()


def _has(fields: Sequence[tuple[str, str]], name: str) -> bool:
    return any(item[0].lower() == name for item in fields)


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RequestError(f"{url!r}: {error}") from None
    return parts, port


def _connection(scheme: str, url: str, port: int | None, server_name: str | None, *, has_method: bool) -> Connection:
    """`tls://name:port`, `tcp://:port`, `udp://:port`; what stands before the port matters to TLS only."""
    parts, written = _split(url)
    found = port or written or (443 if scheme == "tls" else None)
    if has_method or found is None or parts.path not in {"", "/"} or parts.query:
        raise RequestError(f"{url!r} is no connection with a port: write one as {_CONNECTIONS[scheme]}")
    if scheme != "tls" and server_name is not None:
        raise RequestError(f"{url!r}: a connection of {scheme.upper()} has no server name (SNI)")
    protocol: Literal["tls", "tcp", "udp"] = "tls" if scheme == "tls" else "tcp" if scheme == "tcp" else "udp"
    name = _server_name(parts.hostname, server_name) if scheme == "tls" else None
    return Connection(protocol=protocol, port=found, server_name=name)


def _request(
    method: str, url: str, fields: tuple[tuple[str, str], ...], port: int | None, server_name: str | None
) -> Request:
    if "://" not in url:
        url = f"http://{url.lstrip('/')}" if not url.startswith("/") else f"http://localhost{url}"
    parts, written = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        remedy = "write https://www.example.com/login, or one of http, grpc, grpcs, ws, wss, tls, tcp, udp"
        raise RequestError(f"{url!r} has no scheme that is known and a host: {remedy}")
    if parts.scheme == "http" and server_name is not None:
        raise RequestError(f"{url!r} goes without TLS, so there is no server name (SNI): write https, grpcs or wss")
    target = url[url.index("://") + 3 :][len(parts.netloc) :].partition("#")[0]
    # A second one stays: the gateway refuses it.
    host = next((item for item in fields if item[0].lower() == "host"), None)
    others = list(fields)
    if host is not None:
        others.remove(host)
    return Request(
        method=method,
        scheme="https" if parts.scheme == "https" else "http",
        authority=parts.netloc if host is None else host[1],
        port=port or written or _DEFAULT_PORTS[parts.scheme],
        target=target if target.startswith("/") else f"/{target}",
        headers=tuple(others),
        server_name=_server_name(parts.hostname, server_name) if parts.scheme == "https" else None,
    )


def _server_name(host: str | None, given: str | None) -> str | None:
    """What a client sends as SNI: the host of the URL, never a `Host` field, and never an address (RFC 6066, 3)."""
    name = (host or "") if given is None else given
    name = name.lower().removesuffix(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name or None
    return None
