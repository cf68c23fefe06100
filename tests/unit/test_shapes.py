"""Documents of one shape are read as the parser reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sluicegate.controller.sources.files import loader, read, shapes
from sluicegate.controller.sources.files.loader import YamlError, field_lines, load

ROUTE = """\
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-{0}
  labels: {{app.kubernetes.io/name: web}}
  annotations:
    example.com/owner: "team: {0} # or so"
spec:
  parentRefs:
  - name: gateway
    port: 8080
  hostnames:
  - host-{0}.example.com
  - 'quoted-{0}'
  rules:
  - matches:
    - path:
        type: PathPrefix
        value: /service/{0}
    backendRefs: [{{name: app-{0}, port: 80, weight: 0.5}}]
"""


@pytest.fixture(autouse=True)
def _forget() -> None:
    shapes._shape.cache_clear()


def learned(text: Callable[[str], str]) -> None:
    """Have the shape of a document be seen often enough."""
    for name in ("one", "two"):
        shapes.read(text(name))


def test_the_third_of_a_shape_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def loading(text: str) -> Any:
        parsed.append(text)
        return load(text)

    monkeypatch.setattr(shapes, "load", loading)
    texts = [ROUTE.format(name).replace(f"quoted-{name}", "x") for name in "abcd"]
    found = [shapes.read(text) for text in texts]
    assert len(parsed) == 1
    assert found[0] is None
    assert found[1:] == [load(text).value for text in texts[1:]]


def test_fields_of_a_shape_are_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def looking(text: str, fields: list[str]) -> list[int]:
        asked.append(fields)
        return field_lines(text, fields)

    monkeypatch.setattr(loader, "field_lines", looking)
    texts = [ROUTE.format(name).replace(f"quoted-{name}", "x") for name in "abcd"]
    for text in texts[:2]:
        shapes.read(text)
    host, path, more = "spec.hostnames[0]", "spec.rules[0].matches[0].path.value", "spec.rules[0].matches[3]"
    assert [shapes.field_lines(text, [host, path]) for text in texts] == [[14, 20]] * 4
    assert shapes.field_lines(texts[3], iter((more, host))) == field_lines(texts[3], (more, host)) == [17, 14]
    assert asked == [[host, path], [more]]


def test_fields_without_a_shape_are_looked_for_each_time() -> None:
    long = "a: " + "b" * shapes.MAX_TEXT
    for text in ("a: 1\nb: x\n", "a: 1\nb: y\n", "a:\n  b: |\n    c: x\n", "a: 1\n\nb: x\n", long):
        assert shapes.field_lines(text, ["b", "a.b", "c"]) == field_lines(text, ["b", "a.b", "c"])


def test_documents_keep_their_places() -> None:
    texts = [ROUTE.format("x").replace("route-x", f"route-{name}") for name in ("a", "b", "c")]
    found = read(["-"], "".join(texts)).documents
    assert [item.data["metadata"]["name"] for item in found] == ["route-a", "route-b", "route-c"]
    lines = len(texts[0].splitlines())
    assert [item.origin.line for item in found] == [2, lines + 2, 2 * lines + 2]
    assert found[2].line_of("spec.parentRefs[0].port") == 2 * lines + 12


@pytest.mark.parametrize(
    "text",
    [
        "a: {0}\nb: yes\n",
        "a: {0}\n  goes on\n",
        "a: |\n  b: {0}\n",
        "a: >-\n  - {0}\n",
        "# a: {0}\nb: 1\n",
        "a: b # c: {0}\n",
        "a: &b {0}\nc: *b\n",
        "&a b: {0}\n",
        "a: !!binary {0}\n",
        "a: [b,\n  c: {0}\n]\n",
        "a: 'b\n  - {0}\n  c'\n",
        'a: "b\n  - {0}\n  c"\n',
        'a: "b: {0}"\n',
        "a: {0}\na: {0}\n",
        "- {0}\n",
        "--- {0}\n",
        "? {0}\n: {0}\n",
        "a:\n- - {0}\n  - {0}\n",
        "a: {0}: b\n",
        "items:\n- a: {0}\n",
        "a: 1e400\nb: {0}\n",
        "a: 123456789012345678901234567890\nb: {0}\n",
        "sluicegate-mark-0-: {0}\n",
        "a: sluicegate-mark-1-\nb: {0}\n",
        "a: 'sluicegate-mark-0-'\nb: {0}\n",
        "1: {0}\n",
        "a: \u2028b: {0}\n",
        'a: "\\ud800"\nb: {0}\n',
        "a: {0}\t\n",
        "a: {0}\r\nb: {0}\n",
        "a: [{0}, b]\n",
        "a: [b, {0}]\n",
        'a: ["{0}", "b", {0}]\n',
        "a: [[{0}], {{b: {0}}}]\n",
        "a: {{b: {0}, c: '{0}', d: [{0}]}}\n",
        '{{"a": "{0}", b: {0}}}\n',
        "a: {{b, {0}}}\n",
        "a: {{{0}: b, c: {0}}}\n",
        "a: {{b: {0}, b: {0}}}\n",
        "a: {{[{0}]: b}}\n",
        "[{0}]: b\n",
        "a: [{0}, b] # [c, {0}]\n",
        "a: [b {0}, {0} c]\n",
        "a: [b: {0}]\n",
        "a: [!!binary {0}]\n",
        "a: [b,\n  c, {0}]\n",
        "a: [&b {0}, *b]\n",
        "a: b, {0}]\n",
        "a: |\n  [b, {0}]\n",
        "a: >-\n  [{0}]\n",
        "a: '[b, {0}]'\n",
        "a: 'b\n  [c, {0}]\n  d'\n",
        'a: {{b: "\\", {0}]"}}\n',
        'a: {{b: "[{0}]", c: ["b, {0}"]}}\n',
        "a: [b, {0}]}}\n",
    ],
)
def test_what_is_no_plain_text_is_as_the_parser_has_it(text: str) -> None:
    learned(text.format)
    for name in (
        *("word", "/path", "a.b-c_d/e", "Yes", "n", "null", "On", "12", "1e3", "~", "a#b", "x:y", "0x1f", ""),
        *("a, b", "a]"),
    ):
        same(text.format(name))


words = some.from_regex(re.compile(r"[A-Za-z/][A-Za-z0-9/._-]{0,12}", re.ASCII), fullmatch=True)
texts = some.one_of(words, some.sampled_from(sorted(shapes.WORDS)), some.text(max_size=8), some.integers().map(str))


@given(texts, texts)
def test_any_text_in_any_place(one: str, two: str) -> None:
    def text(first: str, second: str) -> str:
        flow = f'f: [{{g: {first}, h: "{second}"}}, [{second}, "{first}"]]\n'
        return f'a: {first}\nb:\n- {second}\n- c: "{first}"\n  d: "{second}"\n  e: {second}\n{flow}'

    for name in ("one", "two"):
        shapes.read(text(name, name))
    same(text(one, two))


def same(text: str) -> None:
    """A document is what the parser says, or left to it."""
    found = shapes.read(text)
    if found is not None:
        assert repr(found) == repr(load(text).value)


def test_every_golden_input_is_as_the_parser_has_it() -> None:
    documents = 0
    for path in sorted((Path(__file__).parents[1] / "golden").glob("*/*/in.yaml")):
        for text in re.split(r"^---$", path.read_text(), flags=re.MULTILINE):
            for _ in range(2):
                shapes.read(text)
            found = shapes.read(text)
            documents += found is not None
            try:
                value = load(text).value
            except YamlError:
                assert found is None
            else:
                assert found is None or repr(found) == repr(value)
    assert documents > 100


def test_what_is_known_is_bounded() -> None:
    for number in range(shapes.MAX_SHAPES + 10):
        for name in ("a", "b"):
            shapes.read(f"key-{number}: {name}\n")
    assert shapes._shape.cache_info().currsize == shapes.MAX_SHAPES
    assert shapes.read("a: " + "b" * shapes.MAX_TEXT) is None
