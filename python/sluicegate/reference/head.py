"""Request heads of HTTP/1.1 (RFC 9112 sections 2, 3, 5 and 6), strict where a second reading would be a danger.

Follows the same table of cases as the native codec: what one refuses, the other refuses.
"""

from __future__ import annotations

import re

from msgspec import Struct

from .contract import Headers

#: Bytes of a whole head, and fields in it. Stops header bombs.
MAX_HEAD = 64 * 1024
MAX_FIELDS = 128
#: Bytes of the request line (RFC 9112 section 3 asks for 8000 at least).
MAX_REQUEST_LINE = 16 * 1024

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) (HTTP/[0-9]\.[0-9])")
_LENGTH = re.compile(rb"[0-9]{1,18}")
#: Fields that belong to one connection (RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset(
    {
        *(b"connection", b"http2-settings", b"keep-alive", b"proxy-connection"),
        *(b"te", b"trailer", b"transfer-encoding", b"upgrade"),
    }
)


class BadHead(ValueError):  # noqa: N818 (it is the name of an answer)
    """A head that is refused; the connection is of no more use."""

    def __init__(self, status: int, reason: str) -> None:
        """`status` of the answer, and why."""
        super().__init__(reason)
        self.status = status


class RequestHead(Struct, frozen=True):
    """A request head.

    Attributes:
        method: as sent.
        target: as sent, neither checked nor normalised.
        host: of the Host field; empty on HTTP/1.0 without one.
        headers: the other end-to-end fields.
        taken_out: framing and hop-by-hop fields: matched, never forwarded.
        length: bytes of the body; None: chunked.
        keep_alive: the connection may be used again.
        expects_continue: `Expect: 100-continue`.
        consumed: bytes that the head took.
    """

    method: str
    target: str
    host: str
    headers: Headers
    taken_out: Headers
    length: int | None
    keep_alive: bool
    expects_continue: bool
    consumed: int


def parse_head(data: bytes) -> RequestHead | None:
    """Parse the head at the start of `data`.

    Returns:
        None where it is not complete yet.

    Raises:
        BadHead: it is none.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        _check_partial(data)
        return None
    lines = data[:end].split(b"\r\n")
    if end > MAX_HEAD or len(lines) - 1 > MAX_FIELDS:
        raise BadHead(431, "a head that is too large")
    if len(lines[0]) > MAX_REQUEST_LINE:
        raise BadHead(414, "a request line that is too long")
    line = _REQUEST_LINE.fullmatch(lines[0])
    if line is None:
        raise BadHead(400, "no request line")
    method, target, version = line.groups()
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise BadHead(505, "another version")
    fields = [_field(each) for each in lines[1:]]
    return _head(method, target, version == b"HTTP/1.1", fields, end + 4)


def _check_partial(data: bytes) -> None:
    if len(data) > MAX_HEAD:
        raise BadHead(431, "a head that is too large")
    if b"\n" in data.replace(b"\r\n", b""):
        raise BadHead(400, "a line that ends without CR")
    first = data.split(b"\r\n", 1)
    if len(first) > 1 and _REQUEST_LINE.fullmatch(first[0]) is None:
        raise BadHead(400, "no request line")


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.fullmatch(name) is None:
        raise BadHead(400, "a malformed field name")
    value = value.strip(b" \t")
    if _VALUE.fullmatch(value) is None:
        raise BadHead(400, "a malformed field value")
    return name, value


def _head(method: bytes, target: bytes, current: bool, fields: list[tuple[bytes, bytes]], consumed: int) -> RequestHead:
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        by_name.setdefault(name.lower(), []).append(value)
    hosts = by_name.get(b"host", [])
    if len(hosts) > 1 or (current and not hosts):
        raise BadHead(400, "one Host field is needed")
    expectations = [value.lower() for value in by_name.get(b"expect", [])]
    if any(value != b"100-continue" for value in expectations):
        raise BadHead(417, "an expectation that is not known")
    length = _framing(by_name, current)
    options = {part.strip().lower() for value in by_name.get(b"connection", []) for part in value.split(b",")}
    taken = HOP_BY_HOP | options | {b"host", b"content-length", b"expect"}
    kept: list[tuple[str, str]] = []
    taken_out: list[tuple[str, str]] = []
    for name, value in fields:
        if name.lower() != b"host":
            into = taken_out if name.lower() in taken else kept
            into.append((name.decode("latin-1"), value.decode("utf-8", "surrogateescape")))
    return RequestHead(
        method=method.decode(),
        target=target.decode(),
        host=hosts[0].decode("latin-1") if hosts else "",
        headers=tuple(kept),
        taken_out=tuple(taken_out),
        length=length,
        keep_alive=b"close" not in options and (current or b"keep-alive" in options),
        expects_continue=current and bool(expectations),
        consumed=consumed,
    )


def _framing(by_name: dict[bytes, list[bytes]], current: bool) -> int | None:
    """The length of the body (RFC 9112 section 6.3), None for chunked; whatever has two meanings is refused."""
    codings, lengths = by_name.get(b"transfer-encoding"), by_name.get(b"content-length")
    if codings is not None:
        if lengths is not None or not current:
            raise BadHead(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
        if len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadHead(400 if b"chunked" in codings[0].lower() else 501, "a transfer coding other than chunked")
        return None
    if lengths is None:
        return 0
    if len(lengths) != 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise BadHead(400, "a Content-Length that is no number")
    return int(lengths[0])
