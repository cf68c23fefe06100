"""Odd manifests: whatever is in a file costs itself only, and is told with its place."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_cluster import CANARY
from odd_inputs import SECONDS, SEED, objects, odd_json, odd_text, odd_yaml

from sluicegate import ir
from sluicegate.checks import native_checks
from sluicegate.cli.checked import checked
from sluicegate.controller import caught
from sluicegate.controller.api import DecodeError, Diagnostic, Object, ObjectKey, decode
from sluicegate.controller.api.kinds import BY_NAME
from sluicegate.controller.sources.files import Reader, documents, judge
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Options, Translator, ir_transaction
from sluicegate.engine.native import RouteTable
from sluicegate.processes.live import Live
from sluicegate.schema import structure, violations
from sluicegate.testing.offline import load_offline

API = "gateway.networking.k8s.io/v1"


def odd_manifest(form: str, chance: random.Random) -> str:
    """Some odd objects, in one of the forms that files have."""
    some = [chance.choice(objects()) for _ in range(4)]
    if form == "json":
        items = [odd_json(item, chance) for item in some]
        return chance.choice(("\n", "")).join(items) if chance.random() < 0.5 else as_list(items)
    items = [odd_yaml(item, chance) for item in some]
    if form == "yaml":
        return "\n---\n".join(items) if chance.random() < 0.8 else as_list(items)
    plain = [yaml.dump(item, Dumper=yaml.CSafeDumper) for item in some]
    plain[0] = json.dumps(some[0], default=str)
    return odd_text("\n---\n".join(plain), chance)


def as_list(items: list[str]) -> str:
    return '{"apiVersion": "v1", "kind": "List", "items": [' + ", ".join(items) + "]}"


@pytest.mark.parametrize("form", ["yaml", "json", "text"])
def test_no_odd_manifest_raises_or_disturbs_another(form: str, tmp_path: Path) -> None:
    """Read by one process after the other, as `serve` does, and at once, as `check` does."""
    chance = random.Random(SEED)
    odd = tmp_path / ("odd.json" if form == "json" else "odd.yaml")
    (tmp_path / "canary.yaml").write_text(json.dumps({"kind": "List", "items": CANARY}))
    store = Store()
    files = Source(Reader([str(tmp_path)]), store, violations)
    translator = Translator(options=Options(checks=native_checks(), now=0.0))
    before = caught.counts()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        text = odd_manifest(form, chance)
        odd.write_bytes(text.encode(errors="surrogatepass" if chance.random() < 0.9 else "replace"))
        refresh = files.refresh()
        found = translator.translate(store.snapshot(), time.time())
        list(files.with_lines(found.diagnostics))
        assert "canary/canary:80@127.0.0.9:9" in found.ir.endpoints, text
        assert all(item.path or item.severity == "info" for item in refresh.diagnostics), text
        RouteTable(ir.encode(ir_transaction(None, found.ir, 1)))
        if chance.random() < 0.3:
            checked(load_offline([str(odd)], cluster=chance.random() < 0.5))
        assert caught.counts() == before, text
    assert not translator.held


ROUTE = f"apiVersion: {API}\nkind: HTTPRoute\nmetadata:\n  name: odd\nspec:\n  parentRefs:\n  - name: gateway\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (ROUTE.replace(API, "[1, 2]", 1), 1, "[1, 2] is no text"),
        (ROUTE.replace("HTTPRoute", "{a: 1}"), 2, '{"a": 1} is no text'),
        (ROUTE.replace("name: odd", "name: {a: 1}"), 4, '{"a": 1} is no string'),
        (ROUTE.replace("name: gateway", "name: gateway\n    port: 99999999999999999999"), 8, "more than 65535"),
        (ROUTE + "  hostnames: [!!bool maybe]\n", 8, "'maybe' is no bool"),
        (ROUTE + "  hostnames: [!!int '']\n", 8, "'' is no int"),
        (ROUTE + "  hostnames: [!!float '']\n", 8, "'' is no float"),
        (ROUTE + "  hostnames: !!set {a, b}\n", 8, "JSON has no !!set"),
        (ROUTE + "  hostnames: {? [1] : 2}\n", 8, "a key has to be text, not a list"),
        (
            ROUTE.replace("name: odd", "name: {{ .Release.Name }}"),
            4,
            "({{ ... }}), not YAML: it has to be rendered first",
        ),
        (ROUTE + "  hostnames: {null: 1}\n", 8, "a key has to be text, not None"),
        (ROUTE + f"  hostnames: [{'9' * 5_000}]\n", 8, "an integer of 5,000 digits: quote it"),
        # Written with base 16 Python reads it, and cannot show it: not even in a message.
        (ROUTE.replace("name: odd", f"name: odd\n  namespace: 0x{'f' * 4_000}"), 5, "an integer of 4,002 digits"),
        (ROUTE + f"  hostnames: [0b{'1' * 20_000}]\n", 8, "an integer of 20,002 digits"),
        (
            ROUTE.replace("name: odd", "name: odd\n  labels: {a: yes}"),
            5,
            'the boolean true is no string; quote what is written: "true", "yes" or "on"',
        ),
        (ROUTE + "  hostnames: [.nan]\n", 8, "JSON has no .nan"),
    ],
)
def test_odd_values_are_told_with_their_line(text: str, line: int, reason: str) -> None:
    before = caught.counts()
    offline = load_offline(["-"], standard_input=text)
    found = [(item.line, item.text) for item in offline.refresh.diagnostics]
    assert [number for number, message in found if reason in message] == [line], found
    assert caught.counts() == before


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"c": 1, "d": 2, "c": 1}}',
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": ' + "[" * 80 + "]" * 80 + "}",
        "[" * 200_000,
        '{"a": "\\udfff"}',
    ],
)
def test_odd_json_is_told(text: str) -> None:
    before = caught.counts()
    part = documents.parse(text, as_json=True)
    assert part.documents == ()
    assert part.diagnostics[0].message.startswith("not valid JSON: ")
    assert caught.counts() == before


def test_a_key_that_is_twice_in_json_is_named() -> None:
    part = documents.parse('{"a": 1, "b": {"c": 1, "d": 2, "c": 1}}', as_json=True)
    assert [(item.line, item.message) for item in part.diagnostics] == [
        (1, "not valid JSON: the key 'c' is there twice")
    ]


def test_keys_are_text_as_for_kubectl() -> None:
    part = documents.parse("metadata: {labels: {1: a, 1.5: c, no: d}}")
    assert part.documents[0].content.read() == {"metadata": {"labels": {"1": "a", "1.5": "c", "false": "d"}}}


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"apiVersion": [API]}, "apiVersion", "is not read"),
        ({"apiVersion": {"a": 1}}, "apiVersion", "is not read"),
        ({"kind": ["HTTPRoute"]}, "kind", "is not a kind"),
        ({"spec": {"parentRefs": [{"name": "a", "port": 10**22}]}}, "spec.parentRefs[0].port", "74 bits"),
        ({"spec": {"hostnames": ["a", "\ud800"]}}, "spec.hostnames[1]", "U+D800"),
        ({"metadata": {"name": "a", "generation": -(2**64)}}, "metadata.generation", "65 bits"),
    ],
)
def test_what_cannot_be_decoded_says_which_field(change: dict[str, Any], field: str, reason: str) -> None:
    document = {"apiVersion": API, "kind": "HTTPRoute", "metadata": {"name": "a"}, "spec": {}, **change}
    with pytest.raises(DecodeError) as failure:
        decode(document)
    assert failure.value.field == field
    assert reason in failure.value.reason
    row = BY_NAME.get(str(document["kind"]))
    read = row is not None and document["apiVersion"] in row.api_versions
    assert read == ("apiVersion" not in change and "kind" not in change)


def _hosts(store: Store) -> dict[str, Any]:
    return {item.name: item.spec.hostnames for item in store.snapshot().table("HTTPRoute").values()}  # type: ignore[attr-defined]


def _route(name: str, host: str) -> str:
    return f"---\napiVersion: {API}\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {{hostnames: [{host}]}}\n"


@pytest.mark.parametrize("stage", ["decode", "validate"])
def test_an_exception_costs_one_object_which_keeps_its_last_version(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guards themselves, since no manifest is known that needs them."""

    def is_odd(document: dict[str, Any]) -> bool:
        return bool(document["spec"]["hostnames"] == ["odd.test"])

    def stumbling(document: dict[str, Any], *rest: Any) -> Any:
        if is_odd(document):
            raise KeyError("odd")
        return decode(document, *rest)

    def look(document: dict[str, Any]) -> Any:
        if stage == "validate" and is_odd(document):
            raise KeyError("odd")
        return violations(document)

    if stage == "decode":
        monkeypatch.setattr(judge, "decode", stumbling)
    path = tmp_path / "all.yaml"
    path.write_text(_route("one", "one.test") + _route("two", "two.test"))
    store = Store()
    found = Source(Reader([str(path)]), store, look)
    assert found.refresh().diagnostics == ()
    before = caught.counts().get("read", 0)
    path.write_text(_route("one", "odd.test") + _route("two", "three.test") + _route("four", "odd.test"))
    faults = found.refresh().diagnostics
    assert _hosts(store) == {"one": ("one.test",), "two": ("three.test",)}
    told = [(item.object, item.line, item.code) for item in faults]
    assert told == [("HTTPRoute/default/one", 2, "fault"), ("HTTPRoute/default/four", 12, "fault")]
    assert all("KeyError: 'odd'" in item.message for item in faults)
    assert caught.counts()["read"] == before + 2


