"""What goes into `decide` and what comes out: the contract of ARCHITECTURE.md, field by field.

Header values are text that stands for bytes, as UTF-8; bytes that are no UTF-8 travel as surrogates (PEP 383).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field

#: Name and value of header fields, in order.
Headers: TypeAlias = tuple[tuple[str, str], ...]
#: Of a socket.
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65_535)]
#: The last of the numbers that stand for the random ones.
MAX_ENTROPY = 2**64 - 1


class BadRequest(Exception):  # noqa: N818 it is the name of the answer: 400
    """The target or the authority is none; the answer is 400."""


class Reply(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A response: the sample of a backend, or what the gateway writes itself."""

    status: int
    headers: Headers = ()


class Identity(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who asks, proved.

    Attributes:
        proof: how.
        user: name, subject, or id of the client.
        claims: of a token.
        scopes: of a token.
    """

    proof: Literal["certificate", "apiKey", "jwt", "basic", "external"]
    user: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()


class Certificate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a listener validated of a client's certificate.

    Attributes:
        subject: the distinguished name.
        dns_names, uris: its subject alternative names.
        fingerprint: SHA-256, hexadecimal.
        pem: the whole certificate.
    """

    subject: str = ""
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    fingerprint: str = ""
    pem: str = ""


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request to decide on.

    Attributes:
        bind_port: the port of the socket that it came in by.
        address: the address that the socket is bound to; empty: the first socket with that port.
        sni: the server name of the TLS handshake.
        scheme: what the client speaks; None: what the socket does.
        method: as sent.
        authority: of `Host` or `:authority`; there is exactly one.
        target: as sent (RFC 9112 section 3.2).
        path_normalization: what is done to its path before it is matched, an engine setting.
        headers: the fields without `Host`.
        entropy: stands for the random numbers, 64 bits.
        response: a backend's answer to run through the response filters.
        from_: the address of who asks; None: nobody can say.
        identity: who is taken to have proved who they are.
        certificate: of the connection.
    """

    bind_port: Port
    address: str = ""
    sni: str | None = None
    scheme: Literal["http", "https"] | None = None
    method: str
    authority: str
    target: str
    path_normalization: Literal["strict", "off"] = "strict"
    headers: Headers = ()
    entropy: Annotated[int, Meta(ge=0)] = 0
    response: Reply | None = None
    from_: str | None = field(name="from", default=None)
    identity: Identity | None = None
    certificate: Certificate | None = None


class Connection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connection of TLS or TCP, or the first datagram of a UDP flow, to decide on.

    Attributes:
        transport: `udp`, or `tcp` for all that goes over it.
        bind_port: the port of the socket that it came in by.
        address: the address that the socket is bound to; empty: the first socket with that port.
        sni: the server name of the ClientHello.
        entropy: stands for the random numbers, 64 bits.
        from_, certificate: as of a request.
    """

    transport: Literal["tcp", "udp"]
    bind_port: Port
    address: str = ""
    sni: str | None = None
    entropy: Annotated[int, Meta(ge=0)] = 0
    from_: str | None = field(name="from", default=None)
    certificate: Certificate | None = None


class Message(Struct, frozen=True, kw_only=True):
    """The request as it is forwarded."""

    method: str
    authority: str
    target: str
    headers: Headers


class Said(Struct, frozen=True, kw_only=True):
    """What one policy said: kind, stanza, the object (`<kind>/<namespace>/<name>`), and `pass`, `deny` or `asked`."""

    kind: str
    stanza: str
    from_: str = field(name="from")
    verdict: str


class Decision(Struct, frozen=True, kw_only=True):
    """What happens to a request or a connection, and why; the values are listed in ARCHITECTURE.md."""

    outcome: str
    status: int
    reason: str
    listener: str | None = None
    rule: str | None = None
    match_index: int | None = field(default=None, name="match")
    backend: int | None = None
    endpoints: tuple[str, ...] = ()
    request: Message | None = None
    mirrors: tuple[str, ...] = ()
    response: Reply | None = None
    policies: tuple[Said, ...] = ()


class _Transport(Struct, frozen=True):
    """What tells a connection from a request."""

    transport: str | None = None


_ENCODER = msgspec.json.Encoder()
_TRANSPORTS = msgspec.json.Decoder(_Transport)
_REQUESTS = msgspec.json.Decoder(Request)
_CONNECTIONS = msgspec.json.Decoder(Connection)


def decode_request(data: bytes) -> Request | Connection:
    """Read a request, or a connection where `transport` is there.

    Raises:
        ValueError: it is no JSON, or a field is unknown, missing or of the wrong type (`msgspec.DecodeError`).
    """
    is_request = _TRANSPORTS.decode(data).transport is None
    asked: Request | Connection = _REQUESTS.decode(data) if is_request else _CONNECTIONS.decode(data)
    if asked.entropy > MAX_ENTROPY:
        raise ValueError(f"entropy: {asked.entropy} is more than {MAX_ENTROPY}")
    return asked


def encode_decision(decision: Decision) -> bytes:
    """The JSON of a decision."""
    return _ENCODER.encode(decision)
