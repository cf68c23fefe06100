"""Odd objects by the watch: they cost themselves only, in what is served, in statuses and in the process."""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from odd_cluster import CANARY, NAME, Cluster
from odd_inputs import SECONDS, SEED, objects, odd_json
from system_certificates import Authority

from sluicegate import ir
from sluicegate.controller import caught
from sluicegate.controller.api import READ_KINDS, ObjectKey
from sluicegate.controller.sources.kubernetes.client import ApiError
from sluicegate.controller.translate import Translator, ir_transaction


@pytest.mark.parametrize("provisioned", [False, True])
def test_no_odd_object_raises_or_disturbs_another(provisioned: bool) -> None:
    chance = random.Random(SEED)
    sources = [item for item in objects() if item.get("kind") in READ_KINDS]
    before = caught.counts()
    told: list[str] = []
    end = time.monotonic() + SECONDS / 2
    while time.monotonic() < end:
        cluster = Cluster(provisioned=provisioned)
        for item in CANARY:
            cluster.send(item["kind"], "ADDED", json.dumps(item))
        for item in chance.sample(sources, 25):
            cluster.send(item["kind"], "ADDED", json.dumps(item, default=str))
        for _ in range(20):
            source = dict(chance.choice(sources))
            if source["kind"] not in {"Service", "Node"}:
                source.pop("status", None)  # ours to write, and the API server holds it to its schema
            word = chance.choice(("ADDED", "MODIFIED", "MODIFIED", "DELETED"))
            text = odd_json(source, chance)
            try:
                cluster.send(source["kind"], word, text)
            except ApiError:
                continue  # no JSON for Kubernetes: the watch begins anew
            cluster.translate()
            assert "127.0.0.9:9" in cluster.canary(), text
        told += [text for code, text in cluster.complaints if code == "fault"]
    assert caught.counts() == before, told[:3]
    assert not cluster.translator.held


def _broken(document: dict[str, Any]) -> dict[str, Any]:
    broken: dict[str, Any] = json.loads(json.dumps(document))
    broken["spec"] = [1]
    return broken


def test_an_object_that_cannot_be_read_keeps_its_last_version_in_a_list_too() -> None:
    cluster = Cluster(provisioned=False)
    for item in CANARY:
        cluster.send(item["kind"], "ADDED", json.dumps(item))
    route = CANARY[3]
    cluster.list("HTTPRoute", [_broken(route)])
    cluster.translate()
    assert "127.0.0.9:9" in cluster.canary()
    assert cluster.loop.unusable == 1
    assert cluster.complaints == [
        (
            "object_unreadable",
            "HTTPRoute/canary/canary: spec: a mapping is expected, not a list; "
            "its last good version goes on, if there was one",
        )
    ]
    cluster.list("HTTPRoute", [])
    assert cluster.loop.unusable == 0
    cluster.translate()
    assert "127.0.0.9:9" not in cluster.canary()


@pytest.mark.parametrize("metadata", ["[]", '"x"', '{"name": {}}', '{"name": "canary", "namespace": 7}', "null"])
def test_metadata_of_any_form_is_told_and_left_out(metadata: str) -> None:
    cluster = Cluster(provisioned=False)
    for item in CANARY:
        cluster.send(item["kind"], "ADDED", json.dumps(item))
    for word in ("ADDED", "MODIFIED", "DELETED"):
        cluster.send("HTTPRoute", word, f'{{"metadata": {metadata}, "spec": {{}}}}')
    cluster.translate()
    assert "127.0.0.9:9" in cluster.canary()
    assert ("object_unreadable") in {code for code, _ in cluster.complaints}


