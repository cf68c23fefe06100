"""Many Ingresses of one host: the work grows as they do, and not as their square."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest
from ingress_objects import ingress, inventory_of

from sluicegate.controller.ingress import NGINX, Options, convert

FORMS = {
    "plain": ("/p{}", "Prefix", {}),
    "expressions": ("/p{}/[a-z]+", "ImplementationSpecific", {"use-regex": "true"}),
    "rewrites": ("/p{}(/|$)(.*)", "ImplementationSpecific", {"rewrite-target": "/$2"}),
    "roots": ("/p{}", "Prefix", {"app-root": "/there"}),
}


def calls(number: int, form: str) -> int:
    """Calls of functions that a conversion of so many takes."""
    path, kind, annotations = FORMS[form]
    objects = [
        ingress(f"i{each:04}", paths=[(path.format(each), kind, "web")], annotations=annotations, tls=True)
        for each in range(number)
    ]
    inventory, found = inventory_of(objects), 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        convert(inventory, NGINX, Options())
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize("form", sorted(FORMS))
def test_twice_as_many_take_twice_the_work(form: str) -> None:
    calls(10, form)  # what is made once
    few, many = calls(640, form), calls(1280, form)
    assert many < 2.2 * few
