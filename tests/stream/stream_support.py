"""What tests of the config stream share: states, an API server that reviews tokens, both ends on real sockets."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from sluicegate import ir
from sluicegate.controller.sources.kubernetes.client import ApiError
from sluicegate.controller.stream import messages, protocol
from sluicegate.controller.stream.figures import Figures
from sluicegate.controller.stream.identity import Authority, make_authority, server_certificate
from sluicegate.controller.stream.protocol import ListenerOutcome, PlaneReport
from sluicegate.controller.stream.review import Reviewer
from sluicegate.controller.stream.server import StreamServer
from sluicegate.controller.stream.transport import ServerTimes
from sluicegate.controller.stream.wanted import Wanted
from sluicegate.controller.translate import State
from sluicegate.controller.translate.state import RESOURCE_KINDS
from sluicegate.dataplane.client import ClientTimes, StreamClient
from sluicegate.dataplane.holdings import Change, Holdings
from sluicegate.ir import Refusal, RefusedError

# After the modules above, which say how gRPC behaves.
import grpc  # isort: skip
import grpc.aio  # isort: skip

LIMIT = 30.0
PLANE = ("default", "gateway-sluicegate")
OTHER = ("other", "second-sluicegate")
GATEWAYS = {PLANE: frozenset({"default/gateway"}), OTHER: frozenset({"other/second"})}
GOOD_TOKEN, OTHER_TOKEN = "good", "other"

# --- States ---------------------------------------------------------------------------------------------------------


def listener(gateway: str = "default/gateway", name: str = "http", **values: Any) -> ir.Listener:
    values = {"port": 80, "bind_port": 80, "protocol": ir.ListenerProtocol.HTTP} | values
    return ir.Listener(id=f"Gateway/{gateway}/{name}", gateway=gateway, **values)


def rule(name: str, *listeners: ir.Listener, backends: Iterable[str] = (), **values: Any) -> ir.HttpRule:
    return ir.HttpRule(
        id=f"HTTPRoute/default/{name}/0",
        route=f"HTTPRoute/default/{name}",
        index=0,
        listeners=tuple(item.id for item in listeners),
        matches=(ir.Match(path=ir.PathPrefix(value=f"/{name}")),),
        backends=tuple(ir.WeightedBackend(backend=item, weight=1) for item in backends),
        **values,
    )


def attachment(name: str, *listeners: ir.Listener) -> ir.Attachment:
    gateway = listeners[0].gateway
    return ir.Attachment(id=f"{gateway}/{name}", gateway=gateway, listeners=tuple(item.id for item in listeners))


def endpoint(backend: str, port: int = 8080) -> ir.Endpoint:
    return ir.Endpoint(id=f"{backend}@10.0.0.1:{port}", backend=backend, address="10.0.0.1", port=port)


SECTION_OF = {
    ir.Listener: "listeners",
    ir.Attachment: "attachments",
    ir.HttpRule: "http_rules",
    ir.Backend: "backends",
    ir.Endpoint: "endpoints",
    ir.BackendTls: "policies",
    ir.BackendPolicy: "policies",
    ir.BackendTraffic: "policies",
    ir.Trust: "trust",
    ir.Certificate: "certificates",
}


def state(*resources: Any) -> State:
    """A state of these resources."""
    tables: dict[str, dict[str, Any]] = {kind: {} for kind in RESOURCE_KINDS}
    for item in resources:
        tables[SECTION_OF[type(item)]][item.id] = item
    return State(**tables)


def wanted(*resources: Any, gateways: Mapping[tuple[str, str], frozenset[str]] | None = None) -> Wanted:
    return Wanted(state(*resources), GATEWAYS if gateways is None else gateways)


def simple(*names: str) -> list[Any]:
    """One listener, and a rule with a backend and an endpoint for each name."""
    found: list[Any] = [listener()]
    for name in names:
        backend = f"default/{name}:80"
        found += [rule(name, found[0], backends=[backend]), ir.Backend(id=backend), endpoint(backend)]
    return found


class Waiting:
    """Waits for what a test expects, woken by events."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self, *_: object) -> None:
        self._changed.set()

    async def until(self, holds: Callable[[], Any], limit: float = LIMIT) -> None:
        async def wait() -> None:
            while not holds():
                self._changed.clear()
                await self._changed.wait()

        await asyncio.wait_for(wait(), limit)


# --- The API server and the CA --------------------------------------------------------------------------------------