def test_an_exception_in_a_part_of_a_file_costs_that_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = documents.load

    def stumbling(text: str) -> object:
        if "odd.test" in text:
            raise KeyError("odd")
        return load(text)

    monkeypatch.setattr(documents, "load", stumbling)
    monkeypatch.setattr(documents.shapes, "read", lambda _: None)
    (tmp_path / "all.yaml").write_text(_route("one", "odd.test") + _route("two", "two.test"))
    store = Store()
    refresh = Source(Reader([str(tmp_path)]), store, violations).refresh()
    assert _hosts(store) == {"two": ("two.test",)}
    assert [(item.line, "KeyError" in item.message) for item in refresh.diagnostics] == [(2, True)]


def test_a_refresh_that_failed_half_way_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(_route("one", "one.test") + _route("two", "two.test"))
    store = Store()
    found = Source(Reader([str(path)]), store, violations)
    found.refresh()
    path.write_text(_route("one", "new.test") + _route("three", "new.test"))
    handle = store.handle

    def failing(event: Any) -> Any:
        raise KeyError("odd")

    monkeypatch.setattr(store, "handle", failing)
    with pytest.raises(KeyError):
        found.refresh()
    monkeypatch.setattr(store, "handle", handle)
    assert ObjectKey("HTTPRoute", "default", "three") in found.refresh().changed
    assert _hosts(store) == {"one": ("new.test",), "three": ("new.test",)}


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(_route("one", "one.test"))
    with open(os.fsencode(tmp_path) + b"/\xff.yaml", "w") as file:
        file.write(_route("two", "two.test"))
    offline = load_offline([str(tmp_path)])
    assert offline.refresh.objects == 1
    [finding] = [item for item in offline.diagnostics() if item.code == "unreadable"]
    assert finding.path.endswith("\\udcff.yaml")
    assert finding.message == "its name is not UTF-8: rename it"


