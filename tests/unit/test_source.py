"""From files to objects: what is looked at again, and what is told, when a file of many objects is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sluicegate.controller.api import Diagnostic, ObjectKey
from sluicegate.controller.sources.files import Reader, disk
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.schema import violations

NUMBER = 60
ROUTE = """---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: route-{number}
spec:
  hostnames: [{host}.example.com]
"""


class World:
    """A file of many routes; notes which ones are looked at as the API server would."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "all.yaml"
        self.parts = [ROUTE.format(number=number, host="first") for number in range(NUMBER)]
        self.looked: list[str] = []
        self.store = Store()
        self.source = Source(Reader([str(self.path)]), self.store, self.look)
        self.save()

    def look(self, document: dict[str, Any]) -> list[Diagnostic]:
        self.looked.append(document["metadata"]["name"])
        return violations(document)

    def save(self) -> frozenset[ObjectKey]:
        """Write the file; the keys that the store was told of."""
        self.looked.clear()
        self.path.write_text("".join(self.parts))
        found = self.source.refresh()
        self.diagnostics = [fault.object for fault in found.diagnostics]
        return found.changed

    def hosts(self) -> dict[str, str]:
        objects = self.store.snapshot().table("HTTPRoute").values()
        return {item.key.name: item.spec.hostnames[0] for item in objects}  # type: ignore[attr-defined]


def key(number: int) -> ObjectKey:
    return ObjectKey("HTTPRoute", "default", f"route-{number}")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("number", [0, 1, 30, NUMBER - 1])
def test_one_object_that_changed_is_looked_at_and_told(world: World, number: int) -> None:
    world.parts[number] = ROUTE.format(number=number, host="a-longer-name")
    assert world.save() == {key(number)}
    assert world.looked == [f"route-{number}"]
    assert world.hosts()[f"route-{number}"] == "a-longer-name.example.com"


def test_objects_that_moved_are_not_looked_at(world: World) -> None:
    world.parts[10] += "\n\n"
    world.save()
    assert world.looked == ["route-10"]
    origin = world.store.snapshot().origin(key(11))
    assert origin is not None
    assert origin.line == 7 * 11 + 4


def test_objects_added_taken_away_and_exchanged(world: World) -> None:
    world.parts[20], world.parts[40] = world.parts[40], world.parts[20]
    world.save()
    assert world.looked == []
    del world.parts[5:8]
    assert world.save() >= {key(5), key(6), key(7)}
    world.parts.insert(3, ROUTE.format(number=100, host="new"))
    assert key(100) in world.save()
    assert world.looked == ["route-100"]
    assert len(world.hosts()) == NUMBER - 3 + 1


@pytest.mark.parametrize("name", ["Route_5", "-route", "5", "route 5"])
def test_an_object_whose_name_is_none_is_told_and_the_rest_is_kept(world: World, name: str) -> None:
    """Nobody knows which object was meant: those that the file had go on, as they do in a cluster."""
    world.parts[5] = world.parts[5].replace("name: route-5", f"name: {name}")
    world.parts[6] = ROUTE.format(number=6, host="second")
    assert world.save() >= {key(6)}
    assert len(world.diagnostics) == 1
    assert world.hosts()["route-5"] == "first.example.com"
    assert len(world.hosts()) == NUMBER
    world.parts[5] = ROUTE.format(number=5, host="mended")
    world.save()
    assert (world.diagnostics, world.hosts()["route-5"]) == ([], "mended.example.com")


def test_an_object_written_twice_is_told_wherever_it_is(world: World) -> None:
    world.parts[50] = ROUTE.format(number=2, host="second")
    world.save()
    assert world.diagnostics == ["HTTPRoute/default/route-2"]
    assert world.hosts()["route-2"] == "first.example.com"
    del world.parts[2]
    world.save()
    assert world.diagnostics == []
    assert world.hosts()["route-2"] == "second.example.com"


