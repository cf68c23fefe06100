"""gRPC frame by frame: what the gateway passes on and when, and what becomes of backends that reset, refuse or leave.

The client is `Http2`, the backends are scripted: a test sees each frame that either of them gets.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import h2.events
import h2.settings
import pytest
from system_clients import Http2
from system_gateway import Gateway
from system_grpc import Peer, Scripted
from system_manifests import gateway, grpc_route, grpc_rule, listener, service

PORT = 8080
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))
NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY = 0, 2, 7, 8, 11, 12
MESSAGE = b"\0\0\0\0\x05hello"

RESETS = ((INTERNAL_ERROR, "13"), (CANCEL, "1"), (ENHANCE_YOUR_CALM, "8"), (INADEQUATE_SECURITY, "7"))
LATE_RESETS = ((NO_ERROR, "14"), *RESETS)
HOSTILE = ("head", "long-head", "long-trailers", "frame", "length")

#: One backend for each test, so that none finds another's connection.
NAMES = [
    *("initial", "trailers-only", "unary", "client-reset", "lost", "early", "goaway", "unprocessed", "refused"),
    *("too-large", "refused-again", "limit", "burst", "window", "rapid"),
    *(f"reset-{code}" for code, _ in RESETS),
    *(f"late-{code}" for code, _ in LATE_RESETS),
    *(f"hostile-{kind}" for kind in HOSTILE),
]


class World:
    """A gateway with a scripted backend for each hostname `<name>.test`."""

    def __init__(self, start: Callable[..., Gateway]) -> None:
        one = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
        self.backends = {name: Scripted(one if name in {"limit", "burst"} else None) for name in NAMES}
        objects = [item for name, each in self.backends.items() for item in service(name, each.address)]
        objects += [grpc_route(grpc_rule(name), name=name, hostnames=[f"{name}.test"]) for name in NAMES]
        self.pair = [Scripted(), Scripted()]
        objects += service("pair", *(each.address for each in self.pair))
        objects.append(grpc_route(grpc_rule("pair"), name="pair", hostnames=["pair.test"]))
        self.gateway = start(gateway(listener()), *objects)

    def client(self) -> Http2:
        return Http2(self.gateway.address, PORT)

    def call(self, client: Http2, name: str, body: bytes | None = MESSAGE, *, end: bool = True) -> int:
        """Begin a call; returns its stream."""
        stream = client.open("POST", f"{name}.test", "/pkg.Service/Method", GRPC, end=body is None)
        if body is not None:
            client.send(stream, body, end=end)
        return stream


@pytest.fixture(scope="module")
def world(start: Any) -> Iterator[World]:
    made = World(start)
    yield made
    for each in [*made.backends.values(), *made.pair]:
        each.close()


@pytest.fixture
def client(world: World) -> Iterator[Http2]:
    made = world.client()
    yield made
    made.close()


def wait(client: Http2, kind: type[Any], stream: int) -> Any:
    """The first event of a kind on a stream."""
    while True:
        for event in client.events:
            if isinstance(event, kind) and event.stream_id == stream:
                return event
        client.pump()


def goaway(last: int, code: int = NO_ERROR) -> bytes:
    return b"\0\0\x08\x07\0\0\0\0\0" + struct.pack(">LL", last, code)


def settle(peer: Peer) -> None:
    """Wait until the gateway has seen what was sent before."""
    count = sum(isinstance(event, h2.events.PingAckReceived) for event in peer.events)
    peer.state.ping(b"settled.")
    peer.flush()
    peer.wait(h2.events.PingAckReceived, count + 1)


def data(peer: Peer, stream: int) -> bytes:
    return b"".join(
        event.data for event in peer.events if isinstance(event, h2.events.DataReceived) and event.stream_id == stream
    )


def test_nothing_waits_for_more(world: World, client: Http2) -> None:
    """Head, initial metadata and each message pass as they come, in both directions."""
    stream = client.open("POST", "initial.test", "/pkg.Service/Method", GRPC, end=False)
    peer = world.backends["initial"].accept()
    asked = peer.wait(h2.events.RequestReceived)[0]
    fields = dict(asked.headers)
    assert (fields["te"], fields["content-type"], fields[":method"]) == ("trailers", "application/grpc", "POST")
    assert asked.stream_ended is None
    there = asked.stream_id
    peer.head(there, ("x-initial", "yes"))
    assert dict(wait(client, h2.events.ResponseReceived, stream).headers)["x-initial"] == "yes"
    for number in range(3):
        client.send(stream, MESSAGE)
        peer.wait(h2.events.DataReceived, number + 1)
        peer.data(there, MESSAGE)
        while client_bytes(client, stream) < len(MESSAGE) * (number + 1):
            client.pump()
    peer.trailers(there, ("grpc-status", "0"), ("x-last-bin", "AAE"))
    answer = client.read(stream)
    assert answer.trailers == [("grpc-status", "0"), ("x-last-bin", "AAE")]


def client_bytes(client: Http2, stream: int) -> int:
    return sum(
        len(event.data)
        for event in client.events
        if isinstance(event, h2.events.DataReceived) and event.stream_id == stream
    )


def test_trailers_only(world: World, client: Http2) -> None:
    stream = world.call(client, "trailers-only")
    peer = world.backends["trailers-only"].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id
    peer.head(there, ("grpc-status", "5"), ("grpc-message", "no%20such%20thing"), end=True)
    head = wait(client, h2.events.ResponseReceived, stream)
    assert head.stream_ended is not None
    fields = dict(head.headers)
    assert (fields["grpc-status"], fields["grpc-message"]) == ("5", "no%20such%20thing")
    assert "content-length" not in fields


def test_request_trailers_and_a_whole_call(world: World, client: Http2) -> None:
    stream = world.call(client, "unary", end=False)
    client.trailers(stream, [("x-checksum", "1")])
    peer = world.backends["unary"].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id
    assert dict(peer.wait(h2.events.TrailersReceived)[0].headers) == {"x-checksum": "1"}
    peer.answer(there, MESSAGE)
    assert (client.read(stream).body, client.read(stream).trailers) == (MESSAGE, [("grpc-status", "0")])


def test_a_reset_of_the_client_passes_at_once(world: World, client: Http2) -> None:
    stream = world.call(client, "client-reset")
    peer = world.backends["client-reset"].accept()
    there = peer.wait(h2.events.StreamEnded)[0].stream_id
    client.state.reset_stream(stream, CANCEL)
    client.flush()
    reset = peer.wait(h2.events.StreamReset)[0]
    assert (reset.stream_id, reset.error_code) == (there, CANCEL)
    again = world.call(client, "client-reset")
    peer.answer(peer.wait(h2.events.StreamEnded, 2)[1].stream_id)
    assert client.read(again).trailers == [("grpc-status", "0")], "the connections live on"


@pytest.mark.parametrize(("code", "status"), RESETS)
def test_resets_of_backends(world: World, client: Http2, code: int, status: str) -> None:
    """A client learns what it would have made of the reset itself."""
    name = f"reset-{code}"
    stream = world.call(client, name)
    peer = world.backends[name].accept()
    peer.reset(peer.wait(h2.events.RequestReceived)[0].stream_id, code)
    answer = client.read(stream)
    assert (answer.status, answer.header("grpc-status")) == (200, status)
    assert (answer.header("grpc-message") or "").startswith("upstream_reset: ")


@pytest.mark.parametrize(("code", "status"), LATE_RESETS)
def test_resets_within_a_response(world: World, client: Http2, code: int, status: str) -> None:
    name = f"late-{code}"
    stream = world.call(client, name)
    peer = world.backends[name].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id
    peer.head(there)
    peer.data(there, MESSAGE)
    peer.reset(there, code)
    answer = client.read(stream)
    assert answer.body == MESSAGE
    assert dict(answer.trailers)["grpc-status"] == status


def test_a_lost_backend_is_unavailable(world: World, client: Http2) -> None:
    stream = world.call(client, "lost")
    peer = world.backends["lost"].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id
    peer.head(there)
    peer.data(there, MESSAGE)
    peer.close()
    assert dict(client.read(stream).trailers)["grpc-status"] == "14"


def test_an_early_status_ends_the_call(world: World, client: Http2) -> None:
    """A backend may answer before the client has said all; both streams are over then."""
    stream = world.call(client, "early", end=False)
    peer = world.backends["early"].accept()
    there = peer.wait(h2.events.DataReceived)[0].stream_id
    peer.answer(there, MESSAGE)
    answer = client.read(stream)
    assert (answer.body, answer.trailers) == (MESSAGE, [("grpc-status", "0")])
    assert peer.wait(h2.events.StreamReset)[0].stream_id == there
    assert wait(client, h2.events.StreamReset, stream).error_code == NO_ERROR


def test_goaway_of_a_backend(world: World, client: Http2) -> None:
    """Calls under way end as they would; the next one takes a new connection, though it is a POST."""
    first = world.call(client, "goaway")
    peer = world.backends["goaway"].accept()
    there = peer.wait(h2.events.StreamEnded)[0].stream_id
    peer.raw(goaway(there))
    settle(peer)
    second = world.call(client, "goaway")
    other = world.backends["goaway"].accept()
    other.answer(other.wait(h2.events.StreamEnded)[0].stream_id)
    assert client.read(second).trailers == [("grpc-status", "0")]
    peer.answer(there)
    assert client.read(first).trailers == [("grpc-status", "0")]


@pytest.mark.parametrize("name", ["unprocessed", "refused"])
def test_what_a_backend_did_not_look_at_is_sent_again(world: World, client: Http2, name: str) -> None:
    first = world.call(client, name)
    peer = world.backends[name].accept()
    there = peer.wait(h2.events.StreamEnded)[0].stream_id
    second = world.call(client, name, b"twice")
    unseen = peer.wait(h2.events.StreamEnded, 2)[1].stream_id
    if name == "refused":
        peer.reset(unseen, REFUSED_STREAM)
    else:
        peer.raw(goaway(there))
    other = world.backends[name].accept()
    again = other.wait(h2.events.StreamEnded)[0].stream_id
    assert data(other, again) == b"twice"
    other.answer(again)
    assert client.read(second).trailers == [("grpc-status", "0")]
    peer.answer(there)
    assert client.read(first).trailers == [("grpc-status", "0")]


def test_a_large_body_is_not_sent_again(world: World, client: Http2) -> None:
    """More than is kept for another try: the client has to decide."""
    world.call(client, "too-large")
    peer = world.backends["too-large"].accept()
    peer.wait(h2.events.StreamEnded)
    stream = world.call(client, "too-large", bytes(100_000))
    unseen = peer.wait(h2.events.StreamEnded, 2)[1].stream_id
    peer.reset(unseen, REFUSED_STREAM)
    answer = client.read(stream)
    assert (answer.status, answer.header("grpc-status")) == (200, "14")


def test_a_backend_that_refuses_everything(world: World, client: Http2) -> None:
    name = "refused-again"
    world.call(client, name)
    peer = world.backends[name].accept()
    peer.wait(h2.events.StreamEnded)
    stream = world.call(client, name)
    peer.reset(peer.wait(h2.events.StreamEnded, 2)[1].stream_id, REFUSED_STREAM)
    other = world.backends[name].accept()
    other.reset(other.wait(h2.events.StreamEnded)[0].stream_id, REFUSED_STREAM)
    assert client.read(stream).header("grpc-status") == "14"


def test_a_refusal_goes_to_another_endpoint(world: World, client: Http2) -> None:
    stream = world.call(client, "pair", b"once")
    first = Scripted.any(world.pair)
    there = first.accept()
    there.reset(there.wait(h2.events.StreamEnded)[0].stream_id, REFUSED_STREAM)
    (second,) = (each for each in world.pair if each is not first)
    other = second.accept()
    again = other.wait(h2.events.StreamEnded)[0].stream_id
    assert data(other, again) == b"once"
    other.answer(again)
    assert client.read(stream).trailers == [("grpc-status", "0")]


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_backends(world: World, client: Http2, kind: str) -> None:
    """A status says so, the client's connection and its other calls go on."""
    other = world.call(client, f"hostile-{kind}", end=False)
    stream = world.call(client, f"hostile-{kind}")
    peer = world.backends[f"hostile-{kind}"].accept()
    ended = peer.wait(h2.events.StreamEnded)[0].stream_id
    kept = next(event.stream_id for event in peer.wait(h2.events.RequestReceived, 2) if event.stream_id != ended)
    # Over the 256 KiB that a backend's head may have: by little, or by so much that its frames are not read to the end.
    large = [(f"x-{number}", "v" * 4000) for number in range(160 if kind.startswith("long") else 66)]
    if kind == "long-trailers":
        peer.head(ended)
        peer.trailers(ended, ("grpc-status", "0"), *large)
    elif kind in {"head", "long-head"}:
        peer.head(ended, *large)
    elif kind == "frame":
        # DATA on a stream that nobody opened: an error of the connection (RFC 9113 section 6.1).
        peer.raw(b"\0\0\x01\0\0\x7f\xff\xff\xf0x")
    else:
        peer.head(ended, ("content-length", "3"))
        peer.raw(b"\0\0\x05\0\x01" + struct.pack(">L", ended) + b"hello")
    answer = client.read(stream)
    assert dict(answer.trailers or answer.headers)["grpc-status"] in {"13", "14"}
    if kind in {"frame", "long-head", "long-trailers"}:
        answer = client.read(other)
        assert dict(answer.trailers or answer.headers)["grpc-status"] in {"13", "14"}
    else:
        client.send(other, b"", end=True)
        peer.answer(kept)
        assert client.read(other).trailers == [("grpc-status", "0")]


