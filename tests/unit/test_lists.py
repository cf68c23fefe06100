"""Lists of objects are taken apart as the parser takes them apart."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sluicegate.controller.sources.files import lists
from sluicegate.controller.sources.files.loader import YamlError, load

GOLDEN = Path(__file__).parents[1] / "golden"
ITEM = "- apiVersion: v1\n  kind: Service\n  metadata:\n    name: {0}\n  spec: {{ports: [{{port: 80}}]}}\n"
HEAD, FOOT = "apiVersion: v1\nitems:\n", 'kind: List\nmetadata:\n  resourceVersion: ""\n'


def same(text: str) -> bool:
    """Whether a list is taken apart; then it has to be as the parser has it, with the lines and documents of items."""
    found = lists.read(text)
    if found is None:
        return False
    whole = load(text)
    assert repr(found.value) == repr({**whole.value, "items": found.value["items"]})  # type: ignore[dict-item, index]
    assert found.value == whole.value
    assert [item.line for item in found.items] == [item.line for item in whole.items]
    for own, other in zip(found.items, whole.items, strict=True):
        # To the parser a comment behind the last item is a part of it.
        assert " ".join(other.text.split()).startswith(" ".join(own.text.split()))
        assert load(own.text).value == load(other.text).value
    return True


@pytest.mark.parametrize("margin", ["", "  ", "    "])
def test_what_kubectl_writes(margin: str) -> None:
    items = textwrap.indent("".join(ITEM.format(f"name-{number}") for number in range(5)), margin)
    for text in (
        HEAD + items + FOOT,
        FOOT + HEAD + items,
        f"---\n# of a tool\n{HEAD}{items}\n\n{FOOT}",
        HEAD + items.rstrip(),
    ):
        assert same(text)


@pytest.mark.parametrize(
    "items",
    [
        "",
        "- a: b\n# a comment\n- a: c\n",
        "- a: &b c\n- a: *b\n",
        "- a: 'b\n- c'\n- d: e\n",
        '- a: "b\n- c"\n- d: e\n',
        "- a: |\n    - b\n    c\n- d: |+\n    e\n\n- f\n",
        "- a: [b,\n- c]\n",
        "- a: b\n c: d\n",
        "-\n  a: b\n",
        "- - a\n  - b\n- c\n",
        "- a: b\n  a: c\n",
        "- a\n  - b\n",
        "- kind: List\n  items:\n  - a: b\n",
        "- a: b\n\t- c\n",
        "- a: {b: c}\n  # a comment\n  d: e\n",
        "- a: b\n- \n- c\n",
        "- a: b\n  ? c\n  : d\n",
        "- a: b\nitems:\n- c: d\n",
        "- {{ template }}\n",
    ],
)
def test_what_is_otherwise(items: str) -> None:
    for text in (HEAD + items + FOOT, HEAD + items):
        try:
            load(text)
        except YamlError:
            assert lists.read(text) is None
        else:
            same(text)


lines = some.sampled_from(
    [
        *"ab",
        "- a: b",
        "  c: d",
        "  - e",
        "    f: g",
        "- 'h",
        "  i'",
        "# j",
        "",
        "items:",
        "kind: List",
        "- |",
        "   k",
        "...",
        "- - l",
    ]
)


@given(some.lists(lines, max_size=12))
def test_any_lines(found: list[str]) -> None:
    text = "items:\n" + "\n".join(found)
    try:
        load(text)
    except YamlError:
        assert lists.read(text) is None
    else:
        same(text)


def test_golden_inputs_in_lists() -> None:
    taken = 0
    for path in sorted(GOLDEN.glob("*/*/in.yaml")):
        written = (re.sub(r"\A(?:(?:---|#.*)?\n)+", "", part) for part in path.read_text().split("\n---\n"))
        parts = [part.strip("\n") for part in written if part.strip()]
        items = "".join("- " + textwrap.indent(part, "  ").lstrip() + "\n" for part in parts)
        text = HEAD + items + FOOT
        try:
            load(text)
        except YamlError:
            assert lists.read(text) is None
        else:
            taken += same(text)
    assert taken > 100
