"""No odd policy opens what it closed: refused by its schema, no YAML, not to be decoded, or met by an exception."""

from __future__ import annotations

import json
import random
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_cluster import CANARY, NAME, REQUEST, Cluster
from odd_inputs import SECONDS, SEED, odd_json, odd_text, odd_yaml

from sluicegate import ir
from sluicegate.checks import native_checks
from sluicegate.controller.api import POLICY_KINDS, ObjectKey, RefusedPolicy, decode, policy_kind
from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Refresh, Source
from sluicegate.controller.store.snapshot import Snapshot
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Options, Translator, ir_transaction
from sluicegate.controller.translate.policies import stage
from sluicegate.engine.native import RouteTable
from sluicegate.schema import violations

#: Whoever asks, it denies.
POLICY: dict[str, Any] = {
    "apiVersion": "sluicegate.dev/v1alpha1",
    "kind": "AccessPolicy",
    "metadata": {"name": "closed", "namespace": "canary"},
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "canary"}],
        "authorization": {"rules": [{"name": "nobody", "action": "Deny", "methods": ["GET"]}], "default": "Deny"},
    },
}
KEY = ObjectKey("AccessPolicy", "canary", "closed")
#: A line, or a field of JSON, that says in so many words what it is.
KIND = re.compile(r'^kind: AccessPolicy$|"kind": "AccessPolicy"', re.MULTILINE)


def answer(table: RouteTable) -> str:
    return str(json.loads(table.decide(json.dumps(REQUEST).encode()))["reason"])


def written(form: str, chance: random.Random) -> str:
    if form == "json":
        return odd_json(POLICY, chance)
    return odd_yaml(POLICY, chance) if form == "yaml" else odd_text(yaml.safe_dump(POLICY, sort_keys=False), chance)


def is_other(policy: RefusedPolicy) -> bool:
    """Whether it says, in so many words, that it is for something else."""
    wanted = ("HTTPRoute", "canary", "canary")
    return all(
        any(word not in {"", meant} for word, meant in zip(item, wanted, strict=False)) for item in policy.targets
    )


def is_told_apart(text: str, source: Source, refresh: Refresh, snapshot: Snapshot) -> bool:
    """Whether what is written is for something else, or so little of a policy that nobody can know it for one."""
    policies = [item for kind in POLICY_KINDS for item in snapshot.table(kind).values()]
    if refresh.ignored or any(not isinstance(item, RefusedPolicy) for item in policies):
        return True  # somebody else has such a kind, or the API server would take it: what it says is what holds
    if policies:
        return all(isinstance(item, RefusedPolicy) and is_other(item) for item in policies)
    return KIND.search(text) is None and not any(policy_kind(item.data) for item in source.documents())


@pytest.mark.parametrize("form", ["yaml", "json", "text"])
def test_no_odd_file_opens_what_a_policy_closed(form: str, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    odd = tmp_path / ("odd.json" if form == "json" else "odd.yaml")
    canary = tmp_path / "canary.yaml"
    canary.write_text(json.dumps({"kind": "List", "items": CANARY}))
    odd.write_text(json.dumps(POLICY))
    good = Store()
    Source(Reader([str(tmp_path)]), good, violations).refresh()
    assert answer(table_of(good.snapshot())) == "forbidden"
    end, closed = time.monotonic() + SECONDS, 0
    while time.monotonic() < end:
        text = written(form, chance)
        odd.write_bytes(text.encode(errors="replace"))
        store = Store()
        source = Source(Reader([str(tmp_path)]), store, violations)
        refresh, snapshot = source.refresh(), store.snapshot()
        found = answer(table_of(snapshot))
        if found == "forwarded":
            assert is_told_apart(text, source, refresh, snapshot), text
        closed += found == "policy_invalid"
    assert closed >= 20 * min(SECONDS, 1)


def table_of(snapshot: Snapshot) -> RouteTable:
    translation = Translator(options=Options(checks=native_checks(), now=0.0)).translate(snapshot)
    return RouteTable(ir.encode(ir_transaction(None, translation.ir, 1)))


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster(provisioned=False)
    for item in CANARY:
        found.send(item["kind"], "ADDED", json.dumps(item))
    return found


def reason(cluster: Cluster) -> str:
    cluster.translate()
    assert cluster._table is not None
    return answer(cluster._table)


def broken() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(POLICY))
    found["spec"]["authorization"] = [1]
    return found


