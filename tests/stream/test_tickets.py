"""Keys of session tickets: rotation, the Secret, what of them each data plane gets, and a session that changes pods."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from stream_processes import Controller, GatewayProcess, serving_state
from stream_support import (
    GATEWAYS,
    OTHER,
    PLANE,
    Plane,
    SecretsApi,
    Waiting,
    following,
    listener,
    serving,
    simple,
    state,
    wanted,
)
from system_backends import Backend, echo
from system_certificates import Authority
from system_clients import connect, tls_context

from sluicegate import ir
from sluicegate.controller.sources.kubernetes.client import ApiError
from sluicegate.controller.stream import tickets
from sluicegate.controller.stream.plane import TICKETS, PlaneKey
from sluicegate.controller.stream.projection import Projector
from sluicegate.controller.stream.tickets import (
    FIELD,
    KEPT,
    ROTATION,
    SECRET,
    SKEW,
    MasterKey,
    MasterKeys,
    SharedKeys,
    TicketKeeper,
    TicketsError,
    rotated,
)
from sluicegate.controller.translate import State

NOW = 1_800_000_000
PATH = f"/api/v1/namespaces/ns/secrets/{SECRET}"


def keys(*ages: int) -> MasterKeys:
    """Keys of these ages in seconds."""
    return tuple(MasterKey(f"{number:064x}", NOW - age) for number, age in enumerate(ages, 1))


@pytest.mark.parametrize(
    ("ages", "kept", "new"),
    [
        ((), (), True),
        ((0,), (0,), False),
        ((ROTATION - 1,), (0,), False),
        ((ROTATION,), (0,), True),
        ((0, ROTATION, 2 * ROTATION), (0, 1, 2), False),
        ((ROTATION, 2 * ROTATION, KEPT * ROTATION - 1), (0, 1), True),
        ((0, KEPT * ROTATION), (0,), False),
        ((KEPT * ROTATION, KEPT * ROTATION + 1), (), True),
        ((2 * ROTATION, 5, ROTATION), (1, 2, 0), False),
        ((-SKEW, 5), (0, 1), False),
        ((-SKEW - 1, 5), (1,), False),
        ((-10 * ROTATION,), (), True),
        ((1, 2, 3, 4), (0, 1, 2), False),
    ],
)
def test_rotation(ages: tuple[int, ...], kept: tuple[int, ...], new: bool) -> None:
    before = keys(*ages)
    found = rotated(before, NOW)
    made = found[:1] if new else ()
    assert all(key.created == NOW and key not in before for key in made)
    assert found[len(made) :] == tuple(before[place] for place in kept)
    assert rotated(found, NOW) == found


def test_each_gateway_has_its_own_keys() -> None:
    shared = SharedKeys(keys(0, 5))
    one, again, two = shared.of("a/b"), SharedKeys(keys(0, 5)).of("a/b"), shared.of("a/c")
    assert one == again
    assert [key.created for key in one.keys] == [NOW, NOW - 5]
    found = {key.secret for item in (one, two) for key in item.keys}
    assert len(found) == 4
    assert not found & {key.secret for key in keys(0, 5)}
    assert all(key.secret not in repr(one) for key in one.keys)
    assert "0001" not in repr(keys(0))


class Told(Waiting):
    """What a keeper tells."""

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self.shared: list[SharedKeys] = []

    def keeper(self, api: SecretsApi) -> TicketKeeper:
        return TicketKeeper(api, "ns", self.complain, self.share)  # type: ignore[arg-type]

    def complain(self, code: str, message: str, **_fields: object) -> None:
        self.complaints.append(f"{code}: {message}")
        self.notify()

    def share(self, shared: SharedKeys) -> None:
        self.shared.append(shared)
        self.notify()


def in_secret(api: SecretsApi) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(base64.b64decode(api.secrets[PATH]["data"][FIELD]))
    return found


def test_a_new_leader_goes_on_with_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        api, told = SecretsApi(), Told()
        moment = [float(NOW)]
        monkeypatch.setattr(tickets.time, "time", lambda: moment[0])
        first = told.keeper(api)
        await first.load()
        await first.load()
        [made] = in_secret(api)
        assert (made["created"], api.secrets[PATH]["type"]) == (NOW, "Opaque")
        assert len(told.shared) == 1
        moment[0] += ROTATION
        second = told.keeper(api)
        await second.load()
        assert [item["created"] for item in in_secret(api)] == [NOW + ROTATION, NOW]
        assert in_secret(api)[1] == made
        # The one before sees what the other wrote, and writes nothing.
        version = api.version
        await first.load()
        assert api.version == version
        gateways = [item.of("a/b") for item in told.shared]
        assert gateways[1] == gateways[2]
        assert gateways[1].keys[1] == gateways[0].keys[0]
        # Whoever deletes it ends all sessions.
        del api.secrets[PATH]
        await second.load()
        assert [item["created"] for item in in_secret(api)] == [NOW + ROTATION]
        assert told.shared[-1].of("a/b").keys[0] not in gateways[1].keys
        assert told.complaints == []

    asyncio.run(run())


def test_two_that_begin_at_once_share_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        api, told = SecretsApi(), Told()
        monkeypatch.setattr(tickets, "RETRY", 0.0)
        jobs = [asyncio.create_task(told.keeper(api).run()) for _ in range(2)]
        await told.until(lambda: len(told.shared) == 2)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        assert told.shared[0].of("a/b") == told.shared[1].of("a/b")
        assert told.complaints == []

    asyncio.run(run())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[{}]",
        b'[{"secret": "00", "created": 1}]',
        b'[{"secret": "%s", "created": 1}]' % (b"g" * 64),
        b'[{"secret": "%s"}]' % (b"0" * 64),
        None,
    ],
)
def test_a_secret_that_holds_no_keys_is_told(content: bytes | None) -> None:
    async def run() -> None:
        api, told = SecretsApi(), Told()
        data = {FIELD: base64.b64encode(content).decode()} if content is not None else None
        api.secrets[PATH] = {"metadata": {"name": SECRET, "resourceVersion": "1"}, "data": data}
        with pytest.raises(TicketsError, match="delete it"):
            await told.keeper(api).load()
        assert told.shared == []

    asyncio.run(run())


def test_an_api_server_that_refuses_is_told_once_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidding(SecretsApi):
        asked_for = 0

        async def get(self, path: str) -> bytes:
            self.asked_for += 1
            told.notify()
            if self.asked_for < 5:
                raise ApiError(403, "secrets is forbidden")
            return await super().get(path)

    told = Told()

    async def run() -> None:
        monkeypatch.setattr(tickets, "RETRY", 0.0)
        keeper = told.keeper(Forbidding())
        job = asyncio.create_task(keeper.run())
        await asyncio.wait_for(keeper.tried.wait(), 10)
        assert told.shared == []
        await told.until(lambda: told.shared)
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        [complaint] = told.complaints
        assert complaint.startswith("tickets_failed: the keys of session tickets: ")
        assert "forbidden" in complaint

    asyncio.run(run())


# --- What data planes get -------------------------------------------------------------------------------------------


def held(projector: Projector, key: PlaneKey) -> dict[str, ir.SessionTickets]:
    return {name: item.resource for name, item in projector.planes[key].tables[TICKETS].items()}


def test_a_plane_gets_the_keys_of_its_gateways() -> None:
    projector, content = Projector(), state(listener(), listener("other/second"))
    assert TICKETS not in projector.update(content, GATEWAYS)[PLANE]
    shared = SharedKeys(keys(0))
    projector.shared = shared
    changed = projector.update(content, GATEWAYS)
    assert changed == {PLANE: {TICKETS: {"default/gateway"}}, OTHER: {TICKETS: {"other/second"}}}
    assert held(projector, PLANE) == {"default/gateway": shared.of("default/gateway")}
    assert held(projector, OTHER) == {"other/second": shared.of("other/second")}
    assert projector.update(content, GATEWAYS) == {}
    # A plane that several Gateways share; one that goes; the same keys of another leader; others.
    both = {PLANE: frozenset({"default/gateway", "other/second"})}
    assert projector.update(content, both)[PLANE][TICKETS] == {"other/second"}
    assert projector.update(content, {PLANE: GATEWAYS[PLANE]})[PLANE][TICKETS] == {"other/second"}
    projector.shared = SharedKeys(keys(0))
    assert projector.update(content, {PLANE: GATEWAYS[PLANE]}) == {}
    projector.shared = SharedKeys(keys(0, 5))
    assert projector.update(content, {PLANE: GATEWAYS[PLANE]}) == {PLANE: {TICKETS: {"default/gateway"}}}


def test_keys_come_over_the_stream(tmp_path: Path) -> None:
    """With the configuration or after it; pods of one Gateway have the same ones."""

    async def run() -> None:
        async with serving(*simple("a")) as side:
            one, two = Plane(tmp_path / "one", side), Plane(tmp_path / "two", side, token="second-pod")
            async with following(one), following(two):
                await one.engine.until(lambda: len(one.engine.changes) == 1)
                assert one.engine.names(TICKETS) == []
                side.server.share(SharedKeys(keys(0)))
                for plane in (one, two):
                    await plane.engine.until(lambda plane=plane: plane.engine.names(TICKETS) == ["default/gateway"])
                assert one.holdings.tables[TICKETS] == two.holdings.tables[TICKETS]
                side.server.want(wanted(*simple("a", "b")))
                await one.engine.until(lambda: len(one.engine.names("http_rules")) == 2)
                assert TICKETS not in one.engine.changes[-1].upserts
            found = ir.decode(one.holdings.everything().transaction(1))
            assert found.secrets.session_tickets == (SharedKeys(keys(0)).of("default/gateway"),)

    asyncio.run(run())


def https_state(address: str, backend: tuple[str, int], authority: Authority) -> State:
    found = serving_state(address, backend, ["a"])
    [plain] = found.listeners.values()
    pair = authority.sign("www.example.com")
    secure = ir.Listener(
        id=plain.id,
        gateway=plain.gateway,
        addresses=plain.addresses,
        port=443,
        bind_port=8443,
        protocol=ir.ListenerProtocol.HTTPS,
        tls=ir.ListenerTls(certificates=("default/c",)),
    )
    certificate = ir.Certificate(id="default/c", chain=pair.certificate.decode(), key=pair.key.decode())
    return State(
        listeners={secure.id: secure},
        http_rules=found.http_rules,
        backends=found.backends,
        endpoints=found.endpoints,
        certificates={certificate.id: certificate},
    )


@pytest.mark.parametrize("same", [True, False])
def test_a_session_goes_on_at_another_pod(tmp_path: Path, same: bool) -> None:
    """Where both have the same keys."""
    controller, backend, authority = Controller(), Backend(echo("app")), Authority()
    context = tls_context(authority.pem, "http/1.1")

    def session_at(pod: GatewayProcess, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
        with context.wrap_socket(
            connect(pod.address, 8443), server_hostname="www.example.com", session=session
        ) as client:
            client.sendall(b"GET /a HTTP/1.1\r\nhost: www.example.com\r\nconnection: close\r\n\r\n")
            assert client.recv(15) == b"HTTP/1.1 200 OK"
            while client.recv(65_536):
                pass
            assert client.session is not None
            return bool(client.session_reused), client.session

    async def share(shared: SharedKeys) -> None:
        controller.side.server.share(shared)

    moment = int(tickets.time.time())
    masters = [(MasterKey("1" * 64, moment),), (MasterKey(("1" if same else "2") * 64, moment),)]
    address, session = "", None
    try:
        for number, (token, keys_of_all) in enumerate(zip(("good", "second-pod"), masters, strict=True)):
            folder = tmp_path / token
            folder.mkdir()
            controller.do(share(SharedKeys(keys_of_all)))
            pod = GatewayProcess(folder, controller, address=address, token=token)
            address = pod.address
            try:
                controller.want(https_state(address, backend.address, authority))
                pod.named("connected")
                reused, session = session_at(pod, session)
                assert reused == (number == 1 and same)
            finally:
                assert pod.stop() == 0, pod.errors
    finally:
        backend.close()
        controller.close()
