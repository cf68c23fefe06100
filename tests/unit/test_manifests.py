"""Reading manifests: documents, places, limits, and what is read again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sluicegate.manifests import Reader, read
from sluicegate.manifests.documents import MAX_DOCUMENT_BYTES


def documents(text: str) -> list[dict[str, Any]]:
    reading = read(["-"], text)
    assert reading.faults == ()
    return [document.data for document in reading.documents]


def faults(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.reason) for fault in read(["-"], text).faults]


def test_documents_and_their_lines() -> None:
    text = "# comment\n---\nkind: A\n---\n# nothing\n---\n\nkind: B\nspec:\n  list:\n  - x: 1\n  - y: 2\n...\n"
    text += "---\nkind: C\n"
    found = read(["-"], text).documents
    assert [(document.data["kind"], document.origin.line) for document in found] == [("A", 3), ("B", 8), ("C", 15)]
    assert found[1].line_of("spec.list[1].y") == 12
    assert found[1].line_of("spec.list[1].missing") == 12
    assert found[1].line_of("spec.list[7]") == 10


def test_lists_are_taken_apart() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- kind: A\n  spec: {}\n- kind: B\n  spec:\n    x: 1\n"
    found = read(["-"], text).documents
    assert [(document.data["kind"], document.origin.line) for document in found] == [("A", 4), ("B", 6)]
    assert found[1].line_of("spec.x") == 8


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x: 2026-01-01", "2026-01-01"),
        ("x: 1:30", "1:30"),
        ("x: 12e3", 12000.0),
        ("x: 0o17", 15),
        ("x: 0x1F", 31),
        ("x: yes", True),
        ("x: ~", None),
        ("x: '80'", "80"),
        ("x: =", "="),
    ],
)
def test_values_as_kubernetes_reads_them(text: str, value: object) -> None:
    assert documents(text)[0]["x"] == value


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: [", 3, ""),
        ("a: 1\na: 2", 2, "twice"),
        ("just text", 1, ""),
        ("- a\n- b", 1, ""),
        ("a: &x [1]\nb: *y", 2, ""),
        ("a: !!python/object:os.system {}", 1, ""),
        ("a: \x01", 1, ""),
    ],
)
def test_faults(text: str, line: int, words: str) -> None:
    [(found, reason)] = faults(text)
    assert found == line, reason
    assert words in reason


def test_a_fault_costs_its_document_only() -> None:
    reading = read(["-"], "kind: A\n---\na: [\n---\nkind: B\n")
    assert [document.data["kind"] for document in reading.documents] == ["A", "B"]
    assert [fault.line for fault in reading.faults] == [4]


def test_bombs_are_refused() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join(['*' + chr(ord(name) - 1)] * 10)}]\n" for name in "bcdefghij"
    )
    assert len(faults(bomb)) == 1
    assert len(faults("a: " + "[" * 5_000)) == 1
    assert len(faults("x: " + "y" * (MAX_DOCUMENT_BYTES + 1))) == 1


def test_files_and_directories(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.yml").write_text("kind: B")
    (tmp_path / "a.yaml").write_text("kind: A")
    (tmp_path / "c.json").write_text('{"kind": "C"}')
    (tmp_path / "bad.json").write_text('{"kind": }')
    (tmp_path / "notes.txt").write_text("kind: no")
    (tmp_path / ".hidden.yaml").write_text("kind: no")
    (tmp_path / "latin.yaml").write_bytes(b"kind: A\nx: \xff\n")
    reading = read([str(tmp_path), str(tmp_path / "missing")])
    assert [document.data["kind"] for document in reading.documents] == ["A", "C", "B"]
    told = {(os.path.basename(fault.path), fault.line) for fault in reading.faults}
    assert told == {("bad.json", 1), ("latin.yaml", 2), ("missing", 0)}


def test_what_did_not_change_is_not_read_again(tmp_path: Path) -> None:
    path = tmp_path / "many.yaml"
    path.write_text("---\n".join(f"kind: A\nnumber: {number}\n" for number in range(200)))
    reader = Reader([str(path)])
    first = reader.read()
    assert reader.read().files[0] is first.files[0]
    text = path.read_text().replace("number: 77\n", "number: 77\nmore: 1\n")
    path.write_text(text)
    second = reader.read()
    changed = [
        index
        for index, (one, other) in enumerate(zip(first.documents, second.documents, strict=True))
        if one.data is not other.data
    ]
    assert changed == [77]
    assert second.documents == read([str(path)]).documents


@pytest.mark.parametrize("seed", range(30))
def test_reading_again_gives_what_reading_anew_gives(tmp_path: Path, seed: int) -> None:
    import random

    generator = random.Random(seed)
    path = tmp_path / "edited.yaml"
    lines = [line for number in range(60) for line in ("---", f"kind: A{number % 7}", "spec:", f"  n: {number}")]
    path.write_text("\n".join(lines))
    reader = Reader([str(path)])
    reader.read()
    for _ in range(10):
        at = generator.randrange(len(lines))
        lines[at : at + generator.randrange(3)] = generator.choice(
            [[], ["---"], ["# x"], ["broken: ["], ["kind: B", "x: 1"], ["..."], [""]]
        )
        path.write_text("\n".join(lines))
        os.utime(path, ns=(1, generator.randrange(2**40)))
        again, anew = reader.read(), read([str(path)])
        assert again.documents == anew.documents
        assert again.faults == anew.faults
