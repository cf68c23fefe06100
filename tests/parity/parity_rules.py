"""Matches, filters and backends of rules, made by Hypothesis.

The alphabets are small on purpose: hostnames, paths, headers and ranks collide, so that ties, fall-backs and near
misses happen all the time. Every table is valid; what makes one invalid has a test of its own.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sluicegate import ir

BACKENDS = ("n/one:80", "n/two:80", "n/three:80")
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
EDITED_NAMES = ("x", "X", "Y", "new", "host", "Host", "Origin", "Upgrade", "Content-Length")
#: What is no host is refused (`table/state/written`).
EDITED_HOSTS = ("a.test", "x", "X:80", "\t b.test. ", "[::1]:8080")
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
    fields_of = [name for name in names if name.lower() != "host"]
    authorities = [name for name in names if name.lower() == "host"]
    fixed = st.builds(ir.HeaderValue, name=st.sampled_from(fields_of), value=edited_values)
    if authorities:
        fixed |= st.builds(ir.HeaderValue, name=st.sampled_from(authorities), value=st.sampled_from(EDITED_HOSTS))
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


def some(elements: st.SearchStrategy[Any], size: int) -> st.SearchStrategy[list[Any]]:
    """So many of them, whatever the generator likes best."""
    return st.lists(elements, min_size=size, max_size=size)
