"""Saving a manifest costs no request, however an editor goes about it; what cannot be read costs only itself."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_clients import Http1, Http2
from system_gateway import LIMIT, Gateway, until
from system_manifests import GROUP, Manifest, dump, gateway, metadata, route, rule, service

PORT = 8080
HOST = "any.test"


class Load:
    """Requests on keep-alive connections until it is stopped; what is not 200 is a failure."""

    def __init__(self, address: str, client: Any) -> None:
        self.failures: list[str] = []
        self.requests = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(address, client), daemon=True) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def _run(self, address: str, client: Any) -> None:
        connection = client(address, PORT)
        while not self._stop.is_set():
            try:
                found = connection.request("GET", HOST, "/")
            except (OSError, ValueError) as error:
                self.failures.append(repr(error))
                return
            if found.status != 200:
                self.failures.append(str(found.status))
            self.requests += 1
        connection.close()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(LIMIT)


@pytest.fixture
def world(start: Any, backend: Any) -> tuple[Gateway, list[Manifest]]:
    objects = [gateway(), route(rule("/", "app")), *service("app", backend("app").address)]
    return start(*objects), objects


def truncates(path: Path, text: str) -> None:
    """Emptied, then written in small pieces: shells, and most editors."""
    with path.open("w") as file:
        for start in range(0, len(text), 1000):
            file.write(text[start : start + 1000])
            file.flush()


def overwrites(path: Path, text: str) -> None:
    """Written over what is there, in pieces, then cut: synchronising programs."""
    with path.open("r+") as file:
        for start in range(0, len(text), 4096):
            file.write(text[start : start + 4096])
            file.flush()
        file.truncate()


def renames(path: Path, text: str) -> None:
    """Written beside it, then moved over it."""
    new = path.with_name("new.tmp")
    new.write_text(text)
    new.rename(path)


def backs_up(path: Path, text: str) -> None:
    """Moved away, then written anew: Emacs and Vim."""
    path.rename(path.with_name(f"{path.name}~"))
    truncates(path, text)


def removes(path: Path, text: str) -> None:
    """Removed, then written anew: version control."""
    path.unlink()
    truncates(path, text)


EDITORS = [truncates, overwrites, renames, backs_up, removes]


@pytest.mark.parametrize("save", EDITORS, ids=lambda save: save.__name__)
def test_saving_costs_no_request(
    world: tuple[Gateway, list[Manifest]], client: type[Http1] | type[Http2], save: Callable[[Path, str], None]
) -> None:
    """Twenty saves under load, each live; the rest of the file always served."""
    found, objects = world
    load = Load(found.address, client)
    for number in range(20):
        # Filters before backendRefs: a route that is cut short in the middle would answer, and wrongly.
        more = [route(rule(f"/{each}", "app"), name=f"more-{each}") for each in range(10)]
        changed = route(rule(f"/changed/{number}", "app"), name=f"changed-{number}")
        save(found.folder / "all.yaml", dump(*more, objects[0], changed, *objects[1:]))
        found.event(
            lambda event, name=f"HTTPRoute/default/changed-{number}": (  # type: ignore[misc]
                event["event"] == "changed" and name in event["objects"] and event["generation"] is not None
            )
        )
    until(lambda: load.requests > 20 or load.failures, "requests were there all the time")
    load.stop()
    assert load.failures == []


def test_an_open_file_is_waited_for(world: tuple[Gateway, list[Manifest]]) -> None:
    """A shell opens and empties `> all.yaml` before the program begins that has something to say."""
    found, objects = world
    load = Load(found.address, Http1)
    with (found.folder / "all.yaml").open("w") as file:
        event = found.write(route(rule("/new", "app"), name="new"), name="new.yaml")
        assert event["objects"] == ["HTTPRoute/default/new"]
        file.write(dump(*objects[:2]))
        file.flush()
        event = found.write(route(rule("/newer", "app"), name="newer"), name="newer.yaml")
        assert event["objects"] == ["HTTPRoute/default/newer"]
        file.write("---\n" + dump(*objects[2:], route(rule("/late", "app"), name="late")))
    event = found.event(lambda event: event["event"] == "changed" and bool(event["objects"]))
    assert "HTTPRoute/default/late" in event["objects"]
    assert [event for event in found.seen if event.get("problems")] == []
    load.stop()
    assert load.failures == []


def test_an_emptied_file_keeps_what_it_had(world: tuple[Gateway, list[Manifest]]) -> None:
    """It is told, with what to do if that was meant."""
    found, objects = world
    load = Load(found.address, Http1)
    path = found.folder / "all.yaml"
    path.write_text("")
    event = found.event(lambda event: event["event"] == "changed")
    [problem] = event["problems"]
    assert (problem["path"], problem["code"]) == (str(path), "emptied")
    assert "remove the file" in problem["message"]
    path.write_text(dump(*objects, route(rule("/late", "app"), name="late")))
    event = found.event(lambda event: event["event"] == "changed" and bool(event["objects"]))
    assert [item["code"] for item in event["solved"]] == ["emptied"]
    load.stop()
    assert load.failures == []
    path.unlink()
    event = found.event(lambda event: event["event"] == "changed" and event["generation"] is not None)
    assert event["listeners"] == []


def test_a_renamed_file_is_no_duplicate(world: tuple[Gateway, list[Manifest]]) -> None:
    found, _objects = world
    load = Load(found.address, Http1)
    (found.folder / "all.yaml").rename(found.folder / "other.yaml")
    found.write(route(rule("/new", "app"), name="new"), name="new.yaml")
    (found.folder / "new.yaml").unlink()
    found.event(lambda event: event["event"] == "changed" and "HTTPRoute/default/new" in event["objects"])
    assert [event for event in found.seen if event.get("problems")] == []
    load.stop()
    assert load.failures == []


#: An object, the place in it, what is written for what there, and the fields that are told, errors first.
BAD_EDITS: list[tuple[str, tuple[str | int, ...], dict[str, str], dict[str, Any], list[str]]] = [
    ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0), {"port": "prot"}, {}, ["", ".prot"]),
    ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0), {"name": "nmae"}, {}, [".name", ".nmae"]),
    ("HTTPRoute", ("spec", "rules", 0, "backendRefs", 0), {"port": "prot"}, {"weight": -1}, ["", ".weight", ".prot"]),
    ("HTTPRoute", ("spec", "rules", 0, "matches", 0, "path"), {}, {"value": "app", "colour": 1}, ["", ".colour"]),
    ("Gateway", ("spec", "listeners", 0), {"port": "prot"}, {}, [".port", ".prot"]),
    ("Gateway", ("spec",), {"listeners": "listener"}, {}, [".listeners", ".listener"]),
    ("ReferenceGrant", ("spec",), {"from": "form"}, {}, [".from", ".form"]),
    ("Service", ("spec",), {"ports": "prots"}, {}, [".ports", ".prots"]),
    ("Service", ("spec", "ports", 0), {"port": "prot"}, {}, [".port", ".prot"]),
    ("EndpointSlice", ("endpoints", 0), {"addresses": "adresses"}, {}, [".addresses", ".adresses"]),
    ("EndpointSlice", (), {"addressType": "adressType"}, {}, ["addressType", "adressType"]),
]


def test_an_edit_that_the_api_server_refuses_costs_no_request(start: Any, backend: Any) -> None:
    """Half of the requests were 500 for `prot: 80`: the field that is not known kept the rule from being asked."""
    grant = {
        "apiVersion": GROUP,
        "kind": "ReferenceGrant",
        "metadata": metadata("grant", "other"),
        "spec": {
            "from": [{"group": GROUP.partition("/")[0], "kind": "HTTPRoute", "namespace": "default"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }
    other = service("other", backend("other").address)
    for item in other:
        item["metadata"]["namespace"] = "other"
    both = rule("/", {"name": "app", "port": 80}, {"name": "other", "namespace": "other", "port": 80})
    objects = [gateway(), route(both), *service("app", backend("app").address), *other, grant]
    found = start(*objects)
    load = Load(found.address, Http1)
    for kind, place, renamed, written, fields in BAD_EDITS:
        bad = copy.deepcopy(objects)
        item = next(item for item in bad if item["kind"] == kind)
        part: Any = item
        for step in place:
            part = part[step]
        changed = {renamed.get(name, name): value for name, value in part.items()} | written
        part.clear()
        part.update(changed)
        problems = found.write(*bad)["problems"]
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        assert sorted(problem["field"] for problem in problems) == sorted(path + field for field in fields)
        for problem in problems:
            assert problem["object"] == f"{kind}/{item['metadata']['namespace']}/{item['metadata']['name']}"
            assert problem["path"] == str(found.folder / "all.yaml")
            assert problem["line"] > 0
        requests = load.requests
        until(lambda count=requests: load.requests > count + 20, "requests while it is there")  # type: ignore[misc]
        assert found.write(*objects)["problems"] == []
        assert load.failures == [], (kind, changed)
    live = found.write(*objects, route(rule("/", "app"), name="live", hostnames=["live.test"]))
    assert live["objects"] == ["HTTPRoute/default/live"]
    load.stop()
    assert load.failures == []
