"""Both ends on real sockets: what arrives, what comes back, and what happens when something breaks."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import pytest
from stream_support import (
    GATEWAYS,
    GOOD_TOKEN,
    LIMIT,
    PLANE,
    Plane,
    Side,
    calling,
    endpoint,
    following,
    listener,
    now,
    rule,
    serving,
    simple,
    subscribe,
    transaction,
    wanted,
)

from sluicegate import ir
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.stream import protocol
from sluicegate.controller.stream import server as server_module
from sluicegate.controller.stream.identity import make_authority
from sluicegate.controller.stream.reports import merged
from sluicegate.controller.stream.transport import ServerTimes


def test_what_is_wanted_arrives_whole_and_changes_follow(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            first = msgspec.json.decode(plane.engine.changes[0].transaction(1), type=ir.Transaction)
            assert [item.id for item in first.upsert.http_rules] == ["HTTPRoute/default/a/0"]
            assert [item.id for item in first.upsert.endpoints] == ["default/a:80@10.0.0.1:8080"]
            # A rule and its backends come together.
            side.server.want(wanted(*simple("a", "b")))
            await plane.engine.until(lambda: len(plane.engine.changes) == 2)
            second = msgspec.json.decode(plane.engine.changes[1].transaction(2), type=ir.Transaction)
            assert [item.id for item in second.upsert.http_rules] == ["HTTPRoute/default/b/0"]
            assert [item.id for item in second.upsert.backends] == ["default/b:80"]
            assert second.upsert.listeners == ()
            side.server.want(wanted(*simple("b")))
            await plane.engine.until(lambda: len(plane.engine.changes) == 3)
            third = msgspec.json.decode(plane.engine.changes[2].transaction(3), type=ir.Transaction)
            assert third.remove.http_rules == ("HTTPRoute/default/a/0",)
            assert third.remove.backends == ("default/a:80",)

    asyncio.run(run())


def test_an_empty_plane_is_told_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(listener("somebody/else")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            assert plane.engine.changes[0].is_empty()

    asyncio.run(run())


def test_reports_come_back_for_the_version_that_serves(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await side.until(lambda: merged(side.server.said()).listeners)
            (report,) = merged(side.server.said()).listeners
            assert (report.id, report.bound, report.error) == ("Gateway/default/gateway/http", ("0.0.0.0:80",), None)
            # A listener that changed has no report until the pod serves the new one.
            plane.engine.hold = asyncio.Event()
            side.server.want(wanted(listener(port=81, bind_port=81)))
            assert merged(side.server.said()).listeners == ()
            plane.engine.hold.set()
            await side.until(lambda: merged(side.server.said()).listeners)
            # A bind that fails, and works later, is told without any change of configuration.
            plane.engine.bind_error = ir.BindError("address_in_use", "port 80 is taken")
            plane.client.report()
            await side.until(lambda: merged(side.server.said()).listeners[0].error is not None)
            plane.engine.bind_error = None
            plane.client.report()
            await side.until(lambda: merged(side.server.said()).listeners[0].error is None)

    asyncio.run(run())


def test_a_refusal_keeps_the_old_state_and_the_next_change_brings_all(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            plane.engine.refuse.add("HTTPRoute/default/bad/0")
            side.server.want(wanted(*simple("a", "bad")))
            await side.until(lambda: any(pod.refusals for pod in side.server.said().pods.get(PLANE, ())))
            assert plane.engine.names("http_rules") == ["HTTPRoute/default/a/0"]
            (report,) = merged(side.server.said()).listeners
            assert report.error is not None
            assert report.error.code == "refused"
            assert "pod pod-1 refuses" in report.error.message
            assert "HTTPRoute/default/bad/0: is not liked" in report.error.message
            assert any("HTTPRoute/default/bad/0: is not liked" in text for _, text in side.complaints)
            # Refused again with the next change, which is not lost.
            side.server.want(wanted(*simple("a", "bad", "c")))
            await plane.engine.until(lambda: plane.engine.refused == 2)
            side.server.want(wanted(*simple("a", "c")))
            await plane.engine.until(lambda: len(plane.engine.changes) == 2)
            assert plane.engine.names("http_rules") == ["HTTPRoute/default/a/0", "HTTPRoute/default/c/0"]
            await side.until(lambda: merged(side.server.said()).listeners[0].error is None)

    asyncio.run(run())


def test_one_resource_that_is_refused_keeps_no_other_away(tmp_path: Path) -> None:
    """It stays at what the pod has of it, and its object is told; it is tried again when it changes."""

    async def run() -> None:
        async with serving(*simple("a", "bad")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            plane.engine.words = {"http_rules": "http_rule"}
            plane.engine.refuse.add("HTTPRoute/default/bad/0")
            good = plane.holdings.version("http_rules", "HTTPRoute/default/bad/0")
            first, *rest = simple("a", "bad")
            changed = [
                rule("bad", first, hostnames=("changed",)) if item.id == "HTTPRoute/default/bad/0" else item
                for item in rest
            ]
            side.server.want(wanted(first, *changed, *simple("c")[1:]))
            await plane.engine.until(lambda: "HTTPRoute/default/c/0" in plane.engine.names("http_rules"))
            assert plane.holdings.version("http_rules", "HTTPRoute/default/bad/0") == good
            await side.until(lambda: merged(side.server.said()).held)
            report = merged(side.server.said())
            assert [(item.object, "is not liked" in item.reason) for item in report.held] == [
                (ObjectKey("HTTPRoute", "default", "bad"), True)
            ]
            assert [item.error for item in report.listeners] == [None]
            assert any("refuses a part of its configuration" in text for _, text in side.complaints)
            # Other changes go on without it.
            tried = plane.engine.refused
            side.server.want(wanted(first, *changed, *simple("c")[1:], endpoint("default/a:80", 9)))
            await plane.engine.until(lambda: len(plane.engine.changes) == 3)
            assert plane.engine.refused == tried
            # What it depends on may have changed: it is tried again.
            side.server.want(wanted(first, *changed, *simple("c", "d")[1:]))
            await plane.engine.until(lambda: plane.engine.refused > tried and len(plane.engine.changes) == 4)
            plane.engine.refuse.clear()
            mended = rule("bad", first, hostnames=("mended",))
            changed = [mended if item.id == mended.id else item for item in changed]
            side.server.want(wanted(first, *changed, *simple("c", "d")[1:]))
            await plane.engine.until(lambda: plane.holdings.version("http_rules", mended.id) != good)
            await side.until(lambda: not merged(side.server.said()).held)

    asyncio.run(run())


def test_more_than_a_data_plane_takes_is_not_sent_but_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_TRANSACTION", 8_000)

    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            first, *rest = simple("a")
            side.server.want(wanted(first, *rest, rule("large", first, hostnames=("n" * 8_000,))))
            (report,) = merged(side.server.said()).listeners
            assert report.error is not None
            assert "HTTPRoute/default/large (8," in report.error.message
            assert [code for code, _ in side.complaints] == ["too_large"]
            side.server.want(wanted(first, *rest, rule("small", first)))
            await plane.engine.until(lambda: len(plane.engine.changes) == 2)
            assert "HTTPRoute/default/large/0" not in plane.engine.names("http_rules")
            await side.until(lambda: merged(side.server.said()).listeners[0].error is None)

    asyncio.run(run())


def test_what_was_refused_and_taken_back_is_no_refusal_any_more(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            plane.engine.refuse.add("HTTPRoute/default/bad/0")
            side.server.want(wanted(*simple("a", "bad")))
            await side.until(lambda: any(pod.refusals for pod in side.server.said().pods.get(PLANE, ())))
            side.server.want(wanted(*simple("a")))
            await side.until(lambda: not any(pod.refusals for pod in side.server.said().pods.get(PLANE, ())))
            assert len(plane.engine.changes) == 1

    asyncio.run(run())


def test_a_pod_that_comes_back_gets_the_difference_only(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a", "b", "c")) as side:
            plane = Plane(tmp_path, side)
            async with following(plane):
                await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            side.server.want(wanted(*simple("a", "c", "d")))
            async with following(plane):
                await plane.engine.until(lambda: len(plane.engine.changes) == 2)
            change = plane.engine.changes[1]
            assert {section: sorted(table) for section, table in change.upserts.items()} == {
                "http_rules": ["HTTPRoute/default/d/0"],
                "backends": ["default/d:80"],
                "endpoints": ["default/d:80@10.0.0.1:8080"],
            }
            assert change.removals["http_rules"] == {"HTTPRoute/default/b/0"}

    asyncio.run(run())


def test_another_controller_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a", "b")) as first:
            plane = Plane(tmp_path, first)
            async with following(plane):
                await plane.engine.until(lambda: len(plane.engine.changes) == 1)
        async with serving(*simple("a", "b")) as second, calling(second) as call:
            versions = {section: dict(plane.holdings.versions(section)) for section in protocol.SECTIONS}
            await subscribe(call, versions)
            assert (await transaction(call))[:2] == ({}, {})

    asyncio.run(run())


def test_a_slow_pod_gets_the_newest_state_next() -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side) as call:
            await subscribe(call)
            _, _, nonce = await transaction(call)
            for number in range(50):
                side.server.want(wanted(*simple("a", f"n{number}")))
                await asyncio.sleep(0)
            await call.write(protocol.acknowledgement(protocol.GENERATION, nonce))
            came, went, nonce = await transaction(call)
            assert came["http_rules"] == ["HTTPRoute/default/n49/0"]
            assert not any(went.values())

    asyncio.run(run())


def test_large_states_come_in_pieces_and_are_applied_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        name = "x" * 200
        resources = simple(*(f"{name}-{number}" for number in range(3_000)))
        async with serving(*resources) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            assert len(plane.engine.names("http_rules")) == 3_000

    asyncio.run(run())


def test_a_leader_that_changes(tmp_path: Path) -> None:
    """Nobody listens while nobody leads; data planes come back by themselves, and the new leader waits for them."""

    async def run() -> None:
        ours = {PLANE: GATEWAYS[PLANE]}
        async with serving(listener()) as side, following(Plane(tmp_path, side)) as plane:
            side.server.want(wanted(*simple("a"), gateways=ours))
            await asyncio.wait_for(side.server.settled.wait(), LIMIT)
            address, port = side.address.split(":")
            side.server.lead(False)
            await plane.engine.until(lambda: not plane.client.connected.is_set() and plane.complaints)
            assert not side.server.listening.is_set()
            before = len(plane.engine.changes)
            side.server.want(wanted(*simple("a", "b"), gateways=ours))
            # The new leader has the old one's address, as a Service has.
            side.server._address = f"{address}:{port}"
            side.server.lead(True)
            await plane.engine.until(lambda: len(plane.engine.changes) == before + 1)
            await asyncio.wait_for(side.server.settled.wait(), LIMIT)

    asyncio.run(run())


def test_when_a_new_leader_is_settled() -> None:
    """At once where there is no data plane, and after a while where none can be heard; the loop is told."""

    async def run(times: ServerTimes, resources: tuple[Any, ...], *, certificate: bool) -> None:
        side = Side(times)
        if not certificate:
            side.identity.ready.clear()
        told = asyncio.Event()
        side.server._changed = lambda: side.server.said().settled and told.set()
        side.server.want(wanted(*resources, gateways={} if not resources else {PLANE: GATEWAYS[PLANE]}))
        task = asyncio.create_task(side.server.run())
        side.server.lead(True)
        await asyncio.wait_for(told.wait(), LIMIT)
        side.server.lead(False)
        assert not side.server.said().settled
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    never = 3_600.0
    asyncio.run(run(ServerTimes(settle=never, unheard=never), (), certificate=True))
    asyncio.run(run(ServerTimes(settle=0.1, unheard=never), (listener(),), certificate=True))
    asyncio.run(run(ServerTimes(settle=never, unheard=0.1), (listener(),), certificate=False))


def test_files_are_read_at_each_connection(tmp_path: Path) -> None:
    """A token that is renewed and a CA that follows are taken without a restart."""

    async def run() -> None:
        async with serving(*simple("a")) as side:
            plane = Plane(tmp_path, side, token="expired")
            async with following(plane):
                await plane.engine.until(lambda: any("UNAUTHENTICATED" in text for _, text in plane.complaints))
                plane.token.write_text("good")
                await plane.engine.until(lambda: plane.engine.changes)
            # The certificate is renewed under another CA; the pod has not read it yet, then it has.
            after = make_authority(now())
            both = side.identity.authority.bundle + after.bundle
            side.identity.use(after)
            side.server.want(wanted(*simple("a", "b")))
            plane.complaints.clear()
            async with following(plane):
                await plane.engine.until(lambda: plane.complaints)
                assert len(plane.engine.changes) == 1
                plane.ca.write_bytes(both)
                await plane.engine.until(lambda: len(plane.engine.changes) == 2)

    asyncio.run(run())


def test_missing_files_are_told() -> None:
    async def run(folder: Path) -> None:
        async with serving(*simple("a")) as side:
            plane = Plane(folder, side)
            plane.token.unlink()
            async with following(plane):
                await plane.engine.until(lambda: plane.complaints)
                assert str(plane.token) in plane.complaints[0][1]

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))


@pytest.mark.parametrize("name", ["token", "ca"])
@pytest.mark.parametrize("how", ["is no plain file, but a pipe", "is larger than 262,144 bytes"])
def test_files_that_are_none_are_told(tmp_path: Path, name: str, how: str) -> None:
    """Nobody waits for a pipe: the data plane serves on, and tries again."""

    async def run() -> None:
        async with serving(*simple("a")) as side:
            plane = Plane(tmp_path, side)
            path = getattr(plane, name)
            content = path.read_bytes()
            path.unlink()
            if "pipe" in how:
                os.mkfifo(path)
            else:
                path.touch()
                os.truncate(path, 1 << 33)
            async with following(plane):
                await plane.engine.until(lambda: plane.complaints)
                assert f"{path} {how}" in plane.complaints[0][1]
                (tmp_path / "new").write_bytes(content)
                (tmp_path / "new").rename(path)
                await plane.engine.until(lambda: plane.engine.changes)

    asyncio.run(run())


@asynccontextmanager
async def relayed(side: Side) -> Any:
    """A relay that may stop to forward without closing anything: what half-open connections look like."""
    frozen = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()
    connections = 0

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if frozen.is_set():
                await asyncio.Event().wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        host, port = side.address.split(":")
        backward, onward = await asyncio.open_connection(host, int(port))
        for pair in ((reader, onward), (backward, writer)):
            tasks.add(asyncio.create_task(forward(*pair)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"localhost:{server.sockets[0].getsockname()[1]}", frozen
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_a_controller_that_accepts_and_says_nothing_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        connections = 0

        async def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            if connections > 2:
                plane.engine.notify()
            await asyncio.Event().wait()
            writer.close()

        silent = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with serving(*simple("a")) as side:
            plane = Plane(tmp_path, side, address=f"localhost:{silent.sockets[0].getsockname()[1]}")
            plane.client._times = msgspec.structs.replace(plane.client._times, connect=0.2)
            async with following(plane):
                await plane.engine.until(lambda: connections > 2)
                assert "no answer in time" in plane.complaints[0][1]
        silent.close()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["refused", "turned away", "not answered"])
def test_what_failed_dials_no_more(tmp_path: Path, how: str) -> None:
    """Without help of the collector, which a data plane seldom runs."""

    async def never(*_: object, **__: object) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    def channels() -> int:
        return sum(isinstance(item, grpc.aio.Channel) for item in gc.get_objects())

    async def run() -> None:
        async with serving(*simple("a")) as side:
            if how == "not answered":
                side.reviews.request = never  # type: ignore[method-assign]
            with socket.create_server(("127.0.0.1", 0)) as closed:
                nobody = f"localhost:{closed.getsockname()[1]}"
            plane = Plane(tmp_path, side, token="stranger", address=nobody if how == "refused" else None)
            plane.client._times = msgspec.structs.replace(plane.client._times, admit=0.2)
            before = channels()
            async with following(plane):
                await plane.engine.until(lambda: len(plane.complaints) >= 4)
            # One is under way when it is cancelled.
            assert channels() <= before + 1

    gc.collect()
    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


def test_half_open_connections_die_on_both_sides(tmp_path: Path) -> None:
    async def run() -> None:
        times = ServerTimes(ping=0.2, ping_limit=0.2, keep=0.1)
        async with serving(*simple("a"), times=times) as side, relayed(side) as (address, frozen):
            plane = Plane(tmp_path, side, address=address)
            plane.client._times = msgspec.structs.replace(plane.client._times, ping=1.0, ping_limit=0.5)
            async with following(plane):
                await plane.engine.until(lambda: len(plane.engine.changes) == 1)
                await side.until(lambda: side.server.said().pods)
                frozen.set()
                # Nothing of it is closed: both find out by their pings.
                await side.until(lambda: not side.server.said().pods)
                frozen.clear()
                side.server.want(wanted(*simple("a", "b")))
                await plane.engine.until(lambda: len(plane.engine.changes) == 2)

    asyncio.run(run())


def test_a_pod_with_two_connections_keeps_the_newer(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side) as first:
            await subscribe(first)
            await transaction(first)
            async with calling(side) as second:
                await subscribe(second)
                await transaction(second)
                assert (await first.code()).name == "ABORTED"
                assert side.server.connected == {PLANE: 1}

    asyncio.run(run())


def test_pods_of_one_plane_are_reported_together(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side:
            one, two = Plane(tmp_path / "1", side), Plane(tmp_path / "2", side, token="second-pod")
            two.engine.bind_error = ir.BindError("address_in_use", "port 80 is taken", "free it")
            async with following(one), following(two):
                await side.until(lambda: len(side.server.said().pods.get(PLANE, ())) == 2)
                await side.until(lambda: merged(side.server.said()).listeners[0].error is not None)
                error = merged(side.server.said()).listeners[0].error
                assert error is not None
                assert error.message == "port 80 is taken (pod pod-2)"
                assert side.server.connected == {PLANE: 2}

    asyncio.run(run())


def test_a_data_plane_that_is_no_more_is_sent_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side) as call:
            await subscribe(call)
            await transaction(call)
            others = {key: value for key, value in GATEWAYS.items() if key != PLANE}
            side.server.want(wanted(*simple("a"), gateways=others))
            assert (await call.code()).name == "PERMISSION_DENIED"

    asyncio.run(run())


def test_sessions_end_so_that_tokens_are_looked_at_again() -> None:
    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(session=0.2)) as side, calling(side) as call:
            await subscribe(call)
            _, _, nonce = await transaction(call)
            await call.write(protocol.acknowledgement(protocol.GENERATION, nonce))
            assert (await call.code()).name == "UNAVAILABLE"
            assert "again" in (await call.details())

    asyncio.run(run())


def test_a_session_ends_when_its_token_is_not_accepted_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the API server does not answer, it goes on."""
    monkeypatch.setattr("sluicegate.controller.stream.review.KEEP", 0.0)

    async def run() -> None:
        async with serving(*simple("a"), times=ServerTimes(review=0.05)) as side, calling(side) as call:
            await subscribe(call)
            _, _, nonce = await transaction(call)
            await call.write(protocol.acknowledgement(protocol.GENERATION, nonce))
            side.reviews.away = True
            asked = side.reviews.asked
            await side.reviews.until(lambda: side.reviews.asked >= asked + 3)
            assert side.server.connected == {PLANE: 1}
            del side.reviews.tokens[GOOD_TOKEN]
            side.reviews.away = False
            assert (await call.code()).name == "UNAVAILABLE"
            assert "not accepted" in (await call.details())
            asked = side.reviews.asked
        assert side.reviews.asked == asked

    asyncio.run(run())


def test_endpoints_alone_are_small(tmp_path: Path) -> None:
    async def run() -> None:
        resources = simple("a")
        async with serving(*resources) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            side.server.want(wanted(*resources, endpoint("default/a:80", 9090)))
            await plane.engine.until(lambda: len(plane.engine.changes) == 2)
            change = plane.engine.changes[1]
            assert {section: len(table) for section, table in change.upserts.items()} == {"endpoints": 1}

    asyncio.run(run())