@pytest.mark.parametrize(
    "value", ["99712345", "true", "[s3cret]", "{s3cret: s3cret}", "!!binary czNjcmV0", "99712345.5"]
)
@pytest.mark.parametrize("field", ["data", "stringData", "immutable"])
def test_no_message_quotes_a_secret(field: str, value: str) -> None:
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\n{field}: {{password: {value}}}\n"
    offline = load_offline(["-"], standard_input=text)
    told = [str(item) for item in (*offline.diagnostics(), *checked(offline))]
    assert told
    assert not any(word in item for item in told for word in ("99712345", "s3cret", "{")), told


@pytest.mark.parametrize("stage", ["file", "store", "lines"])
def test_what_one_object_raises_costs_no_other(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind reading and decoding: each step of the source has its guard as well."""
    odd, good = tmp_path / "odd.yaml", tmp_path / "good.yaml"
    odd.write_text(_route("one", "one.test"))
    good.write_text(_route("two", "two.test"))
    store = Store()
    found = Source(Reader([str(tmp_path)]), store, violations)
    assert found.refresh().diagnostics == ()

    def failing(real: Any, is_odd: Any) -> Any:
        def routine(*arguments: Any) -> Any:
            if is_odd(*arguments):
                raise KeyError("odd")
            return real(*arguments)

        return routine

    if stage == "file":
        monkeypatch.setattr(Source, "_update", failing(Source._update, lambda _, file: "odd" in file.path))
    elif stage == "store":
        monkeypatch.setattr(Object, "same_content", failing(Object.same_content, lambda item, _: item.name == "one"))
    else:
        monkeypatch.setattr(Source, "lines_of", failing(Source.lines_of, lambda _, origin, __: "odd" in origin.path))
    before = caught.total()
    odd.write_text(_route("one", "new.test"))
    good.write_text(_route("two", "new.test"))
    refresh = found.refresh()
    told = [Diagnostic(path=str(path), line=2, severity="info", code="no-parent", message="a") for path in (odd, good)]
    assert len(list(found.with_lines(told))) == 2
    kept = "new.test" if stage == "lines" else "one.test"
    assert _hosts(store) == {"one": (kept,), "two": ("new.test",)}
    assert caught.total() == before + 1
    faults = [(item.code, item.path) for item in refresh.diagnostics]
    assert faults == ([] if stage == "lines" else [("fault", str(odd))])


class PickyEngine:
    """A delivery to an engine that refuses a hostname."""

    def __init__(self) -> None:
        self.generation = 0
        self.listeners: dict[str, Any] = {}
        self.refusals: tuple[ir.Refusal, ...] = ()
        self.rules: dict[str, tuple[str, ...]] = {}

    def apply(self, transaction: Any) -> Any:
        found = ir.decode(transaction(0))
        if any("odd.test" in rule.hostnames for rule in found.upsert.http_rules):
            self.refusals = (ir.Refusal("http_rule", "odd", "it is odd"),)
            raise ir.RefusedError(self.refusals)
        self.refusals = ()
        self.generation += 1
        for name in found.remove.http_rules:
            del self.rules[name]
        self.rules |= {rule.id: rule.hostnames for rule in found.upsert.http_rules}
        return self


def test_what_the_engine_refuses_costs_the_object_that_is_behind_it(tmp_path: Path) -> None:
    """A transaction is applied whole or not at all: one odd resource would keep every other change away."""

    def whole(name: str, host: str) -> str:
        spec = f"{{parentRefs: [{{name: canary, namespace: canary}}], hostnames: [{host}], rules: [{{}}]}}"
        return f"---\napiVersion: {API}\nkind: HTTPRoute\nmetadata: {{name: {name}}}\nspec: {spec}\n"

    listener = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}"
    gateway = f"---\napiVersion: {API}\nkind: Gateway\nmetadata: {{name: canary, namespace: canary}}\n"
    gateway += f"spec: {{gatewayClassName: sluicegate, listeners: [{listener}]}}\n"
    path, store = tmp_path / "all.yaml", Store()
    engine: Any = PickyEngine()
    live = Live(Source(Reader([str(path)]), store, violations), store, Translator(), engine)

    def step(*parts: str) -> tuple[dict[str, tuple[str, ...]], list[tuple[str, str]]]:
        path.write_text(gateway + "".join(parts))
        found = live.step()
        errors = [(item.code, item.object) for item in found.diagnostics if item.code in {"held", "refused"}]
        return {name.split("/")[2]: hosts for name, hosts in engine.rules.items()}, errors

    held = [("held", "HTTPRoute/default/b")]
    # From the beginning: it is left out.
    assert step(whole("a", "a.test"), whole("b", "odd.test")) == ({"a": ("a.test",)}, held)
    assert step(whole("a", "a.test"), whole("b", "b.test")) == ({"a": ("a.test",), "b": ("b.test",)}, [])
    # Later: its last good version serves on, and what else changed at the same time and later is live.
    good = {"a": ("new.test",), "b": ("b.test",)}
    assert step(whole("a", "new.test"), whole("b", "odd.test")) == (good, held)
    last = step(whole("a", "new.test"), whole("b", "odd.test"), whole("c", "c.test"))
    assert last == ({**good, "c": ("c.test",)}, held)
    assert step(whole("a", "new.test")) == ({"a": ("new.test",)}, [])


@pytest.mark.parametrize("field", ["protocol", "hostname", "name"])
def test_a_long_value_is_not_matched_with_patterns(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some patterns of the CRDs take time in the square of the length, with Python's `re`: hours for a mebibyte."""
    matched = [0]
    matches = structure._matches

    def counting(pattern: str, value: str) -> bool:
        matched.append(len(value))
        return matches(pattern, value)

    monkeypatch.setattr(structure, "_matches", counting)
    listener = {"name": "http", "port": 80, "protocol": "HTTP", field: "a" * 1_000_000 + "!"}
    spec = {"gatewayClassName": "a", "listeners": [listener]}
    found = violations({"apiVersion": API, "kind": "Gateway", "metadata": {"name": "a"}, "spec": spec})
    told = [item.message for item in found if item.field == f"spec.listeners[0].{field}"]
    assert any("1,000,001 characters: at most" in message for message in told), told
    assert max(matched) <= structure.MAX_MATCHED
