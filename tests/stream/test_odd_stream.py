"""Odd messages of the config stream, both ways: they end their call or are refused, and cost nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import socket
import ssl
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from odd_inputs import SECONDS, SEED, odd_json
from stream_support import FixedIdentity, following, serving, simple
from stream_support import Plane as Pod

from sluicegate import ir
from sluicegate.controller import caught
from sluicegate.controller.stream import protocol
from sluicegate.controller.stream.messages import AnyMessage, Message, MessageError, Request, Resource, Response
from sluicegate.controller.stream.protocol import PlaneReport
from sluicegate.controller.stream.session import ProtocolError, Session
from sluicegate.dataplane import client as client_module
from sluicegate.dataplane.client import StreamClient
from sluicegate.dataplane.holdings import Change, Held, Holdings
from sluicegate.dataplane.snapshot_file import NAME, SnapshotError, read_snapshot, write_snapshot
from sluicegate.engine.native import Refused, RouteTable
from sluicegate.ir import Refusal, RefusedError

WORDS = ("", "a", "default/a:80", "HTTPRoute/default/a/0", "\0", "\u2028", "x" * 5_000, "../..", "é", "generation")
REPORTS = (
    b"[]",
    b"{}",
    b'{"listeners": 1}',
    b'{"listeners": [{"id": 1}]}',
    b'"\xff"',
    b"",
    b"[" * 3_000,
    b'{"a":' * 3_000,
)
TYPES = (*protocol.SECTIONS, protocol.GENERATION, protocol.REPORT, "nothing", "")


class Plane:
    """A data plane's engine: takes what its native table takes."""

    def __init__(self) -> None:
        self.holdings = Holdings()
        self.taken = self.refused = 0

    async def apply(self, change: Change) -> None:
        try:
            RouteTable(change.transaction(1))
        except Refused as error:
            self.refused += 1
            raise RefusedError((Refusal("transaction", "", str(error)),)) from None
        self.holdings.apply(change)
        self.taken += 1

    def report(self) -> PlaneReport:
        return PlaneReport(())


def sections() -> dict[str, list[dict[str, Any]]]:
    """Resources by section."""
    found: dict[str, list[dict[str, Any]]] = {}
    names = {ir.Listener: "listeners", ir.HttpRule: "http_rules", ir.Backend: "backends", ir.Endpoint: "endpoints"}
    for item in simple("a", "b"):
        found.setdefault(names[type(item)], []).append(json.loads(json.dumps(_plain(item))))
    return found


def _plain(item: object) -> Any:
    return msgspec.to_builtins(item)


def responses(chance: random.Random, *, odd: bool) -> list[Response]:
    """A transaction; an odd one has odd resources, names or types."""
    found = []
    for section, items in sections().items():
        response = Response(type_url=protocol.type_url(section), nonce=str(chance.random()), resources=[])
        for item in items:
            data = odd_json(item, chance).encode() if odd and chance.random() < 0.3 else json.dumps(item).encode()
            name = chance.choice(WORDS) if odd and chance.random() < 0.1 else item["id"]
            content = AnyMessage(response.type_url, data) if chance.random() < 0.95 or not odd else None
            response.resources.append(Resource("1", content, name))
        if odd and chance.random() < 0.2:
            response.removed_resources = [chance.choice(WORDS) for _ in range(3)]
        if odd and chance.random() < 0.1:
            response.type_url = protocol.type_url(chance.choice(TYPES))
        found.append(response)
    end = Response(type_url=protocol.type_url(protocol.GENERATION), nonce="end", resources=[])
    return [*found, end]


def broken(message: Message, chance: random.Random) -> bytes:
    """Its bytes, some of them other ones, gone or there twice."""
    data = bytearray(message.to_bytes())
    for _ in range(chance.choice((0, 0, 1, 2, 8))):
        if data:
            place = chance.randrange(len(data))
            how = chance.randrange(3)
            if how == 0:
                data[place] = chance.randrange(256)
            elif how == 1:
                del data[place : place + chance.choice((1, 2, 50))]
            else:
                data[place:place] = data[place : place + chance.choice((1, 2, 50))]
    return bytes(data)


class Call:
    """A call to the controller that says some messages."""

    def __init__(self, messages: Iterable[bytes]) -> None:
        self._messages = iter(messages)

    async def receive(self) -> bytes | None:
        return next(self._messages, None)

    def send(self, data: bytes) -> None:
        Request.from_bytes(data)


def test_no_odd_response_ends_a_data_plane() -> None:
    chance, before = random.Random(SEED), caught.counts()
    plane, complaints = Plane(), []

    async def follow(messages: list[bytes]) -> None:
        client = StreamClient("a:1", "", "", plane.holdings, plane, lambda *told, **_: complaints.append(told))
        call: Any = Call(messages)
        client._call = call
        await client._follow(call)

    async def run() -> None:
        end = time.monotonic() + SECONDS / 2
        while time.monotonic() < end:
            odd = [broken(item, chance) for item in responses(chance, odd=True)]
            with contextlib.suppress(ValueError):  # the call ends, what is there serves on
                await follow(odd)
            taken = plane.taken
            await follow([item.to_bytes() for item in responses(chance, odd=False)])
            assert plane.taken == taken + 1, odd

    asyncio.run(run())
    assert plane.refused
    assert caught.counts() == before


