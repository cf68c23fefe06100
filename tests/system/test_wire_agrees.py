"""What `explain` says is what the wire does: 20,000 random requests over both protocols against running engines.

Seeded: every run asks the same. Each rule writes its own name into its answers, so which one took a request is known,
and the backend says what it got: method, target, authority and fields. One gateway has paths in their normal form, the
other takes them as they come. What is asked is in `system_wire_requests`, what is there in `system_wire_routes`.
"""

from __future__ import annotations

import json
import random
import ssl
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import response
from system_certificates import Authority
from system_clients import Http1, Http2, tls_context
from system_gateway import Gateway
from system_manifests import secret, service
from system_wire_answers import ANSWERED, NO_ANSWER, Seen, answered, compared, seen_of, told, told_in_http2
from system_wire_requests import TRUSTING_PORT, Asked, draw_request
from system_wire_routes import draw_grpc_route, draw_route, filters, listeners, policies

from sluicegate import Answer, Decision, PathNormalization, Routes, ir, load, reference
from sluicegate.cli.explanation import explain
from sluicegate.controller.translate import DEFAULT_CONTROLLER_NAME
from sluicegate.testing.offline import Offline, load_offline
from sluicegate.testing.table import Table

#: Requests over each protocol.
COUNT = 10_000
BATCH = 50
#: Each how many-th request goes through the reference, and through all that `explain` says of one.
REFERRED, EXPLAINED = 20, 250
#: What HTTP/2 has no place for (RFC 9113 section 8.2.2): a stream that has it is reset.
NOT_IN_HTTP2 = ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
#: What the gateway answers itself, and how a call of gRPC learns of it; what filters answer is HTTP for calls too.
GRPC_STATUS = {
    **dict.fromkeys(("bad_request",), "13"),
    **dict.fromkeys(("no_listener", "no_route"), "12"),
    **dict.fromkeys(("rule_invalid", "no_backend", "backend_invalid", "no_endpoint", "fault"), "14"),
    **dict.fromkeys(("expectation_failed", "method_not_allowed"), "2"),
}
OF_HTTP = frozenset({"respond", "redirect", "cors_preflight", "misdirected"})


class Side:
    """A gateway, and what is said of it."""

    def __init__(self, start: Any, folder: Path, objects: list[Any], path_normalization: PathNormalization) -> None:
        settings = folder.parent / f"{path_normalization}.toml"
        settings.write_text(f'[engine]\npath_normalization = "{path_normalization}"\n')
        self.gateway: Gateway = start(*objects, folder=folder, arguments=("--config", str(settings)))
        self.routes: Routes = load(folder, path_normalization=path_normalization)
        self.offline: Offline = load_offline([str(folder)], DEFAULT_CONTROLLER_NAME)
        transaction = self.offline.transaction()
        self.table = Table(transaction, path_normalization)
        self.reference = reference.compile(ir.encode(transaction))

    def decide(self, asked: Asked) -> Decision:
        """What is said of a request; the answer of its backend with all edits."""
        return self.table.decide(asked.request, sample=Answer(status=200, headers=ANSWERED))

    def refers(self, asked: Asked) -> bool:
        """Whether the reference says what the native table does."""
        question = self.table.native_request(asked.request)
        native = json.loads(self.table._native.decide(question))
        return bool(json.loads(reference.decide_json(self.reference, question)) == native)

    def explains(self, asked: Asked, seen: Seen) -> bool:
        """Whether `explain` says what is expected on the wire, and what the library does."""
        explanation = explain(self.offline, self.table, asked.request)
        status, _, _ = (explanation.grpc_status or "").partition(" ")
        is_told = seen == NO_ANSWER or (status or None) == seen.grpc
        return is_told and explanation.decision == self.routes.decide(asked.request)


