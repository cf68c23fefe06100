"""Requests made by Hypothesis: usual ones, odd ones, and those that the wire refuses."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import strategies as st
from parity_rules import RESPONSE_NAMES, VALUES, some

from sluicegate.reference import Reply, Request

SENT_NAMES = ("x", "X", "y", "x-Z", "w", "upgrade", "cookie")
SENT_ORIGINS = (
    "",
    "https://a.test",
    "HTTPS://A.TEST",
    "https://b.a.test",
    "https://c.b.a.test",
    "https://.a.test",
    "https://evil_a.test",
    "http://x",
    "https://a.test:8443",
    "null",
    "",
    "https://é.a.test",
)
SENT_VARY = ("Origin", "accept, ORIGIN ,x", "*", "accept,*", "Origins", "")


# --- Requests ---------------------------------------------------------------------------------------------------

SENT_HOSTS = ("a.test", "b.a.test", "c.b.a.test", "d.c.b.a.test", "x.test", "test", "other.example", "10.0.0.1")
ODD_AUTHORITIES = (
    "A.Test:80",
    "b.a.test.",
    "a.test:",
    "a.test.:8080",
    "*.a.test",
    ".a.test",
    "..a.test",
    "a.test..",
    "[::1]:80",
    "[::1",
    "[::1%25lo]",
    "[v1.x]",
    "[1.2.3.4]",
    "[::ffff:1.2.3.4]",
    "[::01234]",
    "",
    ".",
    ":80",
    "user@a.test",
    "a.test/x",
    "a test",
    "a.test:99999",
    "a.test:65535",
    "a.test:x",
    "a.test:1:1",
    "a,b",
    "a%2eb",
    "é.test",
    "a_b.test",
    "x" * 254,
    "x" * 255,
)
SENT_TARGETS = (
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/a/b/c",
    "/ab",
    "/abc",
    "/b",
    "/a%2fb",
    "/a%2Fb/c",
    "/%61",
    "/A",
    "//a",
    "/a//b",
    "/a/./b",
    "/a/../a/b",
    "/x/y",
    "/?q=1",
    "/a?q=1&q=2",
    "/a?Q=2&q=x",
    "/a/b?q=%31",
    "/?a+b=a%20b",
    "/a?q",
    "/a?=1",
    "/?",
    "/a?%71=1&q=2",
    "/?q=%",
    "/?q=%25",
    "/?q=%zz",
    "/?%C3%A9=%c3%a9x",
    "/?q=%ff",
    "/?q=a=b",
)
ODD_TARGETS = (
    "*",
    "",
    "a",
    "http://a.test",
    "http://b.a.test/a",
    "HTTPS://A.test:8080/a/../b?x",
    "http://?q=1",
    "http:///a",
    "http://user@a.test/",
    "ftp://a.test/",
    "/..",
    "/a/../..",
    "/a/..",
    "/a/.",
    "/%2e%2e",
    "/a/%2E%2e/b",
    "/.%2f",
    "/%",
    "/%4",
    "/%00",
    "/%zz",
    "/a\\b",
    "/a?\\",
    "/a#b",
    "/é",
    "/a b",
    "/\x7f",
    "/...",
    "/a/.../b",
    "/a;v=1/b",
    "/;/..",
    "/a?x=//../%2e",
    "//",
    "///..",
    "/%5c",
    "/a/..;/b",
    "/.;b",
    "/a/..b;",
    "/..%2fb",
    "/a%2F..",
    "/a%5c../b",
    "/%2e%2e%3b/",
    "/a%2f..b",
    "/%252e%252e%252f",
)

#: The socket that a request comes in by, and the name of its handshake.
ENTRIES = (
    *({"bind_port": 8080} for _ in range(72)),
    {"bind_port": 8080, "address": "127.0.0.1"},
    {"bind_port": 8080, "address": "::1"},
    {"bind_port": 8080, "address": "10.9.9.9"},
    {"bind_port": 8443},
    *({"bind_port": 8443, "sni": "a.test"} for _ in range(4)),
    *({"bind_port": 8443, "sni": "b.a.test"} for _ in range(4)),
    {"bind_port": 8443, "sni": "x.test"},
    {"bind_port": 8443, "sni": "B.A.test", "address": "127.0.0.1"},
    {"bind_port": 8443, "sni": "other.example"},
    {"bind_port": 8443, "sni": "a.test", "scheme": "https"},
    {"bind_port": 8443, "sni": "a.test", "scheme": "http"},
    {"bind_port": 8080, "scheme": "http"},
    {"bind_port": 8080, "scheme": "https"},
    {"bind_port": 9},
)

sent_texts = st.text(alphabet='/ab.%25fFcEe?=&+;~\\# <"`|', max_size=10).map(lambda text: "/" + text)
# Weighted by repetition: most requests have to reach a rule.
sent_targets = st.sampled_from(SENT_TARGETS * 12 + SENT_TARGETS[:4] * 64 + ODD_TARGETS + (None,) * 20).flatmap(
    lambda target: sent_texts if target is None else st.just(target)
)
sent_authorities = st.sampled_from(SENT_HOSTS * 24 + SENT_HOSTS[:2] * 96 + ODD_AUTHORITIES)
sent_values = st.sampled_from((*VALUES, " 1", "1\t", "é1", "12", "2, 1"))
usual_fields = st.one_of(
    st.tuples(st.sampled_from(SENT_NAMES), sent_values),
    st.tuples(st.sampled_from(("Origin", "origin")), st.sampled_from(SENT_ORIGINS)),
    st.tuples(st.just("Access-Control-Request-Method"), st.sampled_from(("PUT", "GET"))),
    st.tuples(st.just("access-control-request-headers"), st.sampled_from(("x-a", "x-a, y"))),
)
#: What is for one connection, what frames, what says where a request came from, and what the wire refuses.
ODD_FIELDS = (
    *(
        ("connection", value)
        for value in ("x", "close, X-Z", "Origin,,\t y", "host", "keep-alive", "\u212aeep-alive, \u212a")
    ),
    ("connection", ",".join(f"n{number}" for number in range(32)) + ", close"),
    *(("content-length", value) for value in ("3", "0", "x", "", "-1", "1" * 19)),
    *(
        ("Transfer-Encoding", value)
        for value in ("chunked", "CHUNKED", "gzip", "gzip, chunked", "", "xchunked", "chun\u212aed")
    ),
    *(("expect", value) for value in ("100-continue", "100-Continue ", "100", "")),
    *((name, "1") for name in ("te", "Keep-Alive", "Trailer", "close", "HTTP2-Settings", "proxy-connection")),
    *((name, "1") for name in ("X-Forwarded-For", "x_forwarded_proto", "X.Real-IP", "forwarded", "X-Forwarded-")),
    *((name, "1") for name in ("Host", "a b", "", ":authority", "x:", "\u00e9")),
    *(("x", value) for value in ("1\r\ny: 2", "a\x00", "\x7f", "\t1 ", "\u0080")),
)
#: One for each status of a head that is refused, but 400.
REFUSED_FIELDS = (
    ("Connection", ",".join(f"n{number}" for number in range(33))),
    ("Expect", "more"),
    ("transfer-encoding", "br"),
)
#: Asked of every table: they are too rare to be drawn in each run.
REFUSED_REQUESTS = tuple(
    Request(bind_port=8080, method="GET", authority="a.test", target="/", headers=(field,)) for field in REFUSED_FIELDS
)
odd_fields = st.one_of(st.sampled_from(ODD_FIELDS), st.sampled_from(REFUSED_FIELDS))
sent_fields = st.sampled_from(range(16)).flatmap(lambda number: usual_fields if number else odd_fields)
#: What may be a session of a rule or a backend, besides other fields.
SENT_COOKIES = (
    *((),) * 4,
    (("cookie", "s=1"),),
    (("Cookie", "b=2;s=1 ;\ts"), ("cookie", "a=s=1")),
    (("cookie", "S=1; as=2"),),
)
sent_headers = st.tuples(st.lists(sent_fields, max_size=4), st.sampled_from(SENT_COOKIES)).map(
    lambda both: (*both[0], *both[1])
)
SENT_PLACES = (
    "http://a.test/x",
    "https://a.test/",
    "/x",
    "5; URL='http://a.test/b'",
    "0;url=/",
    "a=1; Domain=.A.test; Path=/x/y; Secure",
    "b=2;path=/x;;SameSite=None ; HttpOnly",
    "a ; domain",
    "",
)
response_fields = st.one_of(
    st.tuples(st.sampled_from(("Location", "refresh", "Set-Cookie")), st.sampled_from(SENT_PLACES)),
    st.tuples(st.sampled_from(RESPONSE_NAMES), sent_values),
    st.tuples(st.sampled_from(("Vary", "vary")), st.sampled_from(SENT_VARY)),
)
replies = st.builds(
    Reply,
    status=st.sampled_from((200, 404)),
    headers=st.lists(response_fields, max_size=3).map(tuple),
)


def exchange(
    entry: dict[str, Any],
    method: str,
    headers: tuple[Any, ...],
    entropy: int,
    response: Reply | None,
    path_normalization: str,
) -> dict[str, Any]:
    """What a request has besides its authority and target."""
    return {
        **entry,
        "method": method,
        "headers": headers,
        "entropy": entropy,
        "response": response,
        "path_normalization": path_normalization,
    }


entropies = st.one_of(st.integers(0, 20), st.integers(0, 2**64 - 1))
#: An engine setting, that here changes from request to request.
path_normalizations = st.sampled_from(("strict", "off"))
exchanges = st.builds(
    exchange,
    st.sampled_from(ENTRIES),
    st.sampled_from(("GET",) * 14 + ("POST",) * 4 + ("OPTIONS",) * 3 + ("get", "get", "CONNECT", "", "G T")),
    sent_headers,
    entropies,
    st.one_of(st.none(), replies),
    path_normalizations,
)
preflights = st.builds(
    exchange,
    st.sampled_from(ENTRIES),
    st.just("OPTIONS"),
    st.sampled_from(SENT_ORIGINS).map(lambda origin: (("origin", origin), ("access-control-request-method", "PUT"))),
    entropies,
    st.none(),
    path_normalizations,
)


@st.composite
def requests(draw: st.DrawFn, size: tuple[int, int, int] = (3, 4, 4)) -> list[Request]:
    """Every combination of some authorities, targets and exchanges: many requests for few draws."""
    authorities, targets, rest = size
    every = itertools.product(
        draw(some(sent_authorities, authorities)),
        draw(some(sent_targets, targets)),
        [*draw(some(exchanges, rest - 1)), draw(preflights)],
    )
    return [Request(authority=authority, target=target, **exchange) for authority, target, exchange in every]
