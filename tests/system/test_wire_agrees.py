"""What `explain` says is what the wire does: 20,000 random requests over both protocols against a running engine.

Seeded: every run asks the same. Each rule writes its own name into its answers, so which one took a request is known,
and the backend says what it got: method, target, authority and fields.
"""

from __future__ import annotations

import json
import random
import ssl
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Received, response
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, gateway, https, listener, route, rule, secret, service

from sluicegate import Decision, Request, Routes, load
from sluicegate.cli.explanation import explain
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME
from sluicegate.testing.offline import load_offline
from sluicegate.testing.table import Table

PORT = 8080
TLS_PORT = 8443
#: Requests over each protocol.
COUNT = 10_000
BATCH = 50
HOSTS = ("a.test", "b.a.test", "c.b.a.test", "other.test", "A.test:80", "b.a.test.")
SERVER_NAMES = ("a.test", "b.a.test", "c.b.a.test", "other.test", None)
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
MATCHED = (
    *(("x-a", "1"), ("x-a", "1, 2"), ("x-b", "2"), ("cookie", "k=1; k=2")),
    *(("te", "trailers"), ("host", "a.test"), ("expect", "100-continue"), ("connection", "x-a")),
    *(("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("upgrade", "h2c"), ("content-length", "0")),
)
#: What is for one connection, and what only a gateway may say of where a request came from.
HOP_BY_HOP = (
    *(("connection", "x-a"), ("Connection", "x-b , close-not"), ("keep-alive", "5"), ("proxy-connection", "x")),
    *(("trailer", "x-a"), ("http2-settings", "AAMAAABk"), ("upgrade", "h2c")),
    *(("x-forwarded-for", "6.6.6.6"), ("X_Forwarded_Proto", "https"), ("Forwarded", "for=6.6.6.6"), ("x.real.ip", "6")),
)
#: What HTTP/2 has no place for (RFC 9113 section 8.2.2): a stream that has it is reset.
NOT_IN_HTTP2 = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"})
#: What the gateway writes itself, or has written anew.
OWN = frozenset({"host", "te", "content-length", "transfer-encoding", "connection", "expect"})
OWN_FORWARDING = frozenset({"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"})
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
#: Each how many-th request goes through all that `explain` says of one.
EXPLAINED = 50
Fields = list[tuple[str, str]]
#: A request as the backend got it: method, target, authority, fields.
Got = tuple[str, str, str, Fields]
#: Status, the rule that took it, what the backend got or where a redirect leads; 0: no answer, and the connection or
#: the stream has ended.
Seen = tuple[int, str | None, Got | str | None]
NO_ANSWER: Seen = (0, None, None)
REDIRECTS = frozenset({301, 302})


def told(request: Received) -> bytes:
    """Answer with what the backend got, in a field: an answer to HEAD has no body."""
    fields = [(name, value.encode("latin-1").decode()) for name, value in request.headers]
    got = json.dumps((request.method, request.target.encode("latin-1").decode(), request.header("host"), fields))
    return response(headers=(("x-got", got),))


def compared(fields: Iterable[tuple[str, str]], own: frozenset[str]) -> Fields:
    """Fields without those that the gateway writes itself; crumbs of a cookie are one field over HTTP/2."""
    kept = [(name.lower(), value) for name, value in fields if name.lower() not in own]
    crumbs = "; ".join(value for name, value in kept if name == "cookie")
    return sorted([*(field for field in kept if field[0] != "cookie"), *([("cookie", crumbs)] if crumbs else [])])


class World:
    def __init__(self, start: Any, backend: Any, folder: Path, authority: Authority) -> None:
        self.random = random.Random(7)
        self.tls = {name: tls_context(authority.pem, alpn) for name, alpn in (("http1", "http/1.1"), ("http2", "h2"))}
        for context in self.tls.values():
            context.check_hostname = False
        app = backend(told)
        pair = authority.sign("a.test", "*.a.test")
        objects = [
            gateway(
                listener(hostname="*.test"),
                listener("any"),
                listener("inner", hostname="*.a.test"),
                https("secured", hostname="a.test"),
                https("secured-inner", hostname="*.a.test"),
            ),
            *(self.route(number) for number in range(60)),
            *service("app", app.address),
            secret("certificate", pair.certificate, pair.key),
        ]
        self.gateway: Gateway = start(*objects, folder=folder)
        self.routes: Routes = load(folder)
        self.offline = load_offline([str(folder)], DEFAULT_CONTROLLER_NAME)
        self.table = Table(self.offline.transaction(), "strict", 0)

    def route(self, number: int) -> Manifest:
        draw = self.random
        hostnames = draw.choice(([], ["a.test"], ["*.a.test"], ["b.a.test"], ["*.test", "a.test"]))
        edits = {"set": [{"name": "x-b", "value": "edited"}], "remove": ["x-a"]}
        edited = [{"type": "RequestHeaderModifier", "requestHeaderModifier": edits}]
        rules = [
            rule(
                "/",
                *([] if (redirects := draw.random() < 0.15) else ["app"]),
                matches=[self.match() for _ in range(draw.choice((1, 1, 2, 3)))],
                filters=[
                    {
                        "type": "ResponseHeaderModifier",
                        "responseHeaderModifier": {"set": [{"name": "x-rule", "value": f"route-{number}/{index}"}]},
                    },
                    *(edited if draw.random() < 0.3 else []),
                    *([self.redirect()] if redirects else [self.rewrite()] if draw.random() < 0.3 else []),
                ],
            )
            for index in range(draw.choice((1, 1, 2)))
        ]
        sections = draw.choice(([], [], ["http"], ["any"], ["inner", "secured"], ["secured-inner"]))
        parents = [{"name": "gateway", "sectionName": name} for name in sections]
        return route(*rules, name=f"route-{number}", parents=parents or None, hostnames=hostnames)

    def rewrite(self) -> Manifest:
        content = self.random.choice(
            (
                {"hostname": "new.test"},
                {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}},
                {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}, "hostname": "new.test"},
            )
        )
        return {"type": "URLRewrite", "urlRewrite": content}

    def redirect(self) -> Manifest:
        content = self.random.choice(
            (
                {},
                {"scheme": "https"},
                {"hostname": "new.test", "statusCode": 301},
                {"port": 8444},
                {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/full"}, "statusCode": 301},
            )
        )
        return {"type": "RequestRedirect", "requestRedirect": content}

    def match(self) -> Manifest:
        draw = self.random
        found: Manifest = {}
        kind = draw.choice(("PathPrefix", "PathPrefix", "Exact", "RegularExpression"))
        paths = (
            ("/a|/b", "/a/.*", "/[ab]+", "/a/<.+>")
            if kind == "RegularExpression"
            else ("/a", "/a/b", "/b", "/ab", "/a%2Fb")
        )
        if draw.random() < 0.9:
            found["path"] = {"type": kind, "value": draw.choice(paths)}
        if draw.random() < 0.3:
            found["method"] = draw.choice(("GET", "POST", "PUT", "HEAD", "PATCH"))
        if draw.random() < 0.4:
            name, value = draw.choice(MATCHED)
            found["headers"] = [{"name": name, "value": value}]
            if name == "x-a" and draw.random() < 0.5:
                found["headers"] = [{"name": name, "value": "[12]", "type": "RegularExpression"}]
        if draw.random() < 0.2:
            found["queryParams"] = [{"name": "q", "value": draw.choice(("1", "2", "", '{"<1>"}`'))}]
        return found or {"path": {"type": "PathPrefix", "value": "/a"}}

    def request(self, draw: random.Random, protocol: str) -> Request:
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
        if draw.random() < 0.05:
            # The client's library lowers names, and sends of a stream no field that is none.
            headers += draw.choice(REFUSED) if protocol == "http1" else (("expect", "more"),)
        path = draw.choice(PATHS) if draw.random() < 0.95 else draw.choice(ODD)
        secured = draw.random() < 0.3
        return Request(
            method=draw.choice(("GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH")),
            scheme="https" if secured else "http",
            authority=draw.choice(HOSTS),
            port=TLS_PORT if secured else PORT,
            target=path + draw.choice(QUERIES),
            headers=tuple(headers),
            server_name=draw.choice(SERVER_NAMES) if secured else None,
            client="127.0.0.1",
        )

    def connect(self, protocol: type[Http1] | type[Http2], asked: Request) -> Any:
        """A connection; None where the gateway ends the handshake."""
        tls = self.tls["http1" if protocol is Http1 else "http2"] if asked.scheme == "https" else None
        try:
            return protocol(self.gateway.address, asked.port, tls, asked.server_name)
        except ssl.SSLError as error:
            if "UNRECOGNIZED_NAME" not in str(error):
                raise
            return None


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(start, backend, tmp_path_factory.mktemp("agrees"), authority)


def said(world: World, asked: Request, protocol: str) -> Seen:
    decision: Decision = world.routes.decide(asked)
    if decision.outcome == "close":
        assert decision.reason == "unrecognized_name"
        return NO_ANSWER
    if protocol == "http2" and ("#" in asked.target or not asked.target.startswith("/")):
        return NO_ANSWER
    if protocol == "http2" and any(name.lower() in NOT_IN_HTTP2 for name, _ in asked.headers):
        return NO_ANSWER
    taken_by = f"{decision.route.rpartition('/')[2]}/{decision.rule}" if decision.route is not None else None
    if decision.status in REDIRECTS:
        assert decision.response is not None
        return decision.status, taken_by, dict(decision.response.headers)["location"]
    if decision.request is None:
        return decision.status, None, None
    sent = decision.request
    return 200, taken_by, (sent.method, sent.target, sent.authority, compared(sent.headers, OWN))


def seen_of(answer: Response) -> Seen:
    taken_by = answer.header("x-rule")
    if answer.status in REDIRECTS:
        return answer.status, taken_by, answer.header("location")
    if answer.status != 200:
        return answer.status, None, None
    method, target, authority, fields = json.loads(answer.header("x-got") or "")
    return 200, taken_by, (method, target, authority, compared(fields, OWN | OWN_FORWARDING))


def over_http1(world: World, batch: list[Request]) -> list[Seen]:
    """On one connection, one behind the other."""
    connection = world.connect(Http1, batch[0])
    if connection is None:
        return [NO_ANSWER] * len(batch)
    text = ""
    for asked in batch:
        fields = "".join(f"{name}: {value}\r\n" for name, value in (("host", asked.authority), *asked.headers))
        body = "0\r\n\r\n" if ("transfer-encoding", "chunked") in asked.headers else ""
        text += f"{asked.method} {asked.target} HTTP/1.1\r\n{fields}\r\n{body}"
    connection.send(text.encode())
    answers = [connection.read(asked.method) for asked in batch]
    connection.close()
    return [seen_of(answer) for answer in answers]


def over_http2(world: World, batch: list[Request]) -> list[Seen]:
    """On one connection, all at once."""
    connection = world.connect(Http2, batch[0])
    if connection is None:
        return [NO_ANSWER] * len(batch)
    streams = [connection.open(asked.method, asked.authority, asked.target, asked.headers) for asked in batch]
    found = []
    for stream in streams:
        try:
            answer = connection.read(stream)
        except ConnectionError as error:
            assert "stream reset" in str(error)  # noqa: PT017 (what comes is a result here)
            found.append(NO_ANSWER)
        else:
            found.append(seen_of(answer))
    connection.close()
    return found


def batches(asked_all: list[Request], expected: list[Seen]) -> Iterable[list[int]]:
    """What may go over one connection: what is refused ends it, and so does an answer that comes before a body."""
    ends = [
        seen[0] in {400, 431, 501} or any(name in {"expect", "transfer-encoding"} for name, _ in asked.headers)
        for asked, seen in zip(asked_all, expected, strict=True)
    ]
    by_connection: dict[tuple[str, str | None], list[int]] = {}
    for at, asked in enumerate(asked_all):
        if not ends[at]:
            by_connection.setdefault((asked.scheme, asked.server_name), []).append(at)
    for items in by_connection.values():
        yield from (items[at : at + BATCH] for at in range(0, len(items), BATCH))
    yield from ([at] for at, last in enumerate(ends) if last)


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_the_wire_does_what_is_said(world: World, protocol: str) -> None:
    draw = random.Random(protocol)
    outcomes: Counter[int] = Counter()
    rules: set[str | None] = set()
    asked_all = [world.request(draw, protocol) for _ in range(COUNT)]
    expected = [said(world, asked, protocol) for asked in asked_all]
    for asked in asked_all[::EXPLAINED]:
        assert explain(world.offline, world.table, asked).decision == world.routes.decide(asked)
    ask = over_http1 if protocol == "http1" else over_http2
    for batch in batches(asked_all, expected):
        for at, seen in zip(batch, ask(world, [asked_all[at] for at in batch]), strict=True):
            assert seen == expected[at], asked_all[at]
            outcomes[seen[0]] += 1
            rules.add(seen[1])
    # The requests reach what they are for.
    assert outcomes.total() == COUNT
    assert min(outcomes[200], outcomes[404], outcomes[421] * 5, outcomes[0] * 5, outcomes[400] * 10) >= COUNT // 10
    assert outcomes[417] > 0
    assert outcomes[301] + outcomes[302] >= COUNT // 50
    assert protocol == "http2" or min(outcomes[431], outcomes[501]) > 0
    assert len(rules) >= 20