class Reviews(Waiting):
    """An API server that knows some tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.away = False
        self.tokens: dict[str, dict[str, Any]] = {
            GOOD_TOKEN: self.pod(*PLANE, "pod-1"),
            OTHER_TOKEN: self.pod(*OTHER, "pod-9"),
            "second-pod": self.pod(*PLANE, "pod-2"),
            "stranger": self.pod("default", "default", "pod-3"),
            "audience": self.pod(*PLANE, "pod-4", audiences=["https://kubernetes.default.svc"]),
            "unbound": self.pod(*PLANE, None),
            "person": self.pod(*PLANE, "pod-5") | {"user": {"username": "admin"}},
        }

    @staticmethod
    def pod(namespace: str, account: str, pod: str | None, audiences: Iterable[str] = (protocol.AUDIENCE,)) -> Any:
        names = {"pod-name": [pod], "pod-uid": [f"uid-{pod}"]} if pod is not None else {}
        extra = {f"authentication.kubernetes.io/{name}": value for name, value in names.items()}
        user = {"username": f"system:serviceaccount:{namespace}:{account}", "extra": extra}
        return {"authenticated": True, "user": user, "audiences": list(audiences)}

    async def request(self, method: str, path: str, *, body: dict[str, Any] | None = None) -> bytes:
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
        assert body is not None
        assert body["spec"]["audiences"] == [protocol.AUDIENCE]
        self.asked += 1
        self.notify()
        if self.away:
            raise ApiError(0, "no answer in time")
        return msgspec.json.encode({"status": self.tokens.get(body["spec"]["token"], {"authenticated": False})})


class SecretsApi:
    """The Secrets of an API server."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.version = 0
        self.conflict = False
        self.asked: list[str] = []

    async def get(self, path: str) -> bytes:
        self.asked.append(f"GET {path}")
        if path not in self.secrets:
            raise ApiError(404, "not found")
        return json.dumps(self.secrets[path]).encode()

    async def request(self, method: str, path: str, *, body: dict[str, Any]) -> bytes:
        self.asked.append(f"{method} {path}")
        target = f"{path}/{body['metadata']['name']}" if method == "POST" else path
        known = self.secrets.get(target, {}).get("metadata", {}).get("resourceVersion")
        if self.conflict or known != body["metadata"].get("resourceVersion"):
            raise ApiError(409, "conflict")
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self.secrets[target] = body
        return b"{}"


class FixedIdentity:
    """A CA and a certificate that a test may change."""

    def __init__(self, authority: Authority | None = None) -> None:
        self.ready = asyncio.Event()
        self.use(authority or make_authority(now()))

    def use(self, authority: Authority) -> None:
        self.authority = authority
        self._certificate = server_certificate(authority, ["localhost", "127.0.0.1"], now())
        self.ready.set()

    def certificate(self) -> Any:
        return self._certificate

    def handle(self, event: Any) -> None: ...


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


# --- Both ends ------------------------------------------------------------------------------------------------------


class Side(Waiting):
    """The controller's side of a test."""

    def __init__(self, times: ServerTimes | None = None, address: str = "127.0.0.1:0") -> None:
        super().__init__()
        self.reviews = Reviews()
        self.identity = FixedIdentity()
        self.complaints: list[tuple[str, str]] = []
        self.server = StreamServer(
            address, self.identity, Reviewer(self.reviews), self.complain, self.notify, times or ServerTimes()
        )

    def complain(self, code: str, message: str, **_fields: object) -> None:
        self.complaints.append((code, message))
        self.notify()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"


