"""Random requests for `test_wire_agrees`: what is asked, and how it is written on the wire."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from sluicegate import Request

PORT, TLS_PORT = 8080, 8443
#: Of a listener that believes what its peer says of where a request comes from.
TRUSTING_PORT = 8081
HOSTS = ("a.test", "b.a.test", "c.b.a.test", "other.test", "A.test:80", "b.a.test.", "away.test", "example.com")
SERVER_NAMES = ("a.test", "b.a.test", "c.b.a.test", "other.test", None)
METHODS = ("GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")
PATHS = (
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/ab",
    "/b",
    "/a%2Fb",
    "/%61",
    "/a//b",
    "/a/./b",
    "/a/../b",
    "/c;x/b",
    '/a/<"|`>',
)
ODD = ("/..", "/a/..;/b", "/a%2f..", "/%zz", "/%00", "a", "/a#b")
QUERIES = ("", "", "", "?q=1", "?q=2", "?q=1&q=2", "?r=%31", "?q", '?q={"<1>"}`')
VALUES = ("1", "2", "1, 2", " 1\t")
#: What is for one connection, and what only a gateway may say of where a request came from.
HOP_BY_HOP = (
    *(("connection", "x-a"), ("Connection", "x-b , close-not"), ("keep-alive", "5"), ("proxy-connection", "x")),
    *(("trailer", "x-a"), ("http2-settings", "AAMAAABk"), ("upgrade", "h2c")),
    *(("x-forwarded-for", "6.6.6.6"), ("X_Forwarded_Proto", "https"), ("Forwarded", "for=6.6.6.6"), ("x.real.ip", "6")),
)
#: What a proxy says of where a request came from.
FORWARDED = (
    *(
        ("x-forwarded-for", "203.0.113.9"),
        ("X-Forwarded-For", "198.51.100.7, 10.1.2.3"),
        ("x-forwarded-for", "unknown"),
    ),
    *(("x-forwarded-proto", "https"), ("X-Forwarded-Host", "outer.test"), ("x_forwarded_host", "6.test")),
    *(("x-real-ip", "6.6.6.6"), ("forwarded", "for=6.6.6.6")),
)
#: Heads that are refused over HTTP/1.1, and some that look like them.
REFUSED = (
    (("content-length", "0"), ("transfer-encoding", "chunked")),
    (("content-length", "0"), ("Content-Length", "0")),
    (("content-length", "0"),),
    (("content-length", "+0"),),
    (("content-length", "0x0"),),
    (("content-length", ""),),
    (("transfer-encoding", "chunked"),),
    (("transfer-encoding", "gzip"),),
    (("transfer-encoding", "gzip, chunked"),),
    (("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")),
    (("expect", "more"),),
    (("host", "a.test"),),
    (("x a", "1"),),
    (("x-a ", "1"),),
    (("x-a", "1\x00"),),
    (("x-a", "1\x7f"),),
    (("x-a", "\u00e9"),),
    (("connection", ",".join(f"x-{number}" for number in range(32))),),
    (("connection", ",".join(f"x-{number}" for number in range(33))),),
)
#: Targets in absolute-form, without path and query; the host in them counts, and not the field beside them.
ABSOLUTE = ("http://{host}", "http://{host}", "https://{host}", "HTTP://{host}")
ODD_ABSOLUTE = ("ftp://a.test", "http:/", "http://", "http://user@a.test", "http://a.test:x", "//a.test", "a.test:80")
ORIGINS = ("https://shop.test", "HTTPS://Shop.test", "https://x.shop.test", "http://a.test", "https://6.test", "null")
CALLS = (
    *("/pkg.Shop/Get", "/pkg.Shop/Get", "/pkg.Shop/Put", "/pkg.Cart/Get", "/pkg.Shop", "/pkg.Shop/Get/more"),
    *("/pkg%2EShop/Get", "//pkg.Shop//Get", "/a/b", "/pkg.Shop/..%2f"),
)
#: Of calls of gRPC, and of what looks like one.
CONTENT_TYPES = (
    *("application/grpc",) * 4,
    *(
        "application/grpc+proto",
        "application/grpc;x=1",
        "Application/GRPC",
        "application/grpc-web",
        "application/grpcx",
    ),
)


#: As which of them are calls (gRPC over HTTP/2, "Requests").
CALL = re.compile("application/grpc(?:[+;].*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """A request to decide on, and how it is sent.

    Attributes:
        request: it; `authority` is its Host or `:authority`, whatever the target says.
        version: `1.0`, `1.1` or `2`.
        is_literal: sent to the gateway that takes paths as they come.
    """

    request: Request
    version: str
    is_literal: bool

    def has(self, *names: str) -> bool:
        """Whether it has a field of one of these names."""
        return any(name.lower() in names for name, _ in self.request.headers)

    @property
    def is_call(self) -> bool:
        """It is one of gRPC: gRPC-Web is another protocol."""
        return any(name == "content-type" and CALL.match(value) for name, value in self.request.headers)

    @property
    def authority(self) -> str:
        """Whom it is for: what an absolute-form target says counts in place of Host."""
        _, is_absolute, rest = self.request.target.partition("://")
        return re.split(r"[/?]", rest)[0] if is_absolute else self.request.authority

    def with_fields(self, *fields: tuple[str, str], **rest: str) -> Asked:
        """The same with fields behind its own, and other parts of the request."""
        headers = (*self.request.headers, *fields)
        return replace(self, request=msgspec.structs.replace(self.request, headers=headers, **rest))

    def written(self) -> bytes:
        """Its octets over HTTP/1."""
        request = self.request
        fields = "".join(f"{name}: {value}\r\n" for name, value in (("host", request.authority), *request.headers))
        body = "0\r\n\r\n" if ("transfer-encoding", "chunked") in request.headers else ""
        return f"{request.method} {request.target} HTTP/{self.version}\r\n{fields}\r\n{body}".encode()


def draw_request(draw: random.Random, protocol: str) -> Asked:
    """A request over `http1` or `http2`."""
    asked = Asked(_plain(draw), "2" if protocol == "http2" else "1.1", draw.random() < 0.15)
    for share, otherwise in _KINDS:
        if draw.random() < share:
            asked = otherwise(asked, draw)
    return asked


def _plain(draw: random.Random) -> Request:
    headers: list[tuple[str, str]] = []
    if draw.random() < 0.5:
        headers += [("x-a", draw.choice(VALUES)) for _ in range(draw.choice((1, 1, 2)))]
    if draw.random() < 0.3:
        headers.append(("x-b", draw.choice(VALUES)))
    if draw.random() < 0.2:
        headers += [("cookie", "k=1"), ("cookie", "k=2")]
    if draw.random() < 0.2:
        headers.append(("te", "trailers"))
    if draw.random() < 0.1:
        headers.append(("expect", "100-continue"))
    if draw.random() < 0.2:
        headers.append(draw.choice(HOP_BY_HOP))
    path = draw.choice(PATHS) if draw.random() < 0.95 else draw.choice(ODD)
    port = draw.choices((PORT, TLS_PORT, TRUSTING_PORT), (55, 30, 15))[0]
    is_secured = port == TLS_PORT
    return Request(
        method=draw.choice(METHODS),
        scheme="https" if is_secured else "http",
        authority=draw.choice(HOSTS),
        port=port,
        target=path + draw.choice(QUERIES),
        headers=tuple(headers),
        server_name=draw.choice(SERVER_NAMES) if is_secured else None,
        client="127.0.0.1",
    )


def _refused(asked: Asked, draw: random.Random) -> Asked:
    """A head that is refused. Of one of HTTP/1.1 that cannot be read nobody knows that it is a call."""
    if asked.version == "2":
        # The client's library lowers names, and sends of a stream no field that is none.
        return asked.with_fields(("expect", "more"))
    return asked if asked.has("content-type") else asked.with_fields(*draw.choice(REFUSED))


def _forwarded(asked: Asked, draw: random.Random) -> Asked:
    return asked.with_fields(*draw.choices(FORWARDED, k=draw.choice((1, 2, 3))))


def _cross_origin(asked: Asked, draw: random.Random) -> Asked:
    """A request from another origin, or the preflight before it (the Fetch standard, "CORS protocol")."""
    origin = ("origin", draw.choice(ORIGINS))
    if draw.random() < 0.3:
        return asked.with_fields(origin)
    wanted = [("access-control-request-method", draw.choice(("PUT", "DELETE")))]
    if draw.random() < 0.5:
        wanted.append(("access-control-request-headers", draw.choice(("x-a", "x-a,x-b"))))
    return asked.with_fields(origin, *wanted, method="OPTIONS")


def _call(asked: Asked, draw: random.Random) -> Asked:
    """A call of gRPC (gRPC over HTTP/2, "Requests"), also over HTTP/1.1: its gateway answers all the same."""
    return asked.with_fields(("content-type", draw.choice(CONTENT_TYPES)), method="POST", target=draw.choice(CALLS))


def _absolute_form(asked: Asked, draw: random.Random) -> Asked:
    """RFC 9112 section 3.2.2. Over HTTP/2 it is no path, which a few show."""
    if asked.version == "2" and draw.random() < 0.9:
        return asked
    start = draw.choice(ABSOLUTE).format(host=draw.choice(HOSTS)) if draw.random() < 0.8 else draw.choice(ODD_ABSOLUTE)
    target = asked.request.target if draw.random() < 0.9 else draw.choice(("", "?q=1"))
    return asked.with_fields(target=start + target)


def _asterisk_form(asked: Asked, draw: random.Random) -> Asked:
    """RFC 9112 section 3.2.4: about the server; of other methods it is no target."""
    target = draw.choice(("*", "*", "*", "*?q=1", "*a"))
    return asked.with_fields(target=target, method="OPTIONS" if draw.random() < 0.8 else "GET")


def _old(asked: Asked, _draw: random.Random) -> Asked:
    """HTTP/1.0, which has no transfer codings (`native/http1/src/request.rs` has a row for that)."""
    return asked if asked.version == "2" or asked.has("transfer-encoding") else replace(asked, version="1.0")


#: What may be otherwise about a request, and how often it is; several at once as well.
_KINDS: tuple[tuple[float, Callable[[Asked, random.Random], Asked]], ...] = (
    (0.15, _forwarded),
    (0.1, _cross_origin),
    (0.08, _call),
    (0.05, _refused),
    (0.06, _absolute_form),
    (0.01, _asterisk_form),
    (0.04, _old),
)
