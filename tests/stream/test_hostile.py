"""Whoever is not a pod of a data plane of ours gets a status code and nothing else; whoever is cannot do harm."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Any

import grpc
import pytest
from stream_support import (
    LIMIT,
    OTHER_TOKEN,
    Reviews,
    Side,
    calling,
    listener,
    serving,
    simple,
    status_of,
    subscribe,
    transaction,
)

from sluicegate.controller.stream import protocol
from sluicegate.controller.stream.connection import MAX_SUBSCRIPTIONS
from sluicegate.controller.stream.messages import Request
from sluicegate.controller.stream.review import (
    KEEP_REFUSAL,
    MAX_ASKED,
    MAX_ASKED_OF_PEER,
    MAX_PEERS,
    MAX_REFUSALS,
    BusyError,
    RefusedTokenError,
    Reviewer,
)
from sluicegate.controller.stream.session import MAX_UNASKED, Budget
from sluicegate.controller.stream.transport import ServerTimes

Code = grpc.StatusCode
PEER = "ipv4:10.9.9.9"


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (None, Code.UNAUTHENTICATED),
        ("", Code.UNAUTHENTICATED),
        ("wrong", Code.UNAUTHENTICATED),
        ("x" * 13_000, Code.UNAUTHENTICATED),
        ("audience", Code.UNAUTHENTICATED),  # one for the API server
        ("unbound", Code.UNAUTHENTICATED),  # one of no pod
        ("person", Code.UNAUTHENTICATED),
        ("stranger", Code.PERMISSION_DENIED),  # a pod of the same namespace, with another ServiceAccount
    ],
)
def test_strangers_get_nothing(token: str | None, code: grpc.StatusCode) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side, token) as call:
            assert await status_of(call) == (code, 0)
            assert side.server.connected == {}

    asyncio.run(run())


def test_two_tokens_are_none() -> None:
    async def run() -> None:
        two = [("authorization", "Bearer other")]
        async with serving(*simple("a")) as side, calling(side, "good", two) as call:
            assert await status_of(call) == (Code.UNAUTHENTICATED, 0)

    asyncio.run(run())


def test_another_gateways_pod_gets_its_own_only() -> None:
    async def run() -> None:
        resources = [*simple("a"), listener("other/second")]
        async with serving(*resources) as side, calling(side, OTHER_TOKEN) as call:
            await subscribe(call, {"http_rules": {"HTTPRoute/default/a/0": "guessed"}})
            came, went, _ = await transaction(call)
            assert came == {"listeners": ["Gateway/other/second/http"], "http_rules": []}
            assert went == {"listeners": [], "http_rules": ["HTTPRoute/default/a/0"]}

    asyncio.run(run())


def test_nobody_is_served_before_the_first_translation() -> None:
    async def run() -> None:
        async with serving() as side, calling(side) as call:
            assert await status_of(call) == (Code.UNAVAILABLE, 0)

    asyncio.run(run())


def test_an_api_server_that_is_away_admits_nobody_new() -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side:
            side.reviews.away = True
            async with calling(side) as call:
                assert await status_of(call) == (Code.UNAVAILABLE, 0)
            assert any("reviewed" in text for _, text in side.complaints)

    asyncio.run(run())


def test_other_methods_do_not_exist() -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side:
            credentials = grpc.ssl_channel_credentials(side.identity.authority.bundle)
            async with grpc.aio.secure_channel(side.address.replace("127.0.0.1", "localhost"), credentials) as channel:
                for method in (f"/{protocol.SERVICE}/StreamAggregatedResources", "/grpc.health.v1.Health/Check"):
                    call: Any = channel.unary_unary(method)(b"", metadata=(("authorization", "Bearer good"),))
                    assert await call.code() == Code.UNIMPLEMENTED

    asyncio.run(run())


async def connect(side: Side, *, tls: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cadata=side.identity.authority.bundle.decode())
    context.set_alpn_protocols(["h2"])
    host, port = side.address.split(":")
    rest: dict[str, Any] = {"ssl": context, "server_hostname": "localhost"} if tls else {}
    return await asyncio.open_connection(host, int(port), **rest)


async def still_works(side: Side) -> None:
    async with calling(side) as call:
        await subscribe(call)
        assert (await transaction(call))[0]["http_rules"]


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("data", [b"\x00" * 4096, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", bytes(range(256)) * 64])
def test_garbage_is_closed(data: bytes, tls: bool) -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(handshake=0.5, idle=0.5)) as side:
            reader, writer = await connect(side, tls=tls)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), LIMIT)  # to its end
            writer.close()
            await still_works(side)

    asyncio.run(run())


@pytest.mark.parametrize("tls", [False, True], ids=["no handshake", "no call"])
def test_silence_is_closed(tls: bool) -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(handshake=0.5, idle=0.5)) as side:
            reader, writer = await connect(side, tls=tls)
            if tls:
                # An HTTP/2 client that never calls: preface and empty SETTINGS.
                writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            await asyncio.wait_for(reader.read(), LIMIT)
            writer.close()
            await still_works(side)

    asyncio.run(run())


def test_a_call_that_says_nothing_ends() -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(subscribe=0.2)) as side, calling(side) as call:
            assert await status_of(call) == (Code.DEADLINE_EXCEEDED, 0)

    asyncio.run(run())


def test_a_call_that_never_answers_ends() -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(answer=0.3)) as side, calling(side) as call:
            await subscribe(call)
            await transaction(call)
            assert (await status_of(call))[0] == Code.DEADLINE_EXCEEDED

    asyncio.run(run())


def test_a_call_that_never_reads_ends() -> None:
    async def run() -> None:
        name = "x" * 200
        resources = simple(*(f"{name}-{number}" for number in range(3_000)))
        async with serving(*resources, times=ServerTimes(answer=0.3, end=0.3), leading=False) as side:
            ended = asyncio.Event()
            exchange = side.server._exchange

            async def watched(*arguments: Any) -> None:
                try:
                    await exchange(*arguments)
                finally:
                    ended.set()

            side.server._exchange = watched  # type: ignore[method-assign]
            side.server.lead(True)
            await asyncio.wait_for(side.server.listening.wait(), LIMIT)
            async with calling(side) as call:
                await subscribe(call)
                # What is sent does not fit the windows, and nothing is read of it, not even the end.
                await asyncio.wait_for(ended.wait(), LIMIT)
                assert side.server.connected == {}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("requests", "code"),
    [
        ([b"\xff\xff\xff\xff"], None),  # no protobuf
        ([protocol.subscription("listeners", ())] * (MAX_SUBSCRIPTIONS + 1), Code.INVALID_ARGUMENT),
        ([protocol.subscription(protocol.GENERATION, ())], Code.INVALID_ARGUMENT),
        ([Request(type_url="type.sluicegate.dev/v999/listeners")], Code.INVALID_ARGUMENT),
    ],
    ids=["no message", "too many", "nothing", "another version"],
)
def test_pods_that_do_not_keep_to_the_protocol(requests: list[Any], code: grpc.StatusCode | None) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side:
            async with calling(side) as call:
                try:
                    for request in requests:
                        await call.write(request)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    pass
                found, messages = await status_of(call)
                assert messages == 0
                assert found != Code.OK
                assert code is None or found == code
            await still_works(side)

    asyncio.run(run())


@pytest.mark.parametrize(
    "request_",
    [
        protocol.acknowledgement(protocol.GENERATION, "999"),
        Request(type_url=protocol.type_url(protocol.REPORT)),
    ],
    ids=["unknown nonce", "no report"],
)
def test_pods_that_answer_nonsense(request_: Any) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side) as call:
            await subscribe(call)
            await transaction(call)
            await call.write(request_)
            assert (await status_of(call))[0] == Code.INVALID_ARGUMENT

    asyncio.run(run())


def test_answers_are_never_held_back_and_what_nobody_asked_for_is() -> None:
    budget = Budget(0.0)
    for number in range(10_000):  # changes as fast as they are answered
        budget.ask(4)
        assert [budget.take(number / 10_000) for _ in range(4)] == [0.0] * 4
    waits = [budget.take(5.25) for _ in range(MAX_UNASKED)]
    assert waits == [0.0] * (MAX_UNASKED - 1) + [1.0]
    assert budget.take(6.25) == 0.0
    # What is awaited does not pile up.
    for _ in range(100):
        budget.ask(4)
    waits = [budget.take(7.5) for _ in range(MAX_UNASKED + 4)]
    assert waits[-1] == 1.0


def test_messages_that_are_too_large_are_not_read() -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side) as call:
            versions = ((f"HTTPRoute/default/{'x' * 200}-{number}/0", "0" * 24) for number in range(80_000))
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await call.write(protocol.subscription("http_rules", versions))
            assert (await status_of(call))[0] in {Code.RESOURCE_EXHAUSTED, Code.CANCELLED, Code.UNKNOWN}
            assert side.server.connected == {}

    asyncio.run(run())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from sluicegate.controller.stream import transport

    monkeypatch.setattr(transport, "MAX_CONNECTIONS", 5)

    async def run() -> None:
        async with serving(*simple("a")) as side:
            host, port = side.address.split(":")
            found = [socket.create_connection((host, int(port)), LIMIT) for _ in range(10)]
            loop = asyncio.get_running_loop()
            for item in found:
                item.setblocking(False)

            async def closed(item: socket.socket) -> bool:
                try:
                    return await loop.sock_recv(item, 1) == b""
                except ConnectionError:
                    return True

            tasks = [asyncio.create_task(closed(item)) for item in found]
            # Those over the limit are closed at once, the others when their handshake is late.
            done: set[Any] = set()
            while len(done) < 5:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT)
                tasks = [*tasks]
                if len(done) < 5:
                    await asyncio.wait(set(tasks) - done, return_when=asyncio.FIRST_COMPLETED, timeout=LIMIT)
                    done = {task for task in tasks if task.done()}
            assert len(done) == 5
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for item in found:
                item.close()

    asyncio.run(run())


# --- Tokens ---------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_about_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        clock = [100.0]
        monkeypatch.setattr("sluicegate.controller.stream.review.time.monotonic", lambda: clock[0])
        reviews = Reviews()
        reviewer = Reviewer(reviews)
        for _ in range(3):
            assert (await reviewer.review("good", PEER)).pod == "pod-1"
        assert reviews.asked == 1
        for _ in range(3):
            with pytest.raises(RefusedTokenError):
                await reviewer.review("wrong", PEER)
        assert reviews.asked == 2
        clock[0] += KEEP_REFUSAL + 1
        with pytest.raises(RefusedTokenError):
            await reviewer.review("wrong", PEER)
        assert reviews.asked == 3
        reviews.away = True
        clock[0] += 1_000
        with pytest.raises(BusyError):
            await reviewer.review("good", PEER)

    asyncio.run(run())


def test_what_is_kept_of_tokens_is_bounded() -> None:
    async def run() -> None:
        reviewer = Reviewer(Reviews())
        assert (await reviewer.review("good", PEER)).pod == "pod-1"
        for number in range(MAX_REFUSALS + 10):
            with pytest.raises(RefusedTokenError):
                await reviewer.review(f"guess-{number}", PEER)
        assert (len(reviewer._good), len(reviewer._refused)) == (1, MAX_REFUSALS)
        assert not any(b"guess" in key for key in reviewer._refused)

    asyncio.run(run())


class Slow:
    """An API server that answers when it is told to."""

    def __init__(self) -> None:
        self.reviews = Reviews()
        self.under_way: list[tuple[str, asyncio.Event]] = []

    async def request(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> bytes:
        assert body is not None
        turn = asyncio.Event()
        self.under_way.append((body["spec"]["token"], turn))
        await turn.wait()
        return await self.reviews.request(method, path, body=body)

    def tokens(self) -> list[str]:
        return [token for token, _ in self.under_way]

    def answer(self) -> None:
        """Answer the oldest question."""
        self.under_way.pop(0)[1].set()


async def settled() -> None:
    """Let every task go on as far as it can."""
    for _ in range(100):
        await asyncio.sleep(0)


def test_a_flood_of_tokens_does_not_reach_the_api_server() -> None:
    async def run() -> None:
        slow = Slow()
        reviewer = Reviewer(slow)
        peers = [f"ipv4:10.0.{number}.1" for number in range(100)]
        tasks = [
            asyncio.create_task(reviewer.review(f"guess-{number}", peers[number % len(peers)]))
            for number in range(1_000)
        ]
        await settled()
        done, waiting = {task for task in tasks if task.done()}, {task for task in tasks if not task.done()}
        assert len(slow.under_way) == 8
        assert len(waiting) == 256
        assert all(isinstance(task.exception(), BusyError) for task in done)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(run())


def test_a_flood_of_tokens_of_one_pod_keeps_no_data_plane_waiting() -> None:
    """Nor do as many pods as there may be questions: a new one waits for one turn of each."""

    async def run() -> None:
        slow = Slow()
        reviewer = Reviewer(slow)
        flood = [
            asyncio.create_task(reviewer.review(f"guess-{peer}-{number}", f"ipv4:10.0.0.{peer}"))
            for peer in range(MAX_ASKED)
            for number in range(1_000)
        ]
        await settled()
        assert len(slow.under_way) == MAX_ASKED
        new = asyncio.create_task(reviewer.review("good", PEER))
        await settled()
        answered = 0
        while "good" not in slow.tokens():
            slow.answer()
            answered += 1
            assert answered <= MAX_ASKED * MAX_ASKED_OF_PEER
            await settled()
        while not new.done():
            slow.answer()
            await settled()
        assert new.result().pod == "pod-1"
        for task in flood:
            task.cancel()
        await asyncio.gather(*flood, return_exceptions=True)
        assert reviewer._peers == {}

    asyncio.run(run())


def test_who_waits_is_bounded_by_addresses_too() -> None:
    async def run() -> None:
        reviewer = Reviewer(Slow())
        tasks = [asyncio.create_task(reviewer.review("good", f"ipv6:[{number:x}::]")) for number in range(2_000)]
        await settled()
        refused = [task for task in tasks if task.done()]
        assert len(refused) == len(tasks) - MAX_PEERS
        assert all(isinstance(task.exception(), BusyError) for task in refused)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert reviewer._peers == {}

    asyncio.run(run())