def test_the_stream_limit_of_a_backend(world: World, client: Http2) -> None:
    """A call that may stay open for hours must not hold up the next one."""
    streams = [world.call(client, "limit", end=False)]
    peers = [world.backends["limit"].accept()]
    peers[0].wait(h2.events.DataReceived)
    streams.append(world.call(client, "limit", end=False))
    peers.append(world.backends["limit"].accept())
    peers[1].wait(h2.events.DataReceived)
    for stream, peer in zip(streams, peers, strict=True):
        client.send(stream, b"", end=True)
        peer.answer(peer.wait(h2.events.StreamEnded)[0].stream_id)
        assert client.read(stream).trailers == [("grpc-status", "0")]


def test_calls_that_come_before_the_limit_is_known(world: World, client: Http2) -> None:
    streams = [world.call(client, "burst", end=False) for _ in range(5)]
    peers = [world.backends["burst"].accept() for _ in streams]
    for peer in peers:
        assert len(peer.wait(h2.events.DataReceived)) == 1
    for peer in peers:
        peer.answer(peer.wait(h2.events.RequestReceived)[0].stream_id)
    for stream in streams:
        assert client.read(stream).trailers == [("grpc-status", "0")]


def test_a_client_that_does_not_read_holds_the_backend_back(world: World, client: Http2) -> None:
    """Flow control goes through: what the gateway takes ahead is bounded by its windows."""
    stream = client.open("POST", "window.test", "/pkg.Service/Method", GRPC)
    peer = world.backends["window"].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id
    peer.head(there)
    sent, quiet = 0, 0
    while quiet < 3:
        window = min(peer.state.local_flow_control_window(there), 16384)
        if window > 0:
            peer.data(there, bytes(window))
            sent, quiet = sent + window, 0
            assert sent <= 1024 * 1024
        else:
            # What the gateway has taken by now it has given credit for before it answers.
            settle(peer)
            quiet += 1
    assert sent >= 65_535
    client.state.reset_stream(stream, CANCEL)
    client.flush()
    assert peer.wait(h2.events.StreamReset)[0].stream_id == there


def test_rapid_resets_reach_no_further_than_the_gateway_lets_them(world: World) -> None:
    """The connection of a client that opens and resets is ended, and its streams at the backend with it."""
    client = world.client()
    client.open("POST", "rapid.test", "/pkg.Service/Method", GRPC)
    peer = world.backends["rapid"].accept()
    there = peer.wait(h2.events.RequestReceived)[0].stream_id

    def open_and_reset() -> None:
        for _ in range(20_000):
            stream = client.open("POST", "rapid.test", "/pkg.Service/Method", GRPC)
            client.state.reset_stream(stream, CANCEL)
            client.flush()

    with pytest.raises(ConnectionError):
        open_and_reset()
    resets = peer.wait(h2.events.StreamReset)
    while all(reset.stream_id != there for reset in resets):
        resets = peer.wait(h2.events.StreamReset, len(resets) + 1)
    client.close()
    healthy = world.client()
    answer = healthy.request("POST", "nowhere.test", "/pkg.Service/Method", GRPC, b"")
    assert answer.header("grpc-status") == "12"
    healthy.close()