class World:
    def __init__(self, start: Any, backend: Any, backend2: Any, folder: Path, authority: Authority) -> None:
        draw = random.Random(13)
        self.tls = {name: tls_context(authority.pem, alpn) for name, alpn in ((Http1, "http/1.1"), (Http2, "h2"))}
        for context in self.tls.values():
            context.check_hostname = False
        app = backend(lambda request: response(headers=tuple(told(request))))
        pair = authority.sign("a.test", "*.a.test")
        objects = [
            listeners(),
            *policies(),
            *filters(),
            *(draw_route(draw, number) for number in range(80)),
            *(draw_grpc_route(draw, number) for number in range(10)),
            *service("app", app.address),
            *service("calls", backend2(told_in_http2).address),
            *service("empty"),
            secret("certificate", pair.certificate, pair.key),
        ]
        self.sides = {name == "off": Side(start, folder / name, objects, name) for name in ("strict", "off")}

    def side(self, asked: Asked) -> Side:
        """The gateway that a request is for."""
        return self.sides[asked.is_literal]

    def connect(self, protocol: type[Http1] | type[Http2], asked: Asked) -> Any:
        """A connection; None where the gateway ends the handshake."""
        tls = self.tls[protocol] if asked.request.scheme == "https" else None
        try:
            return protocol(self.side(asked).gateway.address, asked.request.port, tls, asked.request.server_name)
        except ssl.SSLError as error:
            if "UNRECOGNIZED_NAME" not in str(error):
                raise
            return None


@pytest.fixture(scope="module")
def world(start: Any, backend: Any, backend2: Any, authority: Authority, tmp_path_factory: Any) -> World:
    return World(start, backend, backend2, tmp_path_factory.mktemp("agrees"), authority)


def said(world: World, asked: Asked, decision: Decision) -> Seen:
    """What a decision comes to on the wire."""
    if decision.outcome == "close":
        assert decision.reason == "unrecognized_name"
        return NO_ANSWER
    if asked.version == "2":
        target = asked.request.target
        if asked.has(*NOT_IN_HTTP2) or "#" in target or not (target.startswith("/") or target == "*"):
            return NO_ANSWER
    fields = answered(decision.response.headers if decision.response is not None else ())
    if decision.route is not None and decision.reason != "rule_invalid":
        assert ("x-rule", f"{decision.route.rpartition('/')[2]}/{decision.rule}") in fields, asked
    if decision.request is not None:
        sent = decision.request
        got = [*sent.headers, *origin_of(asked, {name.lower() for name, _ in sent.headers})]
        return Seen(200, None, fields, (sent.method, sent.target, sent.authority, compared(got)))
    is_call = asked.is_call or (decision.route is not None and decision.route.startswith("GRPCRoute/"))
    if is_call and decision.reason not in OF_HTTP:
        return Seen(200, GRPC_STATUS[decision.reason], fields)
    return Seen(decision.status, None, fields)


def origin_of(asked: Asked, edited: set[str]) -> Iterator[tuple[str, str]]:
    """What a backend is told of where a request comes from, but for what filters have set (ARCHITECTURE.md, 4)."""
    request = asked.request
    believed = request.headers if request.port == TRUSTING_PORT else ()
    said = [(name.lower(), value) for name, value in believed]
    before = [value for name, value in said if name == "x-forwarded-for"]
    last = {name: value for name, value in said if name in {"x-forwarded-proto", "x-forwarded-host"}}
    own = {"x-forwarded-for": ", ".join([*before, "127.0.0.1"]), "x-forwarded-proto": request.scheme}
    own |= {"x-forwarded-host": asked.authority, **last}
    yield from ((name, value) for name, value in own.items() if name not in edited)


def over_http1(world: World, batch: list[Asked]) -> list[Seen]:
    """On one connection, one behind the other."""
    connection = world.connect(Http1, batch[0])
    if connection is None:
        return [NO_ANSWER] * len(batch)
    connection.send(b"".join(asked.written() for asked in batch))
    answers = [connection.read(asked.request.method) for asked in batch]
    connection.close()
    return [seen_of(answer) for answer in answers]


def over_http2(world: World, batch: list[Asked]) -> list[Seen]:
    """On one connection, all at once."""
    connection = world.connect(Http2, batch[0])
    if connection is None:
        return [NO_ANSWER] * len(batch)
    requests = [asked.request for asked in batch]
    streams = [connection.open(it.method, it.authority, it.target, it.headers) for it in requests]
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


