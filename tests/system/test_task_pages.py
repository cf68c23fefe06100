"""Each task page, and each to get started, does what it says: its commands are typed, what comes is what it shows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from task_pages import Terminal, goes_on, is_as_expected, page_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TASKS = DOCS / "tasks"
PAGES = sorted(path.stem for path in TASKS.glob("*.md") if path.stem != "README")
STARTS = {path.stem: path for path in (DOCS / "start.md", *(DOCS / "start").glob("*.md"))}


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_page_says(name: str, tmp_path: Path) -> None:
    page = page_of(TASKS / f"{name}.md")
    for what in (("sluicegate check ",), ("sluicegate explain ",), ("curl ", "/dev/udp/", "/dev/tcp/")):
        assert any(word in typed.command for typed in page.typed for word in what), f"it has no {what[0]}"
    follow(TASKS / f"{name}.md", tmp_path)


@pytest.mark.parametrize("name", STARTS)
def test_who_begins_sees_what_the_page_says(name: str, tmp_path: Path) -> None:
    """What needs a container engine or a cluster is no command of a fence: tests/cluster types it."""
    follow(STARTS[name], tmp_path)


def follow(path: Path, place: Path) -> None:
    """Type a page from its beginning to its end."""
    page = page_of(path)
    folder = place / "manifests"
    folder.mkdir()
    for file, text in page.files.items():
        (folder / file).write_text(text)
    if "examples/" in path.read_text():  # typed in a clone
        (folder / "examples").symlink_to(ROOT / "examples")
    terminal = Terminal(folder)
    with ExitStack() as gateway, ExitStack() as programs:
        for typed in page.typed:
            if goes_on(typed.command):
                gateway_begins = not typed.command.startswith("python3 ")
                if gateway_begins:
                    gateway.close()  # the reader has pressed Ctrl-C: the ports are the same
                (gateway if gateway_begins else programs).enter_context(terminal.serving(typed.command))
                continue
            output = terminal.run(typed.command)
            assert is_as_expected(typed.expected, output), f"$ {typed.command}\n{output}"


def test_every_page_is_in_the_list() -> None:
    listed = (TASKS / "README.md").read_text()
    assert [name for name in PAGES if f"({name}.md)" not in listed] == []


@pytest.mark.parametrize(
    ("expected", "output", "fits"),
    [
        (("a", "b"), "a\nb\n", True),
        (("a",), "a\nb\n", False),
        (("a", "b"), "a\n", False),
        (("a", "..."), "a\nb\nc\n", True),
        (("a ...",), "a thing\n", True),
        (("a.c",), "abc\n", False),
        (("...", "c"), "a\nb\nc\n", True),
        ((), "", True),
        ((), "a\n", False),
    ],
)
def test_what_an_expectation_takes(expected: tuple[str, ...], output: str, fits: bool) -> None:
    assert is_as_expected(expected, output) == fits