@asynccontextmanager
async def serving(*resources: Any, times: ServerTimes | None = None, leading: bool = True) -> AsyncIterator[Side]:
    """A server that has these resources for the usual planes."""
    side = Side(times)
    if resources:
        side.server.want(wanted(*resources))
    task = asyncio.create_task(side.server.run())
    try:
        if leading:
            side.server.lead(True)
            await asyncio.wait_for(side.server.listening.wait(), LIMIT)
        yield side
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class RecordingEngine(Waiting):
    """Takes every change that names no resource it refuses; binds every listener."""

    def __init__(self, holdings: Holdings) -> None:
        super().__init__()
        self.holdings = holdings
        self.changes: list[Change] = []
        self.refuse: set[str] = set()
        #: The words of the engine for sections; without them a refusal is of the whole transaction.
        self.words: dict[str, str] = {}
        self.refused = 0
        self.hold: asyncio.Event | None = None
        self.bind_error: ir.BindError | None = None

    async def apply(self, change: Change) -> None:
        if self.hold is not None:
            self.notify()
            await self.hold.wait()
        bad = [(kind, name) for kind, table in change.upserts.items() for name in table if name in self.refuse]
        if bad:
            self.refused += 1
            self.notify()
            raise RefusedError(tuple(Refusal(self.words.get(kind, kind), name, "is not liked") for kind, name in bad))
        self.holdings.apply(change)
        self.changes.append(change)
        self.notify()

    def report(self) -> PlaneReport:
        return PlaneReport(
            tuple(
                ListenerOutcome(name, version, () if self.bind_error else ("0.0.0.0:80",), self.bind_error)
                for name, version in self.holdings.versions("listeners")
            )
        )

    def names(self, section: str) -> list[str]:
        return sorted(self.holdings.tables[section])


class Plane:
    """A data plane pod of a test."""

    def __init__(
        self,
        folder: Path,
        side: Side,
        token: str = GOOD_TOKEN,
        address: str | None = None,
        figures: Callable[[frozenset[str]], Figures] | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.token, self.ca = folder / "token", folder / "ca.crt"
        self.token.write_text(token + "\n")
        self.ca.write_bytes(side.identity.authority.bundle)
        self.holdings = Holdings()
        self.engine = RecordingEngine(self.holdings)
        self.complaints: list[tuple[str, str]] = []
        times = ClientTimes(first_wait=0.01, longest_wait=0.1, turned_away_wait=0.1)
        self.client = StreamClient(
            address or side.address.replace("127.0.0.1", "localhost"),
            str(self.token),
            str(self.ca),
            self.holdings,
            self.engine,
            self.complain,
            times,
            figures,
        )

    def complain(self, code: str, message: str, **_fields: object) -> None:
        self.complaints.append((code, message))
        self.engine.notify()


@asynccontextmanager
async def following(plane: Plane) -> AsyncIterator[Plane]:
    """A pod that is connected, or tries to be."""
    task = asyncio.create_task(plane.client.run())
    try:
        yield plane
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def calling(
    side: Side, token: str | None = GOOD_TOKEN, metadata: Iterable[tuple[str, str]] = (), **options: int
) -> AsyncIterator[Any]:
    """A call by hand."""
    credentials = grpc.ssl_channel_credentials(side.identity.authority.bundle)
    address = side.address.replace("127.0.0.1", "localhost")
    fields = [*metadata] + ([("authorization", f"Bearer {token}")] if token is not None else [])
    channel_options = [("grpc.use_local_subchannel_pool", 1), *options.items()]
    async with grpc.aio.secure_channel(address, credentials, options=channel_options) as channel:
        method: Any = channel.stream_stream(
            f"/{protocol.SERVICE}/{protocol.METHOD}",
            request_serializer=lambda value: value if isinstance(value, bytes) else value.to_bytes(),
            response_deserializer=messages.Response.from_bytes,
        )
        call = method(metadata=tuple(fields))
        try:
            yield call
        finally:
            call.cancel()


async def subscribe(call: Any, versions: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Say what a pod has; a call that is over already tells so when it is read."""
    try:
        for section in protocol.SECTIONS:
            await call.write(protocol.subscription(section, (versions or {}).get(section, {}).items()))
        await call.write(protocol.subscription(protocol.GENERATION, ()))
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass


async def transaction(call: Any) -> tuple[dict[str, list[str]], dict[str, list[str]], str]:
    """Read one transaction: names by section of what came and of what went, and the nonce of its end."""
    came: dict[str, list[str]] = {}
    went: dict[str, list[str]] = {}
    while True:
        response = await asyncio.wait_for(call.read(), LIMIT)
        assert response is not grpc.aio.EOF
        section = protocol.section_of(response.type_url) or ""
        if section == protocol.GENERATION:
            return came, went, response.nonce
        came.setdefault(section, []).extend(entry.name for entry in response.resources)
        went.setdefault(section, []).extend(response.removed_resources)


async def status_of(call: Any) -> tuple[grpc.StatusCode, int]:
    """How a call ends, and how many messages came before."""
    count = 0
    try:
        while await asyncio.wait_for(call.read(), LIMIT) is not grpc.aio.EOF:
            count += 1
    except grpc.aio.AioRpcError:
        pass
    return await call.code(), count
