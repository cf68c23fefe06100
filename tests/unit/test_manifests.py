"""Reading manifests: documents, places, limits, and what is read again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.controller.sources.files import Reader, loader, read
from sluicegate.controller.sources.files.documents import MAX_DOCUMENT_BYTES, split

ROOT = Path(__file__).parents[2]


def documents(text: str) -> list[dict[str, Any]]:
    reading = read(["-"], text)
    assert reading.diagnostics == ()
    return [document.data for document in reading.documents]


def faults(text: str) -> list[tuple[int, str]]:
    return [(fault.line, fault.text) for fault in read(["-"], text).diagnostics]


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


def test_lists_of_one_kind_and_lists_in_lists_are_taken_apart() -> None:
    """As kubectl does: what has `items` is a list; items may leave out their kind."""
    text = "apiVersion: v1\nkind: ServiceList\nitems:\n- metadata: {name: a}\n- kind: B\n  x: 1\n---\n"
    text += "\nkind: List\nitems:\n- kind: List\n  items:\n  - kind: C\n    spec:\n      x: 1\n- kind: D\n"
    found = read(["-"], text).documents
    kinds = [(document.data.get("apiVersion"), document.data["kind"], document.origin.line) for document in found]
    assert kinds == [("v1", "Service", 4), (None, "B", 5), (None, "C", 13), (None, "D", 16)]
    assert [found[1].line_of("x"), found[2].line_of("spec.x")] == [6, 15]
    assert documents("apiVersion: v1\nkind: List\nitems: null\n") == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("apiVersion: v1\nkind: List\nitem: []\n", 1, "items: a List has a list of objects, but it has none"),
        ("apiVersion: v1\nkind: List\nitems: {a: 1}\n", 1, "items: a List has a list of objects, but it is a mapping"),
        ("kind: List\nitems:\n- kind: List\n  items:\n  - kind: A\n  - 1\n", 6, "items[0].items[1]: an object"),
    ],
)
def test_what_of_a_list_is_no_object_is_told(text: str, line: int, reason: str) -> None:
    found = faults(text)
    assert [at for at, message in found if message.startswith(reason)] == [line], found


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
        ("a: !!map [b]", 1, "mapping"),
    ],
)
def test_faults(text: str, line: int, words: str) -> None:
    [(found, reason)] = faults(text)
    assert found == line, reason
    assert words in reason


def test_a_fault_costs_its_document_only() -> None:
    reading = read(["-"], "kind: A\n---\na: [\n---\nkind: B\n")
    assert [document.data["kind"] for document in reading.documents] == ["A", "B"]
    assert [fault.line for fault in reading.diagnostics] == [4]


TRICKY = [
    "{a: [], b: {}, c: '', d: , e: ~, f: 1, g: 1.5, h: yes, i: !!str 1, j: !!int '1'}",
    "a: &x {b: 1}\nc: *x\n",
    "a: {<<: {b: 1}, c: 2}",
    "a: {'<<': 1}",
    "a: 1\nb: {c: 1, c: 2}\na: 2\n",
    "1: a\n'1': b\n",
    "true: a\n",
    "? [a]\n: b\n",
    "!!str {a: 1}",
    "!!str [a]",
    "!!map [a]",
    "!!seq {a: 1}",
    "!!set {a, b}",
    "!!binary aGk=",
    "!unknown a",
    "!!int nonsense",
    "a: 0b2\n",
    "a: 2026-01-01\n",
    f"{'[' * 60}{']' * 60}",
    f"{'[' * 70}{']' * 70}",
    "a: [",
]


def test_the_short_way_to_read_yaml_says_what_the_long_way_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def outcome(text: str) -> object:
        try:
            return repr(loader.load(text).value)
        except loader.YamlError as error:
            return error.reason, error.line

    def nothing_is_plain(*_: object) -> None:
        raise ValueError

    files = (path.read_text() for folder in ("examples", "tests/golden") for path in (ROOT / folder).rglob("*.yaml"))
    texts = [*TRICKY, *(part for text in files for _, part in split(text))]
    found = [outcome(text) for text in texts]
    monkeypatch.setattr(loader, "_plain", nothing_is_plain)
    assert [outcome(text) for text in texts] == found


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
    (tmp_path / "half.json").write_text(r'{"kind": "\ud800"}')
    (tmp_path / "notes.txt").write_text("kind: no")
    (tmp_path / ".hidden.yaml").write_text("kind: no")
    (tmp_path / "latin.yaml").write_bytes(b"kind: A\nx: \xff\n")
    reading = read([str(tmp_path), str(tmp_path / "missing")])
    assert [document.data["kind"] for document in reading.documents] == ["A", "C", "B"]
    told = {(os.path.basename(fault.path), fault.line) for fault in reading.diagnostics}
    assert told == {("bad.json", 1), ("half.json", 1), ("latin.yaml", 2), ("missing", 0)}


def test_files_with_marks_of_their_encoding_may_be_put_together(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("\ufeffkind: A\n\ufeff---\nkind: B\n---\n\ufeffkind: C\nx: '\ufeff'\n")
    found = read([str(path)])
    assert found.diagnostics == ()
    assert [(item.data["kind"], item.origin.line) for item in found.documents] == [("A", 1), ("B", 3), ("C", 5)]
    assert found.documents[2].data["x"] == "\ufeff"


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
        if one.content is not other.content
    ]
    assert changed == [77]
    assert second.documents == read([str(path)]).documents


def test_a_change_that_programs_hide_is_read(tmp_path: Path) -> None:
    """Of the same size, in place, and with its old time: synchronising programs set it."""
    path = tmp_path / "a.yaml"
    path.write_text("kind: A")
    os.utime(path, (1_000, 1_000))
    reader = Reader([str(path)])
    assert [document.data["kind"] for document in reader.read().documents] == ["A"]
    # The system's clock of file times ticks some hundred times a second.
    before = os.stat(path).st_ctime_ns
    while os.stat(path).st_ctime_ns == before:
        path.write_text("kind: B")
        os.utime(path, (1_000, 1_000))
    assert [document.data["kind"] for document in reader.read().documents] == ["B"]


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
        assert again.diagnostics == anew.diagnostics


# --- Streams of JSON, large lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", ["", "\n", " \n\n", "\n\t"])
@pytest.mark.parametrize("name", ["a.json", "-"])
def test_a_stream_of_json_objects(tmp_path: Path, between: str, name: str) -> None:
    """As `kubectl` takes it, from standard input too."""
    text = between.join(['{"kind": "A", "spec": {"x": "}{"}}', '{\n"kind": "B"}', '{"kind": "C", "kinds": []}']) + "\n"
    if name == "-":
        reading = read(["-"], text)
    else:
        (tmp_path / name).write_text(text)
        reading = read([str(tmp_path)])
    assert reading.diagnostics == ()
    assert [item.data["kind"] for item in reading.documents] == ["A", "B", "C"]
    second = 1 + between.count("\n")
    assert [item.origin.line for item in reading.documents] == [1, second, 2 * second]
    assert reading.documents[1].line_of("kind") == second + 1


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ('{"kind": "C",}', "not valid JSON: "),
        ("no more", "not valid JSON: "),
        ('{"a": 1,\n"a": 2}', "the key 'a' is there twice"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ("[1]", "an object with apiVersion and kind is expected, not a list"),
        ('{"a": ' + "[" * 100_000, "nested deeper than 64 levels"),
        ('{"a": ' + "9" * 5_000 + "}", "an integer of thousands of digits"),
    ],
)
def test_what_is_wrong_in_a_stream_costs_only_what_comes_after(rest: str, words: str) -> None:
    reading = read(["-"], f'{{"kind": "A"}}\n{{"kind": "B"}}\n{rest}')
    assert [item.data["kind"] for item in reading.documents] == ["A", "B"]
    [found] = reading.diagnostics
    assert (found.line, words in found.message) == (3, True), found


def test_what_only_begins_like_json_is_yaml() -> None:
    assert documents("{kind: A, spec: {x: 1}}\n") == [{"kind": "A", "spec": {"x": 1}}]
    assert faults("{kind: A\n")[0][1].startswith("not valid YAML: ")
    assert faults('{"a": 1, "a": 2}')[0][1] == "not valid YAML: the key 'a' is there twice"


def test_a_missing_separator_is_guessed() -> None:
    [(line, message)] = faults("kind: A\nmetadata: {name: a}\nkind: B\nmetadata: {name: b}\n")
    assert (line, message) == (3, "not valid YAML: the key 'kind' is there twice: a line with --- may be missing above")
    [(line, message)] = faults("kind: A\nspec:\n  kind: B\n  kind: C\n")
    assert (line, message) == (4, "not valid YAML: the key 'kind' is there twice")


def test_items_of_a_list_in_json_know_their_lines() -> None:
    inner = '{"kind": "List", "items": [\n{"kind": "C",\n"spec": {"x": 1}}]}'
    text = '\n{"items": [\n{"kind": "A", "spec": {\n"x": 1}}, {"kind": "B", "spec": {"x": 1}},\n' + inner
    text += '\n], "metadata": {"a": [{}]}, "kind": "List", "apiVersion": "v1"}'
    found = read(["-"], text).documents
    assert [(item.data["kind"], item.origin.line, item.line_of("spec.x")) for item in found] == [
        ("A", 3, 4),
        ("B", 4, 4),
        ("C", 6, 7),
    ]


def test_a_list_may_be_larger_than_an_object() -> None:
    """What a cluster has is one List; each of its objects is held to the limit."""
    objects = [{"kind": "A", "data": "x" * (MAX_DOCUMENT_BYTES // 2)} for _ in range(3)]
    objects.insert(1, {"kind": "B", "data": "x" * (MAX_DOCUMENT_BYTES + 1)})
    whole = {"apiVersion": "v1", "kind": "List", "items": objects}
    for text in (json.dumps(whole), yaml.dump(whole, Dumper=yaml.CSafeDumper, width=1_000_000)):
        reading = read(["-"], text)
        assert [item.data["kind"] for item in reading.documents] == ["A", "A", "A"]
        [found] = reading.diagnostics
        assert (found.field, "at most 3,145,728 are read" in found.message) == ("items[1]", True)


def test_an_item_that_is_there_by_thousands_of_aliases_is_one_text() -> None:
    text = "kind: List\nitems:\n- &a {kind: A, data: " + "x" * 100_000 + "}\n" + "- *a\n" * 10_000
    found = read(["-"], text).documents
    assert len(found) == 10_001
    assert len({id(item.text) for item in found}) == 1
