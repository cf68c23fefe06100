"""The library: what is public is importable, documented, typed, and nothing else is in the way."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import library_page
import sluicegate
from sluicegate import Connection, Request, RequestError

ROOT = Path(__file__).parents[2]
#: Types of Python's and names of ours that annotations may use.
CLASSES = [name for name in sluicegate.__all__ if isinstance(getattr(sluicegate, name), type)]
FUNCTIONS = ["load", "parse_request"]


def annotations_of(name: str) -> dict[str, Any]:
    """Every annotation of a public class or function, as written."""
    item = getattr(sluicegate, name)
    functions: list[Any] = [item]
    if isinstance(item, type):
        members = [inspect.getattr_static(item, member) for member in library_page.members(item)]
        functions = [member.fget if isinstance(member, property) else member for member in members]
    found = {f"{one.__name__}.{key}": kind for one in functions for key, kind in one.__annotations__.items()}
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        found |= inspect.get_annotations(item)
    return found


def test_every_name_is_there_and_typed() -> None:
    for name in sluicegate.__all__:
        assert getattr(sluicegate, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Offline'"):
        _ = sluicegate.Offline  # type: ignore[attr-defined]
    stub = (ROOT / "python" / "sluicegate" / "__init__.py").read_text()
    shown = set(re.findall(r"^        (\w+),$", stub, re.MULTILINE))
    assert shown == {*sluicegate.__all__} - {"__version__"}


@pytest.mark.parametrize("name", [*CLASSES, *FUNCTIONS])
def test_every_type_in_a_signature_is_importable(name: str) -> None:
    """From `sluicegate`, from Python's library, or built in."""
    for place, written in annotations_of(name).items():
        for word in re.findall(r"[A-Za-z_][\w.]*", re.sub(r"'[^']*'", "", written)):
            known = word in sluicegate.__all__ or word in {
                "Any",
                "Literal",
                "Mapping",
                "Sequence",
                "os.PathLike",
                "None",
            }
            assert known or word in {"str", "int", "bool", "float", "tuple", "dict", "list"}, (name, place, word)


def test_closed_sets_are_closed() -> None:
    hints = get_type_hints(sluicegate.Decision)
    for kind in (hints["outcome"], hints["reason"], get_type_hints(sluicegate.Diagnostic)["severity"]):
        assert typing.get_origin(kind) is typing.Literal
    contract = (ROOT / "ARCHITECTURE.md").read_text()
    listed = contract[contract.index("`reason`: `forwarded`") :].split("Of a connection")[0]
    assert set(re.findall(r"`(\w+)`", listed)) - {"reason"} == {*get_args(sluicegate.Reason)}


def test_nothing_inside_shows() -> None:
    public = {name: sorted(library_page.members(getattr(sluicegate, name))) for name in CLASSES}
    assert public["Routes"] == ["decide", "problems"]
    assert public["Decision"] == []
    assert [name for name in vars(sluicegate.load(ROOT / "examples" / "quickstart")) if not name.startswith("_")] == []


def test_the_page_is_what_the_code_says() -> None:
    """Where this fails: `python tools/library_page.py`."""
    assert library_page.PAGE.read_text() == library_page.page()


def test_everything_is_on_the_page() -> None:
    text = library_page.PAGE.read_text()
    assert {*re.findall(r"^## `(\w+)`$", text, re.MULTILINE)} == {*sluicegate.__all__}
    for name in CLASSES:
        item = getattr(sluicegate, name)
        fields = item.__struct_fields__ if issubclass(item, msgspec.Struct) else ()
        for field in fields:
            assert re.search(rf"^\| `{field}` \| `[^`]+` \| \S", text, re.MULTILINE), (name, field)
        for member in library_page.members(item):
            assert f"### `{name}.{member}`" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"entropy": -1}, "entropy: -1 is not a whole number from 0 to 18446744073709551615"),
        ({"entropy": 2**64}, "is not a whole number from 0"),
        ({"entropy": 0.5}, "entropy: 0.5 is not a whole number"),
        ({"entropy": True}, "entropy: the boolean true is not a whole number"),
        ({"request": 5}, "request: 5 is not text"),
        ({"headers": {"x": 1}}, "headers: x: 1 is not text"),
        ({"headers": [("x",)]}, "is not a name and a value: write them as {'x-user': 'anna'}"),
        ({"headers": "x: 1"}, "is not a name and a value"),
        ({"headers": {"x": "\udcff"}}, "is not UTF-8 text"),
        ({"server_name": 1, "request": "https://a.test/"}, "server_name: 1 is not text"),
        ({"request": Request(method="GET", scheme="ftp", authority="a", port=80, target="/")}, "scheme: 'ftp' is not"),
        (
            {"request": Request(method="GET", scheme="http", authority="a", port=0, target="/")},
            "port: 0 is not a whole",
        ),
        (
            {"request": Request(method="GET", scheme="http", authority="a", port="80", target="/")},
            "whole number is exp",
        ),
        ({"request": Connection(protocol="tls", port=443, server_name=5)}, "server_name: text or null is expected"),
    ],
)
def test_arguments_that_cannot_be_used(arguments: dict[str, Any], words: str) -> None:
    """What is said has no words of Python's."""
    routes = sluicegate.load(ROOT / "examples" / "quickstart")
    with pytest.raises(RequestError) as found:
        routes.decide(**{"request": "http://www.example.com/", **arguments})
    assert words in str(found.value)
    assert not re.search(r"\b(str|int|float|NoneType|tuple|Expected|object)\b", str(found.value))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"paths": 5}, "paths: 5 is not a path"),
        ({"paths": []}, "paths: none is given"),
        ({"paths": [""]}, 'paths: "" is not a path'),
        ({"path_normalization": "loose"}, 'path_normalization: "loose" is none of strict, off'),
        ({"port_offset": -1}, "port_offset: -1 is not a whole number from 0 to 60000"),
        ({"controller_name": 1}, "controller_name: 1 is not text"),
    ],
)
def test_what_cannot_be_loaded(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        sluicegate.load(**{"paths": ROOT / "examples" / "quickstart", **arguments})


def test_a_program_that_uses_it_has_types(tmp_path: Path) -> None:
    """mypy --strict takes what the page promises, and finds a reason that there is not."""
    program = tmp_path / "program.py"
    program.write_text(
        "import sluicegate\n"
        "from sluicegate import Decision, Diagnostic, Routes, WeightedBackend\n"
        "def canary(routes: Routes) -> list[int]:\n"
        '    decision: Decision = routes.decide("https://a.test/", server_name="b.test")\n'
        "    backends: tuple[WeightedBackend, ...] = decision.backends\n"
        "    problems: list[Diagnostic] = routes.problems\n"
        "    assert not problems\n"
        '    assert decision.reason == "forwarded"\n'
        "    return [item.weight for item in backends]\n"
        'wrong: sluicegate.Reason = "forwrded"\n'
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(program)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT / "python")
    assert result.stdout.count("error:") == 1, result.stdout
    assert 'program.py:10: error: Incompatible types in assignment (expression has type "Literal' in result.stdout