def stumble(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the translation raise for routes with the hostname odd.test."""
    from sluicegate.controller.translate import translator as module

    real: Callable[..., Any] = module.translate_route

    def stumbling(route: Any, *rest: Any) -> Any:
        if "odd.test" in route.spec.hostnames:
            raise KeyError("odd")
        return real(route, *rest)

    monkeypatch.setattr(module, "translate_route", stumbling)


def test_a_fault_of_the_translation_costs_the_object_that_causes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard itself, since no object is known that needs it."""
    stumble(monkeypatch)
    cluster = Cluster(provisioned=False)
    for item in CANARY:
        cluster.send(item["kind"], "ADDED", json.dumps(item))
    cluster.translate()
    before = caught.counts().get("translate", 0)
    odd = json.loads(json.dumps(CANARY[3]))
    odd["spec"]["hostnames"] = ["odd.test"]
    others = [json.loads(json.dumps(CANARY[3])) for _ in range(20)]
    for number, item in enumerate(others):
        item["metadata"]["name"] = f"other-{number}"
        item["spec"]["hostnames"] = [f"other-{number}.test"]
    for item in (*others[:7], odd, *others[7:]):
        cluster.send("HTTPRoute", "MODIFIED", json.dumps(item))
    translation = cluster.translate()
    key = ObjectKey("HTTPRoute", "canary", "canary")
    assert list(cluster.translator.held) == [key]
    assert "KeyError: 'odd'" in cluster.translator.held[key]
    assert caught.counts()["translate"] == before + 1
    assert "127.0.0.9:9" in cluster.canary()  # its last good version
    assert translation.attached == {"Gateway/canary/canary/http": 21}
    assert [item.code for item in translation.diagnostics if item.object == str(key) and item.severity == "error"] == [
        "held"
    ]
    assert cluster.translate() is translation

    # What comes after is translated, and the odd object again when it changes.
    cluster.send("HTTPRoute", "DELETED", json.dumps(others[0]))
    assert cluster.translate().attached == {"Gateway/canary/canary/http": 20}
    assert list(cluster.translator.held) == [key]
    cluster.send("HTTPRoute", "MODIFIED", json.dumps(CANARY[3]))
    assert cluster.translate().attached == {"Gateway/canary/canary/http": 20}
    assert not cluster.translator.held
    fresh = Translator(NAME, cluster.translator.options).translate(cluster.loop._store.snapshot())
    assert ir.encode(ir_transaction(None, fresh.ir, 1)) == ir.encode(ir_transaction(None, cluster.translate().ir, 1))


def test_a_fault_of_the_translation_ends_no_certificate_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a Gateway whose class is gone: both are remembered, not in any object."""
    stumble(monkeypatch)
    cluster = Cluster(provisioned=False)
    gateway = json.loads(json.dumps(CANARY[2]))
    tls = {"certificateRefs": [{"name": "canary"}]}
    gateway["spec"]["listeners"].append({"name": "https", "port": 7778, "protocol": "HTTPS", "tls": tls})
    for item in (*CANARY[:2], gateway, *CANARY[3:]):
        cluster.send(item["kind"], "ADDED", json.dumps(item))
    pair, other = Authority().sign("canary.test"), Authority().sign("other.test")
    cluster.send("Secret", "ADDED", _secret(pair.certificate, pair.key))
    before = cluster.translate().ir.certificates
    assert list(before) == ["canary/canary"]
    cluster.send("Secret", "MODIFIED", _secret(other.certificate, pair.key))
    cluster.send("GatewayClass", "DELETED", json.dumps(CANARY[0]))
    assert cluster.translate().ir.certificates == before
    odd = json.loads(json.dumps(CANARY[3]))
    odd["metadata"]["name"], odd["spec"]["hostnames"] = "odd", ["odd.test"]
    cluster.send("HTTPRoute", "ADDED", json.dumps(odd))
    found = cluster.translate()
    assert list(cluster.translator.held) == [ObjectKey("HTTPRoute", "canary", "odd")]
    assert found.ir.certificates == before
    assert len(found.ir.listeners) == 2
    assert "127.0.0.9:9" in cluster.canary()


def _secret(certificate: bytes, key: bytes) -> str:
    data = {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()}
    metadata = {"name": "canary", "namespace": "canary"}
    return json.dumps({"kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data})
