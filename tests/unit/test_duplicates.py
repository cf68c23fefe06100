"""What is in use when an object is in several files, whatever was written, removed and renamed before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.sources.files import Reader, Settling
from sluicegate.controller.sources.files.judge import Judge
from sluicegate.controller.sources.files.pieces import MIN_PIECES_TO_REUSE
from sluicegate.controller.sources.files.settle import MAX_RESTLESS, QUIET_GONE
from sluicegate.controller.sources.files.source import Refresh, Source
from sluicegate.controller.store.store import Delete, Store
from sluicegate.schema import violations

NAMES = ("a.yaml", "m.yaml", "z.yaml")
#: Objects that files are made of, and one that cannot be used.
OBJECTS = ("r first", "r second", "s first", "t first", "r wrong")


def manifest(number: int, written: str) -> str:
    """A document; `number` keeps two of the same object apart."""
    name, host = written.split()
    hosts = "1" if host == "wrong" else f"{host}.example.com"
    return (
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
        f"metadata:\n  name: {name}\nspec:\n  hostnames: [{hosts}] # {number}\n"
    )


def as_list(*written: str) -> str:
    """The same in a `List`."""
    items = []
    for number, item in enumerate(written):
        lines = manifest(number, item).splitlines()[1:]
        items.append("\n".join(("- " if index == 0 else "  ") + line for index, line in enumerate(lines)))
    return "\n".join(("apiVersion: v1", "kind: List", "items:", *items, ""))


def hosts_of(store: Store) -> dict[str, tuple[str, str]]:
    """Host and file of each route."""
    snapshot = store.snapshot()
    found: dict[str, tuple[str, str]] = {}
    for item in snapshot.table("HTTPRoute").values():
        origin = snapshot.origin(item.key)
        assert origin is not None
        spec: Any = item.spec  # type: ignore[attr-defined]
        found[item.key.name] = (spec.hostnames[0].partition(".")[0], f"{os.path.basename(origin.path)}:{origin.line}")
    return found


class World:
    """A folder, and a source that follows it on a clock that stands still until a test moves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 1_000_000.0
        self.store = Store()
        settling = Settling(lambda: self.time, lambda: self.time)
        self.source = Source(Reader([str(folder)], settling=settling), self.store, violations)
        self._changed: set[str] = set()

    def write(self, name: str, *written: str, text: str | None = None) -> None:
        path = self.folder / name
        path.write_text("".join(map(manifest, range(len(written)), written)) if text is None else text)
        os.utime(path, (self.time, self.time))
        self._changed.add(str(path))

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self._changed.add(str(self.folder / name))

    def rename(self, name: str, other: str) -> None:
        if (self.folder / name).exists():
            (self.folder / name).rename(self.folder / other)
            self._changed |= {str(self.folder / name), str(self.folder / other)}

    def look(self, after: float = 0.0) -> Refresh:
        """Look as the gateway does: at what changed, and what was restless."""
        self.time += after
        found = self.source.refresh(changed=frozenset(self._changed))
        self._changed = set(found.restless)
        return found

    def settled(self) -> Refresh:
        """Look until nothing is waited for."""
        found = self.look()
        while found.due is not None:
            found = self.look(max(found.due, 0.001))
        return found

    def written(self) -> dict[str, list[tuple[str, str]]]:
        """Host and place of everything that is written of each route."""
        found: dict[str, list[tuple[str, str]]] = {}
        for document in Reader([str(self.folder)]).read().documents:
            host = str(document.data["spec"]["hostnames"][0]).partition(".")[0]
            place = f"{os.path.basename(document.origin.path)}:{document.origin.line}"
            found.setdefault(document.data["metadata"]["name"], []).append((host, place))
        return found

    def fresh(self) -> tuple[dict[str, tuple[str, str]], list[str]]:
        """What one has who begins now: objects, and what is told of them."""
        store = Store()
        found = Source(Reader([str(self.folder)]), store, violations).refresh()
        return hosts_of(store), told(found)


def told(found: Refresh) -> list[str]:
    return sorted(f"{os.path.basename(item.path)}:{item.line} {item.code} {item.object}" for item in found.diagnostics)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.write("m.yaml", "r first")
    world.settled()
    return world