@pytest.mark.parametrize(
    "response",
    [
        Response(resources=[Resource("1", AnyMessage("", b"x" * 5_000), "")]),
        Response(resources=[Resource("1", None, "n" * 5_000)]),
        Response(resources=[Resource("v" * 5_000, None, "")]),
        Response(resources=[Resource()] * 30),
        Response(removed_resources=["n" * 5_000]),
        Response(removed_resources=[""] * 30),
    ],
    ids=["data", "names", "versions", "resources", "removed names", "removed resources"],
)
def test_a_transaction_without_end_is_left(response: Response, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is made of: each item costs memory, one without data too."""
    monkeypatch.setattr(client_module, "MAX_TRANSACTION", 100_000)
    response.type_url = protocol.type_url("http_rules")

    async def follow(count: int) -> None:
        plane = Plane()
        client = StreamClient("a:1", "", "", plane.holdings, plane, lambda *_, **__: None)
        call: Any = Call([response.to_bytes()] * count)
        client._call = call
        await client._follow(call)

    asyncio.run(follow(5))
    with pytest.raises(ValueError, match=r"a transaction of more than 100,000 bytes"):
        asyncio.run(follow(50))


def test_a_transaction_that_is_left_is_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without help of the collector, which a data plane seldom runs; more comes while the connection is closed."""
    monkeypatch.setattr(client_module, "MAX_TRANSACTION", 100)

    def changes() -> int:
        return sum(isinstance(item, Change) for item in gc.get_objects())

    async def run() -> None:
        async with serving(*simple(*(f"{'x' * 200}-{number}" for number in range(3_000)))) as side:
            pod = Pod(tmp_path, side)
            before = changes()
            async with following(pod):
                await pod.engine.until(lambda: len(pod.complaints) >= 6)
                assert any("a transaction of more than" in text for _, text in pod.complaints)
            # One is under way when it is cancelled.
            assert changes() <= before + 1

    gc.collect()
    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


def test_a_controller_that_floods_and_reads_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its pings has an answer, and renews the silence that a ping of ours would end."""
    ping = b"\0\0\x08\x06\0\0\0\0\0" + b"x" * 8
    monkeypatch.setattr(client_module, "MAX_UNSENT", 256 * 1024)
    identity = FixedIdentity()
    for name, content in (("key", identity.certificate().key), ("chain", identity.certificate().chain)):
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "chain", tmp_path / "key")
    context.set_alpn_protocols(["h2"])

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"\0\0\0\x04\0\0\0\0\0")  # settings, without which nothing is HTTP/2
            while True:  # until it is left
                writer.write(ping * 1_000)
                await writer.drain()
        writer.close()

    async def run() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        # What the systems of both sides take for it is little: the sender's goes by the size of segments.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
        server = await asyncio.start_server(flood, sock=listening, ssl=context, limit=1_024)
        side: Any = type("Side", (), {"identity": identity, "address": f"127.0.0.1:{listening.getsockname()[1]}"})
        pod = Pod(tmp_path / "pod", side)
        async with following(pod):
            # Whatever a connection may end by besides on a busy machine, the next one is flooded as well.
            await pod.engine.until(
                lambda: any("does not read what is sent to it" in text for _, text in pod.complaints)
            )
        server.close()

    asyncio.run(run())


def requests(chance: random.Random) -> list[Request]:
    """What a pod says: it subscribes, answers and reports."""
    wanted = chance.sample(protocol.SECTIONS, 3)
    found = [
        protocol.subscription(section, ((chance.choice(WORDS), chance.choice(WORDS)) for _ in range(3)))
        for section in wanted
    ]
    found.append(protocol.subscription(protocol.GENERATION, ()))
    report = protocol.report_request(PlaneReport(()))
    answers = [
        protocol.acknowledgement(protocol.GENERATION, chance.choice(("1", "2", "99", ""))),
        protocol.refusal("1", [Refusal(chance.choice(WORDS), chance.choice(WORDS), chance.choice(WORDS))]),
        report,
        Request(type_url=chance.choice((protocol.type_url(chance.choice(TYPES)), *WORDS))),
    ]
    return [*found, *chance.choices(answers, k=4)]


def test_no_odd_request_costs_more_than_its_call() -> None:
    chance, before = random.Random(SEED), caught.counts()
    end = time.monotonic() + SECONDS / 2
    ended = answered = 0
    while time.monotonic() < end:
        session, subscribed = Session(), False
        for item in requests(chance):
            if item.error_detail is not None and item.error_detail.details and chance.random() < 0.5:
                item.error_detail.details[0].value = chance.choice(REPORTS)
            try:
                request = Request.from_bytes(broken(item, chance))
                if subscribed:
                    answered += 1
                    session.take(request)
                else:
                    subscribed = session.subscribe(request)
            except (MessageError, ProtocolError):
                ended += 1
                break
    assert ended
    assert answered
    assert caught.counts() == before


def test_no_odd_snapshot_ends_a_data_plane(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    plane = Plane()
    change = Change(full=True)
    for response in responses(chance, odd=False)[:-1]:
        section = protocol.section_of(response.type_url)
        for item in response.resources:
            assert section is not None
            assert item.resource is not None
            change.put(section, item.name, Held(item.version, msgspec.Raw(item.resource.value)))
    plane.holdings.apply(change)
    write_snapshot(str(tmp_path), plane.holdings.tables)
    whole = (tmp_path / NAME).read_bytes()
    end = time.monotonic() + SECONDS / 4
    while time.monotonic() < end:
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            place = chance.randrange(len(data))
            if chance.random() < 0.5:
                data[place] = chance.randrange(256)
            else:
                del data[place : place + chance.choice((1, 50, 5_000))]
            data = data or bytearray(b"\0")
        (tmp_path / NAME).write_bytes(data)
        try:
            found = read_snapshot(str(tmp_path))
        except SnapshotError:
            continue
        assert found is not None
        assert found.tables == plane.holdings.tables


@pytest.mark.parametrize("url", ["", "a", "type.sluicegate.dev/", "type.sluicegate.dev/v1/", "x" * 100_000])
def test_types_that_nobody_knows(url: str) -> None:
    assert protocol.section_of(url) is None
