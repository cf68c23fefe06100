"""What pods count, for whoever looks at the controller's page: how it is added up, and how it comes over the stream."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stream_support import GOOD_TOKEN, PLANE, Plane, Side, calling, following, serving, simple, subscribe

from sluicegate.controller.stream import figures, onlookers, protocol
from sluicegate.controller.stream.figures import Figures, RouteCounters, answer, asked_for, question, read_answer
from sluicegate.controller.stream.messages import AnyMessage, Request, Status
from sluicegate.controller.stream.tally import Tally

ROUTE, OTHER = "HTTPRoute/default/a", "HTTPRoute/default/b"


def counted(good: int = 0, bad: int = 0, route: str = ROUTE, active: int = 0, **rest: Any) -> Figures:
    """What a pod counted of one route."""
    requests = {name: count for name, count in (("2xx", good), ("5xx", bad)) if count}
    routes = {route: RouteCounters(requests=requests, buckets=(good, good + bad), active=active)} if requests else {}
    return Figures(requests=good + bad, bounds=(0.1,), routes=routes, **rest)


class Pods:
    """Looks, one after the other."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._present: dict[str, Figures] = {}

    def look(self, routes: tuple[str, ...] = (ROUTE,), **pods: Figures) -> Figures:
        """Everybody answers who is named; whoever said something before is there still."""
        self._tally.begin(routes)
        for name, found in pods.items():
            self._tally.add(name, routes, found)
            self._present[name] = found
        return self._tally.total(self._present.values(), frozenset(routes))

    def leave(self, pod: str) -> None:
        del self._present[pod]


def test_pods_are_added_up() -> None:
    pods = Pods()
    first = pods.look(one=counted(10, 1, active=2, connections=3), two=counted(20, connections=4))
    assert first.routes == {ROUTE: RouteCounters(requests={"2xx": 30, "5xx": 1}, buckets=(30, 31), active=2)}
    assert (first.requests, first.connections, first.bounds) == (31, 7, (0.1,))
    assert pods.look(one=counted(15, 1), two=counted(25)).routes[ROUTE].requests == {"2xx": 40, "5xx": 1}


def test_nothing_leaps_and_nothing_falls() -> None:
    pods = Pods()
    pods.look(one=counted(10))
    # Who comes later has counted much that happened before.
    assert pods.look(one=counted(11), two=counted(1_000)).routes[ROUTE].requests == {"2xx": 11}
    # It counts from then on; what was not there before is new: nothing was counted of it.
    assert pods.look(two=counted(1_005, 7)).routes[ROUTE].requests == {"2xx": 16, "5xx": 7}
    pods.leave("one")
    assert pods.look(two=counted(1_005, 7)).routes[ROUTE].requests == {"2xx": 16, "5xx": 7}
    # A container that began anew has counted everything since.
    after = pods.look(two=counted(3))
    assert (after.routes[ROUTE].requests, after.requests) == ({"2xx": 19, "5xx": 7}, 26)


def test_a_route_that_nobody_was_asked_for_is_whole() -> None:
    pods = Pods()
    pods.look(one=counted(10), two=counted(10))
    both = (ROUTE, OTHER)
    found = pods.look(both, one=counted(50, route=OTHER), two=counted(60, route=OTHER))
    assert found.routes[OTHER].requests == {"2xx": 110}
    assert OTHER not in pods.look((ROUTE,), one=counted(10)).routes


def test_a_first_request_of_a_route_counts() -> None:
    """A pod tells only routes that had a request: that there was none is an answer too."""
    pods = Pods()
    assert pods.look(one=counted()).routes == {}
    assert pods.look(one=counted(1)).routes[ROUTE].requests == {"2xx": 1}


def test_the_worst_view_of_endpoints_is_told() -> None:
    one, two = {"b": {"healthy": 2, "unhealthy": 0}}, {"b": {"healthy": 0, "unhealthy": 2}}
    assert Pods().look(one=Figures(checked=one), two=Figures(checked=two)).checked == two


