"""What policies on one target cost: so much for each, however many there are."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from pretended_policies import KINDS, policy
from test_policy_attachment import objects, route

from sluicegate.controller.api import Object
from sluicegate.controller.store.store import Apply, Store
from sluicegate.controller.translate import Translator

#: How much more twice as many may cost: all sorts are counted as what they are.
TWICE = 2.3
FEW, MANY = 100, 200


def calls(work: Callable[[], object]) -> int:
    """How many calls of Python some work takes: the same each time, on every machine."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def cost(of: Callable[[int], Object], count: int) -> tuple[int, int, int]:
    """What it takes to bring policies, to change the oldest of them, and to translate what refers to their target."""
    store = Store()
    store.load(objects())
    translator = Translator(policies=KINDS)
    translator.translate(store.snapshot())
    for number in range(count):
        store.handle(Apply(of(number)))
    added = calls(lambda: translator.translate(store.snapshot()))
    store.handle(Apply(of(count)))
    changed = calls(lambda: translator.translate(store.snapshot()))
    store.handle(Apply(route("cart", hostnames=["new.test"])))
    return added, changed, calls(lambda: translator.translate(store.snapshot()))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        pytest.param("CarePolicy", "Service/cart", id="a Service"),
        pytest.param("CarePolicy", "Service/cart/web", id="a port"),
        pytest.param("LimitPolicy", "Gateway/edge", id="a Gateway"),
        pytest.param("LimitPolicy", "Gateway/edge/none-{}", id="listeners that are not there"),
        pytest.param("LimitPolicy", "HTTPRoute/cart", id="a route"),
        pytest.param("LimitPolicy", "HTTPRoute/cart/first", id="a rule"),
    ],
)
def test_many_on_one_target_cost_no_more_than_their_number(kind: str, target: str) -> None:
    def of(number: int) -> Object:
        return policy(f"p{number:04}", target.format(number), kind=kind, created=number % 60)

    for few, many in zip(cost(of, FEW), cost(of, MANY), strict=True):
        assert many <= TWICE * few
