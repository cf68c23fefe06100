"""Each task page does what it says: its commands are typed, and what comes is what stands there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from task_pages import Terminal, is_as_expected, page_of

TASKS = Path(__file__).parents[2] / "docs" / "tasks"
PAGES = sorted(path.stem for path in TASKS.glob("*.md") if path.stem != "README")


@pytest.mark.parametrize("name", PAGES)
def test_a_reader_sees_what_the_page_says(name: str, tmp_path: Path) -> None:
    page = page_of(TASKS / f"{name}.md")
    folder = tmp_path / "manifests"
    folder.mkdir()
    for file, text in page.files.items():
        (folder / file).write_text(text)
    terminal = Terminal(folder)
    assert any("curl " in typed.command or "/dev/udp/" in typed.command for typed in page.typed)
    with ExitStack() as stack:
        for typed in page.typed:
            if typed.command.startswith("sluicegate demo "):
                stack.enter_context(terminal.serving(typed.command))
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