@pytest.mark.parametrize("name", ["a.yaml", "z.yaml"])
@pytest.mark.parametrize("gap", [0.0, 0.15, QUIET_GONE + 0.1])
@pytest.mark.parametrize("again", [("s first",), (), ("s first", "t first"), ("r second",)])
def test_a_duplicate_that_goes_costs_nothing(world: World, name: str, gap: float, again: tuple[str, ...]) -> None:
    """Also where its file is written anew while nobody believes yet that it is gone."""
    world.write(name, "r first")
    assert "duplicate" in str(told(world.settled()))
    world.remove(name)
    world.look()
    world.look(gap)
    world.write(name, *again, text=None if again else "# nothing\n")
    world.look()
    assert "r" in hosts_of(world.store)
    check(world)
    assert hosts_of(world.store)["r"] == ("first", "m.yaml:2")


@pytest.mark.parametrize("name", ["a.yaml", "m.yaml", "z.yaml"])
def test_a_file_that_is_added_takes_nothing_over(world: World, name: str) -> None:
    """What was in use stays, wherever in its file it is now; the other one is told."""
    world.write(name, *(("s first", "r second", "r first") if name == "m.yaml" else ("r second",)))
    found = world.settled()
    assert hosts_of(world.store)["r"][0] == "first"
    assert len(told(found)) == 1
    kept = hosts_of(world.store)["r"][1]
    assert f"already written at {world.folder}/{kept}; this one is left out" in found.diagnostics[0].message
    world.write("m.yaml", "t first")
    if name != "m.yaml":
        assert told(world.settled()) == []
        assert hosts_of(world.store)["r"] == ("second", f"{name}:2")


@pytest.mark.parametrize("name", ["a.yaml", "z.yaml"])
def test_of_two_duplicates_that_go_the_third_stays(world: World, name: str) -> None:
    world.write(name, "r first", "s first")
    world.write("b.yaml", "r second")
    world.settled()
    world.remove(name)
    world.remove("b.yaml")
    world.look()
    world.write(name, "s first")
    world.write("b.yaml", "t first")
    world.settled()
    check(world)
    assert sorted(hosts_of(world.store)) == ["r", "s", "t"]


@pytest.mark.parametrize("listed", [False, True])
def test_a_duplicate_within_a_file_that_goes_and_comes_back(world: World, listed: bool) -> None:
    def write(*written: str) -> None:
        world.write("z.yaml", *written, text=as_list(*written) if listed else None)

    write("s first", "s second", "r second")
    world.settled()
    world.remove("z.yaml")
    world.look()
    write("t first", "s second")
    world.settled()
    assert sorted(hosts_of(world.store)) == ["r", "s", "t"]
    assert hosts_of(world.store) == world.fresh()[0]


