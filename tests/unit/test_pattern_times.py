"""Texts that keep `re` busy for ever: who writes one object, or one annotation, would stop the process of all others.

Go's regexp, for which the patterns of schemas were written, takes time in proportion to a text; `re` goes back and
tries every way in which a text could be cut, and holds all threads meanwhile.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import signal
from collections.abc import Iterator
from types import FrameType

import cel
import pytest

from sluicegate.controller.ingress import values
from sluicegate.controller.ingress.model import rules
from sluicegate.controller.ingress.nginx.groups import snippets
from sluicegate.schema import violations
from sluicegate.schema.catalog import catalog
from sluicegate.schema.core_rules import blocks_of
from sluicegate.schema.fits import fits
from sluicegate.schema.patterns import PATTERNS, for_re
from sluicegate.schema.structure import MAX_MATCHED

#: Seconds of processor time that any of these takes at most; most take a thousandth of it.
LIMIT = 1.0
#: Pieces that patterns have classes for; texts are made of one of them, as often as there is room.
PIECES = ("a", "A", "0", "-", ".", "/", ":", "*", " ", "a-", "a.", "a ", "0h", "%41", "http://a.", "a.b/", "\n", "=")
BEGINNINGS = ("", "http://", "header:", "*.", "/", "a.b/", "[")
ENDS = ("", "\x80", "!", " ", "\n", "-", ".")
#: What the API server takes, what it does not, and what took hours.
VALUES = (
    ("max-age=31536000; includeSubDomains", True),
    ("max-age=31536000; includeSubDomains ", False),
    ("default-src https://cdn.example.com/\u00e9", False),
    ("a" * 4095 + "\x80", False),
    ("a b\tc", True),
    ("a  b", False),
    ("", False),
    (" a", False),
)


@contextlib.contextmanager
def in_time(what: object) -> Iterator[None]:
    """Fail after `LIMIT` of processor time, also within `re`."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"more than {LIMIT} s: {what}")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def patterns() -> dict[str, int]:
    """All patterns of all schemas, each with the length of the longest text that it is asked about."""
    found: dict[str, int] = {}

    def look(schema: object) -> None:
        if isinstance(schema, dict):
            pattern = schema.get("pattern")
            if isinstance(pattern, str):
                found[pattern] = max(found.get(pattern, 0), schema.get("maxLength", 0), MAX_MATCHED)
            for below in schema.values():
                look(below)
        elif isinstance(schema, list):
            for below in schema:
                look(below)

    for entry in catalog().values():
        look(entry.schema)
    return found


def test_no_text_keeps_a_pattern_of_a_schema_busy() -> None:
    known = patterns()
    assert len(known) > 30
    assert known.keys() >= PATTERNS.keys()
    for pattern, length in known.items():
        for beginning, piece, end in itertools.product(BEGINNINGS, PIECES, ENDS):
            text = (beginning + piece * length)[: length - len(end)] + end
            with in_time((pattern, beginning, piece, end)):
                re.search(for_re(pattern), text, re.ASCII)


@pytest.mark.parametrize(("value", "right"), VALUES)
def test_values_of_fields_are_read_at_once(value: str, right: bool) -> None:
    """By the quick look, by the thorough one, and of Ingresses."""
    modifier = {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": "x", "value": value}]}}
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "route", "namespace": "default"},
        "spec": {"rules": [{"filters": [modifier]}]},
    }
    schema = catalog()["gateway.networking.k8s.io/v1", "HTTPRoute"].schema
    with in_time(value):
        assert fits(schema)({**route, "metadata": {}}) == right
        assert {item.field for item in violations(route)} == (
            set() if right else {"spec.rules[0].filters[0].responseHeaderModifier.set[0].value"}
        )
        assert values.is_field_value(value) == right


def test_patterns_in_other_words_mean_the_same() -> None:
    """As the library of CEL has them, which takes time in proportion."""
    chance = random.Random(14)
    parts = (*"aZ0!~ \t\n\x80-.//", "Hostname", "a/a")
    texts = ["".join(chance.choices(parts, k=chance.randrange(9))) for _ in range(3_000)]
    written = cel.compile("text.matches(pattern)")
    for pattern in PATTERNS:
        for text in texts:
            # Of a text that ends a line `Structure` has a rule of its own.
            if not text.endswith("\n"):
                found = re.search(for_re(pattern), text, re.ASCII) is not None
                assert found == written.execute({"text": text, "pattern": pattern}), (pattern, text)


@pytest.mark.parametrize(
    ("made", "source", "alphabet"),
    [
        (values._VALUE, r"[!-~]+(?:[\t ]?[!-~]+)*", "a~ \t\x80"),
        (rules._METHODS, r"(?:[A-Za-z]+,?\s?)+", "aZ, \t!"),
        (rules._EXPOSED, r"(?:(?:[A-Za-z0-9\-_]+|\*),?\s?)+", "a-*, !"),
    ],
)
def test_patterns_of_ingresses(made: re.Pattern[str], source: str, alphabet: str) -> None:
    """The same texts as those of the controller fit, and none takes long."""
    known = re.compile(source)
    for length in range(7):
        for letters in itertools.product(alphabet, repeat=length):
            text = "".join(letters)
            assert (made.fullmatch(text) is None) == (known.fullmatch(text) is None), text
    for piece in ("a", "a,", "a ", "a, ", "*", "a*"):
        with in_time(piece):
            assert made.fullmatch(piece * 2_000 + "\x80") is None


def test_blocks_of_a_bundle() -> None:
    """What a pattern found that took the cube of a text, and how long that takes."""
    known = re.compile(r"-----BEGIN ([^-\n]+)-----\s*\n(.*?)-----END \1-----", re.DOTALL)
    chance, parts = (
        random.Random(14),
        ("-----BEGIN A", "-----BEGIN B", "-----END A", "-----END B", "-----", "\n", " ", "x"),
    )
    for _ in range(20_000):
        text = "".join(chance.choices(parts, k=chance.randrange(14)))
        assert list(blocks_of(text)) == known.findall(text), text
    for piece in ("-----BEGIN A-----\n", "-----BEGIN A-----" + "\n" * 18, "-----END A", "-----BEGIN "):
        with in_time(piece):
            assert list(blocks_of(piece * (1_000_000 // len(piece)))) == []
    with in_time("labels"):
        assert list(blocks_of("".join(f"-----BEGIN {label}-----\n" for label in range(40_000)))) == []


def test_directives_of_snippets() -> None:
    """Lines that are empty are looked at once each, of as many as the annotations of an object may have."""
    known = re.compile(r"(?:^|[;{}])\s*([a-z_][a-z0-9_]*)", re.MULTILINE)
    chance = random.Random(14)
    for _ in range(20_000):
        text = "".join(chance.choices((*"a0 \t\r\n;{}", "deny"), k=chance.randrange(12)))
        assert snippets._DIRECTIVE.findall(text) == known.findall(text), text
        protects = re.search(r"(?:^|[;{}])\s*deny\b", text, re.MULTILINE) is not None
        assert (snippets._PROTECTS.search(text) is not None) == protects, text
    for piece in ("\n", " ", ";\n", "{", "return ", "a;", "\r"):
        with in_time(piece):
            text = piece * (256 * 1024 // len(piece))
            snippets._DIRECTIVE.findall(text)
            snippets._PROTECTS.search(text)