@pytest.mark.parametrize("known", [False, True])
def test_an_object_that_moves_to_another_file_and_is_broken_there_keeps_its_last_good_version(
    tmp_path: Path, known: bool
) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    other, good = ROUTE.format(number=0, host="other"), ROUTE.format(number=1, host="good")
    store = Store()
    source = Source(Reader([str(tmp_path)]), store, violations)

    def hosts() -> list[str]:
        found = source.refresh()
        assert found.objects == len(store.snapshot().table("HTTPRoute"))
        return sorted(item.spec.hostnames[0] for item in store.snapshot().table("HTTPRoute").values())  # type: ignore[attr-defined]

    first.write_text(good + other)
    if known:
        second.write_text(ROUTE.format(number=2, host="third"))
    more = ["third.example.com"] * known
    assert hosts() == sorted(["good.example.com", "other.example.com", *more])
    first.write_text(other)
    broken = good.replace("hostnames: [", "hostnames: [1, ")
    second.write_text((second.read_text() if known else "") + broken)
    kept = sorted(["good.example.com", "other.example.com", *more])
    assert hosts() == kept
    first.write_text(other + "# changed\n")
    assert hosts() == kept
    second.write_text("")
    second.unlink()
    assert hosts() == ["other.example.com"]
    second.write_text(broken)
    assert hosts() == ["other.example.com"]
    second.write_text(ROUTE.format(number=1, host="mended"))
    assert hosts() == ["mended.example.com", "other.example.com"]


@pytest.mark.parametrize("file", [False, True])
def test_what_is_behind_a_link_that_leads_nowhere_is_kept(tmp_path: Path, file: bool) -> None:
    """As what is below a directory that was given and vanished: a mount, or a checkout, may come back."""
    folder, link = tmp_path / "folder", tmp_path / "link"
    folder.mkdir()
    path = folder / "a.yaml"
    path.write_text(ROUTE.format(number=1, host="a"))
    link.symlink_to(path if file else folder)
    source = Source(Reader([str(link)]), Store(), violations)
    assert source.refresh().objects == 1
    folder.rename(tmp_path / "elsewhere")
    found = source.refresh()
    assert found.objects == 1
    [fault] = found.diagnostics
    assert (fault.path, "which does not exist: correct the link" in fault.message) == (str(link), True)
    link.unlink()
    link.symlink_to(link)
    found = source.refresh()
    assert (found.objects, ["in a circle" in item.message for item in found.diagnostics]) == (1, [True])
    (tmp_path / "elsewhere").rename(folder)
    link.unlink()
    link.symlink_to(path if file else folder)
    assert source.refresh().diagnostics == ()


def test_what_is_told_of_a_last_good_version_is_told_where_the_object_is_now(tmp_path: Path) -> None:
    """Where it was there may be another object."""
    path, elsewhere = tmp_path / "a.yaml", tmp_path / "b.yaml"
    store = Store()
    source = Source(Reader([str(tmp_path)]), store, violations)
    first, second = ROUTE.format(number=1, host="first"), ROUTE.format(number=2, host="second")
    broken = first.replace("[first", "[1, first")

    def place() -> tuple[str, int, list[int]]:
        source.refresh()
        origin = store.snapshot().origin(key(1))
        assert origin is not None
        return Path(origin.path).name, origin.line, source.lines_of(origin, ["", "spec.hostnames", "spec.hostnames[0]"])

    path.write_text(first + second)
    assert place() == ("a.yaml", 2, [2, 7, 7])
    path.write_text(second + broken)
    assert place() == ("a.yaml", 9, [9, 14, 14])
    path.write_text(second + "---\na: [\n")
    assert place() == ("a.yaml", 0, [0, 0, 0])
    path.write_text(second + first)
    assert place() == ("a.yaml", 9, [9, 14, 14])
    path.write_text(second)
    elsewhere.write_text("\n\n" + broken)
    assert place() == ("b.yaml", 4, [4, 9, 9])


def test_a_link_that_leads_to_the_whole_machine_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is below the given directory by itself comes first in the order of names, and is read."""
    monkeypatch.setattr(disk, "MAX_FOLDERS", 20)
    given, machine = tmp_path / "given", tmp_path / "machine"
    (given / "a").mkdir(parents=True)
    (given / "a" / "one.yaml").write_text("")
    for number in range(50):
        (machine / f"{number:02}").mkdir(parents=True)
        (machine / f"{number:02}" / "more.yaml").write_text("")
    (given / "zz").symlink_to(machine)
    diagnostics: list[Diagnostic] = []
    closed: list[str] = []
    found = list(disk.manifests_below(str(given), diagnostics, closed))
    assert found[0] == str(given / "a" / "one.yaml")
    assert len(found) < 20
    [told] = diagnostics
    assert told.path == str(given)
    assert f"{given / 'zz'} links to {machine}: remove the link" in told.message
    assert closed == [str(given)]
