"""`translate/conditions.py` is the one place that spells types and reasons of conditions, and all of it is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from sluicegate import controller
from sluicegate.controller.translate.conditions import ConditionType, Reason

ROOT = Path(controller.__file__).resolve().parent
OWN = ROOT / "translate" / "conditions.py"
#: Packages that write conditions, or read them.
FOLDERS = ("translate", "status", "provision")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != OWN)
WORDS = {str(word) for word in (*ConditionType, *Reason)}
#: What a condition is made by, and which of its arguments are words.
MAKERS = {"Verdict": (1,), "condition": (0,), "_condition": (0, 2), "reject": (0,), "_mark": (1,)}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def spelled(path: Path) -> Iterator[str]:
    """Words that a module spells, where a condition is made even unknown ones."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and node.value in WORDS:
            yield f"line {node.lineno}: {node.value!r}"
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            for place in MAKERS.get(name, ()):
                argument = node.args[place] if place < len(node.args) else None
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield f"line {argument.lineno}: {argument.value!r}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_spells_a_type_or_a_reason(path: Path) -> None:
    assert sorted(set(spelled(path))) == [], "name it in translate/conditions.py and use that"


def test_what_spells_one_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('draft.reject("Odd", text)\nVerdict(False, "Invalid", text)\n"Accepted text"\n')
    assert sorted(set(spelled(module))) == ["line 1: 'Odd'", "line 2: 'Invalid'"]


def test_every_word_is_used() -> None:
    used = {
        (node.value.id, node.attr)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for words in (ConditionType, Reason):
        assert [word.value for word in words if (words.__name__, word.name) not in used] == []
