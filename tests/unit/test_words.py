"""Messages are in the words of those who write YAML and TOML: no names of Python's, and plurals that are right."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from sluicegate.cli.checked import checked
from sluicegate.controller.api import DecodeError, decode
from sluicegate.processes.settings import SettingsError, load_settings
from sluicegate.testing.offline import load_offline
from sluicegate.words import placed, plain, shown, with_article

EXAMPLES = Path(__file__).parents[2] / "examples"
#: What Python calls values and types; of a repr of anything but text the brackets and quotes too.
PYTHON = re.compile(r"\b(NoneType|None|True|False|dict|str|int|float|bool|tuple|bytes|datetime)\b|\{'|`")
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**25,
    "",
    "x",
    [],
    [None],
    [True],
    {},
    {"a": True},
    {"a": None},
    b"x",
]


def refusal(try_it: Callable[[], object], kind: type[Exception]) -> str:
    """What it says against something; empty: nothing."""
    try:
        try_it()
    except kind as error:
        return str(error)
    return ""


def variants(document: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """The document with each field once replaced by each odd value."""
    places: list[list[str | int]] = []

    def walk(value: Any, path: list[str | int]) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in items:
            places.append([*path, key])
            walk(inner, [*path, key])

    walk(document, [])
    for path in places:
        for odd in ODD:
            copy = yaml.safe_load(yaml.safe_dump(document))
            target = copy
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = odd
            yield ".".join(map(str, path)), odd, copy


DOCUMENTS = [
    item
    for path in ("quickstart/gateway.yaml", "quickstart/backends.yaml")
    for item in yaml.safe_load_all((EXAMPLES / path).read_text())
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda item: f"{item['kind']}-{item['metadata']['name']}")
def test_no_message_about_a_manifest_has_a_word_of_python(document: dict[str, Any]) -> None:
    told = 0
    for place, odd, changed in variants(document):
        text = yaml.safe_dump(changed)
        for item in checked(load_offline(["-"], standard_input=text)):
            told += 1
            assert not PYTHON.search(f"{item.message} {item.remedy}"), (place, odd, str(item))
        said = refusal(functools.partial(decode, changed), DecodeError)
        assert not PYTHON.search(said), (place, odd, said)
    assert told > 50


@pytest.mark.parametrize(
    "name", ["port_offset", "workers", "drain", "admin", "listen", "output", "engine", "namespace"]
)
def test_no_message_about_a_setting_has_one(tmp_path: Path, name: str) -> None:
    file = tmp_path / "sluicegate.toml"
    refused = 0
    for value in ("1", "-1", "true", '"x"', "[]", "[1]", "{}", "{a = 1}", "1979-05-27", "1.5", "99999999999"):
        file.write_text(f"{name} = {value}\n")
        said = refusal(functools.partial(load_settings, {}, {}, str(file)), SettingsError)
        refused += bool(said)
        assert not PYTHON.search(said.replace("`off`", "")), (value, said)
        assert not said or said.startswith(f"{file}: {name}"), said
    assert refused > 2


@pytest.mark.parametrize(
    ("written", "message", "remedy"),
    [
        ("yes", "the boolean true is no string", 'quote what is written: "true", "yes" or "on"'),
        ("off", "the boolean false is no string", 'quote what is written: "false", "no" or "off"'),
        ("80", "80 is no string", 'quote it: "80"'),
        ("null", "", ""),
    ],
)
def test_a_header_value_that_yaml_does_not_read_as_text(written: str, message: str, remedy: str) -> None:
    text = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: a}}
spec:
  rules:
  - matches: [{{headers: [{{name: x-on, value: {written}}}]}}]
"""
    [found] = [item for item in checked(load_offline(["-"], standard_input=text)) if item.code == "schema"]
    assert found.field == "spec.rules[0].matches[0].headers[0].value"
    if message:
        assert (found.message, found.remedy) == (message, remedy)


@pytest.mark.parametrize(
    ("said", "field", "reason"),
    [
        ("Expected `int`, got `str` - at `$.a.b`", "a.b", "a whole number is expected, not text"),
        ("Expected `int`, got `float` - at `$.a`", "a", "a whole number is expected, not a fraction"),
        ("Expected `int` >= 1 - at `$.a[0]`", "a[0]", "a whole number of at least 1 is expected"),
        ("Expected `int | null`, got `object` - at `$.a`", "a", "a whole number or null is expected, not a mapping"),
        ("Object missing required field `b` - at `$.a`", "a.b", "required, but missing"),
        ("Object contains unknown field `b`", "b", "not known"),
        ("Invalid enum value 'x' - at `$.a`", "a", "'x' is not a value that is known"),
    ],
)
def test_what_msgspec_says(said: str, field: str, reason: str) -> None:
    assert placed(said) == (field, reason)


def test_msgspec_says_nothing_that_is_not_translated() -> None:
    """A new version of it may have new sentences: they must not come out with its names of types."""

    class Everything(msgspec.Struct):
        a: int = 0
        b: float = 0.0
        c: str = ""
        d: bool = False
        e: tuple[str, ...] = ()
        f: dict[str, int] = {}

    for name in Everything.__struct_fields__:
        for odd in ODD:
            said = refusal(functools.partial(msgspec.convert, {name: odd}, Everything), msgspec.ValidationError)
            assert not PYTHON.search(placed(said)[1]), said
    assert plain("Something Else") == "something Else"


def test_values_as_they_are_written() -> None:
    assert [shown(item) for item in (None, True, "a", [1, None], {"a": False})] == [
        "null",
        "the boolean true",
        '"a"',
        "[1, null]",
        '{"a": false}',
    ]
    assert len(shown("x" * 1_000)) < 100


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("", "0 documents: 1 error\n"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n", "1 document: no problem\n"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: A}\n", "1 document: 1 error\n"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: A, x: 1}\n", "1 document: 2 errors\n"),
    ],
)
def test_plurals(command: Callable[..., tuple[int, str]], tmp_path: Path, text: str, ends: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert command("check", tmp_path)[1].endswith(ends)


@pytest.mark.parametrize(
    "words",
    [
        "a Gateway", "a ListenerSet", "an HTTPRoute", "a GRPCRoute", "a TLSRoute", "a UDPRoute", "an AccessPolicy",
        "a RateLimitPolicy", "an EndpointSlice", "an XBackendTrafficPolicy", "a Service", "a rule",
    ],
)  # fmt: skip
def test_articles(words: str) -> None:
    assert with_article(words.partition(" ")[2]) == words
