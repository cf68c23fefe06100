"""What rules may call, what they are told where something is wrong, and texts that should end a process."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.engine.native import Rule, RuleScope


def holds(text: str, value: object = None) -> bool:
    return Rule(text).holds(RuleScope(msgspec.json.encode(value)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a/b/c'.split('/') == ['a', 'b', 'c']", True),
        ("'a/b/c'.split('/', 2) == ['a', 'b/c']", True),
        ("''.split('/') == ['']", True),
        ("'*.example.com'.substring(2) == 'example.com'", True),
        ("'example'.substring(0, 2) == 'ex'", True),
        ("'é'.size() == 1 && size('é') == 1", True),
        ("isIP('10.0.0.1') && isIP('::1')", True),
        ("isIP('10.0.0') || isIP('10.0.0.01') || isIP('example.com') || isIP('fe80::1%eth0')", False),
        ("duration('1h30m') == duration('90m') && duration('1.5s') == duration('1500ms')", True),
        ("duration('-1s') < duration('0s') && duration('0') == duration('0s')", True),
        ("duration('1us') == duration('1000ns') && duration('0.1ns') == duration('0s')", True),
        ("duration('2562047h') < duration('2562047h47m16.854775807s')", True),
        ("format.dns1123Subdomain().validate('a.b-c.d1').hasValue()", False),
        ("format.dns1123Subdomain().validate('').hasValue()", True),
        ("format.dns1123Subdomain().validate('A').hasValue()", True),
        ("format.dns1123Subdomain().validate('a..b').hasValue()", True),
        ("format.dns1123Subdomain().validate('a.-b').hasValue()", True),
        ("format.qualifiedName().validate('example.com/My_name.1').hasValue()", False),
        ("format.qualifiedName().validate('name').hasValue()", False),
        ("format.qualifiedName().validate('/name').hasValue()", True),
        ("format.qualifiedName().validate('a/b/c').hasValue()", True),
        ("format.qualifiedName().validate('name-').hasValue()", True),
        ("[1, 2].all(it, it > 0) && [1, 2].exists_one(it, it > 1)", True),
    ],
)
def test_functions(text: str, expected: bool) -> None:
    assert holds(text) == expected


@pytest.mark.parametrize("size", [253, 254])
def test_the_longest_name(size: int) -> None:
    assert holds("format.dns1123Subdomain().validate(self).hasValue()", "a" * size) == (size > 253)
    assert holds("format.qualifiedName().validate(self + '/a').hasValue()", "a" * size) == (size > 253)
    assert holds("format.qualifiedName().validate(self).hasValue()", "a" * (size - 190)) == (size > 253)


@pytest.mark.parametrize("text", ["1", "", "-", "1d", "1.2.3s", ".s", "h", "1h-1m", " 1s", "9223372037s", "2562048h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        holds("duration(self) == duration('1s')", text)


@pytest.mark.parametrize(
    "text", ["self.b == 1", "self.a.b.c == 1", "self['b'] == 1", "self.c[1] == 1", "!has(self.a.b.c)", "self.b"]
)
def test_what_is_not_there(text: str) -> None:
    with pytest.raises(LookupError):
        holds(text, {"a": {}, "c": [1]})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("none(1) == 1", "Undeclared reference to 'none'"),
        ("other == 1", "Undeclared reference to 'other'"),
        ("self + 1 == 2", "add"),
        ("1 / 0 == 1", "Division by zero"),
        ("9223372036854775807 + 1 == 0", "Overflow"),
        ("'abc'.substring(4) == ''", "out of range"),
        ("'a'.matches('(')", "regex"),
        ("'a'.validate('b').hasValue()", "no such format"),
        ("1", "it comes to a int"),
        ("self", "it comes to a string"),
    ],
)
def test_what_cannot_be_evaluated_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        holds(text, "a" * 100_000)
    with pytest.raises(ValueError, match=r".{1,400}") as told:
        holds(text, "a" * 100_000)
    assert len(str(told.value)) < 400


def test_messages() -> None:
    scope = RuleScope(b'{"a": "b", "n": 1}')
    assert Rule("'no ' + self.a").text(scope) == "no b"
    with pytest.raises(ValueError, match="not to a text"):
        Rule("self.n").text(scope)
    with pytest.raises(LookupError):
        Rule("self.c").text(scope)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a ==",
        "(",
        "'",
        '"',
        "self.",
        "1 +",
        "\\",
        "'\\",
        "'\\u",
        "r'",
        "`a`",
        "\0",
        "é",
        "b'\\",
        "if",
        "{",
        "{1:",
    ],
)
def test_what_is_no_cel(text: str) -> None:
    with pytest.raises(ValueError, match="it is no CEL"):
        Rule(text)


NESTED = {
    "brackets": ("(", "true", ")"),
    "lists": ("[", "", "]"),
    "maps": ("{1:", "1", "}"),
    "calls": ("f(", "1", ")"),
    "macros": ("self.all(x,", "x", ")"),
    "conditions": ("true?", "true", ":true"),
    "negations": ("!", "true", ""),
    "signs": ("-", "1", ""),
    "open": ("(", "", ""),
    "open lists": ("[", "", ""),
    "sums": ("1+", "1", ""),
    "fields": ("", "self", ".a"),
    "items": ("", "self", "[0]"),
    "methods": ("", "self", ".f()"),
    "optional": ("", "self", ".?a"),
    "choices": ("true?true:", "true", ""),
    "alternatives": ("true||", "true", ""),
}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize("depth", [40, 100, 600, 2_000, 100_000])
def test_depth_ends_neither_the_process_nor_its_patience(kind: str, depth: int) -> None:
    before, middle, after = NESTED[kind]
    with contextlib.suppress(ValueError, LookupError):
        assert holds(before * depth + middle + after * depth, {}) in {True, False}


@given(st.text("ab'\"\\(){}[].,?:!-+*/%<>=&|0xu1er \n\té", max_size=60))
def test_no_text_ends_the_process(text: str) -> None:
    with contextlib.suppress(ValueError, LookupError):
        holds(text, {"a": 1})


def test_values_that_are_deep_or_no_json() -> None:
    assert holds("has(self.a)", {"a": msgspec.json.decode(b"[" * 100 + b"]" * 100)})
    for seen in (b"[" * 200 + b"]" * 200, b"", b"{", b"nan", b"\xff", b"1 2"):
        with pytest.raises(ValueError, match=r"."):
            RuleScope(seen)