def test_an_answer_is_cut_to_what_was_asked_and_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "MAX_NAMES", 3)
    monkeypatch.setattr(figures, "MAX_PARTS", 2)
    said = Figures(
        requests=-5,
        errors={str(number): number for number in range(9)},
        bounds=(1.0, 2.0, 3.0),
        routes={
            ROUTE: RouteCounters(requests=dict.fromkeys("abcd", -1), buckets=(1, 2, 3, 4), connections=-1),
            OTHER: RouteCounters(requests={"2xx": 9}),
        },
        checked={str(number): {"healthy": 1, "unhealthy": 2, "odd": 3} for number in range(9)},
    )
    found = read_answer(answer(said), frozenset({ROUTE}))
    assert found == Figures(
        errors={"0": 0, "1": 1, "2": 2},
        bounds=(1.0, 2.0),
        routes={ROUTE: RouteCounters(requests={"a": 0, "b": 0}, buckets=(1, 2, 3))},
        checked={str(number): {"healthy": 1, "unhealthy": 2} for number in range(3)},
    )
    assert asked_for(question([ROUTE, OTHER])) == {ROUTE, OTHER}


class Looks:
    """A pod's figures, and how often it was asked."""

    def __init__(self, good: int) -> None:
        self.good = good
        self.asked: list[frozenset[str]] = []

    def __call__(self, routes: frozenset[str]) -> Figures:
        self.asked.append(routes)
        self.good += 1
        return counted(self.good)


async def looked(side: Side, *routes: str) -> Figures | None:
    """Look as the page does: from another thread."""
    return await asyncio.to_thread(side.server.figures, frozenset(routes))


def test_pods_are_asked_while_somebody_looks(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side:
            assert await looked(side) is None, "there are no pods"
            one, two = Looks(10), Looks(20)
            (tmp_path / "2").mkdir()
            async with (
                following(Plane(tmp_path, side, figures=one)),
                following(Plane(tmp_path / "2", side, token="second-pod", figures=two)),
            ):
                await side.until(lambda: sum(item.accepted for _, _, item in side.server.sessions()) == 2)
                assert (one.asked, two.asked) == ([], []), "nobody has looked"
                found = await looked(side, ROUTE, "HTTPRoute/somebody/else")
                assert found is not None
                assert found.routes[ROUTE].requests == {"2xx": 32}
                assert one.asked == two.asked == [frozenset({ROUTE})]
                found = await looked(side, ROUTE)
                assert found is not None
                assert found.routes[ROUTE].requests == {"2xx": 34}
                every = await asyncio.to_thread(side.server.figures, None)
                assert every is not None
                assert set(every.routes) == {ROUTE}

    asyncio.run(run())


def test_an_older_pod_is_there_and_does_not_hold_anybody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onlookers, "LOOK", 0.01)

    async def run() -> None:
        async with serving(*simple("a")) as side, following(Plane(tmp_path, side)) as plane:
            await plane.engine.until(lambda: len(plane.engine.changes) == 1)
            await side.until(lambda: [item.accepted for _, _, item in side.server.sessions()] == [True])
            for _ in range(onlookers.MISSES):
                assert await looked(side, ROUTE) == Figures()
            # From now on it is not waited for: this would take minutes.
            monkeypatch.setattr(onlookers, "LOOK", 600.0)
            assert await looked(side, ROUTE) == Figures()

    asyncio.run(run())


def test_figures_that_nobody_asked_for_are_not_read() -> None:
    async def run() -> None:
        async with serving(*simple("a")) as side, calling(side, GOOD_TOKEN) as call:
            await subscribe(call)
            detail = AnyMessage(protocol.type_url(protocol.FIGURES), b"no JSON")
            await call.write(Request(type_url=detail.type_url, error_detail=Status(details=[detail])))
            # The next message is taken as ever.
            outcome = protocol.ListenerOutcome("Gateway/default/gateway/http", "1", ("0.0.0.0:80",))
            await call.write(protocol.report_request(protocol.PlaneReport((outcome,))))
            await side.until(lambda: side.server.said().pods.get(PLANE))

    asyncio.run(run())


def test_figures_are_json() -> None:
    """What goes over the stream can be read by people."""
    [detail] = answer(counted(1)).error_detail.details  # type: ignore[union-attr]
    assert msgspec.json.decode(detail.value)["routes"][ROUTE]["requests"] == {"2xx": 1}