def batches(asked_all: list[Asked], decisions: list[Decision]) -> Iterator[list[int]]:
    """What may go over one connection: what is refused ends it, and so does an answer that comes before a body."""
    ends = [
        decision.status in {400, 431, 501} or asked.version == "1.0" or asked.has("expect", "transfer-encoding")
        for asked, decision in zip(asked_all, decisions, strict=True)
    ]
    by_connection: dict[tuple[bool, int, str | None], list[int]] = {}
    for at, asked in enumerate(asked_all):
        if not ends[at]:
            key = (asked.is_literal, asked.request.port, asked.request.server_name)
            by_connection.setdefault(key, []).append(at)
    for items in by_connection.values():
        yield from (items[at : at + BATCH] for at in range(0, len(items), BATCH))
    yield from ([at] for at, last in enumerate(ends) if last)


def kinds(asked: Asked, decision: Decision) -> Iterator[str]:
    """What a request is an example of."""
    is_of_grpc = decision.route is not None and decision.route.startswith("GRPCRoute/")
    yield f"call, {decision.reason}" if is_of_grpc else decision.reason
    if decision.reason == "cors_preflight" and decision.response is not None:
        allowed = {name for name, _ in decision.response.headers} & {"access-control-allow-origin"}
        yield "allowed" if allowed else "not allowed"
    if decision.request is None:
        return
    if "://" in asked.request.target:
        yield "absolute-form"
    if asked.version == "1.0":
        yield "HTTP/1.0"
    if asked.is_literal and "//" in decision.request.target:
        yield "literal"
    if asked.request.port == TRUSTING_PORT and asked.has("x-forwarded-for"):
        yield "believed"
    if decision.listener is not None and decision.listener.endswith("/inner"):
        yield "edited by the listener"


#: How many requests of each kind there are at least, over each protocol.
REACHED = {
    "forwarded": 2_000,
    "edited by the listener": 1_000,
    "call, forwarded": 100,
    "believed": 30,
    "literal": 20,
    **dict.fromkeys(("unrecognized_name", "misdirected", "no_listener", "bad_request", "redirect", "respond"), 200),
    **dict.fromkeys(("no_route", "no_backend", "no_endpoint", "backend_invalid"), 50),
    **dict.fromkeys(("rule_invalid", "fault", "allowed", "not allowed", "expectation_failed"), 10),
    **dict.fromkeys(("call, fault", "call, no_endpoint", "call, backend_invalid", "absolute-form"), 5),
}
#: The same of what only HTTP/1 has.
REACHED_HTTP1 = {"HTTP/1.0": 100, "absolute-form": 100, "headers_too_large": 10, "unsupported_transfer_coding": 10}


@pytest.mark.parametrize("protocol", ["http1", "http2"])
def test_the_wire_does_what_is_said(world: World, protocol: str) -> None:
    draw = random.Random(protocol)
    asked_all = [draw_request(draw, protocol) for _ in range(COUNT)]
    decisions = [world.side(asked).decide(asked) for asked in asked_all]
    expected = [said(world, asked, decision) for asked, decision in zip(asked_all, decisions, strict=True)]
    for at, (asked, seen) in enumerate(zip(asked_all, expected, strict=True)):
        assert at % REFERRED or world.side(asked).refers(asked), asked
        assert at % EXPLAINED or world.side(asked).explains(asked, seen), asked
    ask = over_http1 if protocol == "http1" else over_http2
    for batch in batches(asked_all, decisions):
        for at, seen in zip(batch, ask(world, [asked_all[at] for at in batch]), strict=True):
            assert seen == expected[at], asked_all[at]
    reached = Counter(kind for pair in zip(asked_all, decisions, strict=True) for kind in kinds(*pair))
    least = REACHED | (REACHED_HTTP1 if protocol == "http1" else {})
    assert {kind: reached[kind] for kind, count in least.items() if reached[kind] < count} == {}
    assert len({(decision.route, decision.rule) for decision in decisions}) >= 40
