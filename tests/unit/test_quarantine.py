"""Which objects are held where many raise at once: no innocent one that much stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from sluicegate.controller.api import Object, ObjectKey, decode
from sluicegate.controller.store.snapshot import Snapshot
from sluicegate.controller.store.store import Apply, Store
from sluicegate.controller.translate import Translation, Translator
from sluicegate.controller.translate.quarantine import MAX_FAMILY_TRIES, MAX_TRIES, Quarantine

GATEWAY_API = "gateway.networking.k8s.io/v1"
NOTHING = Translator().translate(Store().snapshot())


def some(kind: str, namespace: str, name: str) -> Object:
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    spec = {"controllerName": "a/b", "gatewayClassName": "c", "listeners": [], "rules": []}
    return decode({"apiVersion": GATEWAY_API, "kind": kind, "metadata": metadata, "spec": spec})


def routes(namespace: str, count: int) -> list[Object]:
    return [some("HTTPRoute", namespace, f"r{number:03}") for number in range(count)]


def refusing(bad: Callable[[ObjectKey], bool], tries: list[Snapshot]) -> Callable[[Snapshot], Translation]:
    def attempt(view: Snapshot) -> Translation:
        tries.append(view)
        for kind, table in view.tables.items():
            for pair in table:
                if bad(ObjectKey(kind, *pair)):
                    raise KeyError(pair)
        return NOTHING

    return attempt


def held_of(objects: Iterable[Object], bad: Callable[[ObjectKey], bool]) -> tuple[set[ObjectKey], int]:
    store, quarantine, tries = Store(()), Quarantine(), []
    for item in objects:
        store.handle(Apply(item))
    quarantine.translate(store.snapshot(), refusing(bad, tries))
    return set(quarantine.held), len(tries)


INFRASTRUCTURE = [some("GatewayClass", "", "c"), some("Gateway", "infra", "g"), some("Gateway", "zz", "g")]


@pytest.mark.parametrize("every", [1, 2, 7])
def test_where_many_of_a_namespace_raise_no_other_is_held(every: int) -> None:
    def bad(key: ObjectKey) -> bool:
        return key.namespace == "bad" and int(key.name[1:]) % every == 0

    good = [*INFRASTRUCTURE, *routes("a", 100), *routes("z", 100)]
    held, tries = held_of([*good, *routes("bad", 300)], bad)
    assert {item.key for item in good}.isdisjoint(held)
    assert {key for key in (item.key for item in routes("bad", 300)) if bad(key)} <= held
    assert tries <= MAX_TRIES


def test_what_much_stands_on_is_let_in_however_many_raise() -> None:
    namespaces = [f"n{number:02}" for number in range(40)]
    objects = [item for namespace in namespaces for item in routes(namespace, 10)]
    held, tries = held_of([*INFRASTRUCTURE, *objects], lambda key: key.kind == "HTTPRoute")
    assert {item.key for item in INFRASTRUCTURE}.isdisjoint(held)
    assert len(held) == len(objects)
    assert tries <= MAX_TRIES + MAX_FAMILY_TRIES


def test_one_among_many_is_found() -> None:
    bad = ObjectKey("HTTPRoute", "b", "r777")
    held, tries = held_of([*INFRASTRUCTURE, *routes("a", 1_000), *routes("b", 1_000)], lambda key: key == bad)
    assert held == {bad}
    assert tries <= MAX_FAMILY_TRIES