@pytest.mark.parametrize("listed", [False, True])
def test_a_stored_policy_that_cannot_be_decoded(cluster: Cluster, listed: bool) -> None:
    """At its first sight it is closed; a last good version goes on; it is gone once it is deleted."""
    assert reason(cluster) == "forwarded"
    if listed:
        cluster.list("AccessPolicy", [broken()])
    else:
        cluster.send("AccessPolicy", "ADDED", json.dumps(broken()))
    assert reason(cluster) == "policy_invalid"
    assert cluster.loop.unusable == 1
    [(code, text)] = cluster.complaints
    assert (code, text) == (
        "object_unreadable",
        f"{KEY}: spec.authorization: a mapping or null is expected, not a list; its last good version goes on, if "
        "there was one, else what it holds for is closed",
    )
    [ancestor] = cluster.translate().statuses[KEY].ancestors  # type: ignore[union-attr]
    [accepted] = [item for item in ancestor.conditions if item.type == "Accepted"]
    assert (accepted.status, accepted.reason) == ("False", "Invalid")
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(POLICY))
    assert reason(cluster) == "forbidden"
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(broken()))
    cluster.list("AccessPolicy", [broken()])
    assert reason(cluster) == "forbidden"
    cluster.send("AccessPolicy", "DELETED", json.dumps(broken()))
    assert reason(cluster) == "forwarded"
    assert cluster.loop.unusable == 0


def test_a_policy_that_the_translation_stumbles_over(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard itself, since no policy is known that needs it."""
    real = stage.judge_policy

    def stumbling(kind: Any, policy: Any, material: Any) -> Any:
        if policy.key == KEY and policy.spec.strategy == "Odd":
            raise KeyError("odd")
        return real(kind, policy, material)

    monkeypatch.setattr(stage, "judge_policy", stumbling)
    odd = json.loads(json.dumps(POLICY))
    odd["spec"]["strategy"] = "Odd"
    assert reason(cluster) == "forwarded"
    cluster.send("AccessPolicy", "ADDED", json.dumps(odd))
    assert reason(cluster) == "policy_invalid"
    assert list(cluster.translator.held) == [KEY]
    told = {item.code: item.message for item in cluster.translate().diagnostics if item.object == str(KEY)}
    assert told["held"].endswith("until it changes what it holds for is closed")
    assert "cannot be used as it is written" in told["invalid-policy"]
    odd["spec"]["authorization"]["default"] = "Allow"
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(odd))
    assert reason(cluster) == "policy_invalid"
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(POLICY))
    assert reason(cluster) == "forbidden"
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(odd))
    assert reason(cluster) == "forbidden"


def test_while_it_is_tried_which_object_raises_nothing_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine is given what is tried: in none of it is a route there without its policy."""
    store, tables = Store(()), []
    documents = [*json.loads(json.dumps(CANARY)), json.loads(json.dumps(POLICY))]
    odd = json.loads(json.dumps(CANARY[3]))
    odd["metadata"]["name"], odd["spec"]["hostnames"] = "odd", ["odd.test"]
    store.load(decode(item) for item in (*documents, odd))
    from sluicegate.controller.translate import translator as module

    real = module.translate_route

    def stumbling(route: Any, *rest: Any) -> Any:
        if route.name == "odd":
            raise KeyError("odd")
        return real(route, *rest)

    monkeypatch.setattr(module, "translate_route", stumbling)
    translator = Translator(NAME, Options(checks=native_checks(), now=0.0))

    def take(translation: Any) -> None:
        tables.append(answer(RouteTable(ir.encode(ir_transaction(None, translation.ir, 1)))))

    translator.translate(store.snapshot(), 0.0, take)
    assert len(tables) > 1
    assert "forwarded" not in tables
    assert tables[-1] == "forbidden"


def test_a_stored_policy_of_a_newer_release(cluster: Cluster) -> None:
    """What it asks for by a part or a condition that is not known here would not hold."""
    newer = json.loads(json.dumps(POLICY))
    newer["spec"]["authorization"]["default"] = "Allow"
    newer["spec"]["authorization"]["rules"][0]["weather"] = "rain"
    cluster.send("AccessPolicy", "ADDED", json.dumps(newer))
    assert reason(cluster) == "policy_invalid"
    assert "spec.authorization.rules[0].weather: not known to this version" in cluster.complaints[0][1]
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(POLICY))
    cluster.send("AccessPolicy", "MODIFIED", json.dumps(newer))
    assert reason(cluster) == "forbidden"
