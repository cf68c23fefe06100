"""Every golden case gives what its files say, however the objects arrive; no file is left over."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
import yaml
from golden_cases import GENERATED, OPTIONAL, ROOT, RUNNER_FILES, WRITTEN, Case, cases, infrastructure, short

from sluicegate import ir
from sluicegate.controller.api import ObjectKey
from sluicegate.controller.store.store import Apply, Delete, Init, InitDone, Store
from sluicegate.controller.translate import State, ir_transaction, is_empty
from sluicegate.controller.translate.state import RESOURCE_KINDS
from sluicegate.schema import catalog

CASES = list(cases())
REQUEST_FIELDS = {
    "bind_port",
    "address",
    "sni",
    "scheme",
    "method",
    "authority",
    "target",
    "headers",
    "entropy",
    "response",
    "from",
    "identity",
    "certificate",
}
CONNECTION_FIELDS = {"transport", "bind_port", "address", "sni", "entropy", "from", "certificate"}
DECISION_FIELDS = {
    "policies",
    "outcome",
    "status",
    "reason",
    "listener",
    "rule",
    "match",
    "backend",
    "endpoints",
    "request",
    "mirrors",
    "response",
}


def by_name(case: Case) -> str:
    return case.name


def test_there_are_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_translation(case: Case) -> None:
    expected = case.expected_files()
    assert ("infrastructure.yaml" in expected) == (case.path / "infrastructure.yaml").exists()
    for name in expected:
        assert (case.path / name).read_text() == expected[name], (
            f"{name}: read the difference, then regenerate.py --write"
        )


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_ir_is_a_transaction(case: Case) -> None:
    document = (case.path / "ir.yaml").read_text()
    decoded = ir.decode(_json(yaml.safe_load(document)))
    listeners = {item.id for item in decoded.upsert.listeners}
    backends = {item.id for item in decoded.upsert.backends}
    trust = {item.id for item in decoded.upsert.trust}
    for rule in (*decoded.upsert.http_rules, *decoded.upsert.l4_rules):
        assert set(rule.listeners) <= listeners
        assert {item.backend for item in rule.backends if item.backend is not None} <= backends
    assert {item.backend for item in decoded.upsert.endpoints} <= backends
    policies = {item.id for item in decoded.upsert.policies}
    named = (*decoded.upsert.listeners, *decoded.upsert.http_rules, *decoded.upsert.l4_rules, *decoded.upsert.backends)
    assert {name for item in named for name in item.policies} == policies
    there = {("trust", name) for name in trust} | {("backends", name) for name in backends}
    there |= {("policy_secrets", item.id) for item in decoded.secrets.policy_secrets}
    there |= {("certificates", item.id) for item in decoded.secrets.certificates}
    assert {need for item in decoded.upsert.policies for need in item.needs()} <= there


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_requests_follow_the_contract(case: Case) -> None:
    requests = yaml.safe_load((case.path / "requests.yaml").read_text())
    assert isinstance(requests, list)
    for item in requests:
        assert set(item) == {"request", "expect"}
        fields = set(item["request"])
        if "transport" in fields:
            assert {"transport", "bind_port"} <= fields <= CONNECTION_FIELDS
        else:
            assert {"bind_port", "method", "authority", "target"} <= fields <= REQUEST_FIELDS
        assert item["expect"]
        assert set(item["expect"]) <= DECISION_FIELDS


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_one_object_at_a_time(case: Case) -> None:
    """Objects that come one by one, in any order, and some twice, give the same; transactions add up."""
    objects = case.objects()
    store = Store(())
    translator = case.translator()
    state: State | None = None
    engine: dict[str, dict[str, object]] = {kind: {} for kind in RESOURCE_KINDS}
    orders = [*reversed(objects), *objects]
    for step, item in enumerate(orders):
        store.handle(Apply(item))
        if step == len(objects) // 2:
            store.handle(Delete(item.key))
        state = _apply(engine, state, translator.translate(store.snapshot()).ir, step)
    final = translator.translate(store.snapshot())
    whole = Store()
    whole.load(objects)
    fresh = case.translator().translate(whole.snapshot())
    assert short(final) == short(fresh)
    assert infrastructure(final) == infrastructure(fresh)
    for kind in RESOURCE_KINDS:
        assert dict(final.ir.table(kind)) == dict(fresh.ir.table(kind))
        assert engine[kind] == dict(fresh.ir.table(kind))
    for kind in {item.key.kind for item in objects}:
        store.handle(Init(kind))
        store.handle(InitDone(kind))
        state = _apply(engine, state, translator.translate(store.snapshot()).ir, 1)
    assert not any(engine.values())
    assert not translator.translate(store.snapshot()).statuses
    assert not translator.translate(store.snapshot()).infrastructure


def _apply(engine: dict[str, dict[str, object]], old: State | None, new: State, generation: int) -> State:
    transaction = ir_transaction(old, new, generation)
    if old is not None and old is not new:
        assert is_empty(ir_transaction(new, new, generation))
    for kind in RESOURCE_KINDS:
        table = engine[kind]
        for key in getattr(transaction.remove, kind):
            del table[key]
        source = transaction.secrets if kind in ir.Secrets.__struct_fields__ else transaction.upsert
        table.update({item.id: item for item in getattr(source, kind)})
    return new


def test_no_file_is_left_over() -> None:
    known = {case.path / name for case in CASES for name in (*WRITTEN, *GENERATED, *OPTIONAL)}
    known |= {ROOT / name for name in RUNNER_FILES}
    files = {path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files <= known
    missing = [path for case in CASES for name in (*WRITTEN, *GENERATED) if not (path := case.path / name).exists()]
    assert not missing
    assert all((case.path / "in.yaml").read_text().startswith("# ") for case in CASES)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


#: Steps of a path such as `spec.rules[0].matches[1].path.value` or `data["tls.crt"]`.
STEP = re.compile(r'\.?([^.\[\]]+)|\[([0-9]+)\]|\["([^"]+)"\]')


def has_field(schema: dict[str, Any], path: str) -> bool:
    for step in STEP.finditer(path):
        name = step[1] or step[3]
        below = schema.get("items") if step[2] is not None else schema.get("properties", {}).get(name)
        below = below if below is not None or step[2] is not None else schema.get("additionalProperties")
        if not isinstance(below, dict):
            return False
        schema = below
    return True


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_diagnostics_name_fields_as_the_api_does(case: Case) -> None:
    """A program may look the field up in the object, and an editor go to its line."""
    schemas: dict[str, list[dict[str, Any]]] = {}
    for (_, kind), entry in catalog().items():
        schemas.setdefault(kind, []).append(entry.schema)
    for item in case.translate().diagnostics:
        assert ObjectKey.parse(item.object) in {found.key for found in case.objects()}, item
        kind = item.object.partition("/")[0]
        assert not item.field or any(has_field(schema, item.field) for schema in schemas[kind]), item
