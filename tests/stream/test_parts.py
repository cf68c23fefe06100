"""The parts by themselves: snapshot file, CA, holdings, reports in the status of a Gateway."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import ssl
import stat
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from stream_support import PLANE, SecretsApi, listener, now, rule, state

from sluicegate import ir
from sluicegate.controller.api import CLUSTER, READ_KINDS, ObjectKey, decode
from sluicegate.controller.store.store import Delete, Store
from sluicegate.controller.stream import identity
from sluicegate.controller.stream.identity import (
    CA_LIFE,
    CA_RENEWAL,
    OVERLAP,
    SECRET,
    SERVER_LIFE,
    SKEW,
    AuthorityError,
    Identity,
    make_authority,
    renewed,
    server_certificate,
)
from sluicegate.controller.stream.projection import Projector
from sluicegate.controller.stream.protocol import ListenerOutcome, PlaneReport, Refusal
from sluicegate.controller.stream.reports import PodReport, Reports, Said, merged
from sluicegate.controller.stream.wanted import WantedOf
from sluicegate.controller.translate import Options, Translation, Translator
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions
from sluicegate.controller.translate.status import GatewayStatus
from sluicegate.dataplane import snapshot_file
from sluicegate.dataplane.holdings import Change, Held, Holdings
from sluicegate.dataplane.snapshot_file import NAME, SnapshotError, read_snapshot, write_snapshot

# --- The snapshot ---------------------------------------------------------------------------------------------------


def holdings() -> Holdings:
    found = Holdings()
    change = Change()
    item = listener()
    change.put("listeners", item.id, Held("1", msgspec.Raw(msgspec.json.encode(item))))
    certificate = ir.Certificate(id="default/c", chain="chain", key="key")
    change.put("certificates", certificate.id, Held("2", msgspec.Raw(msgspec.json.encode(certificate))))
    found.apply(change)
    return found


def test_a_snapshot_is_what_was_written(tmp_path: Path) -> None:
    assert read_snapshot(str(tmp_path)) is None
    write_snapshot(str(tmp_path), holdings().tables)
    found = read_snapshot(str(tmp_path))
    assert found is not None
    assert found.everything().transaction(3) == holdings().everything().transaction(3)
    transaction = ir.decode(found.everything().transaction(3))
    assert transaction.full
    assert [item.id for item in transaction.upsert.listeners] == [listener().id]
    assert [item.id for item in transaction.secrets.certificates] == ["default/c"]
    assert found.version("listeners", listener().id) == "1"


def test_a_snapshot_is_for_its_owner_only_and_leaves_nothing_beside(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            (tmp_path / f".{NAME}.new").write_text("of a process that ended while it wrote")
            write_snapshot(str(tmp_path), holdings().tables)
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / f".{NAME}.new").symlink_to(victim)
    write_snapshot(str(tmp_path), holdings().tables)
    assert victim.read_text() == "mine"
    assert read_snapshot(str(tmp_path)) is not None


@pytest.mark.parametrize("cut", [0, 1, 20, 100, -1, -40])
def test_a_snapshot_that_was_cut_is_told(tmp_path: Path, cut: int) -> None:
    write_snapshot(str(tmp_path), holdings().tables)
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SnapshotError, match=str(path)):
        read_snapshot(str(tmp_path))


def test_every_changed_byte_is_told(tmp_path: Path) -> None:
    write_snapshot(str(tmp_path), holdings().tables)
    path = tmp_path / NAME
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(SnapshotError):
            read_snapshot(str(tmp_path))


def test_other_versions_and_sizes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_snapshot(str(tmp_path), holdings().tables)
    monkeypatch.setattr(snapshot_file, "MAX_BYTES", 10)
    with pytest.raises(SnapshotError, match="larger"):
        read_snapshot(str(tmp_path))
    with pytest.raises(SnapshotError, match="larger"):
        write_snapshot(str(tmp_path), holdings().tables)
    monkeypatch.undo()
    monkeypatch.setattr(snapshot_file, "FORMAT", "sluicegate-snapshot-2")
    with pytest.raises(SnapshotError, match="another version"):
        read_snapshot(str(tmp_path))
    monkeypatch.undo()
    # Of a gateway before or after this one: the IR in it is another.
    monkeypatch.setattr(snapshot_file.ir, "VERSION", snapshot_file.ir.VERSION + 1)
    with pytest.raises(SnapshotError, match=f"another version.*IR {snapshot_file.ir.VERSION - 1}"):
        read_snapshot(str(tmp_path))


def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="cannot be written"):
        write_snapshot(str(tmp_path / "missing"), holdings().tables)


def test_a_change_as_a_transaction() -> None:
    change = Change()
    change.put("http_rules", "r", Held("1", msgspec.Raw(msgspec.json.encode(rule("a", listener())))))
    change.remove("endpoints", "e")
    transaction = ir.decode(change.transaction(7))
    assert (transaction.generation, transaction.full) == (7, False)
    assert transaction.upsert.http_rules == (rule("a", listener()),)
    assert transaction.remove == ir.Removals(endpoints=("e",))
    assert not change.is_empty()
    assert Change().is_empty()


# --- The CA ---------------------------------------------------------------------------------------------------------


def valid(bundle: bytes, chain: bytes, folder: Path, at: datetime.datetime) -> bool:
    """Whether OpenSSL takes a certificate for the stream at a time."""
    (folder / "ca.pem").write_bytes(bundle)
    (folder / "leaf.pem").write_bytes(chain)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "controller.ns.svc"]
    command += ["-attime", str(int(at.timestamp())), "-CAfile", str(folder / "ca.pem"), str(folder / "leaf.pem")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_the_certificate_of_the_stream(tmp_path: Path) -> None:
    authority = make_authority(now())
    found = server_certificate(authority, ["controller.ns.svc", "10.0.0.1"], now())
    assert valid(authority.bundle, found.chain, tmp_path, now())
    assert not valid(make_authority(now()).bundle, found.chain, tmp_path, now())
    names = x509.load_pem_x509_certificate(found.chain).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.DNSName) == ["controller.ns.svc"]
    assert "PRIVATE" not in repr(authority) + repr(found)


def test_a_ca_is_followed_by_one_that_was_trusted_before_it_signs(tmp_path: Path) -> None:
    begin = now()
    first = make_authority(begin)
    assert renewed(first, begin + CA_LIFE - CA_RENEWAL - SKEW) is first
    due = begin + CA_LIFE - CA_RENEWAL + SKEW
    both = renewed(first, due)
    assert both.certificate == first.certificate
    assert both.bundle == first.certificate + both.following
    assert renewed(both, due + OVERLAP - SKEW) is both
    after = renewed(both, due + OVERLAP + SKEW)
    assert (after.certificate, after.following) == (both.following, b"")
    # Data planes with the bundle of any step take what is signed in the next.
    later = due + OVERLAP + SKEW
    signed = server_certificate(after, ["controller.ns.svc"], later)
    assert valid(both.bundle, signed.chain, tmp_path, later)
    assert valid(after.bundle, server_certificate(both, ["controller.ns.svc"], later).chain, tmp_path, later)
    # One that ended while nobody looked.
    assert renewed(first, begin + CA_LIFE + SKEW).certificate != first.certificate


def test_the_secret_is_made_once_and_kept() -> None:
    async def run() -> None:
        api, told = SecretsApi(), []
        path = f"/api/v1/namespaces/sluicegate-system/secrets/{SECRET}"

        def make() -> Identity:
            return Identity(api, "sluicegate-system", ["a"], lambda *_: None, lambda: told.append(1))  # type: ignore[arg-type]

        first = make()
        assert first.bundle == ""
        assert first.certificate() is None
        await first.load()
        assert first.ready.is_set()
        assert api.secrets[path]["type"] == "kubernetes.io/tls"
        before, certificate = json.dumps(api.secrets), first.certificate()
        await first.load()
        assert (json.dumps(api.secrets), first.certificate()) == (before, certificate)
        second = make()
        await second.load()
        assert second.bundle == first.bundle
        assert len(told) == 2
        # Due: the next one is written over this one, and told.
        data = api.secrets[path]["data"]
        assert not data["next.crt"]
        soon = identity.CA_LIFE + datetime.timedelta(days=1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(identity, "CA_RENEWAL", soon)
            await first.load()
        assert api.secrets[path]["data"]["next.crt"]
        assert first.bundle.count("BEGIN CERTIFICATE") == 2
        assert len(told) == 3
        assert first.certificate() is certificate

    asyncio.run(run())


def test_a_secret_that_is_deleted_is_made_anew_at_once() -> None:
    """Without it nothing is provisioned; an hour, the time between looks, is too long for that."""

    async def run() -> None:
        api = SecretsApi()
        made: asyncio.Queue[int] = asyncio.Queue()
        found = Identity(api, "ns", ["a"], lambda *_: None, lambda: made.put_nowait(1))  # type: ignore[arg-type]
        task = asyncio.create_task(found.run())
        await asyncio.wait_for(made.get(), 10)
        before, path = found.bundle, f"/api/v1/namespaces/ns/secrets/{SECRET}"
        del api.secrets[path]
        found.handle(Delete(ObjectKey("Secret", "ns", "another")))
        found.handle(Delete(ObjectKey("Secret", "ns", SECRET)))
        await asyncio.wait_for(made.get(), 10)
        assert path in api.secrets
        assert found.bundle != before
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def test_a_certificate_that_is_due_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        found = Identity(SecretsApi(), "ns", ["a"], lambda *_: None)  # type: ignore[arg-type]
        monkeypatch.setattr(identity, "SERVER_RENEWAL", SERVER_LIFE + SKEW)
        await found.load()
        before = found.certificate()
        await found.load()
        assert found.certificate() is not before

    asyncio.run(run())


@pytest.mark.parametrize(
    "data", [{}, {"tls.crt": "bm9uZQ==", "tls.key": "bm9uZQ==", "ca.crt": "bm9uZQ=="}, {"tls.crt": "%"}]
)
def test_a_secret_that_is_no_ca_is_told(data: dict[str, str]) -> None:
    async def run() -> None:
        api = SecretsApi()
        path = f"/api/v1/namespaces/ns/secrets/{SECRET}"
        api.secrets[path] = {"metadata": {"name": SECRET, "resourceVersion": "1"}, "data": data}
        with pytest.raises(AuthorityError, match="delete it"):
            await Identity(api, "ns", ["a"], lambda *_: None).load()  # type: ignore[arg-type]

    asyncio.run(run())


def test_two_controllers_that_begin_at_once_share_one_ca() -> None:
    async def run() -> None:
        api = SecretsApi()
        both = [Identity(api, "ns", ["a"], lambda *_: None) for _ in range(2)]  # type: ignore[arg-type]
        tasks = [asyncio.create_task(each.run()) for each in both]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(identity, "RETRY", 0.0)
            await asyncio.wait_for(asyncio.gather(*(each.ready.wait() for each in both)), 10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert both[0].bundle == both[1].bundle

    asyncio.run(run())


def test_python_takes_the_certificate() -> None:
    authority = make_authority(now())
    context = ssl.create_default_context(cadata=authority.bundle.decode())
    assert context.cert_store_stats()["x509_ca"] == 1


# --- Reports --------------------------------------------------------------------------------------------------------

ID = "Gateway/default/gateway/http"


def outcome(
    version: str = "1", bound: tuple[str, ...] = ("0.0.0.0:80",), error: ir.BindError | None = None
) -> PlaneReport:
    return PlaneReport((ListenerOutcome(ID, version, bound, error),))


TAKEN = ir.BindError("address_in_use", "port 80 is taken")
REFUSED = (Refusal("http_rules", "HTTPRoute/default/a/0", "is not liked"),)


@pytest.mark.parametrize(
    ("pods", "bound", "code"),
    [
        ([], None, None),
        ([PodReport("a", outcome("0"))], None, None),  # of the version before
        ([PodReport("a", outcome())], ("0.0.0.0:80",), None),
        ([PodReport("a", outcome("0")), PodReport("b", outcome())], ("0.0.0.0:80",), None),
        ([PodReport("a", outcome()), PodReport("b", outcome(bound=(), error=TAKEN))], (), "address_in_use"),
        ([PodReport("a", outcome("0"), REFUSED)], (), "refused"),
        ([PodReport("a", outcome(), REFUSED)], ("0.0.0.0:80",), "refused"),
    ],
)
def test_reports_of_pods_are_one(pods: list[PodReport], bound: tuple[str, ...] | None, code: str | None) -> None:
    found = merged(Said({PLANE: {ID: "1"}}, {PLANE: tuple(pods)})).listeners
    if bound is None:
        assert found == ()
        return
    (report,) = found
    assert (report.id, report.bound) == (ID, bound)
    assert (report.error.code if report.error is not None else None) == code


def translation(options: Options | None = None) -> Translation:
    documents = [
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "c"},
            "spec": {"controllerName": "example.com/c"},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "gateway", "namespace": "default", "generation": 4},
            "spec": {"gatewayClassName": "c", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        },
    ]
    store = Store(READ_KINDS)
    store.load(decode(document, CLUSTER) for document in documents)
    return Translator("example.com/c", options or Options()).translate(store.snapshot())


def test_what_is_wanted_comes_from_the_plan() -> None:
    found = WantedOf()(translation(Options(provision=ProvisionOptions(authority=""))))
    assert found.gateways == {("default", "gateway-c"): frozenset({"default/gateway"})}
    assert list(found.state.listeners) == [ID]
    assert WantedOf()(translation()).gateways == {}


@pytest.mark.parametrize(
    ("pod", "status", "reason", "text"),
    [
        (None, "Unknown", "Pending", "not applied yet"),
        (("ok", ()), "True", "Programmed", "programmed"),
        (("ok", REFUSED), "False", "Invalid", "pod a refuses the new configuration and serves the old one: http_rules"),
        (("error", ()), "False", "Invalid", "port 80 is taken (pod a)"),
    ],
)
def test_what_pods_say_is_the_status(pod: Any, status: str, reason: str, text: str) -> None:
    before = translation()
    projector = Projector()
    projector.update(before.ir, {PLANE: {"default/gateway"}})
    version = projector.planes[PLANE].tables["listeners"][ID].version
    pods = {}
    if pod is not None:
        report = outcome(version) if pod[0] == "ok" else outcome(version, (), TAKEN)
        pods = {PLANE: (PodReport("a", report, pod[1]),)}
    found = Reports(lambda: Said({PLANE: {ID: version}}, pods)).reported(before)
    gateway = found.statuses[ObjectKey("Gateway", "default", "gateway")]
    assert isinstance(gateway, GatewayStatus)
    (programmed,) = [item for item in gateway.conditions if item.type == "Programmed"]
    assert (programmed.status, programmed.reason) == (status, reason)
    assert text in programmed.message
    assert programmed.observed_generation == 4


def test_the_projection_of_nothing() -> None:
    projector = Projector()
    assert projector.update(state(), {}) == {}
    assert projector.planes == {}
