"""Request heads of HTTP/1.1 (RFC 9112 sections 2, 3, 5 and 6), strict where a second reading would be a danger.

Follows the same table of cases as the native codec: what one refuses, the other refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from .contract import Headers

#: Bytes of a whole head, and fields in it. Stops header bombs.
MAX_HEAD = 64 * 1024
MAX_FIELDS = 128
#: Bytes of the request line (RFC 9112 section 3 asks for 8000 at least).
MAX_REQUEST_LINE = 16 * 1024
#: Fields that `Connection` may name in one message; each costs a look at every field.
MAX_NAMED_FIELDS = 32

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
#: No control character but the tab; what is no ASCII stands for bytes above 0x7F.
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e]+) (HTTP/[0-9]\.[0-9])")
_LENGTH = re.compile(r"[0-9]{1,18}")
#: Options of `Connection` that name no field.
_OPTIONS = frozenset({"close", "keep-alive", "upgrade"})
#: Fields that belong to one connection, or frame one message (RFC 9110 section 7.6.1).
WIRE_FIELDS = frozenset(
    {
        *("connection", "content-length", "expect", "http2-settings", "keep-alive", "proxy-connection"),
        *("te", "trailer", "transfer-encoding", "upgrade"),
    }
)
#: `Forwarded`, `X-Real-IP` and `X-Forwarded-*`, in every spelling that a backend may take for one of them.
_FORWARDING = re.compile(r"forwarded|x[^a-z0-9]real[^a-z0-9]ip|x[^a-z0-9]forwarded[^a-z0-9].+", re.IGNORECASE)


class BadHead(ValueError):  # noqa: N818 (it is the name of an answer)
    """A head that is refused; the connection is of no more use."""

    def __init__(self, status: int, reason: str) -> None:
        """`status` of the answer, and why."""
        super().__init__(reason)
        self.status = status


class SentFields(Struct, frozen=True):
    """The fields of a head, sorted by what becomes of them.

    Attributes:
        host: of the Host field; None on HTTP/1.0 without one.
        kept: the other end-to-end fields.
        taken_out: framing and hop-by-hop fields: matched, never forwarded.
        length: bytes of the body; None: chunked.
        keep_alive: the connection may be used again.
        expects_continue: `Expect: 100-continue`.
    """

    host: str | None
    kept: Headers
    taken_out: Headers
    length: int | None
    keep_alive: bool
    expects_continue: bool


class RequestHead(Struct, frozen=True):
    """A request head.

    Attributes:
        method: as sent.
        target: as sent, neither checked nor normalised.
        headers: as sent, without Host.
        fields: what they say.
        consumed: bytes that the head took.
    """

    method: str
    target: str
    headers: Headers
    fields: SentFields
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
    headers = well_formed(_field(each) for each in lines[1:])
    return RequestHead(
        method=method.decode(),
        target=target.decode(),
        headers=tuple(field for field in headers if field[0].lower() != "host"),
        fields=sort_fields(headers, current=version == b"HTTP/1.1"),
        consumed=end + 4,
    )


def _check_partial(data: bytes) -> None:
    if len(data) > MAX_HEAD:
        raise BadHead(431, "a head that is too large")
    if b"\n" in data.replace(b"\r\n", b""):
        raise BadHead(400, "a line that ends without CR")
    first = data.split(b"\r\n", 1)
    if len(first) > 1 and _REQUEST_LINE.fullmatch(first[0]) is None:
        raise BadHead(400, "no request line")


def _field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise BadHead(400, "a malformed field name")
    return name.decode("latin-1"), value.decode("utf-8", "surrogateescape")


def is_token(text: str) -> bool:
    """Whether it is a name of a field, or a method (RFC 9110 section 5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def well_formed(fields: Iterable[tuple[str, str]]) -> Headers:
    """Fields without the whitespace around their values.

    Raises:
        BadHead: a name is no token, or a value has a control character.
    """
    trimmed = tuple((name, value.strip(" \t")) for name, value in fields)
    for name, value in trimmed:
        if not is_token(name):
            raise BadHead(400, "a malformed field name")
        if _VALUE.fullmatch(value) is None:
            raise BadHead(400, "a malformed field value")
    return trimmed


def sort_fields(fields: Headers, *, current: bool = True) -> SentFields:
    """Read what well-formed fields say, and take out what is for this connection alone.

    Args:
        fields: in order, `Host` among them.
        current: it is HTTP/1.1, and not HTTP/1.0.

    Raises:
        BadHead: they have two meanings, or ask for what is not done here.
    """
    said = _Said()
    for name, value in fields:
        read = _READERS.get(name.lower())
        if read is not None:
            read(said, value)
    if said.chunked and (said.length is not None or not current):
        raise BadHead(400, "Transfer-Encoding beside Content-Length, or in HTTP/1.0")
    if said.host is None and current:
        raise BadHead(400, "no Host")
    taken = WIRE_FIELDS | (said.options - _OPTIONS)
    others = [field for field in fields if field[0].lower() != "host"]
    return SentFields(
        host=said.host,
        kept=tuple(field for field in others if field[0].lower() not in taken),
        taken_out=tuple(field for field in others if field[0].lower() in taken),
        length=None if said.chunked else said.length or 0,
        keep_alive="close" not in said.options and (current or "keep-alive" in said.options),
        expects_continue=current and said.expects_continue,
    )


class _Said:
    """What the fields of one head have said so far."""

    def __init__(self) -> None:
        self.host: str | None = None
        self.length: int | None = None
        self.coding_seen = False
        self.chunked = False
        self.options: set[str] = set()
        self.named = 0
        self.expects_continue = False

    def read_host(self, value: str) -> None:
        if self.host is not None:
            raise BadHead(400, "two Host fields")
        self.host = value

    def read_length(self, value: str) -> None:
        if self.length is not None or _LENGTH.fullmatch(value) is None:
            raise BadHead(400, "a Content-Length that is not one number")
        self.length = int(value)

    def read_coding(self, value: str) -> None:
        codings = {_lower(part.strip(" \t")) for part in value.split(",")} - {""}
        if self.coding_seen:
            raise BadHead(400, "two Transfer-Encoding fields")
        self.coding_seen = True
        self.chunked = _lower(value) == "chunked"
        if not self.chunked:
            raise BadHead(400 if not value or "chunked" in codings else 501, "a transfer coding other than chunked")

    def read_connection(self, value: str) -> None:
        options = [_lower(part.strip(" \t")) for part in value.split(",")]
        self.options.update(options)
        self.options.discard("")
        self.named += sum(option not in _OPTIONS for option in options if option)
        if self.named > MAX_NAMED_FIELDS:
            raise BadHead(431, "Connection names too many fields")

    def read_expectation(self, value: str) -> None:
        if _lower(value) != "100-continue":
            raise BadHead(417, "an expectation that is not known")
        self.expects_continue = True


_READERS = {
    "host": _Said.read_host,
    "content-length": _Said.read_length,
    "transfer-encoding": _Said.read_coding,
    "connection": _Said.read_connection,
    "expect": _Said.read_expectation,
}


def _lower(text: str) -> str:
    """The same in lower case, as ASCII has it: other alphabets have letters whose lower case is ASCII."""
    return text.lower() if text.isascii() else text


def is_forwarding_name(name: str) -> bool:
    """Whether a field tells where a request came from, which only a gateway may say."""
    return _FORWARDING.fullmatch(name) is not None
