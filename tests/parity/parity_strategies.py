"""Tables and requests made by Hypothesis.

The alphabets are small on purpose: hostnames, paths, headers and ranks collide, so that ties, fall-backs and near
misses happen all the time. Every table is valid; what makes one invalid has a test of its own.
"""

from __future__ import annotations

import itertools
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st

from sluicegate import ir
from sluicegate.reference import Connection, Reply, Request

BACKENDS = ("n/one:80", "n/two:80", "n/three:80")
HOSTNAMES = ("a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "*.test", "other.example")
EXACT_PATHS = ("/", "/a", "/a/", "/a/b", "/ab", "/a%2Fb", "/a//b")
PREFIXES = ("/", "/a", "/a/b", "/ab", "/a%2Fb", "/b")
PATTERNS = (".*", "/a.*", "/[ab]", "/a|/ab", "/a/b", "(?i)/A", "", "/a/?(b/)*", "a", "/.")
GRPC_PARTS = (None, None, "", "a", "b", "ab", "a%2Fb")
GRPC_PATTERNS = (None, "", "a", ".*", "[ab]", "a|ab", "(?i)A", "[ab]b?")
VALUE_PATTERNS = (".*", "1", "[0-9]+", "1, .*", "(?i)x|y", "", "^1$", "é.")
VALUES = ("a.test", "1", "2", "1, 2", "", "x", "X", "a b", "é", "%")
HEADER_NAMES = ("x", "y", "x-z", "Upgrade", "host", "x-forwarded-host", "X-Forwarded-Proto", "x-real-ip")
QUERY_NAMES = ("q", "Q", "a b", "", "é")
METHODS = ("", "GET", "POST", "OPTIONS")
SENT_NAMES = ("x", "X", "y", "x-Z", "w", "upgrade", "cookie")
EDITED_NAMES = ("x", "X", "Y", "new", "host", "Host", "Origin", "Upgrade", "Content-Length")
RESPONSE_NAMES = (
    "x",
    "Connection",
    "Vary",
    "access-control-allow-origin",
    "Access-Control-Max-Age",
    "access-control-x",
    "server",
)
ORIGINS = (
    "*",
    "https://a.test",
    "https://*.a.test",
    "http://*",
    "https://*:8443",
    "https://a.test:8443",
    "HTTPS://A.test",
)
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
REPLACEMENTS = ("/", "/x", "/x/", "", "x", "/x/y", "/a")

values = st.sampled_from(VALUES)
grpc_methods = st.one_of(
    st.builds(ir.GrpcMethod, service=st.sampled_from(GRPC_PARTS), method=st.sampled_from(GRPC_PARTS)),
    st.builds(
        ir.GrpcMethod,
        kind=st.just(ir.ValueMatchKind.REGULAR_EXPRESSION),
        service=st.sampled_from(GRPC_PATTERNS),
        method=st.sampled_from(GRPC_PATTERNS),
    ),
)
prefixes = st.sampled_from(("/",) * 6 + PREFIXES).map(lambda value: ir.PathPrefix(value=value))
paths = st.one_of(
    st.just(ir.PathPrefix(value="/")),
    prefixes,
    prefixes,
    prefixes,
    grpc_methods,
    st.sampled_from(EXACT_PATHS).map(lambda value: ir.ExactPath(value=value)),
    st.sampled_from(PATTERNS).map(lambda value: ir.RegularExpressionPath(value=value)),
)
kinds = st.sampled_from(ir.ValueMatchKind)


@st.composite
def header_matches(draw: st.DrawFn) -> ir.HeaderMatch:
    """One header match; patterns and values from their own alphabets."""
    kind = draw(kinds)
    value = draw(values if kind is ir.ValueMatchKind.EXACT else st.sampled_from(VALUE_PATTERNS))
    return ir.HeaderMatch(kind=kind, name=draw(st.sampled_from(HEADER_NAMES)), value=value)


@st.composite
def query_matches(draw: st.DrawFn) -> ir.QueryMatch:
    """One query parameter match."""
    kind = draw(kinds)
    value = draw(values if kind is ir.ValueMatchKind.EXACT else st.sampled_from(VALUE_PATTERNS))
    return ir.QueryMatch(kind=kind, name=draw(st.sampled_from(QUERY_NAMES)), value=value)


def few(elements: st.SearchStrategy[ir.HeaderMatch] | st.SearchStrategy[ir.QueryMatch]) -> st.SearchStrategy[tuple]:  # type: ignore[type-arg]
    """None most of the time, else up to two of different names."""
    one_or_two = st.lists(elements, min_size=1, max_size=2, unique_by=lambda match: match.name).map(tuple)
    return st.sampled_from(range(5)).flatmap(lambda number: one_or_two if number == 4 else st.just(()))


matches = st.builds(
    ir.Match,
    path=paths,
    method=st.sampled_from(("",) * 5 + METHODS),
    headers=few(header_matches()),
    query=few(query_matches()),
)

modifiers = st.builds(
    lambda kind, value: kind(value=value),
    st.sampled_from((ir.ReplaceFullPath, ir.ReplacePrefixMatch)),
    st.sampled_from(REPLACEMENTS),
)


EXPRESSIONS = (
    "request.path",
    "request.headers['x']",
    "request.headers['x'][0] + request.method",
    "request.headers['none'][0]",
    "request.query",
    "size(request.host)",
    "request.scheme == 'https'",
    "has(request.headers.x) ? 'there' : null",
    "[request.host, 'b']",
    "identity.claims.sub",
    "client.address",
    "' ' + request.host + '\\t '",
)


#: As people write them.
edited_values = st.one_of(values, values, values.map(lambda value: f"\t {value} "))


def edits(names: tuple[str, ...], *, computed: bool = True) -> dict[str, st.SearchStrategy[tuple]]:  # type: ignore[type-arg]
    """The three lists of a header edit; the authority is made by no expression."""
    fixed = st.builds(ir.HeaderValue, name=st.sampled_from(names), value=edited_values)
    fields_of = [name for name in names if name.lower() != "host"]
    made = st.builds(ir.HeaderValue, name=st.sampled_from(fields_of), expression=st.sampled_from(EXPRESSIONS))
    fields = st.lists(st.one_of(fixed, fixed, fixed, made) if computed else fixed, max_size=2).map(tuple)
    return {"set": fields, "add": fields, "remove": st.lists(st.sampled_from(names), max_size=2).map(tuple)}


request_edits = st.builds(ir.RequestHeaders, **edits(EDITED_NAMES))
listener_edits = st.builds(ir.RequestHeaders, **edits(EDITED_NAMES, computed=False))
response_edits = st.builds(ir.ResponseHeaders, **edits(RESPONSE_NAMES))
redirects = st.builds(
    ir.Redirect,
    scheme=st.sampled_from((None, "http", "https")),
    hostname=st.sampled_from((None, "r.test")),
    path=st.one_of(st.none(), modifiers),
    port=st.sampled_from((None, 80, 443, 8443)),
    status=st.sampled_from((301, 302, 303, 307, 308)),
)
hosts = {"hostname": st.sampled_from((None, "w.test")), "host_from": st.sampled_from((None, None, *EDITED_NAMES))}
substitutions = st.builds(
    ir.Substitution,
    pattern=st.sampled_from(("^/[^/]*(/.*)?$", "a", "(a)|(b)", "[ab]*", "/", "%2F", r"\.", "(?i)A(.?)")),
    replacement=st.sampled_from(("", "x", r"\0", r"/v\0/", "..", "%", "y" * 900)),
)
rewrites = st.one_of(
    st.builds(ir.Rewrite, path=st.one_of(st.none(), modifiers), **hosts),
    st.builds(ir.Rewrite, substitution=substitutions, **hosts),
)
cookie_parts = st.builds(
    ir.CookiePart, before=st.sampled_from((None, "", "a.test", "/x")), value=st.sampled_from(("", "b.test", "/"))
)
response_rewrites = st.builds(
    ir.ResponseRewrite,
    location=st.lists(
        st.builds(
            ir.LocationRewrite,
            prefix=st.sampled_from(("http://", "http://a.test/", "/")),
            replacement=st.sampled_from(("", "https://", "/b/")),
        ),
        max_size=2,
    ).map(tuple),
    cookies=st.lists(
        st.builds(
            ir.CookieRewrite,
            name=st.sampled_from((None, None, "a")),
            domain=st.one_of(st.none(), cookie_parts),
            path=st.one_of(st.none(), cookie_parts),
            secure=st.sampled_from((None, True, False)),
            http_only=st.sampled_from((None, True, False)),
            same_site=st.sampled_from((None, "Lax")),
        ),
        max_size=2,
    ).map(tuple),
)
responds = st.builds(
    ir.Respond,
    status=st.sampled_from((200, 404, 503)),
    headers=st.lists(
        st.builds(ir.HeaderValue, name=st.sampled_from(RESPONSE_NAMES), value=edited_values), max_size=2
    ).map(tuple),
    body=st.sampled_from(("", "soon")),
)
mirrors = st.builds(
    ir.Mirror,
    backend=st.sampled_from(BACKENDS),
    percentage=st.builds(
        ir.Percentage, numerator=st.sampled_from((0, 1, 50, 100)), denominator=st.sampled_from((1, 3, 100, 1000))
    ),
)
listed = st.sampled_from(((), ("*",), ("GET",), ("x-a", "X-B")))
cors = st.builds(
    ir.Cors,
    allow_origins=st.lists(st.sampled_from(ORIGINS), max_size=3).map(tuple),
    allow_credentials=st.booleans(),
    allow_methods=listed,
    allow_headers=listed,
    expose_headers=listed,
    max_age=st.sampled_from((0, 5, 86400)),
)
backend_filters = st.lists(
    st.one_of(request_edits, response_edits, rewrites, response_rewrites, mirrors),
    max_size=2,
    # The API allows one rewrite.
    unique_by=lambda each: type(each) if isinstance(each, ir.Rewrite | ir.ResponseRewrite) else id(each),
).map(tuple)


@st.composite
def rule_filters(draw: st.DrawFn) -> tuple[ir.Filter, ...]:
    """Up to three filters; the API allows one redirect, one answer, one rewrite and one CORS filter a rule."""
    every = st.one_of(request_edits, response_edits, redirects, responds, rewrites, response_rewrites, mirrors, cors)
    alone = st.sampled_from((cors,) * 5 + (responds, redirects)).flatmap(
        lambda one: st.lists(one, min_size=1, max_size=1)
    )
    passing = st.one_of(request_edits, response_edits, rewrites, response_rewrites, mirrors, cors)
    some = st.lists(passing, max_size=3)
    filters = draw(st.one_of(st.lists(every, max_size=3), some, some, some, alone))
    once = (ir.Redirect, ir.Respond, ir.Rewrite, ir.ResponseRewrite, ir.Cors)
    seen: set[type] = set()
    kept = []
    for each in filters:
        if not (isinstance(each, once) and type(each) in seen):
            kept.append(each)
        seen.add(type(each))
    return tuple(kept)


weighted_backends = st.lists(
    st.builds(
        ir.WeightedBackend,
        backend=st.sampled_from((BACKENDS[0],) * 5 + (*BACKENDS, *BACKENDS, None)),
        weight=st.sampled_from((1, 1, 1, 2, 5, 0)),
        filters=st.one_of(st.just(()), backend_filters),
    ),
    min_size=1,
    max_size=3,
).map(tuple)

LISTENERS = tuple(
    ir.Listener(
        id=f"Gateway/n/{gateway}/{protocol.value.lower()}-{name}",
        gateway=f"n/{gateway}",
        addresses=addresses,
        port=port,
        bind_port=port + 8000,
        protocol=protocol,
        hostname=hostname,
    )
    for protocol, port in ((ir.ListenerProtocol.HTTP, 80), (ir.ListenerProtocol.HTTPS, 443))
    for gateway, name, hostname, addresses in (
        ("g", "any", "", ()),
        ("g", "a", "a.test", ()),
        ("h", "wildcard", "*.a.test", ()),
        ("h", "top", "*.test", ()),
        ("h", "v4", "", ("127.0.0.1",)),
        ("h", "both", "*.a.test", ("127.0.0.1", "::1")),
    )
)
#: Routes and indices of the rules of a table.
PLACES = tuple(
    tuple((route, index) for route in routes for index in range(rules))
    for routes, rules in (
        (("HTTPRoute/n/a",), 1),
        (("HTTPRoute/n/a",), 3),
        (("HTTPRoute/n/b", "HTTPRoute/n-/a"), 1),
        (("HTTPRoute/n/a", "HTTPRoute/n/b", "HTTPRoute/n-/a", "HTTPRoute/m/b"), 1),
        (("HTTPRoute/n/b", "HTTPRoute/n/a", "HTTPRoute/m/b"), 2),
        (("HTTPRoute/n/b", "HTTPRoute/n/a", "HTTPRoute/n-/a", "HTTPRoute/m/b"), 2),
    )
)


hostnames = st.one_of(
    st.just(()),
    st.just(()),
    st.just(()),
    st.just(("*.test", "other.example")),
    st.lists(st.sampled_from(HOSTNAMES), min_size=1, max_size=3, unique=True).map(tuple),
)


_Rule = TypeVar("_Rule", ir.HttpRule, ir.L4Rule)


@st.composite
def attached_together(
    draw: st.DrawFn, rules: list[_Rule], listeners: list[ir.Listener]
) -> tuple[tuple[ir.Attachment, ...], list[_Rule]]:
    """Some of the rules that are attached to all listeners name them at once; another table's attachment has others."""
    every = tuple(listener.id for listener in listeners)
    attachment = ir.Attachment(id="n/g/all", gateway="n/g", listeners=every)
    attachments = draw(st.sampled_from(((), (attachment,), (attachment,))))
    changed = [
        msgspec.structs.replace(rule, listeners=(), attachments=(attachment.id,))
        if attachments and rule.listeners == every and draw(st.booleans())
        else rule
        for rule in rules
    ]
    return attachments, changed


@st.composite
def tables(draw: st.DrawFn, *, with_filters: bool) -> bytes:
    """The JSON of a full state of up to eight rules."""
    listeners = draw(st.lists(st.sampled_from(LISTENERS), min_size=1, max_size=5, unique=True))
    if draw(st.sampled_from((True,) * 7 + (False,))):
        listeners = [*{listener.id: listener for listener in (LISTENERS[0], *listeners)}.values()]
    if with_filters:
        edited = draw(st.sampled_from(range(len(listeners))))
        own: list[ir.ListenerFilter] = draw(st.lists(st.one_of(listener_edits, response_edits), max_size=3))
        own += draw(st.one_of(*[st.just([])] * 15, st.lists(responds, min_size=1, max_size=1)))
        listeners[edited] = msgspec.structs.replace(listeners[edited], filters=tuple(own))
    attached = st.sampled_from(
        [tuple(listener.id for listener in listeners)] * 12 + [(listener.id,) for listener in listeners]
    )
    rules = [
        ir.HttpRule(
            id=f"{route}/{index}",
            route=route,
            created=draw(st.sampled_from((0, 1, 2))),
            index=index,
            listeners=draw(attached),
            hostnames=draw(hostnames),
            matches=tuple(draw(st.lists(matches, min_size=1, max_size=3))),
            filters=draw(rule_filters()) if with_filters else (),
            backends=draw(weighted_backends if draw(st.sampled_from((True,) * 9 + (False,))) else st.just(()))
            if with_filters
            else (ir.WeightedBackend(backend=BACKENDS[0], weight=1),),
            session=draw(st.sampled_from(SESSIONS)),
            invalid=with_filters and draw(st.sampled_from([False] * 9 + [True])),
        )
        for route, index in draw(st.sampled_from(PLACES))
    ]
    together, rules = draw(attached_together(rules, listeners))
    transaction = ir.Transaction(
        version=ir.VERSION,
        generation=1,
        full=True,
        upsert=ir.Resources(
            listeners=tuple(listeners),
            attachments=together,
            http_rules=tuple(rules),
            backends=tuple(draw(backends())),
            endpoints=tuple(draw(endpoints())),
            policies=POLICIES,
        ),
    )
    return ir.encode(transaction)


#: Of the first of its kind a backend has it.
POLICIES = (
    ir.BackendTls(id="n/broken", hostname="b.test", invalid=True),
    ir.BackendTls(id="n/good", hostname="b.test"),
    ir.BackendPolicy(id="n/odd", invalid=True),
    ir.BackendPolicy(id="n/turns", load_balancing=ir.Hash(key=(ir.ClientKey(), ir.HeaderKey(name="x-user")))),
    ir.BackendTraffic(id="n/kept", session=ir.Session(carrier=ir.SessionCookie(name="s", path="/"))),
)

SESSIONS = (
    *(None,) * 4,
    ir.Session(carrier=ir.SessionCookie(name="s", path="/")),
    ir.Session(carrier=ir.SessionHeader(name="x"), absolute_timeout_ms=1),
)


@st.composite
def backends(draw: st.DrawFn) -> list[ir.Backend]:
    """The second one may have policies."""
    named = draw(
        st.sampled_from(
            [
                (),
                (),
                (),
                ("n/broken",),
                ("n/good", "n/broken"),
                ("n/broken", "n/good"),
                ("n/odd",),
                ("n/good", "n/turns", "n/odd"),
                ("n/kept",),
            ]
        )
    )
    return [ir.Backend(id=identity, policies=named if identity == BACKENDS[1] else ()) for identity in BACKENDS]


@st.composite
def endpoints(draw: st.DrawFn) -> list[ir.Endpoint]:
    """The first backend always has one; the others have ready, draining, both or none."""
    first = f"{BACKENDS[0]}@127.0.0.1:1"
    chosen = [ir.Endpoint(id=first, backend=BACKENDS[0], address="127.0.0.1", port=1)]
    for backend in BACKENDS[1:]:
        for port, state in enumerate(draw(st.lists(st.sampled_from(ir.EndpointState), max_size=3)), 2):
            identity = f"{backend}@127.0.0.1:{port}"
            chosen.append(ir.Endpoint(id=identity, backend=backend, address="127.0.0.1", port=port, state=state))
    return chosen


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


def some(elements: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    """So many of them, whatever the generator likes best."""
    return st.lists(elements, min_size=size, max_size=size)


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


# --- Connections ------------------------------------------------------------------------------------------------

L4_LISTENERS = tuple(
    ir.Listener(
        id=f"Gateway/n/g/{name}",
        gateway="n/g",
        addresses=addresses,
        port=port,
        bind_port=port,
        protocol=protocol,
        hostname=hostname,
        tls=ir.ListenerTls(certificates=()) if terminates else None,
    )
    for name, protocol, port, hostname, addresses, terminates in (
        ("pass", ir.ListenerProtocol.TLS, 8443, "", (), False),
        ("pass-a", ir.ListenerProtocol.TLS, 8443, "a.test", (), False),
        ("https", ir.ListenerProtocol.HTTPS, 8443, "b.a.test", (), True),
        ("terminate", ir.ListenerProtocol.TLS, 8443, "*.a.test", (), True),
        ("https-top", ir.ListenerProtocol.HTTPS, 8443, "*.test", (), True),
        ("terminate-v4", ir.ListenerProtocol.TLS, 8443, "", ("127.0.0.1",), True),
        ("tcp", ir.ListenerProtocol.TCP, 8053, "", (), False),
        ("tcp-v4", ir.ListenerProtocol.TCP, 8053, "", ("127.0.0.1", "::1"), False),
        ("udp", ir.ListenerProtocol.UDP, 8053, "", (), False),
        ("udp-v6", ir.ListenerProtocol.UDP, 8053, "", ("::1",), False),
        ("http", ir.ListenerProtocol.HTTP, 8080, "", (), False),
    )
)
L4_ROUTES = ("TLSRoute/n/a", "TLSRoute/n/b", "TLSRoute/n-/a", "TCPRoute/n/a", "UDPRoute/n/a", "UDPRoute/m/b")
l4_backends = st.lists(
    st.builds(
        ir.WeightedBackend,
        backend=st.sampled_from((*BACKENDS, *BACKENDS, None)),
        weight=st.sampled_from((1, 1, 2, 0)),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@st.composite
def l4_tables(draw: st.DrawFn) -> bytes:
    """The JSON of a full state with listeners of every protocol, L4 rules, and one rule of HTTP."""
    listeners = draw(st.lists(st.sampled_from(L4_LISTENERS), min_size=7, max_size=11, unique=True))
    identities = [listener.id for listener in listeners]
    place = st.tuples(st.sampled_from(L4_ROUTES), st.integers(0, 1))
    places = draw(st.lists(place, min_size=3, max_size=7, unique=True))
    rules = [
        ir.L4Rule(
            id=f"{route}/{index}",
            route=route,
            created=draw(st.sampled_from((0, 1, 2))),
            index=index,
            listeners=tuple(draw(st.sampled_from([identities] * 9 + [[identity] for identity in identities]))),
            hostnames=draw(st.one_of(st.just(()), st.just(()), hostnames)),
            backends=draw(l4_backends if draw(st.sampled_from((True,) * 7 + (False,))) else st.just(())),
        )
        for route, index in places
    ]
    over_http = ir.HttpRule(
        id="HTTPRoute/n/a/0",
        route="HTTPRoute/n/a",
        index=0,
        listeners=tuple(identities),
        matches=(ir.Match(path=ir.PathPrefix(value="/")),),
        backends=(ir.WeightedBackend(backend=BACKENDS[0], weight=1),),
    )
    together, rules = draw(attached_together(rules, listeners))
    transaction = ir.Transaction(
        version=ir.VERSION,
        generation=1,
        full=True,
        upsert=ir.Resources(
            listeners=tuple(listeners),
            attachments=together,
            http_rules=(over_http,),
            l4_rules=tuple(rules),
            backends=tuple(draw(backends())),
            endpoints=tuple(draw(endpoints())),
            policies=POLICIES,
        ),
    )
    return ir.encode(transaction)


server_names = st.sampled_from(
    (None, "", "a.test", "B.A.test", "c.b.a.test", "x.test", "other.example", "test", ".a.test")
)
l4_addresses = st.sampled_from(("",) * 6 + ("127.0.0.1", "::1", "10.9.9.9"))


@st.composite
def connections(draw: st.DrawFn, size: tuple[int, int] = (4, 3)) -> list[Request | Connection]:
    """Every server name with every socket, as a connection, and as a request where it is TLS."""
    sockets = (("tcp", 8443),) * 9 + (("tcp", 8053), ("udp", 8053)) * 4 + (("tcp", 8080), ("udp", 8443), ("tcp", 9))
    found: list[Request | Connection] = []
    for name in draw(some(server_names, size[0])):
        for transport, port in draw(some(st.sampled_from(sockets), size[1])):
            address, entropy = draw(l4_addresses), draw(entropies)
            found.append(Connection(transport=transport, bind_port=port, address=address, sni=name, entropy=entropy))
            host = draw(st.sampled_from(SENT_HOSTS))
            found.append(Request(bind_port=port, address=address, sni=name, method="GET", authority=host, target="/"))
    return found
