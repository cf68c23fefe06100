"""Which status is written next."""

from __future__ import annotations

from sluicegate.controller.api import ObjectKey
from sluicegate.controller.status.lanes import BURST, LONGEST, QUIET, REST, ROUTE_WORKERS, Lanes

GATEWAY = ObjectKey("Gateway", "default", "gateway")


def route(number: int) -> ObjectKey:
    return ObjectKey("HTTPRoute", "default", f"route-{number}")


def with_routes(count: int) -> Lanes:
    lanes = Lanes()
    for number in range(count):
        lanes.push(route(number), 0.0, comes=True)
    return lanes


def test_few_routes_are_written_in_order_and_without_a_rest() -> None:
    lanes = with_routes(4)
    assert [lanes.take(0.0) for _ in range(ROUTE_WORKERS + 1)] == [route(0), route(1), None]
    assert len(lanes) == 4
    assert lanes.written(route(0), 0.1, 0.1) <= 0.1
    assert lanes.take(0.1) == route(2)


def test_what_counts_routes_goes_before_them() -> None:
    lanes = with_routes(1_000)
    assert lanes.take(0.0) is not None
    lanes.push(GATEWAY, 0.0)
    assert lanes.take(0.0) == GATEWAY


def test_in_a_burst_one_is_written_at_a_time_the_oldest_and_the_newest_in_turn() -> None:
    lanes, now, order = with_routes(BURST + 5), 0.0, []
    for _ in range(4):
        key = lanes.take(now)
        assert key is not None
        order.append(key)
        assert lanes.take(now) is None
        now = lanes.written(key, 0.01, now + 0.01)
    last = BURST + 4
    assert order == [route(last), route(0), route(last - 1), route(1)]


def test_each_write_is_followed_by_a_rest_while_routes_go_on_coming() -> None:
    lanes = with_routes(BURST + 5)
    key = lanes.take(0.0)
    assert key is not None
    due = lanes.written(key, 0.01, 0.01)
    assert due == 0.01 + 0.01 * REST
    assert lanes.take(0.011) is None
    key = lanes.take(due)
    assert key is not None
    lanes.push(route(BURST + 5), due, comes=True)
    assert lanes.written(key, 30.0, due) == due + LONGEST


def test_once_no_route_comes_any_more_what_is_left_of_a_burst_is_written_without_a_rest() -> None:
    lanes, now = with_routes(BURST + 5), QUIET
    last = route(BURST + 4)
    assert [lanes.take(now) for _ in range(ROUTE_WORKERS + 1)] == [last, route(0), None]
    assert lanes.written(last, 0.01, now + 0.01) <= now + 0.01
    lanes.push(last, now + 0.01)  # as its own write is told: nobody made a route
    assert lanes.take(now + 0.01) == last
    assert lanes.written(route(0), 0.01, now + 0.02) <= now + 0.02
    assert lanes.take(now + 0.02) == route(1)


def test_an_object_is_not_written_twice_at_once() -> None:
    lanes = with_routes(1)
    assert lanes.take(0.0) == route(0)
    lanes.push(route(0), 0.0)
    assert lanes.take(0.0) is None
    lanes.written(route(0), 0.0, 0.0)
    assert lanes.take(0.0) == route(0)
    lanes.push(route(0), 0.0)
    lanes.drop(route(0))
    lanes.written(route(0), 0.0, 0.0)
    assert lanes.take(0.0) is None
    assert len(lanes) == 0
