"""What is asked of an admin listener, and what is answered: the page, its API, probes, figures."""

from __future__ import annotations

import http
import ipaddress
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

#: Characters of the query that are looked at, and its fields. Stops a client from having much decoded.
MAX_QUERY, MAX_FIELDS = 6_144, 64
#: For every answer: nobody keeps it, guesses what it is, puts it in a frame or reads it from another site.
_ALWAYS = (
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
)


class Asked(NamedTuple):
    """A request, as far as anybody wants to know.

    Attributes:
        method: `GET` or `HEAD`.
        path: decoded.
        query: as it came.
        host: the `Host` field.
        peer: address of who asks.
    """

    method: str
    path: str
    query: str
    host: str
    peer: str

    def fields(self) -> list[tuple[str, str]]:
        """The query's names and values.

        Raises:
            ValueError: it is too long, or has too many.
        """
        if len(self.query) > MAX_QUERY:
            raise ValueError(f"the query has more than {MAX_QUERY:,} characters")
        return parse_qsl(self.query, keep_blank_values=True, max_num_fields=MAX_FIELDS)

    @property
    def is_local(self) -> bool:
        """Whether it comes from this machine, and was meant for it.

        A name that anybody may point at this machine is no address of it: a page of that name would read ours (DNS
        rebinding).
        """
        try:
            address = ipaddress.ip_address(self.peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return (mapped or address).is_loopback and _is_address(self.host)


class Answer(NamedTuple):
    """What comes back."""

    status: int
    kind: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def encode(self, *, with_body: bool) -> bytes:
        """Write it as HTTP/1.1; the connection ends with it."""
        phrase = http.HTTPStatus(self.status).phrase
        fields = [
            ("content-type", self.kind),
            ("content-length", str(len(self.body))),
            ("connection", "close"),
            *_ALWAYS,
            *self.headers,
        ]
        head = f"HTTP/1.1 {self.status} {phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields)
        return head.encode("ascii") + b"\r\n" + (self.body if with_body else b"")


#: Answers what it knows, without waiting for long; None: it is not its own.
Respond = Callable[[Asked], Awaitable[Answer | None]]


def text(status: int, message: str, *headers: tuple[str, str]) -> Answer:
    """An answer for people."""
    return Answer(status, "text/plain; charset=utf-8", f"{message}\n".encode(), headers)


def read_head(head: bytes, peer: str) -> Asked:
    """Read a request's head, of GET or HEAD.

    Raises:
        ValueError: it is none.
        LookupError: it has another method.
    """
    line, _, rest = head.partition(b"\r\n")
    words = line.split(b" ")
    if len(words) != 3 or words[2] not in {b"HTTP/1.1", b"HTTP/1.0"} or not words[1].startswith(b"/"):
        raise ValueError("this is no request of HTTP/1.1 for a path")
    method, target = words[0].decode("latin-1"), words[1]
    if method not in {"GET", "HEAD"}:
        raise LookupError(method)
    if any(byte <= 0x20 or byte >= 0x7F for byte in target):
        raise ValueError("the target has octets that no URL has")
    path, _, query = target.partition(b"?")
    hosts = [
        value.strip().decode("latin-1")
        for name, colon, value in (field.partition(b":") for field in rest.split(b"\r\n"))
        if colon and name.strip().lower() == b"host"
    ]
    decoded = unquote_to_bytes(path).decode("utf-8", "replace")
    return Asked(method, decoded, query.decode("ascii"), hosts[0] if len(hosts) == 1 else "", peer)


def _is_address(host: str) -> bool:
    """Whether a `Host` is `localhost`, below it, or an IP address, with a port or without."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
