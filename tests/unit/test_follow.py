"""What is told of changed files, and when: by what the system tells of directories, not by looking again."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from sluicegate.processes.serve import follow
from sluicegate.processes.serve.inotify import Inotify

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
LIMIT = 20.0
Told = frozenset[str] | None


class Watched:
    """Follows paths, and gives what is told."""

    def __init__(self, *paths: Path) -> None:
        self.warnings: list[str] = []
        self._changes = follow.changes([str(path) for path in paths], self.warnings.append)

    async def __aenter__(self) -> Watched:
        assert await self.told() is None  # the watch stands
        return self

    async def __aexit__(self, *_: object) -> None:
        assert isinstance(self._changes, AsyncIterator)
        await self._changes.aclose()  # type: ignore[attr-defined]

    async def told(self) -> Told:
        return await asyncio.wait_for(anext(self._changes), LIMIT)

    async def told_of(self, path: Path) -> None:
        """Until a path is told, or that anything may have changed."""
        while (found := await self.told()) is not None and str(path) not in found:
            pass


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await work()

    asyncio.run(whole())


def replace(path: Path, text: str = "kind: A\n") -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.rename(path)


def link(path: Path, target: Path | str) -> None:
    temporary = path.with_name(f"{path.name}-new")
    temporary.symlink_to(target)
    temporary.rename(path)


def test_a_file_is_told_and_hidden_ones_are_not(tmp_path: Path) -> None:
    async def work() -> None:
        (tmp_path / "below").mkdir()
        async with Watched(tmp_path) as watched:
            for path in (tmp_path / "a.yaml", tmp_path / "below" / "b.yaml", tmp_path / "a.yaml"):
                replace(path)
                assert await watched.told() == {str(path)}

    run(work)


def test_what_is_written_in_place_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / "a.yaml"
        path.write_text("kind: A\n")
        async with Watched(path) as watched:
            for flags in ("w", "a"):
                with path.open(flags) as file:
                    file.write("kind: B\n")
                await watched.told_of(path)

    run(work)


def test_a_new_directory_is_told_with_all_that_was_written_into_it_meanwhile(tmp_path: Path) -> None:
    async def work() -> None:
        async with Watched(tmp_path) as watched:
            deep = tmp_path / "one" / "two"
            deep.mkdir(parents=True)
            replace(deep / "a.yaml")
            assert await watched.told() is None
            replace(deep / "a.yaml")
            await watched.told_of(deep / "a.yaml")
            shutil.move(tmp_path / "one", tmp_path / "other")
            assert await watched.told() is None
            replace(tmp_path / "other" / "two" / "a.yaml")
            await watched.told_of(tmp_path / "other" / "two" / "a.yaml")

    run(work)


@pytest.mark.parametrize("given", ["current", "current/manifests", "current/manifests/a.yaml"])
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_on_the_way_is_told_when_it_leads_elsewhere(tmp_path: Path, given: str, relative: bool) -> None:
    """git-sync exchanges it for a new checkout; the old one may stay."""

    def checkout(name: str) -> None:
        folder = tmp_path / "trees" / name / "manifests"
        folder.mkdir(parents=True)
        replace(folder / "a.yaml")
        link(tmp_path / "current", Path("trees") / name if relative else tmp_path / "trees" / name)

    async def work() -> None:
        checkout("first")
        async with Watched(tmp_path / given) as watched:
            for name in ("second", "third"):
                checkout(name)
                assert await watched.told() is None
                replace(tmp_path / "trees" / name / "manifests" / "a.yaml")
                assert await watched.told() is not None

    run(work)


def test_links_below_are_followed_through_other_links(tmp_path: Path) -> None:
    """A mounted ConfigMap: `a.yaml` leads to `..data/a.yaml`, and `..data` to a directory that is exchanged."""

    async def work() -> None:
        folder = tmp_path / "mounted"
        for version in ("..1", "..2"):
            (folder / version).mkdir(parents=True)
            (folder / version / "a.yaml").write_text("kind: A\n")
        link(folder / "..data", "..1")
        link(folder / "a.yaml", "..data/a.yaml")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        link(folder / "b.yaml", elsewhere / "b.yaml")  # leads nowhere yet
        async with Watched(folder) as watched:
            link(folder / "..data", "..2")
            assert await watched.told() is None
            replace(elsewhere / "b.yaml")
            await watched.told_of(elsewhere / "b.yaml")
            replace(elsewhere / "other.yaml")  # nobody's business
            replace(folder / "..2" / "a.yaml")
            await watched.told_of(folder / "..2" / "a.yaml")

    run(work)


@pytest.mark.parametrize("given", ["one/two/a.yaml", "one/two"])
def test_what_is_not_there_is_told_when_it_comes_and_when_it_goes(tmp_path: Path, given: str) -> None:
    async def work() -> None:
        async with Watched(tmp_path / given) as watched:
            for _ in range(2):
                (tmp_path / "one" / "two").mkdir(parents=True)
                replace(tmp_path / "one" / "two" / "a.yaml")
                assert await watched.told() is None
                shutil.move(tmp_path / "one", tmp_path / "gone")
                assert await watched.told() is None
                shutil.rmtree(tmp_path / "gone")

    run(work)


def test_beside_a_single_file_nothing_counts(tmp_path: Path) -> None:
    async def work() -> None:
        path = tmp_path / ".hidden.yaml"
        replace(path)
        async with Watched(path) as watched:
            replace(tmp_path / "other.yaml")
            (tmp_path / "folder").mkdir()
            replace(path)
            assert await watched.told() == {str(path)}

    run(work)


def test_a_link_to_a_hidden_file_beside_it_is_followed(tmp_path: Path) -> None:
    """Other hidden ones come and go."""

    async def work() -> None:
        hidden = tmp_path / ".v1.yaml"
        replace(hidden)
        link(tmp_path / "current.yaml", hidden.name)
        async with Watched(tmp_path) as watched:
            for _ in range(2):
                replace(tmp_path / ".other.yaml")
                replace(hidden, "kind: B\n")
                assert await watched.told() == {str(hidden)}
            link(tmp_path / "current.yaml", "a.yaml")
            assert await watched.told() is None

    run(work)


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    async def work() -> None:
        link(tmp_path / "a", "b")
        link(tmp_path / "b", "a")
        (tmp_path / "up").symlink_to("..")
        async with Watched(tmp_path, tmp_path / "a") as watched:
            link(tmp_path / "a", "c.yaml")
            replace(tmp_path / "c.yaml")
            await watched.told_of(tmp_path / "c.yaml")

    run(work)


def test_nothing_wakes_up_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        reads = 0
        read = Inotify.read

        def counting(self: Inotify) -> object:
            """Reads, but those of what others do in directories on the way, such as other runs of tests."""
            nonlocal reads
            told = read(self)
            reads += not told.paths or any(path.startswith(str(tmp_path)) for path in told.paths)
            return told

        monkeypatch.setattr(Inotify, "read", counting)
        (tmp_path / "a.yaml").write_text("kind: A\n")
        (tmp_path / "watched").mkdir()
        async with Watched(tmp_path / "watched") as watched:
            waiting = asyncio.ensure_future(watched.told())
            await asyncio.wait([waiting], timeout=0.3)
            assert reads == 0
            (tmp_path / "a.yaml").rename(tmp_path / "watched" / "a.yaml")
            assert await waiting == {str(tmp_path / "watched" / "a.yaml")}
            assert reads == 2  # and once more: nothing else came

    run(work)


@pytest.mark.parametrize("when", ["__init__", "watch"])
def test_where_the_system_cannot_watch_the_files_are_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Inotify, when, full)
    monkeypatch.setattr(follow, "POLL", 0.01)

    async def work() -> None:
        async with Watched(tmp_path) as watched:
            assert [await watched.told() for _ in range(3)] == [None] * 3
            [warning] = watched.warnings
            assert "looked at every 10 ms" in warning

    run(work)


def test_what_comes_while_directories_are_looked_for_is_watched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look and the watch nothing is told."""

    async def work() -> None:
        look, deep = follow._wanted, tmp_path / "new" / "deep"

        def slow(given: list[str]) -> follow.Wanted:
            found = look(given)
            deep.mkdir(parents=True, exist_ok=True)
            return found

        monkeypatch.setattr(follow, "_wanted", slow)
        async with Watched(tmp_path) as watched:
            replace(deep / "a.yaml")
            await watched.told_of(deep / "a.yaml")

    run(work)


def test_what_the_system_could_not_keep_is_made_up_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with Watched(tmp_path) as watched:
            take = Inotify._take
            monkeypatch.setattr(Inotify, "_take", lambda self, data, paths: take(self, data, paths) or True)
            replace(tmp_path / "a.yaml")
            assert await watched.told() is None

    run(work)