def test_a_look_anew_finds_what_is_there_whatever_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SIGHUP is for: nothing that is believed of the files or of the store counts."""
    key = ObjectKey("HTTPRoute", "default", "r")
    world.store.handle(Delete(key))
    assert (world.look().changed, hosts_of(world.store)) == (frozenset(), {})
    world.source.refresh(anew=True)
    assert hosts_of(world.store) == world.fresh()[0]
    monkeypatch.setattr("sluicegate.controller.sources.files.reader.stamp_of", lambda _path: (1, 2, 3, 4, 5))
    world.source.refresh(anew=True)
    world.write("m.yaml", "r second")
    assert world.settled().changed == frozenset()
    assert world.source.refresh(anew=True).changed == {key}
    assert hosts_of(world.store) == {"r": ("second", "m.yaml:2")}


def test_a_look_anew_keeps_the_last_good_version(world: World) -> None:
    world.write("m.yaml", "r wrong")
    world.settled()
    found = world.source.refresh(anew=True)
    assert (found.changed, hosts_of(world.store)) == (frozenset(), {"r": ("first", "m.yaml:2")})


def test_a_file_that_could_not_be_looked_at_loses_nothing_when_it_can_be_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [f"other-{number} first" for number in range(MIN_PIECES_TO_REUSE)]
    world.write("m.yaml", *others, "s first")
    world.settled()
    with monkeypatch.context() as patch:
        patch.delattr(Judge, "judge")
        world.write("m.yaml", *others, "s first", "t first")
        assert "fault" in str(told(world.settled()))
        assert len(hosts_of(world.store)) == len(others) + 1
    world.write("m.yaml", *others, "s first", "t second")
    world.settled()
    assert hosts_of(world.store) == world.fresh()[0]


CONTENTS = st.lists(st.sampled_from(OBJECTS), min_size=1, max_size=2).map(tuple)
FILES = st.sampled_from(NAMES)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), FILES, CONTENTS, st.booleans()),
        st.tuples(st.just("remove"), FILES),
        st.tuples(st.just("write anew"), FILES, CONTENTS),
        st.tuples(st.just("rename"), FILES, FILES),
        st.tuples(st.just("wait"), st.sampled_from([0.1, QUIET_GONE + 0.01, MAX_RESTLESS])),
        st.tuples(st.just("settle")),
    ),
    min_size=3,
    max_size=16,
)


def check(world: World) -> None:
    """Once nothing is waited for, the store has what one has who begins now; of what is written twice, one of them."""
    found = world.settled()
    expected, faults = world.fresh()
    objects = hosts_of(world.store)
    assert found.objects == len(objects)
    written = world.written()
    if all(" duplicate " in item for item in faults):
        left_out = [(name, place) for name, places in written.items() for _, place in places]
        left_out = [(name, place) for name, place in left_out if place != objects[name][1]]
        assert told(found) == sorted(f"{place} duplicate HTTPRoute/default/{name}" for name, place in left_out)
    else:  # of what is wrong a last good version may go on
        objects.pop("r", None)
        expected.pop("r", None)
    assert objects.keys() == expected.keys()
    for name, item in objects.items():
        assert item in written[name]


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, together=st.booleans())
def test_whatever_happened_in_the_end_there_is_what_is_written(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]], together: bool
) -> None:
    """Writes, removals and renames, seen one by one or `together`."""
    world = World(tmp_path_factory.mktemp("world"))
    for name in NAMES:
        world.write(name, "r first")
    world.look()
    for action, *rest in steps:
        if action == "write":
            name, written, listed = rest
            world.write(name, *written, text=as_list(*written) if listed else None)
        elif action == "write anew":
            name, written = rest
            world.remove(name)
            world.look()
            world.write(name, *written)
        elif action == "wait":
            world.look(*rest)
        elif action == "settle":
            check(world)
        else:
            getattr(world, action)(*rest)
        if not together:
            world.look()
    check(world)


@pytest.mark.parametrize("kind", ["link", "link to a hidden file", "hard link"])
def test_a_file_that_has_two_names_is_read_by_both(world: World, kind: str) -> None:
    """The system tells of the one that was written."""
    target = "z.yaml" if kind != "link to a hidden file" else ".z.yaml"
    world.write(target, "s first")
    link = world.folder / "b.yaml"
    if kind == "hard link":
        link.hardlink_to(world.folder / target)
    else:
        link.symlink_to(target)
    world.source.refresh()
    world.settled()
    world.write(target, "s second")
    found = world.settled()
    assert (hosts_of(world.store), told(found)) == world.fresh()


@pytest.mark.parametrize(
    "other", ["{folder}/./m.yaml", "{folder}", "{folder}/../{name}", "{folder}/link.yaml", "{link}"]
)
def test_a_file_that_is_given_in_two_ways_is_read_once(world: World, tmp_path_factory: Any, other: str) -> None:
    path = str(world.folder / "m.yaml")
    link = tmp_path_factory.mktemp("links") / "link"
    link.symlink_to(world.folder)
    if "link.yaml" in other:
        (world.folder / "link.yaml").symlink_to("m.yaml")
    again = other.format(folder=world.folder, name=world.folder.name, link=link)
    source = Source(Reader([path, again]), world.store, violations)
    assert source.refresh().diagnostics == ()
    world.write("m.yaml", "r second")
    assert source.refresh(changed=frozenset({path})).diagnostics == ()
    assert hosts_of(world.store)["r"][0] == "second"
